import type { Command } from 'commander';
import { usageError } from '../command-error.ts';
import { applyProfile, globalOptions, profileInUse, settingSource } from '../connection.ts';
import type { SettingSource } from '../connection.ts';
import { formatOption, listFormatOption, printList, printNamed, printOne } from '../output-format.ts';
import type { Format, Json, ListFormat } from '../output-format.ts';
import { facts, table } from '../output-table.ts';
import type { Column } from '../output-table.ts';
import { profileFacts, profileJson } from '../profile-output.ts';
import { loadProfiles, profileNamed, profileSettingNames } from '../profiles.ts';
import type { Profile } from '../profiles.ts';

export function addProfileShow(profile: Command): void {
  profile
    .command('list')
    .alias('ls')
    .description('list profiles; * marks the one in use')
    .addOption(listFormatOption())
    .action(list);
  profile
    .command('show [name]')
    .description('show a profile, or what is in force and who said so')
    .option('--effective', 'every setting with where its value comes from')
    .addOption(formatOption())
    .action(show);
}

interface Listed {
  readonly name: string;
  readonly current: boolean;
  readonly profile: Profile;
}

const listColumns: readonly Column<Listed>[] = [
  { title: 'profile', cell: ({ name, current }) => `${current ? '* ' : '  '}${name}` },
  { title: 'brokers', cell: ({ profile }) => profile.brokers ?? null },
  { title: 'timeout', cell: ({ profile }) => profile.timeout ?? null },
  { title: 'request timeout', wide: true, cell: ({ profile }) => profile.requestTimeout ?? null },
  { title: 'color', wide: true, cell: ({ profile }) => profile.color ?? null },
];

async function list({ output }: { readonly output: ListFormat }): Promise<void> {
  const { current, byName } = loadProfiles();
  const all = [...byName]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, profile]) => ({ name, profile, current: name === current }));
  const named = all.map((each) => ({ name: each.name, json: profileJson(each.name, each.profile, each.current) }));
  await printNamed(output, named, (layout) => table(listColumns, all, layout));
}

async function show(
  name: string | undefined,
  { effective = false, output }: { readonly effective?: boolean; readonly output: Format },
  command: Command,
): Promise<void> {
  if (effective) {
    if (name !== undefined)
      throw usageError(`--effective tells what is in force now; for that of "${name}" pass --profile ${name}.`);
    await showEffective(command, output);
    return;
  }
  const profiles = loadProfiles();
  const shown = name ?? profileInUse(rootOf(command));
  if (shown === null) throw usageError('No profile is in use. Name one, or pass --effective.');
  const profile = profileNamed(profiles, shown);
  const isCurrent = shown === profiles.current;
  await printOne(output, profileJson(shown, profile, isCurrent), (layout) =>
    facts(profileFacts(shown, profile, isCurrent), layout),
  );
}

interface Effective {
  readonly setting: string;
  readonly value: string | null;
  readonly source: SettingSource;
  /** The profile or the variable that says so; null: nobody has to. */
  readonly from: string | null;
}

const effectiveColumns: readonly Column<Effective>[] = [
  { title: 'setting', cell: ({ setting }) => setting },
  { title: 'value', cell: ({ value }) => value },
  { title: 'from', cell: ({ source, from }) => (from === null ? source : `${source} ${from}`) },
];

async function showEffective(command: Command, output: Format): Promise<void> {
  const program = rootOf(command);
  applyProfile(program);
  const inUse = profileInUse(program);
  const all = profileSettingNames.map((setting): Effective => {
    const source = settingSource(program, setting);
    const variable = program.options.find((each) => each.attributeName() === setting)?.envVar ?? null;
    const from = source === 'environment' ? variable : source === 'profile' ? inUse : null;
    const value = globalOptions(command)[setting];
    return { setting, value: value === undefined ? null : shownValue(value), source, from };
  });
  const json = all.map(({ setting, value, source, from }): Json => ({ setting, value, source, from }));
  await printList(output, json, (layout) => table(effectiveColumns, all, layout));
}

/** Spans are numbers by now. */
const shownValue = (value: string | number): string => (typeof value === 'number' ? `${value}ms` : value);

const rootOf = (command: Command): Command => (command.parent === null ? command : rootOf(command.parent));
