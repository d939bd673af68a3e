/**
 * Reads batches that are there already, from the leaders of all partitions in turn, at the profile's rate. What it answers:
 * how long a read of the log takes at this load. Each reader goes on where it stopped, and from the beginning at the end.
 */
import exec from 'k6/execution';
import type { Options } from 'k6/options';
import { call, callNow, countPartialFailure } from '../lib/brokers.ts';
import { guarded } from '../lib/guarded.ts';
import { bytesFetched, offsetGaps, recordsConsumed } from '../lib/metrics.ts';
import { openLoad, optionsOf } from '../lib/options.ts';
import { refusalOf } from '../lib/outcome.ts';
import { encodedBatch } from '../lib/payload.ts';
import type { RunTopic } from '../lib/run-topic.ts';
import { dropTopic, makeTopic } from '../lib/run-topic.ts';
import { settings, topic } from '../lib/settings.ts';
import { plans } from '../plans/profiles.ts';

export { handleSummary } from '../lib/options.ts';

const plan = plans.fetch[settings.profile];
const bytesPerFetch = 65_536;
const tags = { topic };
/** Where this virtual user goes on reading, by partition. */
const positions = new Map<number, number>();

interface FilledTopic extends RunTopic {
  /** End of each partition. */
  readonly ends: readonly number[];
}

export const options: Options = optionsOf('fetch', { readers: openLoad('fetch', plan.readers) });
export const teardown = (): void => dropTopic();

export function setup(): FilledTopic {
  const run = makeTopic();
  const { leaders } = run;
  const recordBatch = encodedBatch();
  for (let i = 0; i < plan.fillCalls; i++) {
    const partition = i % settings.partitions;
    const request = { topic, partition, acks: 'ACKS_ALL', recordBatch } as const;
    const outcome = callNow(leaders[partition] ?? 0, 'Produce', request, { tags: { topic, acks: 'all' } });
    if (outcome.kind === 'refused') throw new Error(`could not fill "${topic}": ${outcome.text}`);
  }
  const queries = leaders.map((_, partition) => ({ topic, partition, latest: {} }));
  const found = callNow(0, 'ListOffsets', { queries });
  if (found.kind === 'refused') throw new Error(`could not find the ends of "${topic}": ${found.text}`);
  return { ...run, ends: found.message.offsets.map(({ offset = '0' }) => Number(offset)) };
}

export const fetch = guarded(async ({ leaders, ends }: FilledTopic): Promise<void> => {
  const partition = exec.scenario.iterationInTest % settings.partitions;
  const end = ends[partition] ?? 0;
  const position = positions.get(partition) ?? 0;
  const from = position < end ? position : 0;
  const request = {
    partitions: [{ topic, partition, fetchOffset: String(from), maxBytes: bytesPerFetch }],
    maxWaitMs: 0,
    format: 'FETCH_FORMAT_RECORD_BATCHES',
  } as const;
  const outcome = await call(leaders[partition] ?? 0, 'Fetch', request, { tags });
  if (outcome.kind === 'refused') return;
  const [fetched] = outcome.message.partitions;
  if (fetched === undefined) return;
  if (fetched.error !== undefined) {
    countPartialFailure('Fetch', refusalOf(fetched.error));
    return;
  }
  const next = Number(fetched.nextOffset ?? from);
  positions.set(partition, next);
  // the log is long enough: a fetch that brings nothing has missed what is there
  offsetGaps.add(next > from && next <= end ? 0 : 1, tags);
  recordsConsumed.add(next - from, tags);
  bytesFetched.add(bytesOf(fetched.recordBatches ?? ''), tags);
});

/** Without decoding it. */
function bytesOf(base64: string): number {
  const padding = base64.endsWith('==') ? 2 : base64.endsWith('=') ? 1 : 0;
  return (base64.length / 4) * 3 - padding;
}
