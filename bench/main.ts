/**
 * `npm run bench`: the figures of docs/BENCHMARKS.md. Every round measures the floors (a plain file with fdatasync, the
 * store alone) and what was asked for one after the other, so that the ratios hold when the machine's speed drifts; the
 * median of the rounds is printed. Brokers and load generator share the machine.
 *
 *   --rounds N      default 5
 *   --megabytes N   of each throughput run, default 1000
 *   --records N     of each run of the client, default 500,000
 *   --only NAME     produce, fetch, unary, cluster, client or client-memory (ends with 1 if memory grows); can be given several
 *                   times; default: all
 */
import os from 'node:os';
import { parseArgs } from 'node:util';
import { clientLoad, load, withBrokers } from './brokers.ts';
import type { ClientFigures } from './brokers.ts';
import { benchFloor, benchStore } from './store.ts';

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    megabytes: { type: 'string', default: '1000' },
    records: { type: 'string', default: '500000' },
    only: { type: 'string', multiple: true },
  },
});
const rounds = Number(options.rounds);
const { megabytes } = options;
const gigabytes = Number(megabytes) / 1_000;

const totalBytes = Number(megabytes) * 1e6;
const batches = { name: 'batches', valueBytes: 65_536, valuesPerWrite: 1, writers: 64, totalBytes };
const groups = { name: 'groups', valueBytes: 65_536, valuesPerWrite: 16, writers: 1, totalBytes };

const rows: Record<string, number[]> = {};
const note = (name: string, value: number): void => {
  (rows[name] ??= []).push(value);
};

const stream = (topic: string): readonly string[] => [
  ...['--mode', 'produce-stream', '--topic', topic],
  ...['--megabytes', megabytes, '--inflight', '256'],
];

/** What can be measured, by name; each gets what the store alone did in the same round. */
const parts: Readonly<Record<string, (storeRate: number) => Promise<void>>> = {
  produce: async (storeRate) => {
    await withBrokers(1, async ([broker]) => {
      const cpu = broker?.cpuSeconds() ?? NaN;
      const produce = await load(broker?.address ?? '', stream('stream'));
      note('ProduceStream, acks=all, 1 KiB records in 64 KiB batches, 256 in flight, MB/s', produce.megabytesPerSecond);
      note('ProduceStream as a share of the store alone, %', (produce.megabytesPerSecond / storeRate) * 100);
      note('ProduceStream, CPU of the broker, s/GB', ((broker?.cpuSeconds() ?? NaN) - cpu) / gigabytes);
    });
  },
  fetch: async () => {
    await withBrokers(1, async ([broker]) => {
      const address = broker?.address ?? '';
      await load(address, ['--mode', 'produce-stream', '--topic', 'tail', '--megabytes', '64']);
      const fetch = await load(address, ['--mode', 'fetch-stream', '--topic', 'tail', '--megabytes', megabytes]);
      note('FetchStream from a filled tail cache, MB/s', fetch.megabytesPerSecond);
    });
  },
  unary: async () => {
    await withBrokers(1, async ([broker]) => {
      const unary = await load(broker?.address ?? '', [
        ...['--mode', 'produce-unary', '--topic', 'unary'],
        ...['--calls', '20000', '--inflight', '256'],
      ]);
      note('unary Produce of one 1 KiB record, 256 callers, calls/s', unary.callsPerSecond ?? 0);
    });
  },
  // three partitions, each led by another broker; the client sends to each leader, as ours does
  cluster: async (storeRate) => {
    await withBrokers(3, async (brokers) => {
      const addresses = brokers.map(({ address }) => address).join(',');
      const before = brokers.map((broker) => broker.cpuSeconds());
      const produce = await load(addresses, [...stream('replicated'), '--partitions', '3', '--replicas', '3']);
      const used = brokers.map((broker, id) => broker.cpuSeconds() - (before[id] ?? NaN));
      const all = used.reduce((sum, seconds) => sum + seconds, 0);
      const rate = produce.megabytesPerSecond;
      note('3 brokers, RF 3, acks=all, 1 KiB records in 64 KiB batches, 256 in flight, MB/s', rate);
      note(
        '3 brokers: what their disks took together as a share of the store alone, %',
        ((3 * rate) / storeRate) * 100,
      );
      used.forEach((seconds, id) => note(`3 brokers: CPU of broker ${id}, s/GB`, seconds / gigabytes));
      note('3 brokers: leaders that were lost meanwhile', produce.leaderChanges ?? 0);
      note('3 brokers: CPU of the load generator, s/GB', produce.clientCpuSecondsPerGigabyte);
      note('3 brokers: CPU of everything, s/GB', all / gigabytes + produce.clientCpuSecondsPerGigabyte);
    });
  },
};
/**
 * How much more the client may take at the end than it took early: by factor, and beside it. What waits for acknowledgements
 * (32 MiB at most) and what is read ahead (4 MiB) come and go.
 */
const growthMax = 1.1;
const [heapFreeMebibytes, residentFreeMebibytes] = [4, 32];
/** Bounds that were not kept: the run ends with 1. */
const failures: string[] = [];

/** What needs no floor: its figure is not a rate of the disk. */
const clientParts: Readonly<Record<string, () => Promise<void>>> = {
  client: async () => {
    await withBrokers(1, async ([broker]) => {
      const run = (mode: string): Promise<ClientFigures> =>
        clientLoad(broker?.address ?? '', ['--mode', mode, '--records', options.records]);
      for (const mode of ['produce', 'batches', 'records', 'run']) {
        const { microsPerRecord, recordsPerSecond } = await run(mode);
        note(`client, ${mode}: CPU of its process for each record of 1 KiB, µs`, microsPerRecord);
        note(`client, ${mode}: records/s`, recordsPerSecond);
      }
    });
  },
  'client-memory': async () => {
    await withBrokers(1, async ([broker]) => {
      const flags = ['--mode', 'memory', '--records', options.records, '--bytes', '100'];
      const figures = await clientLoad(broker?.address ?? '', flags);
      for (const [what, mebibytes, freeMebibytes] of [
        ['heap and buffers', figures.heapMebibytes, heapFreeMebibytes],
        ['resident', figures.residentMebibytes, residentFreeMebibytes],
      ] as const) {
        console.error(`client: ${what} after each tenth, MiB: ${mebibytes.map(shown).join(' ')}`);
        const [early, late] = [Math.max(...mebibytes.slice(1, 4)), median(mebibytes.slice(-3))];
        note(`client: ${what}, most of the second to fourth tenth, MiB`, early);
        note(`client: ${what}, median of the last three tenths, MiB`, late);
        if (late > early * growthMax + freeMebibytes)
          failures.push(`the client's memory grows (${what}): ${mebibytes.map(shown).join(' ')} MiB`);
      }
    });
  },
};
const chosen = options.only ?? [...Object.keys(parts), ...Object.keys(clientParts)];
for (const name of chosen)
  if (!Object.hasOwn(parts, name) && !Object.hasOwn(clientParts, name))
    throw new Error(`--only ${name}: there are ${Object.keys({ ...parts, ...clientParts }).join(', ')}`);

async function round(): Promise<void> {
  for (const name of chosen) await clientParts[name]?.();
  if (!chosen.some((name) => Object.hasOwn(parts, name))) return;
  note('plain file + fdatasync, 1 MiB groups, MB/s', (await benchFloor(groups)).megabytesPerSecond);
  const store = (await benchStore(batches)).megabytesPerSecond;
  note('store alone, 64 KiB values, MB/s', store);
  for (const name of chosen) await parts[name]?.(store);
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? NaN;
}

const shown = (value: number): string => value.toFixed(value < 20 ? 2 : 0);

console.log(
  `Node ${process.versions.node}, ${os.cpus().length} cores (${os.cpus()[0]?.model ?? '?'}), load ${os.loadavg()[0]?.toFixed(2)}`,
);
for (let i = 1; i <= rounds; i++) {
  await round();
  const newest = Object.values(rows).map((values) => shown(values.at(-1) ?? NaN));
  console.error(`round ${i} of ${rounds}: ${newest.join('  ')}`);
}
console.log('| what | median | lowest | highest |\n|---|---|---|---|');
for (const [name, values] of Object.entries(rows)) {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  console.log(`| ${name} | ${shown(median(values))} | ${shown(low)} | ${shown(high)} |`);
}
for (const failure of failures) console.error(failure);
if (failures.length > 0) process.exitCode = 1;
