/** Runs brokers, src/main.ts, as children that live exactly as long as the command. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { constants } from 'node:os';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { BrokerProcessEnded } from './command-error.ts';

/** Beside this folder, as source under tsx or as what tsc made of it. */
const program = fileURLToPath(new URL(`../main${extname(import.meta.url)}`, import.meta.url));

/**
 * What the storage engine's thread pool needs. It must be set before the process starts; with it the broker need not
 * start itself a second time. A value of the user's own is left alone.
 */
const poolThreads = '8';

/** A Ctrl-C can arrive twice, from the terminal and from npm; signals this close together are one, milliseconds. */
const sameSignalMs = 500;

/** @param settings arguments of the broker, --config and --set */
export function startBroker(settings: readonly string[], output: 'inherit' | 'pipe'): ChildProcess {
  // The channel is how the broker notices that we were killed. Its own session keeps a terminal's Ctrl-C from reaching it
  // beside the one that is forwarded, which it would take for impatience.
  return spawn(process.execPath, [...process.execArgv, program, ...settings], {
    env: { UV_THREADPOOL_SIZE: poolThreads, ...process.env, SLUICE_STANDS_IN: '1' },
    stdio: ['ignore', output, output, 'ipc'],
    detached: true,
  });
}

/**
 * Forwards signals until all brokers have ended and everything that they said was heard. If one ends unasked, the others
 * are told to end. Rejects with BrokerProcessEnded if the exit code of the first that ended otherwise than well is not 0:
 * those that end after it may do so because of it.
 */
export async function brokersEnd(children: readonly ChildProcess[]): Promise<void> {
  let lastMs = -Infinity;
  let told = false;
  const tell = (signal: NodeJS.Signals): void => {
    told = true;
    for (const child of children) child.kill(signal);
  };
  const forward = (signal: NodeJS.Signals) => (): void => {
    if (performance.now() - lastMs < sameSignalMs) return;
    lastMs = performance.now();
    tell(signal);
  };
  const handlers = { SIGINT: forward('SIGINT'), SIGTERM: forward('SIGTERM'), SIGHUP: forward('SIGTERM') } as const;
  const names = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  for (const name of names) process.on(name, handlers[name]);
  const codes: number[] = [];
  const end = async (child: ChildProcess): Promise<void> => {
    codes.push(await exitCodeOf(child));
    if (!told) tell('SIGTERM');
  };
  try {
    await Promise.all(children.map(end));
    const code = codes.find((each) => each !== 0);
    if (code !== undefined) throw new BrokerProcessEnded(code);
  } finally {
    for (const name of names) process.off(name, handlers[name]);
  }
}

/** As shells tell it: 128 and the signal's number if one killed it. */
function exitCodeOf(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal])));
  });
}
