/** What one disk holds of one group: plain data that writes are applied to. The cached and the synced image are two of it. */
import { assert } from '../../src/model/assert.ts';
import type { Crc32c } from '../../src/model/crc32c.ts';
import type { Entry } from '../../src/model/entry.ts';
import { entryEndOffset } from '../../src/model/entry.ts';
import type { LogIndex, Offset } from '../../src/model/ids.ts';
import { indexZero, nextIndex, offsetZero, termZero, toMillis } from '../../src/model/ids.ts';
import type { HardState, StateChange, StatePair, TermStart } from '../../src/model/raft-state.ts';
import { removableThrough, thinned } from '../../src/log/checkpoints.ts';
import type { Checkpoint, GroupHeader, HoldBack, LogSnapshot, LogWrite, SnapshotHead } from '../../src/log/log.ts';
import type { LogPosition } from '../../src/log/log-position.ts';
import { positionAfter } from '../../src/log/log-position.ts';
import type { EntryMark } from '../../src/log/reader.ts';
import { snapshotOf } from '../../src/log/snapshot-export.ts';
import { encodePairs, streamHead } from '../../src/log/state-stream.ts';

export type DiskOperation =
  | { readonly kind: 'write'; readonly write: LogWrite }
  | { readonly kind: 'log-start'; readonly logStart: Offset; readonly needed: HoldBack | null }
  | { readonly kind: 'checkpoint'; readonly checkpoint: Checkpoint; readonly needed: HoldBack | null }
  | { readonly kind: 'state'; readonly applied: LogIndex; readonly changes: readonly StateChange[] }
  | { readonly kind: 'compact'; readonly through: LogIndex }
  /** Something that is not seen, such as a part of a snapshot that comes in: it only takes its time. */
  | { readonly kind: 'unseen' }
  | { readonly kind: 'install'; readonly head: SnapshotHead; readonly state: Uint8Array | readonly StatePair[] };

interface StoredCheckpoint extends LogPosition {
  readonly state: Uint8Array;
}

const keyOf = (key: Uint8Array): string => Buffer.from(key).toString('latin1');

export class GroupImage {
  readonly header: GroupHeader;
  hardState: HardState = { term: termZero, vote: null, commit: indexZero };
  /** What precedes the first entry that is still there. */
  before: LogPosition;
  entries: Entry[] = [];
  logStart: Offset = offsetZero;
  terms: TermStart[] = [];
  configurations: { readonly index: LogIndex; readonly payload: Uint8Array }[] = [];
  /** Ascending; the log of a data group begins after one of them, or at the very beginning (log-9). */
  checkpoints: readonly StoredCheckpoint[] = [];
  appliedIndex: LogIndex = indexZero;
  state = new Map<string, StatePair>();
  /** After the last entry. */
  last: LogPosition;

  constructor(header: GroupHeader, genesisChain: number) {
    this.header = header;
    const nothing = { maxTimestampMs: null, payloadBytes: 0, appendTimeMs: toMillis(0) };
    this.before = { index: indexZero, term: termZero, endOffset: offsetZero, chain: genesisChain, ...nothing };
    this.last = this.before;
  }

  get firstIndex(): LogIndex {
    return nextIndex(this.before.index);
  }

  get checkpoint(): Checkpoint | null {
    return this.checkpoints.at(-1) ?? null;
  }

  at(index: LogIndex): Entry | undefined {
    return this.entries[index - this.firstIndex];
  }

  /** What retention looks at. */
  get marks(): readonly EntryMark[] {
    let payloadBytesThrough = this.before.payloadBytes;
    return this.entries.map((entry) => {
      payloadBytesThrough += entry.payload.length;
      const { index, baseOffset, appendTimeMs } = entry;
      return { index, baseOffset, endOffset: entryEndOffset(entry), appendTimeMs, payloadBytesThrough };
    });
  }

  payloadBytesThrough(index: LogIndex): number | null {
    if (index === this.before.index) return this.before.payloadBytes;
    return this.marks[index - this.firstIndex]?.payloadBytesThrough ?? null;
  }

  apply(operation: DiskOperation): void {
    switch (operation.kind) {
      case 'write':
        this.#write(operation.write);
        return;
      case 'log-start':
        if (operation.logStart > this.logStart) this.logStart = operation.logStart;
        this.#removeBelowLogStart(operation.needed);
        return;
      case 'checkpoint':
        this.#keepCheckpoint(operation.checkpoint);
        this.#removeBelowLogStart(operation.needed);
        return;
      case 'state':
        this.#state(operation.applied, operation.changes);
        return;
      case 'compact':
        this.#dropThrough(operation.through);
        return;
      case 'unseen':
        return;
      case 'install':
        this.#install(operation.head, operation.state);
        return;
    }
  }

  /** What a replica needs that lacks the beginning of this log; null: nothing. */
  snapshot(crc32c: Crc32c): LogSnapshot | null {
    const isData = this.header.kind === 'data';
    const position = isData ? this.before : this.#positionAt(this.appliedIndex);
    if (position.index === indexZero) return null;
    const head = {
      position,
      logStart: isData ? this.logStart : position.endOffset,
      configuration:
        this.configurations.findLast(({ index }) => index <= position.index)?.payload ?? this.header.genesis,
      terms: this.terms.filter(({ startIndex }) => startIndex <= position.index).slice(-1),
    };
    const state = isData ? this.#baseState() : Buffer.concat([streamHead(), encodePairs(this.pairs)]);
    return snapshotOf(head, state, crc32c);
  }

  /** The state keys, ascending. */
  get pairs(): readonly StatePair[] {
    return [...this.state.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, pair]) => pair);
  }

  /** A copy that later operations do not reach; entries are shared, for they never change. */
  clone(): GroupImage {
    const copy = new GroupImage(this.header, 0);
    copy.hardState = this.hardState;
    copy.before = this.before;
    copy.last = this.last;
    copy.entries = [...this.entries];
    copy.logStart = this.logStart;
    copy.terms = [...this.terms];
    copy.configurations = [...this.configurations];
    copy.checkpoints = this.checkpoints;
    copy.appliedIndex = this.appliedIndex;
    copy.state = new Map(this.state);
    return copy;
  }

  #write({ hardState, truncateAfter, entries }: LogWrite): void {
    if (hardState !== null) {
      // what the log begins after is committed, also for a caller that has not heard of the snapshot yet
      this.hardState = hardState.commit < this.before.index ? { ...hardState, commit: this.before.index } : hardState;
    }
    if (truncateAfter !== null) this.#truncate(truncateAfter);
    for (const entry of entries) {
      if (this.terms.at(-1)?.term !== entry.term) {
        this.terms.push({ term: entry.term, startIndex: entry.index, startOffset: entry.baseOffset });
      }
      if (entry.kind === 'configuration') this.configurations.push({ index: entry.index, payload: entry.payload });
      this.entries.push(entry);
      this.last = positionAfter(this.last, entry);
    }
  }

  #truncate(after: LogIndex): void {
    this.last = this.#positionAt(after);
    this.entries.length = Math.max(0, after - this.before.index);
    this.terms = this.terms.filter(({ startIndex }) => startIndex <= after);
    this.configurations = this.configurations.filter(({ index }) => index <= after);
  }

  #state(applied: LogIndex, changes: readonly StateChange[]): void {
    this.appliedIndex = applied;
    for (const change of changes) {
      if (change.kind === 'put') this.state.set(keyOf(change.key), { key: change.key, value: change.value });
      else this.state.delete(keyOf(change.key));
    }
  }

  #keepCheckpoint({ index, state }: Checkpoint): void {
    const newest = this.checkpoints.at(-1)?.index ?? 0;
    if (index <= newest || index < this.before.index) return;
    const kept = thinned([...this.checkpoints, { ...this.#positionAt(index), state }]);
    this.checkpoints = kept as readonly StoredCheckpoint[];
  }

  /** Something below the log start could be removed. */
  isRemovable(needed: HoldBack | null): boolean {
    const base = removableThrough(this.checkpoints, this.logStart, needed, this.last.payloadBytes);
    return base !== null && base.index > this.before.index;
  }

  #removeBelowLogStart(needed: HoldBack | null): void {
    const base = removableThrough(this.checkpoints, this.logStart, needed, this.last.payloadBytes);
    if (base === null || base.index <= this.before.index) return;
    this.#dropThrough(base.index);
    this.checkpoints = this.checkpoints.filter(({ index }) => index >= base.index);
  }

  #dropThrough(index: LogIndex): void {
    if (index <= this.before.index) return;
    const base = this.#positionAt(index);
    this.entries = this.entries.slice(index - this.before.index);
    this.before = base;
    while ((this.terms[1]?.startIndex ?? Infinity) <= index) this.terms.shift();
    while ((this.configurations[1]?.index ?? Infinity) <= index) this.configurations.shift();
  }

  #positionAt(index: LogIndex): LogPosition {
    return this.entries.slice(0, Math.max(0, index - this.before.index)).reduce(positionAfter, this.before);
  }

  #baseState(): Uint8Array {
    const base = this.checkpoints.find(({ index }) => index === this.before.index);
    if (base === undefined) throw new Error(`log-9: the log of group ${this.header.group} begins after no checkpoint`);
    return base.state;
  }

  #install({ position, configuration, terms }: SnapshotHead, state: Uint8Array | readonly StatePair[]): void {
    const { index } = position;
    assert(index >= Math.max(this.hardState.commit, this.appliedIndex), 'log-6: nothing committed is taken back');
    assert(index > this.before.index && position.endOffset >= this.logStart, 'log-12: a snapshot is ahead');
    assert(position.term <= this.hardState.term, 'log-6: no entry is of a later term than the hard state');
    this.hardState = { ...this.hardState, commit: index };
    this.before = position;
    this.last = position;
    this.entries = [];
    this.logStart = position.endOffset;
    this.terms = [...terms];
    this.configurations = configuration.length === 0 ? [] : [{ index, payload: configuration }];
    this.checkpoints = state instanceof Uint8Array ? [{ ...position, state }] : [];
    if (state instanceof Uint8Array) return;
    this.appliedIndex = index;
    this.state = new Map(state.map((pair) => [keyOf(pair.key), pair]));
  }
}
