import type { CompressionType } from '../../../src/model/compression.ts';
import { BrokerError } from './errors.ts';
import type { Bytes, Serde } from './serde.ts';

/** Chooses the partition, from 0 to below `partitionCount`, of a record with a key. */
export type Partitioner = (key: Bytes, partitionCount: number) => number;

export interface BatchOptions {
  /**
   * A batch leaves as soon as it is about this large, bytes before compression, range 1 to 1,048,576. Default 65,536.
   * A larger record makes a batch of its own.
   */
  readonly maxBytes?: number;
  /** A batch leaves as soon as it has this many records, range 1 to 100,000. Default 10,000. */
  readonly maxRecords?: number;
  /**
   * How long a batch waits for more records, milliseconds, range 0 to 60,000. Default 0: until the end of this turn of
   * the event loop. While earlier batches of the partition are on their way, it goes on growing in any case.
   */
  readonly lingerMs?: number;
}

export interface ProducerOptions<K, V> {
  /** Default: bytes. */
  readonly key?: Serde<K>;
  /** Default: bytes. */
  readonly value?: Serde<V>;
  /**
   * When a record counts as delivered. `all` (default): durable on a majority. `leader`: durable on the leader, may be
   * lost when the leader changes. `none`: sent.
   */
  readonly acks?: 'all' | 'leader' | 'none';
  /** Retries can not duplicate records. Default true with `acks: 'all'`, which it needs. */
  readonly idempotent?: boolean;
  readonly batch?: BatchOptions;
  /** Default `none`. */
  readonly compression?: CompressionType;
  /** For records with a key. Default: murmur2 of the key, as Kafka's. Records without a key fill one batch at a time. */
  readonly partitioner?: Partitioner;
  /** Bytes that may wait for their acknowledgement, range 2 MiB to 1 GiB. Default 32 MiB. */
  readonly maxQueuedBytes?: number;
  /** What `send` does when that much waits. Default `wait`; `reject` rejects with QUEUE_FULL. */
  readonly whenFull?: 'wait' | 'reject';
  /** How long a record may take, all retries included, milliseconds, range 1 to 86,400,000. Default 120,000. */
  readonly deliveryTimeoutMs?: number;
  /**
   * How long after that it is asked what became of a record that was sent and not answered, milliseconds, range 0 to
   * 3,600,000. The record is delivered if it is in the log, rejected for certain if it never will be, and rejected as
   * `indeterminate` only if nobody could tell in this time. Default 30,000; 0: nobody is asked. For idempotent producers.
   */
  readonly resolveTimeoutMs?: number;
}

export interface ProducerSettings {
  readonly acks: 'all' | 'leader' | 'none';
  readonly idempotent: boolean;
  readonly batchBytesMax: number;
  readonly batchRecordsMax: number;
  readonly lingerMs: number;
  readonly compression: CompressionType;
  readonly partitioner: Partitioner | null;
  readonly queuedBytesMax: number;
  readonly whenFull: 'wait' | 'reject';
  readonly deliveryTimeoutMs: number;
  readonly resolveTimeoutMs: number;
}

const mib = 1024 * 1024;

/** Fills in the defaults; throws INVALID_REQUEST for what is out of range or contradictory. */
export function producerSettings(options: Omit<ProducerOptions<unknown, unknown>, 'key' | 'value'>): ProducerSettings {
  const acks = options.acks ?? 'all';
  const idempotent = options.idempotent ?? acks === 'all';
  if (idempotent && acks !== 'all')
    throw new BrokerError(
      'INVALID_REQUEST',
      `idempotent needs acks: 'all'; with acks: '${acks}' set idempotent: false.`,
    );
  return {
    acks,
    idempotent,
    batchBytesMax: inRange('batch.maxBytes', options.batch?.maxBytes ?? 64 * 1024, 1, mib),
    batchRecordsMax: inRange('batch.maxRecords', options.batch?.maxRecords ?? 10_000, 1, 100_000),
    lingerMs: inRange('batch.lingerMs', options.batch?.lingerMs ?? 0, 0, 60_000),
    compression: options.compression ?? 'none',
    partitioner: options.partitioner ?? null,
    queuedBytesMax: inRange('maxQueuedBytes', options.maxQueuedBytes ?? 32 * mib, 2 * mib, 1024 * mib),
    whenFull: options.whenFull ?? 'wait',
    deliveryTimeoutMs: inRange('deliveryTimeoutMs', options.deliveryTimeoutMs ?? 120_000, 1, 86_400_000),
    resolveTimeoutMs: inRange('resolveTimeoutMs', options.resolveTimeoutMs ?? 30_000, 0, 3_600_000),
  };
}

/** `value`, or INVALID_REQUEST that names the option and its range. */
export function inRange(name: string, value: number, min: number, max: number): number {
  if (Number.isFinite(value) && value >= min && value <= max) return value;
  throw new BrokerError('INVALID_REQUEST', `${name} must be from ${min} to ${max}, not ${value}.`);
}
