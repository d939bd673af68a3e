import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Option } from 'commander';
import type { Command } from 'commander';
import { CommandError, usageError } from '../command-error.ts';
import { checkProfile, settingSource } from '../connection.ts';
import { exitCodes } from '../exit-codes.ts';
import { collected } from '../option-values.ts';
import { formatOption, printOne } from '../output-format.ts';
import type { Format } from '../output-format.ts';
import { facts } from '../output-table.ts';
import { profileFacts, profileJson } from '../profile-output.ts';
import { checkProfileName, loadProfiles, profileNamed, profileSettingNames, saveProfiles } from '../profiles.ts';
import type { Profile } from '../profiles.ts';
import { note } from '../standard-output.ts';

interface Options {
  readonly output: Format;
}

export function addProfileChanges(profile: Command): void {
  profile
    .command('create <name>')
    .description('keep the --brokers, --timeout, --request-timeout and --color that are given under a name')
    .option('--use', 'and use it from now on')
    .addOption(formatOption())
    .action(create);
  profile
    .command('use [name]')
    .description('use a profile wherever no flag and no variable says otherwise')
    .addOption(new Option('--none', 'use none'))
    .addOption(formatOption())
    .action(use);
  profile
    .command('edit <name>')
    .description('change the settings that are given as flags; without any, with $EDITOR')
    .option('--unset <setting>', `take a setting out (${profileSettingNames.join(', ')})`, collected)
    .addOption(formatOption())
    .action(edit);
  profile
    .command('delete <name>')
    .alias('rm')
    .description('delete a profile')
    .option('--yes', 'really do it; there is no question and no way back')
    .option('--dry-run', 'only say what would be deleted')
    .addOption(formatOption())
    .action(remove);
}

/** What the flags of this command line say. */
function givenSettings(program: Command): Profile {
  const written = program.opts<Readonly<Record<string, unknown>>>();
  const given = profileSettingNames.filter((setting) => settingSource(program, setting) === 'flag');
  return Object.fromEntries(given.map((setting) => [setting, textOf(written[setting])]));
}

/** As it is written on a command line: spans are numbers by now. */
const textOf = (value: unknown): string => (typeof value === 'number' ? `${value}ms` : String(value));

const rootOf = (command: Command): Command => (command.parent === null ? command : rootOf(command.parent));

const show = (name: string, profile: Profile, isCurrent: boolean, output: Format): Promise<void> =>
  printOne(output, profileJson(name, profile, isCurrent), (layout) =>
    facts(profileFacts(name, profile, isCurrent), layout),
  );

async function create(
  name: string,
  { use: isUsed = false, output }: Options & { readonly use?: boolean },
  command: Command,
): Promise<void> {
  checkProfileName(name);
  const { current, byName } = loadProfiles();
  if (byName.has(name)) {
    const text = `Profile "${name}" exists already. Change it with "sluice profile edit ${name}", or choose another name.`;
    throw new CommandError(exitCodes.conflict, text);
  }
  const profile = givenSettings(rootOf(command));
  if (Object.keys(profile).length === 0) throw usageError('A profile needs a setting: pass --brokers, for example.');
  saveProfiles({ current: isUsed ? name : current, byName: new Map([...byName, [name, profile]]) });
  await show(name, profile, isUsed, output);
}

async function use(
  name: string | undefined,
  { none = false, output }: Options & { readonly none?: boolean },
): Promise<void> {
  if ((name === undefined) !== none) throw usageError('Name the profile to use, or pass --none.');
  const profiles = loadProfiles();
  if (name === undefined) {
    saveProfiles({ ...profiles, current: null });
    await printOne(output, { name: null }, () => '');
    return;
  }
  const profile = profileNamed(profiles, name);
  saveProfiles({ ...profiles, current: name });
  await show(name, profile, true, output);
}

async function edit(
  name: string,
  { unset = [], output }: Options & { readonly unset?: readonly string[] },
  command: Command,
): Promise<void> {
  const { current, byName } = loadProfiles();
  const before = profileNamed({ current, byName }, name);
  for (const setting of unset)
    if (!(profileSettingNames as readonly string[]).includes(setting))
      throw usageError(`There is no setting "${setting}"; there are ${profileSettingNames.join(', ')}.`);
  const given = givenSettings(rootOf(command));
  const both = unset.find((setting) => setting in given);
  if (both !== undefined) throw usageError(`"${both}" can not be set and unset together; leave one away.`);
  const isByHand = unset.length === 0 && Object.keys(given).length === 0;
  const after = isByHand ? edited(name, before) : { ...before, ...given };
  const profile = Object.fromEntries(Object.entries(after).filter(([setting]) => !unset.includes(setting)));
  checkProfile(rootOf(command), name, profile);
  saveProfiles({ current, byName: new Map([...byName, [name, profile]]) });
  await show(name, profile, name === current, output);
}

/** What comes back from the user's editor. */
function edited(name: string, before: Profile): Profile {
  const { VISUAL: visual = '', EDITOR: editor = '' } = process.env;
  const program = visual === '' ? editor : visual;
  if (!process.stdin.isTTY || !process.stdout.isTTY)
    throw usageError(`Without a terminal there is no editor: pass what to change, like --brokers, or --unset.`);
  if (program === '')
    throw usageError('Set EDITOR to your editor, or pass what to change, like --brokers, or --unset.');
  const directory = mkdtempSync(join(tmpdir(), 'sluice-profile-'));
  const file = join(directory, `${name}.json`);
  try {
    writeFileSync(file, `${JSON.stringify(before, null, 2)}\n`, { mode: 0o600 });
    // as git does it: EDITOR may have arguments, the file is none of the shell's business
    const { status } = spawnSync('/bin/sh', ['-c', `${program} "$1"`, program, file], { stdio: 'inherit' });
    if (status !== 0) throw usageError(`The editor ended with ${status ?? 'a signal'}; nothing was changed.`);
    return settingsIn(readFileSync(file, 'utf8'));
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function settingsIn(text: string): Profile {
  let settings: unknown;
  try {
    settings = JSON.parse(text);
  } catch (error) {
    throw usageError(`That is no valid JSON (${error instanceof Error ? error.message : ''}); nothing was changed.`);
  }
  const isSetting = ([key, value]: [string, unknown]): boolean =>
    (profileSettingNames as readonly string[]).includes(key) && typeof value === 'string';
  if (typeof settings === 'object' && settings !== null && Object.entries(settings).every(isSetting)) return settings;
  throw usageError(`A profile is an object with texts for ${profileSettingNames.join(', ')}; nothing was changed.`);
}

async function remove(
  name: string,
  { yes = false, dryRun = false, output }: Options & { readonly yes?: boolean; readonly dryRun?: boolean },
): Promise<void> {
  if (!yes && !dryRun) throw usageError(`This would delete profile "${name}". Pass --yes to do it, --dry-run to look.`);
  const { current, byName } = loadProfiles();
  profileNamed({ current, byName }, name);
  if (!dryRun) {
    const rest = new Map([...byName].filter(([each]) => each !== name));
    saveProfiles({ current: current === name ? null : current, byName: rest });
  }
  await printOne(output, { name, deleted: !dryRun }, () => '');
  note(dryRun ? `Would delete profile "${name}".` : `Deleted profile "${name}".`);
}
