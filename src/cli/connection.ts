/** The flags that every command has, where their values come from, and the client they make. */
import { InvalidArgumentError, Option } from 'commander';
import type { Command } from 'commander';
import type { Client } from '../../clients/typescript/src/index.ts';
import { chooseColor, colorChoices } from './color.ts';
import type { ColorChoice } from './color.ts';
import { usageError } from './command-error.ts';
import { spanMs } from './option-values.ts';
import { loadProfiles, profileNamed, profileSettingNames } from './profiles.ts';
import type { Profile } from './profiles.ts';

export const brokersDefault = '127.0.0.1:9400';
const timeoutMsDefault = 10_000;
/** How long to look for a broker that answers at all, milliseconds; less if --timeout is less. */
const connectMsMax = 5_000;

export interface GlobalOptions {
  readonly brokers: string;
  readonly profile?: string;
  /** Milliseconds; undefined: not given. */
  readonly timeout?: number;
  /** Milliseconds; undefined: not given. */
  readonly requestTimeout?: number;
  readonly color: ColorChoice;
  readonly debug?: boolean;
}

export function addGlobalOptions(program: Command): Command {
  return program
    .addOption(
      new Option('--brokers <host:port,...>', 'where the brokers are').env('SLUICE_BROKERS').default(brokersDefault),
    )
    .addOption(new Option('--profile <name>', 'settings from "sluice profile"').env('SLUICE_PROFILE'))
    .addOption(
      new Option('--timeout <span>', 'how long one step may take (10s)').env('SLUICE_TIMEOUT').argParser(spanMs),
    )
    .addOption(
      new Option('--request-timeout <span>', 'and each try within it (as --timeout)')
        .env('SLUICE_REQUEST_TIMEOUT')
        .argParser(spanMs),
    )
    .addOption(new Option('--color <when>', 'color').choices(colorChoices).default('auto'))
    .option('--debug', 'show the stack of an error');
}

export const globalOptions = (command: Command): GlobalOptions => command.optsWithGlobals();

/** Who said what a setting is. */
export type SettingSource = 'flag' | 'environment' | 'profile' | 'default';

export const settingSource = (program: Command, name: string): SettingSource => {
  const source = program.getOptionValueSource(name);
  if (source === 'cli') return 'flag';
  if (source === 'env') return 'environment';
  return source === 'profile' ? 'profile' : 'default';
};

/** The profile in use: the one that was named, else the one of "sluice profile use"; null: none. */
export function profileInUse(program: Command): string | null {
  return program.opts<GlobalOptions>().profile ?? loadProfiles().current;
}

/** Sets what neither a flag nor the environment says from the profile in use. */
export function applyProfile(program: Command): void {
  const name = profileInUse(program);
  if (name === null) return;
  const profile = profileNamed(loadProfiles(), name);
  for (const setting of profileSettingNames) {
    const text = profile[setting];
    if (text === undefined || settingSource(program, setting) !== 'default') continue;
    program.setOptionValueWithSource(setting, parsedSetting(program, setting, text, `profile "${name}"`), 'profile');
  }
}

/** Throws a CommandError if the value makes no sense. */
export function checkProfile(program: Command, name: string, profile: Profile): void {
  for (const setting of profileSettingNames) {
    const text = profile[setting];
    if (text !== undefined) parsedSetting(program, setting, text, `profile "${name}"`);
  }
}

function parsedSetting(program: Command, setting: string, text: string, where: string): unknown {
  const option = program.options.find((each) => each.attributeName() === setting);
  try {
    return option?.parseArg === undefined ? text : option.parseArg(text, undefined as never);
  } catch (error) {
    if (error instanceof InvalidArgumentError)
      throw usageError(`${setting} of ${where} is "${text}". ${error.message}`);
    throw error;
  }
}

/** What the global flags switch on before a command runs. */
export function applyGlobalOptions(program: Command): void {
  chooseColor(program.opts<GlobalOptions>().color);
}

/** Runs `work` with a client and closes it, whatever happens. */
export async function withClient<T>(command: Command, work: (client: Client) => Promise<T>): Promise<T> {
  const { brokers, timeout: totalMs = timeoutMsDefault, requestTimeout = totalMs } = globalOptions(command);
  const connectMs = Math.min(totalMs, connectMsMax);
  const requestMs = Math.min(requestTimeout, totalMs);
  // gRPC takes longer to load than all else together: help, completion and what runs without a broker do without
  const { Client } = await import('../../clients/typescript/src/index.ts');
  const client = new Client({ brokers, clientId: 'sluice', timeouts: { totalMs, connectMs, requestMs } });
  try {
    return await work(client);
  } finally {
    await client.close();
  }
}
