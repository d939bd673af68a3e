/** What the layers above raft/ may see of a group's log: everything but appending. */
import type { Entry } from '../model/entry.ts';
import type { LogIndex, Millis, Offset } from '../model/ids.ts';
import type { TermStart } from '../model/raft-state.ts';

/** What the metadata of an entry says, for those who decide how much of the log is kept. */
export interface EntryMark {
  readonly index: LogIndex;
  readonly baseOffset: Offset;
  readonly endOffset: Offset;
  /** Never falls from entry to entry. */
  readonly appendTimeMs: Millis;
  /** Payload bytes of all entries through this one, dropped ones included. */
  readonly payloadBytesThrough: number;
}

export interface LogReader {
  /** First index that is in the log; 1 until a prefix was dropped. Equals lastIndex + 1 in an empty log. */
  readonly firstIndex: LogIndex;
  /** Index of the last entry that was appended, durable or not. */
  readonly lastIndex: LogIndex;
  /** Offset that the next record will get. */
  readonly endOffset: Offset;
  /** First offset that clients may read (may cut a batch in its middle). */
  readonly logStart: Offset;
  /** Payload bytes of the entries in the log. */
  readonly payloadBytes: number;
  /** Terms in the log, ascending; small (one per election), so term(index) needs no read. */
  readonly terms: readonly TermStart[];

  /**
   * Batch entries whose records overlap [from, below), in order: as many as fit into `bytesMax` (payload bytes), at least
   * one if there is any. Reads from the tail cache where it can. Every payload is checked against its CRC when it comes
   * from disk, and then there may be fewer, 4,096 at most. Offsets below the log start are passed over. Rejects with
   * LogCorruption.
   */
  readFrom(from: Offset, below: Offset, bytesMax: number): Promise<readonly Entry[]>;
  /** The same without waiting: null if the tail cache does not hold them all. */
  readFromCache(from: Offset, below: Offset, bytesMax: number): readonly Entry[] | null;
  /**
   * Entries from index `from` up to `through` (inclusive), at least one, up to `bytesMax` payload bytes. Any kind. Empty if
   * `from` is not in the log (any more). Limits and rejections as for `readFrom`.
   */
  readEntries(from: LogIndex, through: LogIndex, bytesMax: number): Promise<readonly Entry[]>;
  /** The same without waiting: null if the tail cache does not hold the first one. */
  readEntriesFromCache(from: LogIndex, through: LogIndex, bytesMax: number): readonly Entry[] | null;
  /** The first batch entry below `below` whose largest timestamp is at or after `timestampMs`; null if there is none. */
  findByTimestamp(timestampMs: Millis, below: Offset): Promise<Entry | null>;
  /**
   * The first entry of any kind, of those from the log's first through `through`, for which `holds`; null: none. `holds` is
   * false for all entries before some entry and true from there on, so a few of them are read, not all. `through` is
   * committed. Rejects with LogCorruption.
   */
  firstEntry(through: LogIndex, holds: (entry: EntryMark) => boolean): Promise<EntryMark | null>;
  /**
   * Payload bytes of all entries through `index`, dropped ones included; null: not known without a read. Known for what is
   * committed last and what follows it.
   */
  payloadBytesThrough(index: LogIndex): number | null;
}

/** Bytes on this broker's disk do not match their checksum, or something acknowledged is not there. */
export class LogCorruption extends Error {
  override readonly name = 'LogCorruption';
}
