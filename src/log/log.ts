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
 */
import type { Entry } from '../model/entry.ts';
import type { GroupNumber, LogIndex, Millis, Offset, ReplicaId, Term } from '../model/ids.ts';
import type { HardState, StateChange, StatePair } from '../model/raft-state.ts';
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

export interface GroupLog extends LogReader {
  readonly header: GroupHeader;
  readonly hardState: HardState;
  readonly lastTerm: Term;
  /** Chain value of the last entry (entry-3), or the genesis value. */
  readonly lastChain: number;
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
