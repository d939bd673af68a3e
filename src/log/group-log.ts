/**
 * The durable log of one Raft group (log.ts) on the store. What callers see changes at once, in memory; the store
 * follows in the order of the calls. What the store does not have yet is in the tail cache (log-8), so a read looks
 * there first and then at the store, but never at the store for entries that are not durable: what a truncation in
 * flight will delete is still stored there.
 */
import { assert, must } from '../model/assert.ts';
import type { Crc32c } from '../model/crc32c.ts';
import type { Entry } from '../model/entry.ts';
import type { LogIndex, Millis, Offset, Term } from '../model/ids.ts';
import { indexZero, nextIndex, toLogIndex } from '../model/ids.ts';
import type { HardState, StateChange, StatePair, TermStart } from '../model/raft-state.ts';
import { removableThrough, thinned } from './checkpoints.ts';
import { positionOf } from './entry-codec.ts';
import type { ReadableLog } from './entry-reads.ts';
import { EntryReads } from './entry-reads.ts';
import type { GarbageMeter } from './garbage-meter.ts';
import { appliedIndexCodec, checkpointListCodec, hardStateCodec, logStartCodec, opaqueCodec } from './group-records.ts';
import { GroupKeys, keyTags } from './keys.ts';
import type { Checkpoint, GroupHeader, GroupLog, HoldBack, LogSnapshot, LogWrite, LogWriteDone } from './log.ts';
import type { SnapshotHead, SnapshotReceipt } from './log.ts';
import { LogChanges } from './log-changes.ts';
import type { LogPosition } from './log-position.ts';
import { recoverLog, type RecoveredLog } from './log-recovery.ts';
import { LogShape, type ConfigurationEntry } from './log-shape.ts';
import type { EntryMark } from './reader.ts';
import { LogCorruption } from './reader.ts';
import { snapshotOf, snapshotOfView } from './snapshot-export.ts';
import { checkHead, SnapshotImport } from './snapshot-import.ts';
import { SparseIndex } from './sparse-index.ts';
import { StateKeys } from './state-keys.ts';
import type { Store } from './store.ts';
import { StoredEntries } from './stored-entries.ts';
import { payloadBytesByBuffer, TailCache } from './tail-cache.ts';
import type { TailCacheBudget } from './tail-cache-budget.ts';

/** What all logs of a broker share. */
export interface LogResources {
  readonly store: Store;
  readonly crc32c: Crc32c;
  /** Memory of the tail caches. */
  readonly cache: TailCacheBudget;
  /** Counts what the sweep may give back. */
  readonly garbage: GarbageMeter;
}

/** An append on its way to the disk. */
interface PendingAppend {
  /** Last index it makes durable; falls when a later truncation takes entries of it away. */
  durableThrough: LogIndex;
}

export class DurableGroupLog implements GroupLog, ReadableLog {
  readonly header: GroupHeader;
  readonly #store: Store;
  readonly #crc32c: Crc32c;
  readonly #garbage: GarbageMeter;
  readonly #keys: GroupKeys;
  readonly #entries: StoredEntries;
  readonly #state: StateKeys;
  #shape: LogShape;
  readonly #sparse: SparseIndex;
  readonly #cache: TailCache;
  readonly #pending: PendingAppend[] = [];
  readonly #reads: EntryReads;
  /** Invariant: never falls, and lies at or below the end offset (log-4). */
  #logStart: Offset;
  #appliedIndex: LogIndex;
  /** Ascending. Invariant: log-9: the log of a data group begins after one of them, or at the very beginning (D6). */
  #checkpoints: readonly LogPosition[];
  /** What stays for a follower although it lies below the log start. */
  #needed: HoldBack | null = null;
  /** The snapshot that comes in. */
  #import: SnapshotImport | null = null;
  /** Rises whenever entries go away or are hidden: what was read meanwhile is read again (log-2). */
  #shrinkCount = 0;
  #newestWrite: Promise<unknown> = Promise.resolve();
  #removed = false;

  private constructor(header: GroupHeader, recovered: RecoveredLog, parts: LogResources & LogParts) {
    this.header = header;
    this.#store = parts.store;
    this.#crc32c = parts.crc32c;
    this.#garbage = parts.garbage;
    this.#keys = parts.keys;
    this.#entries = parts.entries;
    this.#state = new StateKeys(parts.keys, recovered.stateTag, recovered.isStateStaged ? 'leftover' : 'empty');
    this.#shape = new LogShape(recovered, parts.crc32c);
    this.#sparse = new SparseIndex(this.#shape.tail.maxTimestampMs);
    this.#cache = new TailCache(parts.cache, this.#shape.tail.index);
    this.#logStart = recovered.logStart;
    this.#appliedIndex = recovered.appliedIndex;
    this.#checkpoints = recovered.checkpoints;
    this.#garbage.stored(this.payloadBytes);
    this.#reads = new EntryReads(this, this.#entries, this.#cache);
  }

  /** @throws LogCorruption */
  static async open(header: GroupHeader, resources: LogResources): Promise<DurableGroupLog> {
    const { store, crc32c } = resources;
    const keys = new GroupKeys(header.group);
    const entries = new StoredEntries(store, keys, crc32c);
    const recovered = await recoverLog(store, keys, header, entries, crc32c);
    return new DurableGroupLog(header, recovered, { ...resources, keys, entries });
  }

  get hardState(): HardState {
    return this.#shape.hardState;
  }
  get firstIndex(): LogIndex {
    return nextIndex(this.#shape.base.index);
  }
  get lastIndex(): LogIndex {
    return this.#shape.tail.index;
  }
  get lastTerm(): Term {
    return this.#shape.tail.term;
  }
  get lastChain(): number {
    return this.#shape.tail.chain;
  }
  get baseChain(): number {
    return this.#shape.base.chain;
  }
  get lastAppendTimeMs(): Millis {
    return this.#shape.tail.appendTimeMs;
  }
  get endOffset(): Offset {
    return this.#shape.tail.endOffset;
  }
  get logStart(): Offset {
    return this.#logStart;
  }
  /** Payload bytes of the entries in the log. */
  get payloadBytes(): number {
    return this.#shape.tail.payloadBytes - this.#shape.base.payloadBytes;
  }
  get terms(): readonly TermStart[] {
    return this.#shape.terms;
  }
  get configurations(): readonly ConfigurationEntry[] {
    return this.#shape.configurations;
  }
  get appliedIndex(): LogIndex {
    return this.#appliedIndex;
  }
  // What only its parts look at.
  get tail(): LogPosition {
    return this.#shape.tail;
  }
  get shrinkCount(): number {
    return this.#shrinkCount;
  }
  get isRemoved(): boolean {
    return this.#removed;
  }
  get newestWrite(): Promise<unknown> {
    return this.#newestWrite;
  }

  termAt(index: LogIndex): Term | null {
    return this.#shape.termAt(index);
  }

  // Writing.

  async append(write: LogWrite): Promise<LogWriteDone> {
    const changes = this.#changes();
    if (write.truncateAfter !== null) this.#truncateAfter(write.truncateAfter, changes);
    const held = payloadBytesByBuffer(write.entries);
    for (const entry of write.entries) this.#appendEntry(entry, held.get(entry.payload.buffer), changes);
    this.#replaceHardState(write.hardState, changes);
    const { index: lastIndex, term: lastTerm } = this.#shape.tail;
    const pending = { durableThrough: lastIndex };
    this.#pending.push(pending);
    const writeNumber = await this.#write(changes);
    assert(this.#pending.shift() === pending, 'log-1: appends become durable in their order');
    this.#cache.markDurable(pending.durableThrough);
    return { lastIndex, lastTerm, writeNumber };
  }

  /** @param heldBytes see TailCache */
  #appendEntry(entry: Entry, heldBytes: number | undefined, changes: LogChanges): void {
    const startsTerm = this.#shape.append(entry);
    const kept = this.#cache.push(entry, heldBytes);
    changes.appendEntry(kept, this.#shape.tail, startsTerm, this.#sparse);
    this.#garbage.stored(entry.payload.length);
  }

  #truncateAfter(index: LogIndex, changes: LogChanges): void {
    const from = this.#shape.tail;
    assert(index <= from.index, 'log-4: truncation stays within the log', `${index}`);
    if (index === from.index) return;
    const to = this.#shape.truncateAfter(index);
    assert(to.endOffset >= this.#logStart, 'log-4: the log start lies within the log', `${this.#logStart}`);
    changes.truncate(from, to);
    this.#cache.truncateAfter(index);
    this.#sparse.reset(to.maxTimestampMs);
    for (const pending of this.#pending) {
      if (pending.durableThrough > index) pending.durableThrough = index;
    }
    this.#garbage.dropped(from.payloadBytes - to.payloadBytes);
    this.#shrinkCount++;
  }

  /** Also when nothing else changes: an append always writes something, so that it has its place in the order. */
  #replaceHardState(hardState: HardState | null, changes: LogChanges): void {
    // what the log begins after is committed, also for a caller that has not heard of the snapshot yet
    const commit = toLogIndex(Math.max(hardState?.commit ?? 0, this.#shape.base.index));
    if (hardState !== null) this.#shape.replaceHardState({ ...hardState, commit });
    const { term } = this.#shape.hardState;
    assert(term >= this.lastTerm, 'log-6: no entry is of a later term than the hard state', `${this.lastTerm}`);
    if (hardState === null && changes.list.length > 0) return;
    changes.put(this.#keys.single(keyTags.hardState), this.#shape.hardState, hardStateCodec);
  }

  async moveLogStart(logStart: Offset): Promise<void> {
    assert(this.header.kind === 'data', 'log-4: only the log of a data group has a visible start');
    assert(logStart <= this.endOffset, 'log-4: the log start lies within the log', `${logStart}`);
    if (logStart <= this.#logStart) return;
    this.#logStart = logStart;
    this.#shrinkCount++;
    const changes = this.#changes();
    this.#removeBelowLogStart(changes);
    this.#putLogStart(changes);
    await this.#write(changes);
  }

  /** Moves the base to the newest checkpoint below the log start, if there is one, and lets older checkpoints go. */
  #removeBelowLogStart(changes: LogChanges): void {
    const base = this.#removable;
    if (base === null) return;
    this.#removeThrough(base, changes);
    const kept = this.#checkpoints.filter(({ index }) => index >= base.index);
    this.#keepCheckpoints(kept, changes);
  }

  /** The checkpoint that the log could begin after; null: no later one than now. */
  get #removable(): LogPosition | null {
    const { base, tail } = this.#shape;
    const found = removableThrough(this.#checkpoints, this.#logStart, this.#needed, tail.payloadBytes);
    return found !== null && found.index > base.index ? found : null;
  }

  #removeThrough(base: LogPosition, changes: LogChanges): void {
    const from = this.#shape.base;
    const { terms, configurations } = this.#shape;
    this.#shape.dropThrough(base);
    const firstTerm = this.#shape.terms === terms ? null : (this.#shape.terms[0]?.startIndex ?? null);
    const firstConfiguration =
      this.#shape.configurations === configurations ? null : (this.#shape.configurations[0]?.index ?? null);
    changes.removePrefix(from, base, firstTerm, firstConfiguration);
    this.#cache.dropBefore(nextIndex(base.index));
    this.#garbage.dropped(base.payloadBytes - from.payloadBytes);
    this.#shrinkCount++;
  }

  #putLogStart(changes: LogChanges): void {
    const value = { logStart: this.#logStart, base: this.#shape.base };
    changes.put(this.#keys.single(keyTags.logStart), value, logStartCodec);
  }

  // Checkpoints of a data group.

  async saveCheckpoint(checkpoint: Checkpoint): Promise<void> {
    assert(this.header.kind === 'data', 'log-10: only a data group has checkpoints');
    assert(checkpoint.index <= this.lastIndex, 'log-10: a checkpoint lies within the log', `${checkpoint.index}`);
    const position = await this.#positionAt(checkpoint.index);
    const newest = this.#checkpoints.at(-1);
    if (position === null || this.#removed || (newest !== undefined && checkpoint.index <= newest.index)) return;
    const changes = this.#changes();
    changes.put(this.#checkpointKey(checkpoint.index), checkpoint.state, opaqueCodec);
    this.#keepCheckpoints(thinned([...this.#checkpoints, position]), changes);
    this.#removeBelowLogStart(changes);
    this.#putLogStart(changes);
    await this.#write(changes);
  }

  async loadCheckpoint(): Promise<Checkpoint | null> {
    await this.#newestWrite;
    const newest = this.#checkpoints.at(-1);
    if (newest === undefined) return null;
    const state = await this.#stateAt(newest.index);
    return state === null ? this.loadCheckpoint() : { index: newest.index, state };
  }

  /** The state of the checkpoint at `index`; null: it was dropped meanwhile. */
  async #stateAt(index: LogIndex): Promise<Uint8Array | null> {
    const key = this.#checkpointKey(index);
    const value = await this.#store.get(key);
    if (value !== null) return opaqueCodec.decode({ key, value }, this.#crc32c);
    if (!this.#checkpoints.some((position) => position.index === index)) return null;
    throw this.#corruption(`the checkpoint at entry ${index} is missing`);
  }

  #keepCheckpoints(kept: readonly LogPosition[], changes: LogChanges): void {
    for (const { index } of this.#checkpoints) {
      if (!kept.some((position) => position.index === index)) changes.deleteKey(this.#checkpointKey(index));
    }
    this.#checkpoints = kept;
    changes.put(this.#keys.single(keyTags.checkpointList), kept, checkpointListCodec);
  }

  #checkpointKey(index: LogIndex): Uint8Array {
    return this.#keys.numbered(keyTags.checkpoint, index);
  }

  // State of a commands group.

  async writeState(applied: LogIndex, changes: readonly StateChange[]): Promise<void> {
    assert(this.header.kind === 'commands', 'log-10: only a commands group has state keys');
    assert(applied > this.#appliedIndex, 'log-10: the applied index rises', `${applied}`);
    assert(applied <= this.lastIndex, 'log-10: what is applied is in the log', `${applied}`);
    this.#appliedIndex = applied;
    const write = this.#changes();
    this.#state.change(changes, write);
    write.put(this.#keys.single(keyTags.appliedIndex), applied, appliedIndexCodec);
    await this.#write(write);
  }

  async *readState(): AsyncGenerator<readonly StatePair[]> {
    await this.#newestWrite;
    const applied = this.#appliedIndex;
    for await (const page of this.#state.pages(this.#store)) {
      assert(applied === this.#appliedIndex, 'log-10: state is read before it goes on changing');
      yield page;
    }
  }

  async compactThrough(index: LogIndex): Promise<void> {
    assert(this.header.kind === 'commands', 'log-10: the log of a data group is removed with its log start');
    assert(index <= this.#appliedIndex, 'log-10: only what is applied is dropped', `${index}`);
    if (index <= this.#shape.base.index) return;
    const base = await this.#positionAt(index);
    if (base === null || this.#removed || index <= this.#shape.base.index) return;
    const changes = this.#changes();
    this.#removeThrough(base, changes);
    this.#putLogStart(changes);
    await this.#write(changes);
  }

  /** Position after an entry that is committed; null: it, or the whole log, was removed meanwhile. */
  async #positionAt(index: LogIndex): Promise<LogPosition | null> {
    return this.#reads.unlessShrunk<LogPosition | null>(null, async () => {
      const known = this.#shape.positionAt(index);
      if (known !== null || index < this.firstIndex) return known;
      await this.#newestWrite;
      const [stored] = await this.#entries.metadata(index, index);
      return positionOf(must(stored, 'metadata() answers with what was asked for'));
    });
  }

  // Snapshots.

  async holdBack(needed: HoldBack | null): Promise<void> {
    this.#needed = needed;
    if (this.#removed || this.#removable === null) return;
    const changes = this.#changes();
    this.#removeBelowLogStart(changes);
    this.#putLogStart(changes);
    await this.#write(changes);
  }

  async openSnapshot(): Promise<LogSnapshot | null> {
    if (this.header.kind === 'data') return this.#reads.unlessShrunk(null, () => this.#openCheckpoint());
    await this.#newestWrite; // then the view is not behind the base of the log
    return snapshotOfView(this.#store.view(), this.#keys, this.header, this.#crc32c);
  }

  /** The state at the log's base, which every replica needs that is behind it (log-9). */
  async #openCheckpoint(): Promise<LogSnapshot | null> {
    const { base, terms, configurations } = this.#shape;
    if (base.index === indexZero) return null;
    await this.#newestWrite;
    const state = await this.#stateAt(base.index);
    if (state === null) return null; // the base moved meanwhile: tried again
    const head = {
      position: base,
      logStart: this.#logStart,
      configuration: configurations.findLast(({ index }) => index <= base.index)?.payload ?? this.header.genesis,
      terms: terms.filter(({ startIndex }) => startIndex <= base.index).slice(-1),
    };
    return snapshotOf(head, state, this.#crc32c);
  }

  receiveSnapshot(head: SnapshotHead): SnapshotReceipt {
    checkHead(this.header.kind, head);
    this.#import?.abandon();
    let begun = false;
    const target = {
      stage: (pairs: readonly StatePair[]): Promise<unknown> => {
        const changes = this.#changes();
        if (!begun) this.#state.beginStaging(changes);
        begun = true;
        this.#state.stage(pairs, changes);
        return this.#store.write(changes.list);
      },
      install: (installed: SnapshotHead, state: Uint8Array | null) => this.#install(installed, state),
      abandoned: () => {
        if (this.header.kind === 'commands') this.#state.abandonStaged();
        this.#import = null;
      },
    };
    this.#import = new SnapshotImport(this.header.kind, head, target, this.#crc32c);
    return this.#import;
  }

  /** log-12: everything that was here goes, and what the snapshot stands for comes, in one write. */
  async #install(head: SnapshotHead, state: Uint8Array | null): Promise<void> {
    const changes = this.#changes();
    this.#beginAfter(head, changes);
    if (state === null) {
      this.#state.adoptStaged(changes);
      this.#appliedIndex = head.position.index;
      changes.put(this.#keys.single(keyTags.appliedIndex), this.#appliedIndex, appliedIndexCodec);
    } else {
      changes.put(this.#checkpointKey(head.position.index), state, opaqueCodec);
      this.#keepCheckpoints([head.position], changes);
    }
    this.#import = null;
    await this.#write(changes);
  }

  #beginAfter({ position, configuration, terms }: SnapshotHead, changes: LogChanges): void {
    const { hardState } = this.#shape;
    const at = `${position.index}`;
    assert(position.endOffset >= this.#logStart, 'log-4: the log start never falls', at);
    assert(position.index > this.#shape.base.index, 'log-12: a snapshot is ahead of the one before', at);
    assert(
      position.index >= Math.max(hardState.commit, this.#appliedIndex),
      'log-6: nothing committed is taken back',
      at,
    );
    assert(position.term <= hardState.term, 'log-6: no entry is of a later term than the hard state', at);
    const { index } = position;
    const configurations = configuration.length === 0 ? [] : [{ index, payload: configuration }];
    this.#garbage.dropped(this.payloadBytes);
    const start = { base: position, hardState: { ...hardState, commit: index }, positions: [position] };
    this.#shape = new LogShape({ ...start, terms, configurations }, this.#crc32c);
    this.#logStart = position.endOffset;
    this.#checkpoints = [];
    this.#cache.restartAfter(index);
    this.#sparse.reset(position.maxTimestampMs);
    for (const pending of this.#pending) pending.durableThrough = toLogIndex(Math.min(pending.durableThrough, index));
    this.#shrinkCount++;
    changes.replaceAll(start.hardState, terms, configurations);
    this.#putLogStart(changes);
  }

  // Reading.

  readFromCache(from: Offset, below: Offset, bytesMax: number): readonly Entry[] | null {
    return this.#reads.readFromCache(from, below, bytesMax);
  }

  readFrom(from: Offset, below: Offset, bytesMax: number): Promise<readonly Entry[]> {
    return this.#reads.readFrom(from, below, bytesMax);
  }

  readEntriesFromCache(from: LogIndex, through: LogIndex, bytesMax: number): readonly Entry[] | null {
    return this.#reads.readEntriesFromCache(from, through, bytesMax);
  }

  readEntries(from: LogIndex, through: LogIndex, bytesMax: number): Promise<readonly Entry[]> {
    return this.#reads.readEntries(from, through, bytesMax);
  }

  findByTimestamp(timestampMs: Millis, below: Offset): Promise<Entry | null> {
    return this.#reads.findByTimestamp(timestampMs, below);
  }

  firstEntry(through: LogIndex, holds: (entry: EntryMark) => boolean): Promise<EntryMark | null> {
    return this.#reads.firstEntry(through, holds);
  }

  payloadBytesThrough(index: LogIndex): number | null {
    return this.#shape.positionAt(index)?.payloadBytes ?? null;
  }

  // Life and death.

  /** Deletes everything of the group, and the header under `headerKey`, in one write. For GroupLogs only. */
  remove(headerKey: Uint8Array): Promise<number> {
    const changes = this.#changes();
    changes.deleteRange(this.#keys.all());
    changes.deleteKey(headerKey);
    this.#garbage.dropped(this.payloadBytes);
    this.#cache.dropBefore(nextIndex(this.lastIndex));
    const written = this.#write(changes);
    this.#removed = true;
    this.#shrinkCount++;
    return written;
  }

  #changes(): LogChanges {
    assert(!this.#removed, 'log-11: a removed log is not used any more', `group ${this.header.group}`);
    return new LogChanges(this.#keys, this.#crc32c);
  }

  #write(changes: LogChanges): Promise<number> {
    const written = this.#store.write(changes.list);
    this.#newestWrite = written;
    return written;
  }

  #corruption(what: string): LogCorruption {
    return new LogCorruption(`group ${this.header.group}: ${what}`);
  }
}

/** What open() prepared. */
interface LogParts {
  readonly keys: GroupKeys;
  readonly entries: StoredEntries;
}
