/**
 * The application of the client's chaos, a process of its own so that its memory is the client's: members of one group that
 * read everything, and a producer. What it keeps does not grow with what it reads. It speaks with its parent by messages.
 *
 *   subject.ts ADDRESSES TOPIC OWN_TOPIC
 */
import { setTimeout as wait } from 'node:timers/promises';
import { Client } from '../../../clients/typescript/src/index.ts';
import type { Consumer } from '../../../clients/typescript/src/index.ts';
import { Ranges } from './ranges.ts';

/**
 * What the parent says. `disturbed`: something was broken now; `replace`: one member leaves and another joins; `weigh`: report
 * after a garbage collection, which a process that is asked again and again would have no time beside.
 */
export type Word = { readonly type: 'disturbed' | 'replace' | 'report' | 'weigh' | 'end' };

/** What it answers to `report`, `weigh` and `end`. */
export interface SubjectReport {
  /** By partition: offsets that were handled, as ranges [from, until). */
  readonly handled: Readonly<Record<string, readonly (readonly [number, number])[]>>;
  readonly records: number;
  /** Handled a second time. */
  readonly again: number;
  /** Since the last disturbance until each partition came on, milliseconds; those that have not are missing. */
  readonly resumedMs: Readonly<Record<string, number>>;
  /** Bytes; after a garbage collection if it was asked to `weigh`. */
  readonly heapBytes: number;
  readonly rssBytes: number;
  /** Acknowledged to the producer of its own. */
  readonly produced: number;
  readonly unhandled: readonly string[];
  /** Why members or sends ended though nobody told them to. */
  readonly failures: readonly string[];
}

const group = 'chaos';
const concurrency = 8;
/** Bytes that were on their way when something was broken do not count as a resumption. */
const inFlightMs = 100;
const failuresMax = 20;
const sendEveryMs = 5;

const [addresses = '', topic = '', ownTopic = ''] = process.argv.slice(2);
const client = new Client({ brokers: addresses, clientId: 'chaos' });
const handled = new Map<number, Ranges>();
const unhandled: string[] = [];
const failures: string[] = [];
const members = new Set<Consumer>();
let [records, again, produced] = [0, 0, 0];
let disturbedMs = 0;
let resumed = new Map<number, number>();
let ended = false;
process.on('unhandledRejection', (reason) => unhandled.push(String(reason)));

function note(partition: number, from: number, until: number): void {
  const nowMs = performance.now();
  let ranges = handled.get(partition);
  if (ranges === undefined) handled.set(partition, (ranges = new Ranges()));
  records += until - from;
  again += until - from - ranges.add(from, until);
  if (nowMs - disturbedMs > inFlightMs && !resumed.has(partition)) resumed.set(partition, nowMs - disturbedMs);
}

function failed(error: unknown): void {
  if (failures.length < failuresMax) failures.push(String(error));
}

/** A member by `run`, or one that iterates over batches. */
function join(byRun: boolean): void {
  const consumer = client.consumer({ group, topics: [topic], onNoOffset: 'earliest' });
  members.add(consumer);
  const reading = byRun
    ? consumer.run(
        async ({ partition, offset }) => {
          if (offset % 50 === 0) await wait(5);
          note(partition, offset, offset + 1);
        },
        { concurrency, orderBy: 'none' },
      )
    : (async () => {
        for await (const { partition, records: some, nextOffset } of consumer.batches())
          note(partition, some[0]?.offset ?? nextOffset, nextOffset);
      })();
  reading.catch((error: unknown) => {
    if (members.has(consumer)) failed(error);
  });
}

async function leave(): Promise<void> {
  const [oldest] = members;
  if (oldest === undefined) return;
  members.delete(oldest);
  await oldest.close().catch(failed);
}

async function produce(): Promise<void> {
  const producer = client.producer({ deliveryTimeoutMs: 3_600_000 });
  const value = new Uint8Array(1_024);
  while (!ended) {
    if (!producer.isFull) producer.send(ownTopic, { value }).then(() => (produced += 1), failed);
    await wait(sendEveryMs);
  }
  await producer.close();
}

function report(): SubjectReport {
  const { heapUsed, rss } = process.memoryUsage();
  return {
    handled: Object.fromEntries([...handled].map(([partition, ranges]) => [partition, ranges.all])),
    ...{ records, again, produced, unhandled, failures },
    resumedMs: Object.fromEntries(resumed),
    ...{ heapBytes: heapUsed, rssBytes: rss },
  };
}

for (const byRun of [true, true, false]) join(byRun);
const producing = produce();
process.on('message', (word: Word) => {
  switch (word.type) {
    case 'disturbed':
      disturbedMs = performance.now();
      resumed = new Map();
      break;
    case 'replace':
      void leave().then(() => join(members.size % 2 === 0));
      break;
    case 'weigh':
      globalThis.gc?.();
      process.send?.(report());
      break;
    case 'report':
      process.send?.(report());
      break;
    case 'end':
      ended = true;
      void (async () => {
        await producing.catch(failed);
        while (members.size > 0) await leave();
        await client.close().catch(failed);
        process.send?.(report(), () => process.disconnect());
      })();
  }
});
