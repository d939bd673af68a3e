/** Records as applications see them. */
import type { Bytes } from './serde.ts';

const decoder = new TextDecoder();

/** A record to send. */
export interface OutRecord<K, V> {
  /** Decides the partition, unless `partition` does. Absent or null: no key. */
  readonly key?: K | null;
  /** Null: a null value, which differs from an empty one. */
  readonly value: V | null;
  /** Order and duplicates are kept. A text is sent as UTF-8; null differs from empty. Default: none. */
  readonly headers?: readonly (readonly [name: string, value: string | Bytes | null])[];
  /** Create time, milliseconds since 1970, range 0 to 2^53-1. Default: now. */
  readonly timestampMs?: number;
  /** From 0. Default: by key, else any. */
  readonly partition?: number;
}

export interface RecordFields<K, V> {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly timestampMs: number | null;
  readonly leaderEpoch: number | null;
  readonly key: K | null;
  readonly value: V | null;
  readonly headers: readonly (readonly [name: string, value: Bytes | null])[];
}

/** A record that was read. Bytes are views of what was received: copy what is kept for long. */
export class InRecord<K = Bytes, V = Bytes> implements RecordFields<K, V> {
  readonly topic: string;
  readonly partition: number;
  /** Position in the partition, from 0. Offsets rise, and may have gaps. */
  readonly offset: number;
  /** Create time, milliseconds since 1970; null: the producer gave none. */
  readonly timestampMs: number | null;
  /** Term of the partition's leader when it was read; null: unknown. */
  readonly leaderEpoch: number | null;
  readonly key: K | null;
  readonly value: V | null;
  /** In the order of the producer, duplicates included. */
  readonly headers: readonly (readonly [name: string, value: Bytes | null])[];

  constructor(fields: RecordFields<K, V>) {
    this.topic = fields.topic;
    this.partition = fields.partition;
    this.offset = fields.offset;
    this.timestampMs = fields.timestampMs;
    this.leaderEpoch = fields.leaderEpoch;
    this.key = fields.key;
    this.value = fields.value;
    this.headers = fields.headers;
  }

  /** The last header of that name, as text; undefined: there is none, or its value is null. */
  header(name: string): string | undefined {
    for (let at = this.headers.length - 1; at >= 0; at--) {
      const header = this.headers[at];
      if (header?.[0] === name) return header[1] === null ? undefined : decoder.decode(header[1]);
    }
    return undefined;
  }
}

/** Records of one partition, in order. */
export interface RecordBatch<K = Bytes, V = Bytes> {
  readonly topic: string;
  readonly partition: number;
  /** At least one. */
  readonly records: readonly InRecord<K, V>[];
  /** Offset to go on from once these records are processed: what to commit. */
  readonly nextOffset: number;
  /** End of what is committed in the partition, as of this fetch: `highWatermark - nextOffset` records wait. */
  readonly highWatermark: number;
  readonly leaderEpoch: number | null;
}
