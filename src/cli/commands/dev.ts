import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import type { Command } from 'commander';
import { brokerEnd, startBroker } from '../broker-process.ts';
import { brokersDefault } from '../connection.ts';
import { parseLogLine, shortLogLine } from '../log-line.ts';
import { wholeNumber } from '../option-values.ts';
import { note, writeOut } from '../standard-output.ts';

interface Options {
  readonly port: number;
  readonly dataDir?: string;
}

export function addDev(program: Command): void {
  program
    .command('dev')
    .description('run a broker on this machine to try things out; Ctrl-C ends it')
    .option('--port <port>', 'port to listen on; 0 takes a free one', wholeNumber(0, 65_535), 9400)
    .option('--data-dir <directory>', 'keep the data there (default: a temporary directory)')
    .action(dev);
}

async function dev({ port, dataDir }: Options): Promise<void> {
  if (dataDir !== undefined) {
    await run(port, resolve(dataDir), 'kept');
    return;
  }
  const temporary = await mkdtemp(join(tmpdir(), 'sluice-dev-'));
  try {
    await run(port, temporary, 'removed at the end');
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

async function run(port: number, directory: string, fate: string): Promise<void> {
  const settings = [
    `--set=listen.client.port=${port}`,
    '--set=listen.broker.port=0',
    `--set=storage.dataDir=${directory}`,
  ];
  const child = startBroker(settings, 'pipe');
  const ended = brokerEnd(child);
  if (child.stdout !== null) showLog(child.stdout, `${directory} (${fate})`);
  await ended;
}

function showLog(log: Readable, data: string): void {
  createInterface({ input: log }).on('line', (text) => {
    const line = parseLogLine(text);
    note(line === null ? text : shortLogLine(line));
    if (line?.event !== 'ready') return;
    // a reader of the ready line that went away is no reason to end the broker
    writeOut(welcome(String(line.fields['address']), data)).catch(() => undefined);
  });
}

function welcome(address: string, data: string): string {
  const to = address === brokersDefault ? '' : ` --brokers ${address}`;
  return `
Sluice is ready on ${address}. Data: ${data}. Try in another terminal:

  sluice topic create orders --partitions 3${to}
  echo hello | sluice produce orders${to}
  sluice consume orders${to}

`;
}
