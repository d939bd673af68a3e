import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import type { ChildProcess } from 'node:child_process';
import { Option } from 'commander';
import type { Command } from 'commander';
import { brokersEnd, startBroker } from '../broker-process.ts';
import type { GlobalOptions } from '../connection.ts';
import { brokersDefault } from '../connection.ts';
import { brokerCountOf, devSettings } from '../dev-cluster.ts';
import type { DevCluster } from '../dev-cluster.ts';
import { parseLogLine, shortLogLine } from '../log-line.ts';
import { wholeNumber } from '../option-values.ts';
import { note, writeOut } from '../standard-output.ts';

interface Options {
  readonly output: 'text' | 'json';
  readonly port: number;
  readonly dataDir?: string;
}

export function addDev(program: Command): void {
  program
    .command('dev')
    .summary('brokers to try things out')
    .description('run brokers on this machine to try things out; Ctrl-C ends them')
    // it shadows the one of all commands, which makes no sense here
    .option('--brokers <count>', 'how many, a cluster: 1, 3, 5 or 7 (default: 1)')
    .option(
      '--port <port>',
      'port to listen on; broker n has 10 n more; 0 takes free ones',
      wholeNumber(0, 65_535),
      9400,
    )
    .option('--data-dir <directory>', 'keep the data there (default: a temporary directory)')
    .addOption(new Option('-o, --output <format>', 'form of the ready line').choices(['text', 'json']).default('text'))
    .action((options: Options) => dev(options, countIn(program)));
}

/** The program takes `--brokers` wherever it stands. A value of SLUICE_BROKERS is not meant for this command. */
function countIn(program: Command): number {
  if (program.getOptionValueSource('brokers') !== 'cli') return 1;
  return brokerCountOf(program.opts<GlobalOptions>().brokers);
}

async function dev({ port, dataDir, output }: Options, count: number): Promise<void> {
  if (dataDir !== undefined) {
    await run({ count, port, directory: resolve(dataDir) }, 'kept', output);
    return;
  }
  const temporary = await mkdtemp(join(tmpdir(), 'sluice-dev-'));
  try {
    await run({ count, port, directory: temporary }, 'removed', output);
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

/** @param fate what becomes of the data at the end */
async function run(cluster: DevCluster, fate: 'kept' | 'removed', output: Options['output']): Promise<void> {
  const settings = await devSettings(cluster);
  const children = settings.map((each) => startBroker(each, 'pipe'));
  const ended = brokersEnd(children);
  const addresses = new Map<number, string>();
  for (const [id, child] of children.entries()) {
    showLog(child, cluster.count === 1 ? '' : `${id} | `, (address) => {
      addresses.set(id, address);
      if (addresses.size < cluster.count) return;
      const brokers = settings.map((_, each) => addresses.get(each)).join(',');
      // a reader of the ready line that went away is no reason to end the brokers
      const { directory } = cluster;
      const told =
        output === 'json'
          ? readyJson(brokers, directory, fate)
          : welcome(brokers, `${directory} (${fate === 'kept' ? fate : 'removed at the end'})`);
      writeOut(told).catch(() => undefined);
    });
  }
  await ended;
}

/** @param prefix tells the lines of several brokers apart */
function showLog({ stdout, stderr }: ChildProcess, prefix: string, ready: (address: string) => void): void {
  if (stderr !== null) createInterface({ input: stderr }).on('line', (text) => note(prefix + text));
  if (stdout === null) return;
  createInterface({ input: stdout }).on('line', (text) => {
    const line = parseLogLine(text);
    note(prefix + (line === null ? text : shortLogLine(line)));
    if (line?.event === 'ready') ready(String(line.fields['address']));
  });
}

const readyJson = (brokers: string, dataDir: string, fate: 'kept' | 'removed'): string =>
  `${JSON.stringify({ brokers, dataDir, kept: fate === 'kept', pid: process.pid })}\n`;

function welcome(brokers: string, data: string): string {
  const to = brokers === brokersDefault ? '' : ` --brokers ${brokers}`;
  return `
Sluice is ready on ${brokers}. Data: ${data}. Try in another terminal:

  sluice topic create orders --partitions 3${to}
  echo hello | sluice produce orders${to}
  sluice consume orders${to}

`;
}
