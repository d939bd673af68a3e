/**
 * Profiles: settings of the command under a name, one per cluster for example, in `$XDG_CONFIG_HOME/sluice/profiles.json`
 * (`~/.config/sluice/profiles.json`). A flag wins over the environment, that over the profile, and that over the default.
 */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { CommandError, usageError } from './command-error.ts';
import { exitCodes } from './exit-codes.ts';

/** What a profile can set; the flags of the same names, as they are written on a command line. */
export const profileSettingNames = ['brokers', 'timeout', 'requestTimeout', 'color'] as const;
export type ProfileSettingName = (typeof profileSettingNames)[number];
export type Profile = Readonly<Partial<Record<ProfileSettingName, string>>>;

export interface Profiles {
  /** The one in use. Invariant: null, or a name in `byName`. */
  readonly current: string | null;
  readonly byName: ReadonlyMap<string, Profile>;
}

/** Characters of a name: those that need no quotes anywhere. */
const namePattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;
/** Profiles in the file. */
const profilesMax = 1_000;

/** Null: nobody says where. A container's user may have no home directory. */
export function profilesFile(env: NodeJS.ProcessEnv = process.env): string | null {
  const { XDG_CONFIG_HOME: base = '' } = env;
  if (base !== '') return join(base, 'sluice', 'profiles.json');
  const home = homeDirectory();
  return home === null ? null : join(home, '.config', 'sluice', 'profiles.json');
}

function homeDirectory(): string | null {
  try {
    return homedir();
  } catch {
    return null; // no HOME, and a user that the system does not know
  }
}

export function checkProfileName(name: string): string {
  if (namePattern.test(name)) return name;
  throw usageError(
    `"${name}" can not be the name of a profile: 1 to 63 of A-Z a-z 0-9 . _ -, a letter or digit first.`,
  );
}

/** A file that is not there is one without profiles. Throws a CommandError that names what is wrong. */
export function loadProfiles(file: string | null = profilesFile()): Profiles {
  if (file === null) return { current: null, byName: new Map() };
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT')
      return { current: null, byName: new Map() };
    throw damaged(file, error instanceof Error ? error.message : String(error));
  }
  const wrong = (what: string): CommandError => damaged(file, what);
  const tree = parsed(text, wrong);
  const { current = null, profiles = {}, ...rest } = tree;
  for (const name of Object.keys(rest)) throw wrong(`"${name}" is unknown; there are "current" and "profiles"`);
  if (!isObject(profiles)) throw wrong('"profiles" must be an object');
  const byName = new Map<string, Profile>();
  for (const [name, settings] of Object.entries(profiles)) {
    if (!namePattern.test(name)) throw wrong(`"${name}" can not be the name of a profile`);
    byName.set(name, profileOf(name, settings, wrong));
  }
  if (byName.size > profilesMax) throw wrong(`it has more than ${profilesMax} profiles`);
  if (current !== null && (typeof current !== 'string' || !byName.has(current)))
    throw wrong('"current" must be the name of one of its profiles, or null');
  return { current, byName };
}

type Tree = Readonly<Record<string, unknown>>;

const isObject = (value: unknown): value is Tree =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function parsed(text: string, wrong: (what: string) => CommandError): Tree {
  let tree: unknown;
  try {
    tree = JSON.parse(text);
  } catch (error) {
    throw wrong(`no valid JSON (${error instanceof Error ? error.message : String(error)})`);
  }
  if (isObject(tree)) return tree;
  throw wrong('it must hold an object');
}

function profileOf(name: string, settings: unknown, wrong: (what: string) => CommandError): Profile {
  if (!isObject(settings)) throw wrong(`profile "${name}" must be an object`);
  for (const [key, value] of Object.entries(settings)) {
    if (!(profileSettingNames as readonly string[]).includes(key))
      throw wrong(`profile "${name}" has "${key}"; there are ${profileSettingNames.join(', ')}`);
    if (typeof value !== 'string') throw wrong(`"${key}" of profile "${name}" must be a string`);
  }
  return settings;
}

const damaged = (file: string, what: string): CommandError =>
  new CommandError(exitCodes.usage, `The profiles in ${file} can not be read: ${what}. Correct the file or remove it.`);

/** Written beside and renamed: a reader sees the old profiles or the new ones. */
export function saveProfiles({ current, byName }: Profiles, file: string | null = profilesFile()): void {
  if (file === null)
    throw new CommandError(exitCodes.generic, 'There is no home directory to keep profiles in; set XDG_CONFIG_HOME.');
  if (byName.size > profilesMax) throw usageError(`There can be at most ${profilesMax} profiles; delete one first.`);
  const beside = `${file}.${process.pid}`;
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  const tree = { current, profiles: Object.fromEntries(byName) };
  writeFileSync(beside, `${JSON.stringify(tree, null, 2)}\n`, { mode: 0o600 });
  renameSync(beside, file);
}

/** Throws a CommandError if there is none of that name. */
export function profileNamed({ byName }: Profiles, name: string): Profile {
  const profile = byName.get(name);
  if (profile !== undefined) return profile;
  throw new CommandError(
    exitCodes.notFound,
    `There is no profile "${name}". "sluice profile list" shows what there is.`,
  );
}
