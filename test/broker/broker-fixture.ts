/** A broker on Raft groups in memory, with a clock that the test moves. */
import assert from 'node:assert/strict';
import type { Access } from '../../src/broker/access.ts';
import type { BrokerIdentity } from '../../src/broker/broker-identity.ts';
import { Broker } from '../../src/broker/broker.ts';
import type { BrokerLimits } from '../../src/broker/limits.ts';
import type { BrokerObserver } from '../../src/broker/observer.ts';
import { silentBrokerObserver } from '../../src/broker/observer.ts';
import type {
  AppendReceipt,
  FetchAnswer,
  FetchedPartition,
  FetchPartitionRequest,
  RequestContext,
} from '../../src/broker/requests.ts';
import type { BrokerError, Result } from '../../src/model/errors.ts';
import { millisPlus, toBrokerId, toGroupNumber, toOffset } from '../../src/model/ids.ts';
import { readBatchHeader } from '../../src/model/record-batch.ts';
import { ManualClock } from '../fakes/manual-clock.ts';
import type { MemoryGroup } from '../fakes/memory-raft.ts';
import { MemoryDisk, MemoryRaftHost } from '../fakes/memory-raft.ts';
import { SeededRandom } from '../fakes/seeded-random.ts';
import { compression } from './batches.ts';

export interface FixtureOptions {
  readonly disk?: MemoryDisk;
  readonly clock?: ManualClock;
  readonly limits?: Partial<BrokerLimits>;
  readonly identity?: Partial<BrokerIdentity>;
  readonly access?: Access;
  readonly seed?: number;
}

/** Small where the default only costs time. */
const testLimits: Partial<BrokerLimits> = { groupsPartitions: 1, producerIdBlock: 10, leaderWaitMsMax: 0 };

export class BrokerFixture {
  readonly clock: ManualClock;
  readonly disk: MemoryDisk;
  readonly host: MemoryRaftHost;
  readonly broker: Broker;
  readonly heard: string[] = [];
  readonly faults: unknown[] = [];
  /** What the disk gate says. */
  diskHasRoom = true;

  constructor(options: FixtureOptions = {}) {
    this.clock = options.clock ?? new ManualClock();
    this.disk = options.disk ?? new MemoryDisk();
    this.host = new MemoryRaftHost(this.disk, this.clock);
    const own = { clusterId: 'c0ffee00-0000-4000-8000-000000000001', brokerId: toBrokerId(0), incarnation: 'disk-1' };
    const place = { address: '127.0.0.1:9400', peerAddress: null, rack: null, version: '0.1.0' };
    this.broker = new Broker({
      identity: { ...own, ...place, ...options.identity },
      host: this.host,
      clock: this.clock,
      random: new SeededRandom(options.seed ?? 1),
      compression,
      disk: { admit: () => this.diskHasRoom },
      onFault: (error) => this.faults.push(error),
      limits: { ...testLimits, ...options.limits },
      observer: this.#recorder(),
      ...(options.access === undefined ? {} : { access: options.access }),
    });
  }

  static async started(options: FixtureOptions = {}): Promise<BrokerFixture> {
    const fixture = new BrokerFixture(options);
    await fixture.broker.start();
    return fixture;
  }

  /** The process dies: what was on disk is there, nothing else. */
  async restarted(options: FixtureOptions = {}): Promise<BrokerFixture> {
    await this.host.close();
    return BrokerFixture.started({ disk: this.disk, clock: this.clock, seed: 2, ...options });
  }

  context(waitMs = 1_000, signal: AbortSignal = new AbortController().signal): RequestContext {
    return { principal: 'tester', tenant: 0, deadlineMs: millisPlus(this.clock.monotonicMs(), waitMs), signal };
  }

  async topic(name: string, partitions = 1): Promise<string> {
    const wish = { name, partitions, replicationFactor: null };
    return value(await this.broker.createTopic(wish, this.context())).topic.topicId;
  }

  append(topic: string, batch: Uint8Array, more: AppendOptions = {}): Promise<Result<AppendReceipt>> {
    const { partition = 0, acks = 'all', waitMs = 1_000, topicId = null, expectedEndOffset = null } = more;
    const expected = expectedEndOffset === null ? null : toOffset(expectedEndOffset);
    const request = { topic, topicId, partition, batch, acks, expectedEndOffset: expected };
    return this.broker.append(request, this.context(waitMs));
  }

  async fetch(topic: string, from: number, more: FetchOptions = {}): Promise<FetchedPartition> {
    const answer = value(await this.fetchMany([at(topic, from, more)], more));
    assert.equal(answer.partitions.length, 1);
    return answer.partitions[0]!;
  }

  fetchMany(partitions: readonly FetchPartitionRequest[], more: FetchOptions = {}): Promise<Result<FetchAnswer>> {
    const { waitMsMax = 0, bytesMin = 1, totalBytesMax = 1_000_000, signal } = more;
    return this.broker.fetch(
      { partitions, waitMsMax, bytesMin, bytesMax: totalBytesMax },
      this.context(60_000, signal),
    );
  }

  /** The Raft group of a partition, by the order of creation: `__groups` takes the first numbers. */
  group(place = 0, groupsPartitions = 1): MemoryGroup {
    return this.host.running(toGroupNumber(1 + groupsPartitions + place));
  }

  #recorder(): BrokerObserver {
    const heard = this.heard;
    return {
      ...silentBrokerObserver,
      duplicate: (id) => heard.push(`duplicate ${id}`),
      refused: (error) => heard.push(`refused ${error.code}`),
      groupOrphaned: (group) => heard.push(`orphaned ${group}`),
      groupMissing: (group) => heard.push(`missing ${group}`),
      groupRemoved: (group) => heard.push(`removed ${group}`),
      retentionFailed: (group) => heard.push(`retention failed ${group}`),
      clockStrays: (strays) => heard.push(`clock strays ${strays}`),
    };
  }
}

interface AppendOptions {
  readonly partition?: number;
  readonly acks?: 'all' | 'leader' | 'none';
  readonly waitMs?: number;
  readonly topicId?: string | null;
  readonly expectedEndOffset?: number | null;
}

interface FetchOptions extends Partial<Omit<FetchPartitionRequest, 'topic' | 'fetchOffset'>> {
  readonly waitMsMax?: number;
  readonly bytesMin?: number;
  readonly totalBytesMax?: number;
  readonly signal?: AbortSignal;
}

export const at = (topic: string, from: number, more: FetchOptions = {}): FetchPartitionRequest => ({
  topic,
  topicId: more.topicId ?? null,
  partition: more.partition ?? 0,
  fetchOffset: toOffset(from),
  leaderEpoch: more.leaderEpoch ?? null,
  bytesMax: more.bytesMax ?? 1_000_000,
});

/** What a call answered, which must not be a refusal. */
export function value<T>(result: Result<T>): T {
  if (result.kind === 'refused') assert.fail(`${result.error.code}: ${result.error.message}`);
  return result.value;
}

/** What a call was refused with. */
export function error(result: Result<unknown>): BrokerError {
  if (result.kind === 'ok') assert.fail('should have been refused');
  return result.error;
}

export const code = (result: Result<unknown>): string => error(result).code;

/** Base offsets of batches, as they are stored. */
export const offsets = (batches: readonly Uint8Array[]): number[] =>
  batches.map((bytes) => value(readBatchHeader(bytes)).baseOffset);

/** Lets everything that is due in this turn of the event loop happen. */
export const settle = async (turns = 3): Promise<void> => {
  for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve));
};

/** Whether a promise has an answer by now. */
export async function isPending(promise: Promise<unknown>): Promise<boolean> {
  await settle();
  const open = Symbol('open');
  return (await Promise.race([promise, Promise.resolve(open)])) === open;
}
