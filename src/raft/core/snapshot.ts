import type { LogIndex, Millis, Offset, Term } from '../../model/ids.ts';
import type { TermStart } from '../../model/raft-state.ts';
import type { Configuration } from './configuration.ts';

/**
 * Identifies a snapshot and says what follows it: the state of a group as of its last entry, which is committed. Every
 * chunk carries all of it, so that chunks of two snapshots can not be taken for one (P46).
 */
export interface SnapshotMeta {
  /** Unique per sender and term; the bytes of equal ids are equal. */
  readonly id: string;
  readonly lastIndex: LogIndex;
  readonly lastTerm: Term;
  readonly endOffset: Offset;
  readonly chain: number;
  /** Append time of the last entry: later ones never lie before it. */
  readonly appendTimeMs: Millis;
  /** Largest timestamp of all records so far; null: none had one. */
  readonly maxTimestampMs: Millis | null;
  /** Payload bytes of all entries so far. */
  readonly payloadBytes: number;
  /**
   * The sender's visible log start. Invariant raft-14: at or above `endOffset` in a data group, so that nothing that is
   * retained is skipped (design D6); 0 in a commands group.
   */
  readonly logStart: Offset;
  /** In force at the last entry (P44). */
  readonly configuration: Configuration;
  /** Starts of the terms that a log beginning after the last entry needs to know. */
  readonly terms: readonly TermStart[];
  /** Bytes of the state. */
  readonly byteLength: number;
  /** CRC-32C of the state. */
  readonly checksum: number;
}
