/**
 * Producers and a consumer group on one topic. What it answers: how old a record is when its consumer has it, and, in the
 * profile `spike`, whether the log takes a burst that the consumers, which work at their own pace, take apart afterwards.
 */
import exec from 'k6/execution';
import type { Options } from 'k6/options';
import { call, callNow, countPartialFailure } from '../lib/brokers.ts';
import { awaitCoordinator } from '../lib/coordinator.ts';
import { guarded } from '../lib/guarded.ts';
import { Member } from '../lib/member.ts';
import type { FetchedPartition } from '../lib/messages.ts';
import {
  bytesProduced,
  consumerLagRecords,
  endToEndMs,
  groupCommittedRecords,
  logEndRecords,
  offsetGaps,
  producesForwarded,
  recordsConsumed,
  recordsProduced,
} from '../lib/metrics.ts';
import { everySecond, longLived, openLoad, optionsOf } from '../lib/options.ts';
import { refusalOf } from '../lib/outcome.ts';
import { pause } from '../lib/pause.ts';
import { bytesPerCall, stampedRecords } from '../lib/payload.ts';
import type { RunTopic } from '../lib/run-topic.ts';
import { dropTopic, makeTopic } from '../lib/run-topic.ts';
import { group, groupTags, settings, topic } from '../lib/settings.ts';
import { secondsOf } from '../plans/load.ts';
import { fetchWaitMs } from '../plans/methods.ts';
import { plans } from '../plans/profiles.ts';

export { handleSummary } from '../lib/options.ts';

const plan = plans['end-to-end'][settings.profile];
/** How long the group lives, seconds. */
const seconds = secondsOf(plan.producers) + plan.drainSeconds;
const tags = { topic, acks: settings.acks };
const acks = settings.acks === 'all' ? 'ACKS_ALL' : 'ACKS_LEADER';
/** Of one partition in one fetch: k6 turns it into JSON, so it is kept small. */
const bytesPerPartition = 65_536;

export const options: Options = optionsOf('end-to-end', {
  producers: openLoad('produce', plan.producers),
  consumers: longLived('consume', plan.members, seconds),
  watcher: everySecond('watch', seconds + 2),
});
export const teardown = (): void => dropTopic();

export function setup(): RunTopic {
  awaitCoordinator();
  return makeTopic();
}

export const produce = guarded(async ({ leaders }: RunTopic): Promise<void> => {
  const partition = exec.scenario.iterationInTest % settings.partitions;
  const records = { records: stampedRecords(Date.now()) };
  const outcome = await call(leaders[partition] ?? 0, 'Produce', { topic, partition, acks, records }, { tags });
  if (outcome.kind === 'refused') return;
  producesForwarded.add(outcome.message.leader !== undefined, tags);
  recordsProduced.add(settings.records, tags);
  bytesProduced.add(bytesPerCall, tags);
});

export const consume = guarded(async (run: RunTopic): Promise<void> => {
  const endMs = exec.scenario.startTime + seconds * 1_000;
  const member = new Member(exec.vu.idInTest, run);
  if (!(await member.join(`consumer-${exec.vu.idInTest}`))) return;
  const pace = new Pace(plan.recordsPerSecondMax === null ? null : plan.recordsPerSecondMax / plan.members);
  while (Date.now() < endMs && member.current !== null) {
    const count = await readOnce(member, run);
    if (count > 0) await member.commit();
    await member.tend();
    if (member.positions.size === 0) await pause(100);
    await pace.wait(count);
  }
  await member.leave();
});

/** Fetches from every leader at once. Returns how many records came. */
async function readOnce(member: Member, { leaders }: RunTopic): Promise<number> {
  const byLeader = new Map<number, number[]>();
  for (const partition of member.positions.keys()) {
    const leader = leaders[partition] ?? 0;
    byLeader.set(leader, [...(byLeader.get(leader) ?? []), partition]);
  }
  const counts = await Promise.all([...byLeader].map(([leader, partitions]) => readFrom(member, leader, partitions)));
  return counts.reduce((sum, count) => sum + count, 0);
}

async function readFrom(member: Member, leader: number, partitions: readonly number[]): Promise<number> {
  const request = {
    partitions: partitions.map((partition) => ({
      topic,
      partition,
      fetchOffset: String(member.positions.get(partition) ?? 0),
      maxBytes: bytesPerPartition,
    })),
    maxWaitMs: fetchWaitMs,
    format: 'FETCH_FORMAT_RECORDS',
  } as const;
  const outcome = await call(leader, 'Fetch', request, { tags: { topic } });
  if (outcome.kind === 'refused') return 0;
  return outcome.message.partitions.reduce((sum, fetched) => sum + take(member, fetched), 0);
}

/** Offsets have no gaps, and nothing comes twice. */
function take(member: Member, { partition, error, records }: FetchedPartition): number {
  if (error !== undefined) {
    countPartialFailure('Fetch', refusalOf(error));
    return 0;
  }
  const all = records?.records ?? [];
  const [first] = all;
  if (first === undefined) return 0;
  let next = member.positions.get(partition) ?? 0;
  let gaps = 0;
  for (const { offset } of all) {
    if (Number(offset) !== next) gaps++;
    next = Number(offset) + 1;
  }
  member.positions.set(partition, next);
  offsetGaps.add(gaps, { topic });
  recordsConsumed.add(all.length, { topic });
  endToEndMs.add(Date.now() - Number(first.timestampMs), { topic });
  return all.length;
}

/** The database behind the consumer: it takes so many records a second. */
class Pace {
  private readonly recordsPerSecond: number | null;
  private freeMs = 0;

  constructor(recordsPerSecond: number | null) {
    this.recordsPerSecond = recordsPerSecond;
  }

  /** Returns when it has taken `count` more. */
  async wait(count: number): Promise<void> {
    if (this.recordsPerSecond === null) return;
    const nowMs = Date.now();
    this.freeMs = Math.max(this.freeMs, nowMs) + (count / this.recordsPerSecond) * 1_000;
    if (this.freeMs > nowMs) await pause(this.freeMs - nowMs);
  }
}

/** Looks at the log and at the group as somebody who does not take part. */
export function watch(): void {
  const partitions = Array.from({ length: settings.partitions }, (_, partition) => partition);
  const queries = partitions.map((partition) => ({ topic, partition, latest: {} }));
  const committed = callNow(0, 'FetchCommitted', { group, partitions: [{ topic, partitions }] }, { tags: groupTags });
  const ends = callNow(0, 'ListOffsets', { queries });
  if (ends.kind === 'refused' || committed.kind === 'refused') return;
  const end = sum(ends.message.offsets.map(({ offset = '0' }) => offset));
  const done = sum(committed.message.offsets.map(({ offset = '0' }) => offset));
  logEndRecords.add(end, { topic, ...groupTags });
  groupCommittedRecords.add(done, { topic, ...groupTags });
  consumerLagRecords.add(end - done, { topic, ...groupTags });
}

const sum = (offsets: readonly string[]): number => offsets.reduce((total, offset) => total + Number(offset), 0);
