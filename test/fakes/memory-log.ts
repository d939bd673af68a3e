/**
 * A group log in memory whose durability the test commands: `hold` keeps writes from becoming durable until `release`,
 * `crash` gives what a restart would find. Behaves as src/log/log.ts says; checks entry-1 on every append.
 */
import assert from 'node:assert/strict';
import { chainGenesis, entryEndOffset } from '../../src/model/entry.ts';
import type { Entry } from '../../src/model/entry.ts';
import type { GroupNumber, LogIndex, Millis, Offset, Term } from '../../src/model/ids.ts';
import type { HardState, StateChange, StatePair, TermStart } from '../../src/model/raft-state.ts';
import type { Checkpoint, GroupHeader, GroupLog, GroupLogs, HoldBack, LogSnapshot } from '../../src/log/log.ts';
import type { LogWrite, LogWriteDone, SnapshotHead, SnapshotReceipt } from '../../src/log/log.ts';
import type { EntryMark } from '../../src/log/reader.ts';
import { LogCorruption } from '../../src/log/reader.ts';
import { checkHead, SnapshotImport } from '../../src/log/snapshot-import.ts';
import { crc32c } from '../../src/runtime/crc32c.ts';
import type { DiskOperation } from '../sim/group-image.ts';
import { GroupImage } from '../sim/group-image.ts';

interface HeldWrite {
  readonly image: GroupImage;
  readonly finish: () => void;
}

export class MemoryLog implements GroupLog {
  readonly header: GroupHeader;
  /** What was written, and what of it is durable. Replaced, never changed. */
  #image: GroupImage;
  #synced: GroupImage;
  #held: HeldWrite[] | null = null;
  #writeNumber = 0;
  #needed: HoldBack | null = null;
  #import: SnapshotImport | null = null;
  /** Fails the next write with this error. */
  failNext: Error | null = null;
  /** True: nothing is found in the cache. */
  cold = false;
  /** Set: reads of entries reject as damaged. */
  damaged = false;
  /** Set: what a snapshot that is opened says of itself. */
  falsify: ((snapshot: LogSnapshot) => LogSnapshot) | null = null;
  /** Calls of append, for tests that count writes. */
  readonly writes: LogWrite[] = [];
  /** Snapshots that were opened and not closed. */
  snapshotsOpen = 0;

  constructor(header: GroupHeader, image = new GroupImage(header, chainGenesis(header, crc32c))) {
    this.header = header;
    this.#image = image;
    this.#synced = image;
  }

  /** From now on writes wait. */
  hold(): void {
    this.#held ??= [];
  }

  /** Lets `count` held writes become durable; all of them and what follows without a count. */
  release(count = Infinity): void {
    const held = this.#held ?? [];
    if (count === Infinity) this.#held = null;
    for (const write of held.splice(0, count)) write.finish();
  }

  /** What a restart finds: everything that was durable. */
  crash(): MemoryLog {
    return new MemoryLog(this.header, this.#synced);
  }

  get heldWrites(): number {
    return this.#held?.length ?? 0;
  }
  get hardState(): HardState {
    return this.#image.hardState;
  }
  get firstIndex(): LogIndex {
    return this.#image.firstIndex;
  }
  get lastIndex(): LogIndex {
    return this.#image.last.index;
  }
  get lastTerm(): Term {
    return this.#image.last.term;
  }
  get lastChain(): number {
    return this.#image.last.chain;
  }
  get baseChain(): number {
    return this.#image.before.chain;
  }
  get lastAppendTimeMs(): Millis {
    return this.#image.last.appendTimeMs;
  }
  get endOffset(): Offset {
    return this.#image.last.endOffset;
  }
  get payloadBytes(): number {
    return this.#image.last.payloadBytes - this.#image.before.payloadBytes;
  }
  get logStart(): Offset {
    return this.#image.logStart;
  }
  get appliedIndex(): LogIndex {
    return this.#image.appliedIndex;
  }
  get terms(): readonly TermStart[] {
    return this.#image.terms;
  }
  get configurations(): readonly { readonly index: LogIndex; readonly payload: Uint8Array }[] {
    return this.#image.configurations;
  }

  termAt(index: LogIndex): Term | null {
    if (index === this.#image.before.index) return this.#image.before.term;
    return this.#image.at(index)?.term ?? null;
  }

  append(write: LogWrite): Promise<LogWriteDone> {
    this.writes.push(write);
    const done = this.#write({ kind: 'write', write });
    const first = this.#image.firstIndex;
    this.#image.entries.forEach((entry, i) => {
      assert.equal(entry.index, first + i, 'entries follow each other');
    });
    const { lastIndex, lastTerm } = this;
    const writeNumber = ++this.#writeNumber;
    return done.then(() => ({ lastIndex, lastTerm, writeNumber }));
  }

  moveLogStart(logStart: Offset): Promise<void> {
    return this.#write({ kind: 'log-start', logStart, needed: this.#needed });
  }

  saveCheckpoint(checkpoint: Checkpoint): Promise<void> {
    return this.#write({ kind: 'checkpoint', checkpoint, needed: this.#needed });
  }

  loadCheckpoint(): Promise<Checkpoint | null> {
    return Promise.resolve(this.#image.checkpoint);
  }

  writeState(applied: LogIndex, changes: readonly StateChange[]): Promise<void> {
    assert.ok(applied > this.appliedIndex, 'the applied index rises');
    return this.#write({ kind: 'state', applied, changes });
  }

  compactThrough(through: LogIndex): Promise<void> {
    assert.ok(through <= this.appliedIndex, 'only what the state stands for is dropped');
    return this.#write({ kind: 'compact', through });
  }

  async *readState(): AsyncIterable<readonly StatePair[]> {
    await Promise.resolve();
    if (this.#image.pairs.length > 0) yield this.#image.pairs;
  }

  async holdBack(needed: HoldBack | null): Promise<void> {
    this.#needed = needed;
    if (this.#image.isRemovable(needed)) await this.#write({ kind: 'log-start', logStart: this.logStart, needed });
  }

  openSnapshot(): Promise<LogSnapshot | null> {
    const snapshot = this.#image.snapshot(crc32c);
    if (snapshot === null) return Promise.resolve(null);
    this.snapshotsOpen++;
    const counted = {
      ...snapshot,
      close: () => {
        this.snapshotsOpen--;
        return Promise.resolve();
      },
    };
    return Promise.resolve(this.falsify?.(counted) ?? counted);
  }

  receiveSnapshot(head: SnapshotHead): SnapshotReceipt {
    checkHead(this.header.kind, head);
    this.#import?.abandon();
    const staged: StatePair[] = [];
    const target = {
      stage: (pairs: readonly StatePair[]) => {
        staged.push(...pairs);
        return this.#write({ kind: 'unseen' });
      },
      install: (installed: SnapshotHead, state: Uint8Array | null) => {
        assert.ok(installed.position.index >= this.hardState.commit, 'nothing committed is taken back');
        return this.#write({ kind: 'install', head: installed, state: state ?? staged });
      },
      abandoned: () => undefined,
    };
    this.#import = new SnapshotImport(this.header.kind, head, target, crc32c);
    return this.#import;
  }

  readFromCache(from: Offset, below: Offset, bytesMax: number): readonly Entry[] | null {
    if (this.cold) return null;
    const hits = this.#image.entries.filter((entry) => entry.baseOffset < below && entryEndOffset(entry) > from);
    return upTo(hits, bytesMax);
  }

  readEntriesFromCache(from: LogIndex, through: LogIndex, bytesMax: number): readonly Entry[] | null {
    if (this.cold || from < this.firstIndex || from > this.lastIndex) return null;
    return upTo(
      this.#image.entries.filter((entry) => entry.index >= from && entry.index <= through),
      bytesMax,
    );
  }

  readFrom(from: Offset, below: Offset, bytesMax: number): Promise<readonly Entry[]> {
    const hits = this.#image.entries.filter((entry) => entry.baseOffset < below && entryEndOffset(entry) > from);
    return Promise.resolve(upTo(hits, bytesMax));
  }

  readEntries(from: LogIndex, through: LogIndex, bytesMax: number): Promise<readonly Entry[]> {
    if (this.damaged) return Promise.reject(new LogCorruption('an entry does not match its checksum'));
    const hits = this.#image.entries.filter((entry) => entry.index >= from && entry.index <= through);
    return Promise.resolve(upTo(hits, bytesMax));
  }

  findByTimestamp(): Promise<Entry | null> {
    return Promise.resolve(null);
  }

  firstEntry(through: LogIndex, holds: (entry: EntryMark) => boolean): Promise<EntryMark | null> {
    return Promise.resolve(this.#image.marks.find((mark) => mark.index <= through && holds(mark)) ?? null);
  }

  payloadBytesThrough(index: LogIndex): number | null {
    return this.#image.payloadBytesThrough(index);
  }

  #write(operation: DiskOperation): Promise<void> {
    if (this.failNext !== null) {
      const error = this.failNext;
      this.failNext = null;
      return Promise.reject(error);
    }
    const image = this.#image.clone();
    image.apply(operation);
    this.#image = image;
    return new Promise((resolve) => {
      const finish = (): void => {
        this.#synced = image;
        resolve();
      };
      if (this.#held === null) finish();
      else this.#held.push({ image, finish });
    });
  }
}

function upTo(entries: readonly Entry[], bytesMax: number): readonly Entry[] {
  let bytes = 0;
  const end = entries.findIndex((entry, i) => {
    bytes += entry.payload.length;
    return i > 0 && bytes > bytesMax;
  });
  return end === -1 ? entries : entries.slice(0, end);
}

export class MemoryLogs implements GroupLogs {
  readonly logs = new Map<GroupNumber, MemoryLog>();
  /** Set: opening rejects as damaged. */
  readonly damaged = new Set<GroupNumber>();

  list(): Promise<readonly GroupHeader[]> {
    return Promise.resolve([...this.logs.values()].map((log) => log.header));
  }

  create(header: GroupHeader): Promise<MemoryLog> {
    assert.ok(!this.logs.has(header.group), 'a group is created once');
    const log = new MemoryLog(header);
    this.logs.set(header.group, log);
    return Promise.resolve(log);
  }

  open(group: GroupNumber): Promise<MemoryLog> {
    const log = this.logs.get(group);
    if (this.damaged.has(group) || log === undefined) return Promise.reject(new LogCorruption('metadata is damaged'));
    return Promise.resolve(log);
  }

  remove(group: GroupNumber): Promise<void> {
    this.logs.delete(group);
    return Promise.resolve();
  }

  /** What a broker finds after a crash: everything that was durable. */
  crash(): MemoryLogs {
    const after = new MemoryLogs();
    for (const [group, log] of this.logs) after.logs.set(group, log.crash());
    return after;
  }
}
