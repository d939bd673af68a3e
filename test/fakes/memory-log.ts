/**
 * A group log in memory whose durability the test commands: `hold` keeps writes from becoming durable until `release`,
 * `crash` gives what a restart would find. Behaves as src/log/log.ts says; checks entry-1 on every append.
 */
import assert from 'node:assert/strict';
import { chainGenesis, entryEndOffset } from '../../src/model/entry.ts';
import type { Entry } from '../../src/model/entry.ts';
import type { GroupNumber, LogIndex, Millis, Offset, Term } from '../../src/model/ids.ts';
import { indexZero, offsetZero, termZero, toLogIndex, toMillis } from '../../src/model/ids.ts';
import type { HardState, StateChange, StatePair, TermStart } from '../../src/model/raft-state.ts';
import type { Checkpoint, GroupHeader, GroupLog, GroupLogs, LogWrite, LogWriteDone } from '../../src/log/log.ts';
import { LogCorruption } from '../../src/log/reader.ts';
import { crc32c } from '../../src/runtime/crc32c.ts';

/** What is on disk. Copied, never shared, between the live image and the synced one. */
interface Image {
  readonly entries: readonly Entry[];
  readonly firstIndex: LogIndex;
  readonly boundaryTerm: Term;
  readonly hardState: HardState;
  readonly logStart: Offset;
  readonly checkpoint: Checkpoint | null;
  readonly state: ReadonlyMap<string, StatePair>;
  readonly appliedIndex: LogIndex;
}

const emptyImage: Image = {
  entries: [],
  firstIndex: toLogIndex(1),
  boundaryTerm: termZero,
  hardState: { term: termZero, vote: null, commit: indexZero },
  logStart: offsetZero,
  checkpoint: null,
  state: new Map(),
  appliedIndex: indexZero,
};

interface HeldWrite {
  readonly image: Image;
  readonly finish: () => void;
}

export class MemoryLog implements GroupLog {
  readonly header: GroupHeader;
  #image: Image;
  #synced: Image;
  #held: HeldWrite[] | null = null;
  #writeNumber = 0;
  /** Fails the next write with this error. */
  failNext: Error | null = null;
  /** True: nothing is found in the cache. */
  cold = false;
  /** Set: reads of entries reject as damaged. */
  damaged = false;
  /** Calls of append, for tests that count writes. */
  readonly writes: LogWrite[] = [];

  constructor(header: GroupHeader, image: Image = emptyImage) {
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
    return toLogIndex(this.#image.firstIndex + this.#image.entries.length - 1);
  }
  get lastTerm(): Term {
    return this.#image.entries.at(-1)?.term ?? this.#image.boundaryTerm;
  }
  get lastChain(): number {
    return this.#image.entries.at(-1)?.chain ?? chainGenesis(this.header, crc32c);
  }
  get lastAppendTimeMs(): Millis {
    return this.#image.entries.at(-1)?.appendTimeMs ?? toMillis(0);
  }
  get endOffset(): Offset {
    const last = this.#image.entries.at(-1);
    return last === undefined ? offsetZero : entryEndOffset(last);
  }
  get logStart(): Offset {
    return this.#image.logStart;
  }
  get appliedIndex(): LogIndex {
    return this.#image.appliedIndex;
  }
  get terms(): readonly TermStart[] {
    const terms: TermStart[] = [];
    for (const entry of this.#image.entries) {
      if (terms.at(-1)?.term === entry.term) continue;
      terms.push({ term: entry.term, startIndex: entry.index, startOffset: entry.baseOffset });
    }
    return terms;
  }
  get configurations(): readonly { readonly index: LogIndex; readonly payload: Uint8Array }[] {
    return this.#image.entries.filter((entry) => entry.kind === 'configuration');
  }

  termAt(index: LogIndex): Term | null {
    if (index === this.#image.firstIndex - 1) return this.#image.boundaryTerm;
    return this.#image.entries[index - this.#image.firstIndex]?.term ?? null;
  }

  append(write: LogWrite): Promise<LogWriteDone> {
    this.writes.push(write);
    const kept =
      write.truncateAfter === null
        ? this.#image.entries
        : this.#image.entries.filter((entry) => entry.index <= (write.truncateAfter ?? 0));
    const entries = [...kept, ...write.entries];
    const first = this.#image.firstIndex;
    entries.forEach((entry, i) => {
      assert.equal(entry.index, first + i, 'entries follow each other');
    });
    const done = this.#write({ ...this.#image, entries, hardState: write.hardState ?? this.hardState });
    const { lastIndex, lastTerm } = this;
    const writeNumber = ++this.#writeNumber;
    return done.then(() => ({ lastIndex, lastTerm, writeNumber }));
  }

  moveLogStart(logStart: Offset): Promise<void> {
    return this.#write({ ...this.#image, logStart });
  }

  saveCheckpoint(checkpoint: Checkpoint): Promise<void> {
    return this.#write({ ...this.#image, checkpoint });
  }

  loadCheckpoint(): Promise<Checkpoint | null> {
    return Promise.resolve(this.#image.checkpoint);
  }

  writeState(applied: LogIndex, changes: readonly StateChange[]): Promise<void> {
    assert.ok(applied > this.appliedIndex, 'the applied index rises');
    const state = new Map(this.#image.state);
    for (const change of changes) {
      const name = Buffer.from(change.key).toString('latin1');
      if (change.kind === 'put') state.set(name, { key: change.key, value: change.value });
      else state.delete(name);
    }
    return this.#write({ ...this.#image, state, appliedIndex: applied });
  }

  compactThrough(index: LogIndex): Promise<void> {
    assert.ok(index <= this.appliedIndex, 'only what the state stands for is dropped');
    const boundaryTerm = this.termAt(index) ?? this.#image.boundaryTerm;
    const entries = this.#image.entries.filter((entry) => entry.index > index);
    return this.#write({ ...this.#image, entries, boundaryTerm, firstIndex: toLogIndex(index + 1) });
  }

  async *readState(): AsyncIterable<readonly StatePair[]> {
    await Promise.resolve();
    const pairs = [...this.#image.state.entries()].sort(([a], [b]) => (a < b ? -1 : 1));
    if (pairs.length > 0) yield pairs.map(([, pair]) => pair);
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

  #write(image: Image): Promise<void> {
    if (this.failNext !== null) {
      const error = this.failNext;
      this.failNext = null;
      return Promise.reject(error);
    }
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
