/** What is measured: three brokers of our own, as `sluice dev` starts them, or a cluster that runs already. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import path from 'node:path';
import { Client } from '../clients/typescript/src/index.ts';
import { exits, LoadtestEnds } from './exit.ts';

const root = path.dirname(import.meta.dirname);
const ownBrokers = 3;
/** How long our own brokers may take until they are ready: the machine may be busy. */
const readyMsMax = 120_000;
/** How long a cluster may take to say who it is. */
const answerMsMax = 10_000;
/** How long brokers may take to end before they are killed. */
const endMsMax = 30_000;

export interface Target {
  /** Client addresses of all brokers, as they tell them. */
  readonly brokers: readonly string[];
  readonly version: string;
  readonly own: boolean;
  /** Ends the brokers if they are our own. */
  stop(): Promise<void>;
}

/**
 * Throws LoadtestEnds if there is no broker that answers.
 * @param signal ends the wait for brokers of our own
 */
export async function targetOf(brokers: readonly string[] | null, signal: AbortSignal): Promise<Target> {
  if (brokers !== null) return { ...(await described(brokers)), own: false, stop: () => Promise.resolve() };
  const child = startOwn();
  try {
    const addresses = await ready(child, signal);
    return { ...(await described(addresses)), own: true, stop: () => stop(child) };
  } catch (error) {
    await stop(child);
    throw error;
  }
}

async function described(seeds: readonly string[]): Promise<Pick<Target, 'brokers' | 'version'>> {
  const timeouts = { totalMs: answerMsMax, connectMs: answerMsMax / 2, requestMs: answerMsMax };
  const client = new Client({ brokers: seeds.join(','), clientId: 'loadtest', timeouts });
  try {
    const { brokers } = await client.admin.describeCluster();
    return {
      brokers: brokers.map(({ address }) => address),
      version: [...new Set(brokers.map(({ version }) => version))].join(', '),
    };
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new LoadtestEnds(
      exits.unavailable,
      `no broker answers at ${seeds.join(', ')}: ${why} Start one ("npx sluice dev --brokers 3"), or leave --brokers away.`,
    );
  } finally {
    await client.close();
  }
}

/** In a session of its own: a Ctrl-C must not end the brokers before the run that uses them. */
function startOwn(): ChildProcess {
  const command = ['bin/sluice.js', 'dev', '--brokers', String(ownBrokers), '--port', '0'];
  return spawn(process.execPath, command, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
}

function ready(child: ChildProcess, signal: AbortSignal): Promise<readonly string[]> {
  return new Promise((resolve, reject) => {
    let said = '';
    let log = '';
    const fail = (why: string): void => {
      reject(new LoadtestEnds(exits.failed, `the brokers did not start: ${why}\n${log.slice(-2_000)}`));
    };
    const interrupt = (): void => reject(new LoadtestEnds(exits.interrupted, 'interrupted'));
    signal.addEventListener('abort', interrupt, { once: true });
    const late = setTimeout(() => fail(`not ready after ${readyMsMax / 1_000} s`), readyMsMax);
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      said = (said + text).slice(-10_000);
      const addresses = /^Sluice is ready on (\S+)\. /m.exec(said)?.[1];
      if (addresses === undefined) return;
      clearTimeout(late);
      signal.removeEventListener('abort', interrupt);
      resolve(addresses.split(','));
    });
    // goes on reading: a pipe that nobody empties would stop the brokers
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (log = (log + text).slice(-10_000)));
    child.once('exit', (code) => {
      clearTimeout(late);
      signal.removeEventListener('abort', interrupt);
      fail(`they ended with ${code}`);
    });
  });
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  const late = setTimeout(() => child.kill('SIGKILL'), endMsMax);
  await gone;
  clearTimeout(late);
}
