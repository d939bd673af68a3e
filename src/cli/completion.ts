/** What can stand at the end of a command line: the tree of commands knows it, so that completion can not lag behind. */
import type { Argument, Command, Option } from 'commander';

/** What only a broker, or a file of the user's, knows the names of. */
export type Known = 'topic' | 'partition' | 'group' | 'broker' | 'profile';

export interface Candidate {
  readonly value: string;
  /** Empty: none. */
  readonly description: string;
}

export interface Completion {
  readonly candidates: readonly Candidate[];
  /** Names of this kind fit as well; null: none. */
  readonly known: Known | null;
  /** Paths fit. */
  readonly paths: boolean;
}

const nothing: Completion = { candidates: [], known: null, paths: false };

/** What the value of a flag names. */
const knownByFlag: Readonly<Record<string, Known>> = { '--group': 'group', '--topic': 'topic', '--profile': 'profile' };
const pathFlags: ReadonlySet<string> = new Set(['--file', '--config', '--data-dir', '--state-dir']);

/** @param words those after `sluice`; the last one is being written and may be empty */
export function completionOf(program: Command, words: readonly string[]): Completion {
  const current = words.at(-1) ?? '';
  const place = placeOf(program, words.slice(0, -1));
  const { command, open } = place;
  if (open !== null) return withPrefix(valuesOf(open), current);
  const [, flag = '', value = ''] = /^(--[a-z-]+)=(.*)$/.exec(current) ?? [];
  if (flag !== '') {
    const option = flagsOf(command).find(({ long }) => long === flag);
    if (option === undefined) return nothing;
    const { candidates } = withPrefix(valuesOf(option), value);
    return { ...nothing, candidates: candidates.map((each) => ({ ...each, value: `${flag}=${each.value}` })) };
  }
  if (current.startsWith('-'))
    return withPrefix({ ...nothing, candidates: flagsOf(command).map(flagCandidate) }, current);
  const argument = argumentAt(command, place.positionals);
  const commands = place.positionals === 0 ? command.createHelp().visibleCommands(command) : [];
  const candidates = commands.map((each) => ({
    value: each.name(),
    description: each.summary() || each.description(),
  }));
  return withPrefix(
    { candidates, known: argument === null ? null : knownOf(command, argument), paths: false },
    current,
  );
}

interface Place {
  readonly command: Command;
  /** Arguments of the command that are written already. */
  readonly positionals: number;
  /** The flag whose value comes next. */
  readonly open: Option | null;
}

function placeOf(program: Command, words: readonly string[]): Place {
  let command = program;
  let positionals = 0;
  let open: Option | null = null;
  for (const word of words) {
    if (open !== null) {
      open = null;
      continue;
    }
    if (word.startsWith('-')) {
      const option = flagsOf(command).find(({ long, short }) => long === word || short === word);
      if (option?.required === true) open = option;
      continue;
    }
    const next =
      positionals === 0
        ? command.commands.find((each) => each.name() === word || each.aliases().includes(word))
        : undefined;
    if (next === undefined) positionals += 1;
    else command = next;
  }
  return { command, positionals, open };
}

/** The command's own, then those that every command has. */
function flagsOf(command: Command): readonly Option[] {
  const own = command.options.filter(({ hidden }) => !hidden);
  const names = new Set(own.map(({ long }) => long));
  const above = command.parent === null ? [] : flagsOf(command.parent);
  return [...own, ...above.filter(({ long }) => !names.has(long))];
}

const flagCandidate = ({ long, short, description }: Option): Candidate => ({
  value: long ?? short ?? '',
  description,
});

function argumentAt(command: Command, at: number): Argument | null {
  const { registeredArguments } = command;
  const argument = registeredArguments[at];
  if (argument !== undefined) return argument;
  const last = registeredArguments.at(-1);
  return last?.variadic === true ? last : null;
}

function knownOf(command: Command, argument: Argument): Known | null {
  switch (argument.name()) {
    case 'topic':
      return command.name() === 'create' ? null : 'topic';
    case 'group':
      return 'group';
    case 'topic/n':
      return 'partition';
    case 'id':
      return 'broker';
    case 'name':
      return command.parent?.name() === 'profile' && command.name() !== 'create' ? 'profile' : null;
    default:
      return null;
  }
}

function valuesOf(option: Option): Completion {
  const candidates = (option.argChoices ?? []).map((value) => ({ value, description: '' }));
  const long = option.long ?? '';
  return { candidates, known: knownByFlag[long] ?? null, paths: pathFlags.has(long) };
}

const withPrefix = (completion: Completion, prefix: string): Completion => ({
  ...completion,
  candidates: completion.candidates.filter(({ value }) => value.startsWith(prefix)),
});
