/**
 * A durable ordered log per Raft group, all of them in one Store (design D6 to D8, D11).
 *
 * Invariants:
 * - log-1: an append is atomic: entries, truncation, index keys and hard state are one write (P82, P93).
 * - log-2: truncation covers queued and in-flight entries too; what was truncated is never read again, from cache or disk.
 * - log-3: opening reads a bounded number of keys, whatever the length of the log.
 * - log-4: logStart <= endOffset, firstIndex <= lastIndex + 1; logStart never falls.
 * - log-5: what is read was checked against its CRC; a mismatch is LogCorruption, never data.
 * - log-6: what is committed is never truncated (P21); the hard state never goes back, and covers the terms of the log.
 * - log-7: entries follow each other without a gap, in index, offset, term and chain (entry-1 to entry-3).
 * - log-8: an entry that is not durable yet is in the tail cache, so it can be read before the store has it.
 * - log-9: the log of a data group begins after one of its checkpoints, or at the very beginning (design D6).
 * - log-10: checkpoints, applied index and state keys speak of entries that are in the log, and only move forward.
 * - log-11: a log that was removed is not written to any more; reads find nothing.
 * - log-12: a snapshot takes the place of entries, checkpoints and state in one write; nothing of it is seen before, and
 *   a crash leaves the old or the new, whole (P41, P42, P82).
 * - log-13: a snapshot of a data group never begins above the log start: nothing that is retained is skipped (design D6).
 */
import type { Entry } from '../model/entry.ts';
import type { GroupNumber, LogIndex, Millis, Offset, ReplicaId, Term } from '../model/ids.ts';
import type { HardState, StateChange, StatePair, TermStart } from '../model/raft-state.ts';
import type { LogPosition } from './log-position.ts';
import type { LogReader } from './reader.ts';

/** `data`: the log is the state. `commands`: a state machine whose state keys live beside the log (design D6). */
export type GroupKind = 'data' | 'commands';

/** Written once, when the group is created on this broker; never changed. */
export interface GroupHeader {
  readonly group: GroupNumber;
  readonly kind: GroupKind;
  /** UUID of the cluster. */
  readonly clusterId: string;
  /** This broker's replica in the group. */
  readonly replicaId: ReplicaId;
  /** The encoded configuration the group was founded with; empty: learn it from the leader. */
  readonly genesis: Uint8Array;
}

/** One atomic, ordered change of a group's log. */
export interface LogWrite {
  /** Set: replaces the hard state. */
  readonly hardState: HardState | null;
  /** Set: drop every entry with an index above it before appending. */
  readonly truncateAfter: LogIndex | null;
  /** Follow `truncateAfter` (or the last entry) without a gap. */
  readonly entries: readonly Entry[];
}

/** Says which write became durable; stale ones (the tail was replaced since) are for the caller to ignore. */
export interface LogWriteDone {
  readonly lastIndex: LogIndex;
  readonly lastTerm: Term;
  /** Number of the store's engine write. */
  readonly writeNumber: number;
}

/** The state of a data group as of an index: producer table and what else apply builds (opaque here). */
export interface Checkpoint {
  readonly index: LogIndex;
  readonly state: Uint8Array;
}

/** All that a log needs to begin after an entry: the state as of the entry comes apart from it, as bytes. */
export interface SnapshotHead {
  /** After the entry, which is committed. */
  readonly position: LogPosition;
  /** The sender's log start; at or above the position's end offset in a data group (log-13), 0 in a commands group. */
  readonly logStart: Offset;
  /** The encoded configuration in force at the entry; empty: not known. */
  readonly configuration: Uint8Array;
  /** The start of the entry's own term. */
  readonly terms: readonly TermStart[];
  /** Bytes of the state. */
  readonly byteLength: number;
  /** CRC-32C of the state. */
  readonly checksum: number;
}

/** The state of a group as of one entry, to be sent; it does not change while the group goes on. */
export interface LogSnapshot {
  readonly head: SnapshotHead;
  /** The state from its beginning, in pieces of `bytesMax` bytes, of which the last may be shorter. The same each time. */
  chunks(bytesMax: number): AsyncIterable<Uint8Array>;
  /** Lets go of what it holds back. */
  close(): Promise<void>;
}

/** A snapshot on its way in. Nothing of it is seen before `install`. */
export interface SnapshotReceipt {
  /** Takes the next bytes; resolves when more may come. Rejects with SnapshotRefused, after which it is over. */
  add(bytes: Uint8Array): Promise<void>;
  /**
   * The state takes the place of everything in the log (log-12): at once in memory, durably when it resolves. Rejects with
   * SnapshotRefused, before anything changed, if the state is not whole.
   */
  install(): Promise<void>;
  /** It will not go on. */
  abandon(): void;
}

/** What a leader keeps for a follower that is behind (P49). */
export interface HoldBack {
  /** Entries above this index are still needed. */
  readonly above: LogIndex;
  /** As long as what is kept, to the end of the log, is no more than this. Payload bytes. */
  readonly bytesMax: number;
}

export interface GroupLog extends LogReader {
  readonly header: GroupHeader;
  readonly hardState: HardState;
  readonly lastTerm: Term;
  /** Chain value of the last entry (entry-3), or the genesis value. */
  readonly lastChain: number;
  /** Chain value before the first entry that is in the log. */
  readonly baseChain: number;
  /** Append time of the last entry, for monotone stamps; 0 if none. */
  readonly lastAppendTimeMs: Millis;
  /** Configuration entries from the newest one below firstIndex on: (index, payload). */
  readonly configurations: readonly { readonly index: LogIndex; readonly payload: Uint8Array }[];
  /** Term of the entry at `index`; null if it is not in the log (index 0 and firstIndex-1 are known). */
  termAt(index: LogIndex): Term | null;

  /** In memory at once, durable when the promise resolves; promises of one log resolve in order. */
  append(write: LogWrite): Promise<LogWriteDone>;
  /**
   * Moves the visible log start to `logStart`, as the applied log-start entry says; records below are not returned
   * any more at once. A lower one than the present changes nothing. Entries are removed, and `firstIndex` moves, up to the
   * newest checkpoint whose entries all lie below `logStart` (log-9); the sweep gives the space back later.
   */
  moveLogStart(logStart: Offset): Promise<void>;

  /**
   * Stores the state of a data group as of an applied index; one at or below the newest checkpoint's changes nothing. Some
   * older ones are kept: the closer they lie, the closer firstIndex follows the log start.
   */
  saveCheckpoint(checkpoint: Checkpoint): Promise<void>;
  /** The newest checkpoint at or below the end of the log; null if there is none. */
  loadCheckpoint(): Promise<Checkpoint | null>;
  /** Applied index of a `commands` group: state keys are exactly as of this index. */
  readonly appliedIndex: LogIndex;
  /** Changes state keys and the applied index in one atomic write; rises only. */
  writeState(applied: LogIndex, changes: readonly StateChange[]): Promise<void>;
  /**
   * Drops every entry through `index` of a `commands` group, whose state keys stand for them: `index` <= appliedIndex.
   * `firstIndex` and `termAt(firstIndex - 1)` have followed, durably, when it resolves.
   */
  compactThrough(index: LogIndex): Promise<void>;
  /** All state keys, ascending, in pages. */
  readState(): AsyncIterable<readonly StatePair[]>;

  /**
   * Entries of a data group that are still needed stay, although they lie below the log start, until this is called again;
   * null: none are. What is not needed any more is removed, durably when it resolves.
   */
  holdBack(needed: HoldBack | null): Promise<void>;
  /**
   * What a replica needs that lacks the entries before `firstIndex`: the state at the base of a data group's log, or as of
   * the applied index of a commands group. Null: there is nothing before the first entry, or the log was removed. Rejects
   * with LogCorruption.
   */
  openSnapshot(): Promise<LogSnapshot | null>;
  /**
   * Begins to take a snapshot that is ahead of everything committed here; one at a time, a new one ends the one before.
   * @throws SnapshotRefused
   */
  receiveSnapshot(head: SnapshotHead): SnapshotReceipt;
}

/** All groups of this broker. */
export interface GroupLogs {
  /** Every group that has a header here, ascending. Reads headers only. */
  list(): Promise<readonly GroupHeader[]>;
  /** Creates a group; durable when it resolves. Refuses (throws InvariantViolation) if it exists. */
  create(header: GroupHeader): Promise<GroupLog>;
  /** Opens a group that exists, without scanning it. Rejects with LogCorruption. */
  open(group: GroupNumber): Promise<GroupLog>;
  /** Removes a group and all its keys; the space comes back through the sweep. */
  remove(group: GroupNumber): Promise<void>;
}
