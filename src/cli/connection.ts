/** The flags that every command has, and the client they make. */
import { Option } from 'commander';
import type { Command } from 'commander';
import { Client } from '../../clients/typescript/src/index.ts';
import { spanMs } from './option-values.ts';

export const brokersDefault = '127.0.0.1:9400';
const timeoutMsDefault = 10_000;
/** How long to look for a broker that answers at all, milliseconds; less if --timeout is less. */
const connectMsMax = 5_000;

export interface GlobalOptions {
  readonly brokers: string;
  /** Milliseconds; undefined: not given. */
  readonly timeout?: number;
  readonly debug?: boolean;
}

export function addGlobalOptions(program: Command): Command {
  return program
    .addOption(
      new Option('--brokers <host:port,...>', 'where the brokers are').env('SLUICE_BROKERS').default(brokersDefault),
    )
    .addOption(new Option('--timeout <span>', 'how long one step may take (default: 10s)').argParser(spanMs))
    .option('--debug', 'show the stack of an error');
}

export const globalOptions = (command: Command): GlobalOptions => command.optsWithGlobals();

/** Runs `work` with a client and closes it, whatever happens. */
export async function withClient<T>(command: Command, work: (client: Client) => Promise<T>): Promise<T> {
  const { brokers, timeout: totalMs = timeoutMsDefault } = globalOptions(command);
  const connectMs = Math.min(totalMs, connectMsMax);
  const client = new Client({ brokers, clientId: 'sluice', timeouts: { totalMs, connectMs, requestMs: totalMs } });
  try {
    return await work(client);
  } finally {
    await client.close();
  }
}
