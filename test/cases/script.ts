/**
 * The form of a script: prose lines that begin with `#`, then blocks of command lines, a line `----`, and the output
 * that they gave, ended by an empty line. The output is the assertion; rewriting puts the present one in its place.
 */
export interface Block {
  /** Prose and empty lines before the commands, kept as they are. */
  readonly before: readonly string[];
  readonly commands: readonly string[];
  readonly output: readonly string[];
  /** Line number of the first command, from 1. */
  readonly line: number;
}

export interface Script {
  readonly blocks: readonly Block[];
  /** Prose after the last block. */
  readonly after: readonly string[];
}

const separator = '----';

const isProse = (line: string): boolean => line === '' || line.startsWith('#');

/** @throws Error that names the line, for commands without output and output without commands */
export function parseScript(text: string): Script {
  const lines = text.replace(/\n$/, '').split('\n');
  const blocks: Block[] = [];
  let at = 0;
  const take = (wanted: (line: string) => boolean): string[] => {
    const taken: string[] = [];
    for (; at < lines.length && wanted(lines[at]!); at++) taken.push(lines[at]!);
    return taken;
  };
  for (;;) {
    const before = take(isProse);
    if (at === lines.length) return { blocks, after: before };
    const line = at + 1;
    const commands = take((one) => !isProse(one) && one !== separator);
    if (commands.length === 0 || lines[at] !== separator)
      throw new Error(`line ${line}: commands end with ${separator}`);
    at++;
    const output = take((one) => one !== '');
    blocks.push({ before, commands, output, line });
  }
}

export function formatScript({ blocks, after }: Script): string {
  const lines = blocks.flatMap(({ before, commands, output }) => [...before, ...commands, separator, ...output]);
  return `${[...lines, ...after].join('\n')}\n`;
}

/** The prose before the first command, without its marks. */
export function proseOf({ blocks }: Script): string[] {
  return (blocks[0]?.before ?? []).filter((line) => line !== '').map((line) => line.replace(/^# ?/, ''));
}
