/**
 * What the broker was asked and what it answered, kept by the parent: every record with its hash and its outcome, every
 * committed offset, every topic. After a crash all of it must hold.
 */
import { crc32c } from '../../../src/runtime/crc32c.ts';
import type { SeededChance } from '../durability/random.ts';

/**
 * - `open`: sent, no answer yet.
 * - `acked`: it is in the log for good.
 * - `refused`: the broker said that it is not and never will be.
 * - `unknown`: nobody said, and nobody will.
 */
export type Outcome = 'open' | 'acked' | 'refused' | 'unknown';

export interface SentRecord {
  readonly id: number;
  /** Who sent it: its records of one partition must be in the log in the order of their ids. */
  readonly writer: number;
  /** CRC-32C of the value. */
  readonly hash: number;
  /** CRC-32C of the key; null: it has none. */
  readonly keyHash: number | null;
  outcome: Outcome;
  /** Where it was acknowledged; null: not (yet), or the broker did not say. */
  offset: number | null;
  /** When that was, on the clock of performance.now(). */
  ackedAtMs: number;
}

/** One partition's part of the ledger. */
export class PartitionBook {
  readonly partition: number;
  readonly records = new Map<number, SentRecord>();
  /** In the order of their acknowledgements, so that a length is a moment. */
  readonly acked: SentRecord[] = [];

  constructor(partition: number) {
    this.partition = partition;
  }
}

/** `live`: its creation was acknowledged. `doubtful`: an answer about its creation or deletion was lost. */
export type TopicState = 'live' | 'deleted' | 'doubtful';

export class TopicBook {
  readonly name: string;
  readonly partitions: readonly PartitionBook[];
  state: TopicState = 'doubtful';
  /** Null while its creation is not acknowledged. */
  topicId: string | null = null;

  constructor(name: string, partitions: number) {
    this.name = name;
    this.partitions = Array.from({ length: partitions }, (_, partition) => new PartitionBook(partition));
  }
}

/** A group's offset of one partition; commits rise by the parent's own counting. */
export interface CommitBook {
  readonly group: string;
  readonly topic: string;
  readonly partition: number;
  /** Highest acknowledged; null: none was. */
  acked: number | null;
  /** Highest that was sent; it may have been stored. */
  sent: number;
}

export interface LedgerCounts {
  readonly acked: number;
  /** Of these, answered to a retry whose original was in the log already. */
  readonly retried: number;
  readonly refused: number;
  readonly unknown: number;
}

/** Id and writer, at the front of every value. */
const headBytes = 12;
export const valueBytesMin = headBytes;
const noise = makeNoise(1 << 18);

export class Ledger {
  readonly topics: TopicBook[] = [];
  readonly commits: CommitBook[] = [];
  /** False while the power is off: nobody hears what a broker says then, so its promises are none. */
  isHeard = true;
  #nextId = 1;
  #acked = 0;
  #refused = 0;
  #unknown = 0;
  #retried = 0;

  /** Records by outcome, over the whole life of the ledger. */
  get counts(): LedgerCounts {
    return { acked: this.#acked, retried: this.#retried, refused: this.#refused, unknown: this.#unknown };
  }

  addTopic(name: string, partitions: number): TopicBook {
    const book = new TopicBook(name, partitions);
    this.topics.push(book);
    return book;
  }

  /** Makes a value that nobody else has, and notes that it is being sent. */
  sending(
    book: PartitionBook,
    writer: number,
    bytes: number,
    key: Uint8Array | null = null,
  ): { readonly record: SentRecord; readonly value: Buffer } {
    const id = this.#nextId++;
    const value = valueOf(id, writer, bytes);
    const [hash, keyHash] = [crc32c(value), key === null ? null : crc32c(key)];
    const record: SentRecord = { id, writer, hash, keyHash, outcome: 'open', offset: null, ackedAtMs: 0 };
    book.records.set(id, record);
    return { record, value };
  }

  /** `duplicate`: the broker says that it answers a retry. */
  acknowledged(book: PartitionBook, record: SentRecord, offset: number | null, duplicate = false): void {
    if (!this.isHeard) {
      this.failed(record, true);
      return;
    }
    record.outcome = 'acked';
    record.offset = offset;
    record.ackedAtMs = performance.now();
    book.acked.push(record);
    this.#acked++;
    if (duplicate) this.#retried++;
  }

  /** `indeterminate` is what the error said. */
  failed(record: SentRecord, indeterminate: boolean): void {
    const isUnknown = indeterminate || !this.isHeard;
    record.outcome = isUnknown ? 'unknown' : 'refused';
    if (isUnknown) this.#unknown++;
    else this.#refused++;
  }
}

export const idOf = (value: Uint8Array): number =>
  Number(Buffer.from(value.buffer, value.byteOffset).readBigUInt64BE());

function valueOf(id: number, writer: number, bytes: number): Buffer {
  const value = Buffer.allocUnsafe(Math.max(bytes, headBytes));
  value.writeBigUInt64BE(BigInt(id), 0);
  value.writeUInt32BE(writer, 8);
  const from = (id * 4_099) % (noise.length - value.length);
  noise.copy(value, headBytes, from, from + value.length - headBytes);
  return value;
}

function makeNoise(bytes: number): Buffer {
  const buffer = Buffer.alloc(bytes);
  let state = 0x2545f491;
  for (let at = 0; at + 4 <= bytes; at += 4) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    buffer.writeInt32LE(state | 0, at);
  }
  return buffer;
}

/** Mixed sizes: most records are small, some fill a batch. */
export function mixedBytes(chance: SeededChance): number {
  const kind = chance.below(100);
  if (kind < 60) return 100 + chance.below(300);
  if (kind < 92) return 1_000 + chance.below(7_000);
  return 20_000 + chance.below(44_000);
}
