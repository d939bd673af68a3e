/**
 * A producer as the client library behaves: one batch of a partition at a time, retried to any broker until it is settled.
 * Now and then one that was acknowledged long ago comes once more, as from a proxy that held it back (semantics I13).
 */
import { encodeBatch } from '../../src/model/batch-builder.ts';
import type { Refused } from '../../src/model/errors.ts';
import { errorTraits } from '../../src/model/errors.ts';
import { toMillis, toSequence } from '../../src/model/ids.ts';
import type { BatchProducer } from '../../src/model/record-batch.ts';
import { rememberedBatchesMax } from '../../src/broker/producer-table.ts';
import type { AppendReceipt, ProducerGrant } from '../../src/broker/requests.ts';
import { SimViolation } from '../sim/invariant.ts';
import type { SimRandom } from '../sim/sim-random.ts';
import type { BrokerWorld } from './broker-world.ts';
import type { SentBatch } from './history.ts';
import { valueOf } from './history.ts';
import type { SimBroker } from './sim-broker.ts';
import { codecs } from './sim-broker.ts';

const callMs = 2_000;
const retryMsMean = 100;
/** Probability that an acknowledged batch is followed by an old one. */
const replayChance = 0.1;
/** Batches that are sent again: those whose offsets a partition remembers, and the one before them. */
const replayedMax = rememberedBatchesMax + 1;

/** A batch that was acknowledged. */
interface Settled {
  readonly batch: SentBatch;
  /** Null: it was not told. */
  readonly offset: number | null;
}

export interface KnownTopic {
  readonly name: string;
  readonly topicId: string;
  readonly partitions: number;
}

export class ProducerClient {
  readonly name: string;
  /** Resolves when nothing is open any more. */
  done: Promise<void> = Promise.resolve();
  #stopped = false;
  readonly #world: BrokerWorld;
  readonly #random: SimRandom;
  readonly #isIdempotent: boolean;
  readonly #topics = new Map<string, KnownTopic>();
  /** Next sequence by topic id and partition. */
  readonly #sequences = new Map<string, number>();
  /** What was acknowledged last, oldest first, by topic id and partition. */
  readonly #settled = new Map<string, readonly Settled[]>();
  #grant: ProducerGrant | null = null;
  /** What is being sent, for people. */
  open = '';

  constructor(name: string, world: BrokerWorld, random: SimRandom, isIdempotent: boolean) {
    this.name = name;
    this.#world = world;
    this.#random = random;
    this.#isIdempotent = isIdempotent;
  }

  /** Nothing new is begun any more. */
  stop(): void {
    this.#stopped = true;
  }

  start(): void {
    this.done = this.#run();
    this.done.catch((error: unknown) => {
      this.#world.fail(error);
    });
  }

  /** Sends one batch to the partition and resolves when it is settled; false: the topic is gone, or it stops. */
  async sendTo(topic: KnownTopic, partition: number): Promise<boolean> {
    const producer = await this.#identity(topic, partition);
    if (this.#isIdempotent && producer === null) return false;
    const batch = this.#world.history.begin({
      client: this.name,
      topic: topic.name,
      topicId: this.#isIdempotent || this.#random.chance(0.5) ? topic.topicId : null,
      partition,
      count: this.#random.between(1, 3),
      producer,
      startedAt: this.#world.scheduler.now,
    });
    await this.#settle(batch);
    if (batch.state !== 'acked') return false;
    const key = `${topic.topicId}/${partition}`;
    this.#sequences.set(key, (this.#sequences.get(key) ?? 0) + batch.count);
    if (this.#isIdempotent && this.#random.chance(replayChance)) await this.#replay(this.#settled.get(key) ?? []);
    return true;
  }

  /** A method, for it changes while something is awaited. */
  #isStopping(): boolean {
    return this.#stopped;
  }

  async #run(): Promise<void> {
    const { shape } = this.#world;
    while (!this.#isStopping()) {
      await this.#world.sleep(this.#random.exponential(shape.pauseMsMean));
      const topic = await this.#topic(this.#random.pick(shape.topicNames));
      if (this.#isStopping() || topic === null) continue;
      if (!(await this.sendTo(topic, this.#random.below(topic.partitions)))) this.#topics.delete(topic.name);
    }
  }

  async #topic(name: string): Promise<KnownTopic | null> {
    const known = this.#topics.get(name);
    if (known !== undefined) return known;
    const reply = await this.#world.ask(this.#broker(), callMs, (api, context) => api.describeTopic(name, context));
    if (reply.kind !== 'answered' || reply.result.kind === 'refused') return null;
    const { topicId, partitionCount } = reply.result.value.topic;
    const topic = { name, topicId, partitions: partitionCount };
    this.#topics.set(name, topic);
    return topic;
  }

  /** Asks for an identity until it has one; null: it stops, or needs none. */
  async #identity(topic: KnownTopic, partition: number): Promise<BatchProducer | null> {
    if (!this.#isIdempotent) return null;
    while (this.#grant === null) {
      const reply = await this.#world.ask(this.#broker(), callMs, (api, context) => api.initProducer(null, context));
      if (reply.kind === 'answered' && reply.result.kind === 'ok') this.#grant = reply.result.value;
      else if (this.#isStopping()) return null;
      else await this.#world.sleep(this.#random.exponential(retryMsMean));
    }
    const sequence = this.#sequences.get(`${topic.topicId}/${partition}`) ?? 0;
    return { id: this.#grant.producerId, epoch: this.#grant.producerEpoch, baseSequence: toSequence(sequence) };
  }

  async #settle(batch: SentBatch): Promise<void> {
    const { topic, topicId, partition } = batch;
    let to: SimBroker | null = null;
    for (;;) {
      this.open = `${this.name} batch ${batch.id} for ${topic} ${topicId ?? '-'}/${partition} to ${to?.number ?? '?'}`;
      const broker: SimBroker = to ?? this.#broker();
      to = null;
      const bytes = this.#encode(batch);
      const request = { topic, topicId, partition, batch: bytes, acks: 'all' } as const;
      const reply = await this.#world.ask(broker, callMs, (api, context) => api.append(request, context));
      if (reply.kind === 'answered') {
        const { result } = reply;
        if (result.kind === 'ok') {
          this.#acked(batch, result.value);
          break;
        }
        const { code, leaderHint } = result.error;
        const hinted = leaderHint === undefined ? null : this.#world.broker(leaderHint.brokerId);
        to = this.#random.chance(0.8) ? hinted : null;
        if (errorTraits[code].indeterminate) batch.mayBe = true;
        else if (!errorTraits[code].retriable) {
          this.#refused(batch, result);
          break;
        }
      } else if (reply.kind === 'no-answer') batch.mayBe = true;
      // without an identity a retry could double it
      if (batch.mayBe && batch.producer === null) {
        batch.state = 'unknown';
        this.#world.count('unknown');
        break;
      }
      await this.#world.sleep(this.#random.exponential(retryMsMean));
    }
    this.open = '';
    this.#world.trace.say(0, null, batch.state, `${this.name} batch ${batch.id}`);
  }

  /** One of them once more, to any broker: whoever leads by now, it is in the log, and where is known of the newest. */
  async #replay(settled: readonly Settled[]): Promise<void> {
    const back = 1 + this.#random.below(replayedMax);
    const old = settled.at(-back);
    if (old === undefined) return;
    const { batch, offset } = old;
    const { topic, topicId, partition } = batch;
    const request = { topic, topicId, partition, batch: this.#encode(batch), acks: 'all' } as const;
    const reply = await this.#world.ask(this.#broker(), callMs, (api, context) => api.append(request, context));
    if (reply.kind !== 'answered') return;
    const { result } = reply;
    const what = `${this.name} batch ${batch.id}, n-${back}, at ${offset ?? '?'}, came again`;
    if (result.kind === 'refused') {
      const { code, message } = result.error;
      const isGone = code === 'UNKNOWN_TOPIC_OR_PARTITION' || code === 'UNKNOWN_TOPIC_ID' || code === 'INCONSISTENT_TOPIC_ID'; // prettier-ignore
      if (errorTraits[code].retriable || isGone) return;
      throw new SimViolation('sem-I13', `${what} and was refused: ${code} ${message}`);
    }
    const { baseOffset, duplicate } = result.value;
    const isKnown = back <= rememberedBatchesMax;
    const isRight = isKnown ? offset === null || baseOffset === offset : baseOffset === null;
    if (!duplicate || !isRight)
      throw new SimViolation('sem-I13', `${what}: duplicate=${duplicate}, at ${baseOffset ?? 'no offset'}`);
    this.#world.count(isKnown ? 'replayed' : 'replayedOld');
  }

  #acked(batch: SentBatch, { topicId, baseOffset, duplicate }: AppendReceipt): void {
    batch.state = 'acked';
    if (batch.producer !== null) {
      const key = `${topicId}/${batch.partition}`;
      const before = this.#settled.get(key) ?? [];
      this.#settled.set(key, [...before.slice(1 - replayedMax), { batch, offset: baseOffset }]);
    }
    this.#world.count('acked');
    if (duplicate) this.#world.count('duplicates');
    const ack = { batch, topicId, offset: baseOffset, at: this.#world.scheduler.now };
    this.#world.history.acks.push(ack);
    this.#world.tell('onAcked', ack);
  }

  #refused(batch: SentBatch, { error }: Refused): void {
    const { code, message } = error;
    this.#world.trace.say(0, null, 'told', `${this.name} batch ${batch.id}: ${code} ${message}`);
    switch (code) {
      case 'UNKNOWN_TOPIC_OR_PARTITION':
      case 'UNKNOWN_TOPIC_ID':
      case 'INCONSISTENT_TOPIC_ID':
        if (batch.topicId !== null) this.#world.count('staleTopicIds');
        batch.state = batch.mayBe ? 'unknown' : 'refused';
        this.#world.count(batch.state);
        return;
      default:
        // a producer that sends in order, each batch until it is settled, is never told that it did not (design D14)
        throw new SimViolation('inv-B3', `${this.name} batch ${batch.id} was refused: ${code} ${message}`);
    }
  }

  #encode(batch: SentBatch): Uint8Array {
    const records = Array.from({ length: batch.count }, (_, at) => ({
      key: null,
      value: Buffer.from(valueOf(batch, at)),
      headers: [],
      timestampMs: toMillis(0),
    }));
    const encoded = encodeBatch({ compression: 'none', producer: batch.producer, records }, codecs);
    if (encoded.kind === 'refused') throw new SimViolation('sim-bug', encoded.error.message);
    return encoded.value;
  }

  #broker(): SimBroker {
    return this.#random.pick(this.#world.brokers);
  }
}
