/** Puts the records of one topic into the batches of its partitions. */
import { BatchBuilder } from '../../../src/model/batch-builder.ts';
import { partitionForKey, StickyPartitioner } from '../../../src/model/partitioner.ts';
import type { NewRecord } from '../../../src/model/record.ts';
import type { Brokers } from './brokers.ts';
import { asBrokerError, BrokerError } from './errors.ts';
import type { Delivery } from './delivery.ts';
import type { LaneDriver } from './lane-driver.ts';
import type { PartitionLane } from './partition-lane.ts';
import { ProduceBatch } from './produce-batch.ts';
import type { ProducerSettings } from './producer-options.ts';
import { loadTopic, topicChanged } from './topic-metadata.ts';
import type { TopicMetadata } from './topic-metadata.ts';

/** A batch takes records for at most this share of the delivery time-out, as they share the first one's deadline. */
const batchAgeShare = 8;
/** How long what is known of a topic is believed without asking again. */
const metadataMaxAgeMs = 300_000;
/** Records without a key go elsewhere after a batch full of them, or after this long. */
const stickyMsMax = 100;
/** Buffers begin at this size, or at that of the batch before. */
const capacityBytesMin = 4 * 1024;

const noKey = new Uint8Array(0);

/** A record that is serialized, with its promise. */
export interface QueuedRecord {
  readonly record: NewRecord;
  /** What the caller asked for; null: by key, else any. */
  readonly partition: number | null;
  /** It is appended only if it gets this offset; null: anyway. */
  readonly expectedEndOffset: number | null;
  /** Bytes that count for the queue. */
  readonly bytes: number;
  readonly delivery: Delivery;
  /** Its place among all records of the producer. */
  readonly serial: number;
  /** Monotonic milliseconds. */
  readonly deadlineMs: number;
}

export interface WriterContext {
  readonly brokers: Brokers;
  readonly settings: ProducerSettings;
  /** Gives the driver once the codecs are loaded. */
  readonly loadDriver: () => Promise<LaneDriver>;
  /** Rejects a record that is in no batch. */
  readonly drop: (queued: QueuedRecord, error: BrokerError) => void;
}

interface Ready {
  readonly metadata: TopicMetadata;
  readonly driver: LaneDriver;
}

export class TopicWriter {
  readonly #name: string;
  readonly #context: WriterContext;
  #ready: Ready | null = null;
  #loading = false;
  /** By partition, of the topic that the metadata describes. */
  #lanes = new Map<number, PartitionLane>();
  /** Where records without a key go, how many bytes went there, and since when. */
  readonly #sticky: StickyPartitioner;
  #stickyBytes = 0;
  #stickySinceMs = 0;
  /** Records that wait for the metadata. Invariant: bounded by `maxQueuedBytes`, which counts them. */
  readonly #parked: QueuedRecord[] = [];
  /** Size of the last full batch. */
  #capacityBytes = capacityBytesMin;

  constructor(name: string, context: WriterContext) {
    this.#name = name;
    this.#context = context;
    this.#sticky = new StickyPartitioner(context.brokers.environment.random);
  }

  /** Serial of the oldest record that is in no batch yet; Infinity if there is none. */
  get oldestSerial(): number {
    return this.#parked[0]?.serial ?? Infinity;
  }

  write(queued: QueuedRecord, nowMs: number): void {
    const ready = this.#ready;
    if (ready === null) {
      this.#parked.push(queued);
      if (!this.#loading) void this.#load();
      return;
    }
    if (nowMs - ready.metadata.learntMs > metadataMaxAgeMs && !this.#loading) void this.#load();
    this.#append(queued, ready, nowMs);
  }

  /** What is known of the topic may be wrong: ask again before the next record. */
  forget(): void {
    this.#ready = null;
  }

  /** Drops what is in no batch. */
  abandon(error: BrokerError): void {
    for (const queued of this.#parked.splice(0)) this.#context.drop(queued, error);
  }

  /** Never rejects: what goes wrong goes to the records that wait. */
  async #load(): Promise<void> {
    this.#loading = true;
    const { brokers, settings } = this.#context;
    try {
      const driver = await this.#context.loadDriver();
      const metadata = await loadTopic(brokers, this.#name, { timeoutMs: settings.deliveryTimeoutMs });
      if (this.#ready?.metadata.topicId !== metadata.topicId) this.#renew(metadata);
      const ready = { metadata, driver };
      this.#ready = ready;
      this.#loading = false;
      const nowMs = brokers.environment.clock.monotonicMs();
      for (const queued of this.#parked.splice(0)) this.#append(queued, ready, nowMs);
    } catch (thrown) {
      this.#loading = false;
      const error = asBrokerError(thrown).with({ topic: this.#name });
      if (topicChanged.has(error.code)) this.forget();
      this.abandon(error);
    }
  }

  /** The name belongs to another topic now: its partitions begin anew, and so do the sequences. */
  #renew(metadata: TopicMetadata): void {
    const known = [...this.#lanes.values()][0];
    if (known?.topicId === metadata.topicId) return;
    this.#lanes = new Map();
  }

  #append(queued: QueuedRecord, ready: Ready, nowMs: number): void {
    const lane = this.#laneFor(queued, ready, nowMs);
    if (lane instanceof BrokerError) {
      this.#context.drop(queued, lane);
      return;
    }
    const batch = lane.open ?? this.#newBatch(queued, ready.driver, nowMs);
    const refused = batch.builder?.append(queued.record) ?? null;
    if (refused !== null) {
      const { code, message, fields } = refused.error;
      const place = { topic: this.#name, partition: lane.partition };
      this.#context.drop(queued, new BrokerError(code, message, { fields, ...place }));
      return;
    }
    batch.fate.add(queued.delivery, queued.record.timestampMs ?? 0);
    batch.reservedBytes += queued.bytes;
    if (lane.open === null) lane.begin(batch);
    // what comes behind it is appended whether it is or not
    if (batch.expectedEndOffset !== null) lane.close();
    ready.driver.touch(lane);
  }

  #newBatch(queued: QueuedRecord, driver: LaneDriver, nowMs: number): ProduceBatch {
    const builder = new BatchBuilder({}, driver.buffers.take(Math.max(this.#capacityBytes, queued.bytes)));
    const batch = new ProduceBatch(builder, nowMs, queued.deadlineMs, queued.serial);
    batch.expectedEndOffset = queued.expectedEndOffset;
    return batch;
  }

  /** The lane whose open batch (or none) takes the record. */
  #laneFor(queued: QueuedRecord, ready: Ready, nowMs: number): PartitionLane | BrokerError {
    const partition = this.#choosePartition(queued, ready.metadata, nowMs);
    if (partition instanceof BrokerError) return partition;
    const lane = this.#lane(partition, ready);
    if (lane.open === null || !this.#isFull(lane.open, queued, nowMs)) return lane;
    this.#capacityBytes = lane.open.builder?.byteLength ?? capacityBytesMin;
    lane.close();
    ready.driver.touch(lane);
    return lane;
  }

  #choosePartition(queued: QueuedRecord, metadata: TopicMetadata, nowMs: number): number | BrokerError {
    const { partitionCount, name } = metadata;
    const { key } = queued.record;
    if (queued.partition === null && key === null) return this.#anyPartition(queued, partitionCount, nowMs);
    const chosen = queued.partition ?? this.#partitionFor(key ?? noKey, partitionCount);
    if (chosen instanceof BrokerError) return chosen;
    if (Number.isInteger(chosen) && chosen >= 0 && chosen < partitionCount) return chosen;
    const text = `Topic "${name}" has partitions 0 to ${partitionCount - 1}, not ${chosen}.`;
    return new BrokerError('UNKNOWN_TOPIC_OR_PARTITION', text, { topic: name });
  }

  #partitionFor(key: Uint8Array, partitionCount: number): number | BrokerError {
    const { partitioner } = this.#context.settings;
    if (partitioner === null) return partitionForKey(key, partitionCount);
    try {
      return partitioner(key, partitionCount);
    } catch (cause) {
      const text = `The partitioner threw: ${String(cause)}`;
      return new BrokerError('INVALID_REQUEST', text, { cause, topic: this.#name });
    }
  }

  #anyPartition(queued: QueuedRecord, partitionCount: number, nowMs: number): number {
    if (this.#stickyBytes >= this.#context.settings.batchBytesMax || nowMs - this.#stickySinceMs > stickyMsMax) {
      this.#sticky.batchClosed(this.#sticky.partition(partitionCount), partitionCount);
      this.#stickyBytes = 0;
      this.#stickySinceMs = nowMs;
    }
    this.#stickyBytes += queued.bytes;
    return this.#sticky.partition(partitionCount);
  }

  #lane(partition: number, ready: Ready): PartitionLane {
    let lane = this.#lanes.get(partition);
    if (lane === undefined) {
      lane = ready.driver.newLane(this.#name, ready.metadata.topicId, partition);
      this.#lanes.set(partition, lane);
    }
    return lane;
  }

  #isFull(batch: ProduceBatch, queued: QueuedRecord, nowMs: number): boolean {
    if (queued.expectedEndOffset !== null) return true;
    const { batchBytesMax, batchRecordsMax, deliveryTimeoutMs } = this.#context.settings;
    if ((batch.builder?.byteLength ?? 0) + queued.bytes > batchBytesMax) return true;
    return batch.count >= batchRecordsMax || nowMs - batch.openedMs > deliveryTimeoutMs / batchAgeShare;
  }
}
