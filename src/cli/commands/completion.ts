import { Argument } from 'commander';
import type { Command } from 'commander';
import type { Admin, Client } from '../../../clients/typescript/src/index.ts';
import { completionOf } from '../completion.ts';
import type { Known } from '../completion.ts';
import { completionScripts, pathsMark, shells } from '../completion-scripts.ts';
import type { Shell } from '../completion-scripts.ts';
import { applyProfile, withClient } from '../connection.ts';
import { formatOption, printOne } from '../output-format.ts';
import type { Format } from '../output-format.ts';
import { loadProfiles } from '../profiles.ts';
import { writeOut } from '../standard-output.ts';

/** How long a shell waits for names that a broker knows, milliseconds. */
const askMs = 1_500;

export function addCompletion(program: Command): void {
  program
    .command('completion')
    .summary('for bash, zsh and fish')
    .description('print what completes command lines; its first line says how a shell takes it in')
    .addArgument(new Argument('<shell>', 'which').choices(shells))
    .addOption(formatOption())
    .action((shell: Shell, { output }: { readonly output: Format }) => {
      const script = completionScripts[shell];
      return printOne(output, { shell, script }, () => script);
    });
}

/** What the scripts call. Not for people: no line in --help, and no error either. */
export function addComplete(program: Command): void {
  program
    .command('complete [words...]', { hidden: true })
    .description('candidates for the last of the words, one a line')
    .action((words: readonly string[], _: unknown, command: Command) => complete(program, words, command));
}

async function complete(program: Command, words: readonly string[], command: Command): Promise<void> {
  const { candidates, known, paths } = completionOf(program, words);
  const prefix = words.at(-1) ?? '';
  const names = known === null ? [] : await namesOf(program, known, words, command).catch(() => []);
  const lines = [
    ...candidates.map(({ value, description }) => (description === '' ? value : `${value}\t${description}`)),
    ...names.filter((name) => name.startsWith(prefix)),
    ...(paths ? [pathsMark] : []),
  ];
  await writeOut(lines.map((line) => `${line}\n`).join(''));
}

async function namesOf(
  program: Command,
  known: Known,
  words: readonly string[],
  command: Command,
): Promise<readonly string[]> {
  if (known === 'profile') return [...loadProfiles().byName.keys()];
  for (const [flag, name] of [
    ['--brokers', 'brokers'],
    ['--profile', 'profile'],
  ] as const) {
    const at = words.indexOf(flag);
    const value = words[at + 1];
    if (at >= 0 && value !== undefined) program.setOptionValueWithSource(name, value, 'cli');
  }
  applyProfile(program);
  program.setOptionValueWithSource('timeout', askMs, 'cli');
  return withClient(command, (client) => asked(client, known));
}

async function asked({ admin, groups }: Client, known: Exclude<Known, 'profile'>): Promise<readonly string[]> {
  switch (known) {
    case 'topic':
      return (await admin.listTopics()).map(({ name }) => name);
    case 'partition':
      return partitionsOf(admin);
    case 'group':
      return (await groups.list()).groups.map(({ group }) => group);
    case 'broker':
      return (await admin.describeCluster()).brokers.map(({ brokerId }) => String(brokerId));
  }
}

async function partitionsOf(admin: Admin): Promise<readonly string[]> {
  const topics = await admin.listTopics();
  return topics.flatMap(({ name, partitionCount }) =>
    Array.from({ length: partitionCount }, (_, partition) => `${name}/${partition}`),
  );
}
