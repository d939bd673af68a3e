import type { Command } from 'commander';
import { CommandError } from '../command-error.ts';
import { exitCodes } from '../exit-codes.ts';
import { collected } from '../option-values.ts';
import { formatOption, printList, printOne } from '../output-format.ts';
import type { Format, Json } from '../output-format.ts';
import { table } from '../output-table.ts';
import type { Column } from '../output-table.ts';
import type { Setting } from '../../runtime/offline/settings.ts';

interface Options {
  readonly config?: string;
  readonly set?: readonly string[];
  readonly changed?: boolean;
  readonly output: Format;
}

export function addServerConfig(server: Command): void {
  const config = server
    .command('config')
    .description("look at a broker's settings without starting it")
    .usage('<command> [options]')
    .helpCommand(false);
  withSources(config, 'validate', 'say what is wrong with settings; exit code 2 if something is').action(validate);
  withSources(config, 'print', 'show the settings in force and where each comes from')
    .option('--changed', 'only those that are not defaults')
    .action(print);
  config
    .command('schema')
    .description('print the JSON Schema of the file, for editors')
    .addOption(formatOption())
    .action(schema);
  config
    .command('defaults')
    .description('show every setting with its default')
    .addOption(formatOption())
    .action(defaults);
}

const withSources = (config: Command, name: string, description: string): Command =>
  config
    .command(name)
    .description(description)
    .option('--config <file>', 'settings in YAML (also SLUICE_CONFIG)')
    .option('--set <path=value>', 'one setting (repeatable)', collected)
    .addOption(formatOption());

/** As `server start` hands them on. */
const argvOf = ({ config, set = [] }: Options): readonly string[] => [
  ...(config === undefined ? [] : [`--config=${config}`]),
  ...set.map((setting) => `--set=${setting}`),
];

async function validate(options: Options): Promise<void> {
  const { loadConfig } = await import('../../runtime/offline/settings.ts');
  const loaded = loadConfig({ argv: argvOf(options), env: process.env });
  const problems = loaded.kind === 'ok' ? [] : loaded.problems;
  const json = { valid: problems.length === 0, problems };
  await printOne(options.output, json, () =>
    problems.length === 0 ? 'valid\n' : problems.map((problem) => `${problem}\n`).join(''),
  );
  if (problems.length > 0) throw invalid(problems.length, 'told on standard output');
}

const invalid = (count: number, where: string): CommandError =>
  new CommandError(exitCodes.usage, `The settings have ${count} ${count === 1 ? 'problem' : 'problems'}, ${where}.`);

async function print(options: Options): Promise<void> {
  const { loadConfig } = await import('../../runtime/offline/settings.ts');
  const loaded = loadConfig({ argv: argvOf(options), env: process.env });
  if (loaded.kind === 'invalid') throw invalid(loaded.problems.length, '"sluice server config validate" tells which');
  const shown = loaded.settings.filter(({ source }) => options.changed !== true || source !== 'default');
  await printSettings(options.output, shown);
}

async function defaults({ output }: Options): Promise<void> {
  const { loadConfig } = await import('../../runtime/offline/settings.ts');
  const loaded = loadConfig({ argv: [], env: {} });
  if (loaded.kind === 'invalid') throw invalid(loaded.problems.length, loaded.problems.join('; '));
  await printSettings(output, loaded.settings);
}

async function schema({ output }: Options): Promise<void> {
  const { configJsonSchema } = await import('../../runtime/offline/settings.ts');
  const json = configJsonSchema() as Json;
  await printOne(output === 'table' || output === 'wide' ? 'json' : output, json, () => '');
}

const columns: readonly Column<Setting>[] = [
  { title: 'setting', cell: ({ path }) => path },
  { title: 'value', cell: ({ value }) => (value === null ? null : textOf(value)) },
  { title: 'from', cell: ({ source }) => source },
];

const textOf = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value));

const printSettings = (output: Format, settings: readonly Setting[]): Promise<void> =>
  printList(
    output,
    settings.map(({ path, value, source }): Json => ({ path, value: value as Json, source })),
    (layout) => table(columns, settings, layout),
  );
