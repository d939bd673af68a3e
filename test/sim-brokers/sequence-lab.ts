/**
 * Three whole brokers in virtual time with one partition, in which nothing fails but what is asked for: what a producer's
 * sequences meet on their way can be put together at will. Batches are asked of the leader itself, below the door, so that
 * a batch may claim as many records as a sequence has numbers.
 */
import assert from 'node:assert/strict';
import type { AppendReceipt, AppendRequest, BrokerApi, RequestContext } from '../../src/broker/requests.ts';
import { noConfigChange } from '../../src/broker/topic-config.ts';
import { encodeBatch } from '../../src/model/batch-builder.ts';
import { putInt32 } from '../../src/model/big-endian.ts';
import type { Result } from '../../src/model/errors.ts';
import type { GroupNumber } from '../../src/model/ids.ts';
import { toGroupNumber, toMillis, toOffset, toProducerEpoch, toProducerId, toSequence } from '../../src/model/ids.ts';
import type { BatchProducer } from '../../src/model/record-batch.ts';
import { batchLayout, checksummedSection } from '../../src/model/record-batch.ts';
import { driverLimitsDefault } from '../../src/raft/driver-limits.ts';
import { SimRandom } from '../sim/sim-random.ts';
import { drawShape } from './broker-shape.ts';
import { BrokerWorld } from './broker-world.ts';
import { BrokerInvariant } from './invariant.ts';
import { ElectionSafety } from './invariants/election-safety.ts';
import { EqualAtEnd } from './invariants/equal-at-end.ts';
import { OneVote } from './invariants/one-vote.ts';
import { run } from './phases.ts';
import type { SimBroker } from './sim-broker.ts';
import { codecs } from './sim-broker.ts';

/** Notes which replicas were given a state. */
class InstalledStates extends BrokerInvariant {
  readonly id = 'installed-states';
  readonly #seen = new Set<string>();

  has(broker: SimBroker, group: GroupNumber): boolean {
    return this.#seen.has(`${broker.number}/${group}`);
  }

  override onInstalled(broker: SimBroker, group: GroupNumber): void {
    this.#seen.add(`${broker.number}/${group}`);
  }
}

const brokersCount = 3;
const topic = 'sequences';
const partition = 0;
const callMs = 2_000;
const stepMs = 50;
/** Whatever is waited for has come by then, or never will: virtual ms. */
const patienceMs = 60_000;

export class SequenceLab {
  readonly world: BrokerWorld;
  #group: GroupNumber = toGroupNumber(1);
  #nextBatch = 1;
  readonly #installed: InstalledStates;

  /** Founds the cluster and makes the partition. */
  static async begin(seed: number): Promise<SequenceLab> {
    const lab = new SequenceLab(seed);
    for (const broker of lab.world.brokers) lab.world.start(broker);
    await lab.until(() => lab.world.brokers.every(({ api }) => api !== null), 'the brokers are ready');
    const wish = { name: topic, partitions: 1, replicationFactor: brokersCount, config: noConfigChange };
    await lab.insist((api, context) => api.createTopic(wish, context), lab.world.broker(1));
    const place = lab.world.catalog.live.find(({ name }) => name === topic)?.partitions[partition];
    assert(place !== undefined, 'the topic is in the catalog');
    lab.#group = place.group;
    return lab;
  }

  private constructor(seed: number) {
    const random = new SimRandom(seed);
    const drawn = drawShape(random.split('shape'));
    this.world = new BrokerWorld(
      {
        ...drawn,
        founders: brokersCount,
        joiners: 0,
        // a state is stored only where the log start moves, and who lacks what is before it is given the state at once
        driverLimits: { ...driverLimitsDefault, lagBytesMax: 0, snapshotChunkBytes: 200 },
        // leaders stay where they were put
        limits: { ...drawn.limits, leadershipReturnMs: 10 * patienceMs },
      },
      random.split('world'),
    );
    this.world.committed.readsRecords = false;
    this.#installed = new InstalledStates(this.world);
    this.world.invariants.push(
      new ElectionSafety(this.world),
      new OneVote(this.world),
      new EqualAtEnd(this.world),
      this.#installed,
    );
  }

  /** Who leads the partition and serves. */
  async leader(): Promise<SimBroker> {
    let found: SimBroker | undefined;
    const leads = (broker: SimBroker): boolean => {
      const role = broker.groups.get(this.#group)?.role;
      return broker.api !== null && role?.role === 'leader' && role.serving;
    };
    await this.until(() => (found = this.world.brokers.find(leads)) !== undefined, 'the partition is led');
    assert(found !== undefined);
    return found;
  }

  /** A replica that does not lead. */
  async follower(): Promise<SimBroker> {
    const leader = await this.leader();
    const other = this.world.brokers.find((broker) => broker !== leader);
    assert(other !== undefined);
    return other;
  }

  /** A batch of two records, sent until it is answered with something that is final. */
  send(producer: BatchProducer, count = 2): Promise<Result<AppendReceipt>> {
    return this.#append(encoded(producer, count, this.#nextBatch++));
  }

  /** A batch that claims `count` records, so that the sequence after it is as high as one likes. */
  async leap(producer: BatchProducer, count: number): Promise<void> {
    const bytes = encoded(producer, 1, this.#nextBatch++);
    putInt32(bytes, batchLayout.count, count);
    putInt32(bytes, batchLayout.lastOffsetDelta, count - 1);
    putInt32(bytes, batchLayout.crc, codecs.crc32c(checksummedSection(bytes)));
    const sent = await this.#append(bytes);
    assert.equal(sent.kind, 'ok');
  }

  /** Every record that is there goes. */
  async deleteRecords(): Promise<void> {
    const request = { topic, topicId: null, partition, before: null };
    await this.insist((api, context) => api.deleteRecords(request, context), await this.leader());
    // and the entries behind them, as far as a stored state stands for them
    const leader = await this.leader();
    const raft = leader.groups.get(this.#group);
    await this.until(() => (raft?.log.firstIndex ?? 0) > 1, 'the log is cut');
  }

  async highWatermark(): Promise<number> {
    const wanted = { topic, topicId: null, partition, at: { kind: 'latest' } } as const;
    const [found] = await this.insist((api, context) => api.listOffsets([wanted], context), await this.leader());
    return found?.offset ?? toOffset(0);
  }

  kill(broker: SimBroker): void {
    this.world.crash(broker, 'none');
  }

  async start(broker: SimBroker): Promise<void> {
    this.world.start(broker);
    await this.until(() => broker.api !== null, `broker ${broker.number} is ready`);
  }

  /** Waits until the broker's replica was given the state, because the log does not reach back to where it was. */
  async stateInstalled(broker: SimBroker): Promise<void> {
    await this.until(() => this.#installed.has(broker, this.#group), 'a state is installed');
  }

  /** Makes this broker lead. */
  async moveLeadership({ brokerId }: SimBroker): Promise<void> {
    const order = { kind: 'transfer-leadership', tenant: 0, topic, partition, brokerId } as const;
    await this.insist((api, context) => api.operate(order, false, context), this.world.broker(1));
    let leader = await this.leader();
    const deadline = this.world.scheduler.now + patienceMs;
    while (leader.brokerId !== brokerId) {
      assert(this.world.scheduler.now < deadline, `broker ${brokerId} leads`);
      await run(this.world, stepMs);
      leader = await this.leader();
    }
  }

  /** All replicas are equal, on their disks too. */
  async end(): Promise<void> {
    await run(this.world, callMs);
    for (const invariant of this.world.invariants) invariant.atEnd?.();
  }

  async until(holds: () => boolean, what: string): Promise<void> {
    const deadline = this.world.scheduler.now + patienceMs;
    while (!holds()) {
      assert(this.world.scheduler.now < deadline, `never: ${what}`);
      await run(this.world, stepMs);
    }
  }

  /** Asks until it is done. */
  async insist<T>(
    call: (api: BrokerApi, context: RequestContext) => Promise<Result<T>>,
    broker: SimBroker,
  ): Promise<T> {
    const deadline = this.world.scheduler.now + patienceMs;
    for (;;) {
      const result = await this.#ask(call, broker);
      if (result?.kind === 'ok') return result.value;
      const why = result?.error.message ?? 'no answer';
      assert(this.world.scheduler.now < deadline, why);
      await run(this.world, stepMs);
    }
  }

  async #append(batch: Uint8Array): Promise<Result<AppendReceipt>> {
    const deadline = this.world.scheduler.now + patienceMs;
    for (;;) {
      const request: AppendRequest = { topic, topicId: null, partition, batch: batch.slice(), acks: 'all' };
      const result = await this.#ask((api, context) => api.append(request, context), await this.leader());
      if (result !== null && (result.kind === 'ok' || !isPassing(result.error.code))) return result;
      assert(this.world.scheduler.now < deadline, 'an append is answered');
    }
  }

  /** Null: no answer. */
  async #ask<T>(
    call: (api: BrokerApi, context: RequestContext) => Promise<Result<T>>,
    broker: SimBroker,
  ): Promise<Result<T> | null> {
    let done = false;
    const asked = this.world.ask(broker, callMs, call);
    void asked.then(() => (done = true));
    await this.until(() => done, 'a call ends');
    const reply = await asked;
    return reply.kind === 'answered' ? reply.result : null;
  }
}

/** What says only that another one has to be asked, or later. */
const isPassing = (code: string): boolean =>
  code === 'LEADER_NOT_AVAILABLE' || code === 'NOT_LEADER_OR_FOLLOWER' || code === 'LEADERSHIP_LOST';

export const producerAt = (baseSequence: number): BatchProducer => ({
  id: toProducerId(7),
  epoch: toProducerEpoch(0),
  baseSequence: toSequence(baseSequence),
});

function encoded(producer: BatchProducer, count: number, batch: number): Uint8Array {
  const records = Array.from({ length: count }, (_, at) => ({
    key: null,
    value: Buffer.from(`${batch}/${at}`),
    headers: [],
    timestampMs: toMillis(0),
  }));
  const built = encodeBatch({ compression: 'none', producer, records }, codecs);
  assert(built.kind === 'ok');
  return built.value;
}
