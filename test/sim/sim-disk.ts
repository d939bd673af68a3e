/**
 * The disk of one simulated node at the level of the log (reliability 3.2), with a cached and a synced image.
 *
 * Writes reach the cached image at once and the synced image in order, in groups, after a delay: the contract that the
 * real store keeps (store-1 to store-4), which its own crash suite proves. A crash keeps what was synced and some of the
 * rest; an append is atomic (log-1), so the store's recovery turns torn and reordered pieces into whole operations, and
 * finds by its durable floor when less than what was synced came back (a rolled-back disk): then it is `lost`. Where the
 * floor went back too, only others can tell (design D4).
 */
import type { Entry } from '../../src/model/entry.ts';
import { chainGenesis, entryEndOffset } from '../../src/model/entry.ts';
import type { Crc32c } from '../../src/model/crc32c.ts';
import type { GroupNumber, LogIndex, Millis, Offset, Term } from '../../src/model/ids.ts';
import { toLogIndex } from '../../src/model/ids.ts';
import type { HardState, StateChange, StatePair, TermStart } from '../../src/model/raft-state.ts';
import { assert } from '../../src/model/assert.ts';
import type {
  Checkpoint,
  GroupHeader,
  GroupLog,
  GroupLogs,
  HoldBack,
  LogSnapshot,
  LogWrite,
  LogWriteDone,
  SnapshotHead,
  SnapshotReceipt,
} from '../../src/log/log.ts';
import type { EntryMark } from '../../src/log/reader.ts';
import { checkHead, SnapshotImport } from '../../src/log/snapshot-import.ts';
import type { EarlierStart } from '../../src/raft/peer-identity.ts';
import { earlierStartsMax } from '../../src/raft/peer-identity.ts';
import type { DiskOperation } from './group-image.ts';
import { GroupImage } from './group-image.ts';
import type { SimRandom } from './sim-random.ts';
import type { SimScheduler } from './sim-scheduler.ts';

type PendingOperation = {
  readonly group: GroupNumber;
  readonly operation:
    DiskOperation | { readonly kind: 'create'; readonly header: GroupHeader } | { readonly kind: 'remove' };
  readonly done: (writeNumber: number) => void;
  readonly failed: (fault: SimDiskFault) => void;
};

/** A write or a sync failed: the process must end (design D10). */
export class SimDiskFault extends Error {
  override readonly name = 'SimDiskFault';
}

/**
 * What a crash keeps of what was not synced: nothing, everything, the oldest part of it, or of each group an oldest part
 * of its own (the real store writes all groups into one log, so this is more than it may do).
 */
export const keeps = ['none', 'prefix', 'per-group', 'all'] as const;
export type Keep = (typeof keeps)[number];

/** How the disk behaves; changed by faults while the run goes on. */
export interface DiskMood {
  /** Mean of the time a sync takes, in ms. */
  syncMsMean: number;
  /** True: syncs do not end until it is false again. */
  hanging: boolean;
  /** True: the next write fails, with the error of a bad disk. */
  failing: boolean;
  /** `low`: below the reserve, leaders take no new records. `full`: every write fails. */
  space: 'ample' | 'low' | 'full';
}

const calm: DiskMood = { syncMsMean: 2, hanging: false, failing: false, space: 'ample' };

/** Everything that a disk holds durably. */
export interface DiskCopy {
  readonly groups: ReadonlyMap<GroupNumber, GroupImage>;
  /** Number of the newest write (design D10). */
  readonly commit: number;
  /** The store's durable floor. */
  readonly floor: number;
  /** The starts of the disk, oldest first (design D4). */
  readonly starts: readonly EarlierStart[];
  /** The file of what is remembered of other nodes' disks; null: there is none. */
  readonly peers: string | null;
}

const emptyCopy: DiskCopy = { groups: new Map(), commit: 0, floor: 0, starts: [], peers: null };

export interface SimDiskOptions {
  readonly scheduler: SimScheduler;
  readonly random: SimRandom;
  readonly crc32c: Crc32c;
  /** Hands a completion to the process, now or when it runs again. */
  readonly enter: (complete: () => void) => void;
  /** A log lost entries of its end, to make place for others; called before. */
  readonly onTruncate: (image: GroupImage, after: LogIndex) => void;
}

export class SimDisk {
  readonly mood: DiskMood = { ...calm };
  /** What a quorum must have: read by the oracles, never by the node. */
  synced = new Map<GroupNumber, GroupImage>();
  cached = new Map<GroupNumber, GroupImage>();
  /** It is known here that it lacks what it held: the store's floor told, or another node did. Durable. */
  lost = false;
  /** Rises when the disk is exchanged: a copy of before is not its past any more. */
  incarnation = 1;
  readonly #options: SimDiskOptions;
  /** A write failed: nothing is taken any more until the process has ended. */
  #fault: SimDiskFault | null = null;
  #pending: PendingOperation[] = [];
  #inFlight = 0;
  #commit = 0;
  #floor = 0;
  #starts: readonly EarlierStart[] = [];
  #peers: string | null = null;
  /** What is being written in the place of the peers file. */
  #peersWrite: string | null = null;
  /** Rises with every crash, so that completions of an earlier life are ignored. */
  #life = 0;

  constructor(options: SimDiskOptions) {
    this.#options = options;
  }

  get crc32c(): Crc32c {
    return this.#options.crc32c;
  }

  /** Number of the newest write that is durable (design D10). */
  get durableCommit(): number {
    return this.#commit;
  }

  /** The durable text of the peers file; null: there is none. */
  get peers(): string | null {
    return this.#peers;
  }

  /** The store is opened: this start is counted, durably, and what was found is the floor from now on. */
  open(processNonce: string): EarlierStart & { readonly earlierStarts: readonly EarlierStart[] } {
    const earlierStarts = this.#starts.slice(-earlierStartsMax);
    const start = { bootNumber: this.#starts.length + 1, processNonce, recoveredCommit: this.#commit };
    this.#starts = [...this.#starts, start];
    this.#floor = Math.max(this.#floor, this.#commit);
    return { ...start, earlierStarts };
  }

  /** Others have proven it an old copy: the next start knows (`RocksdbStore.markLost`). */
  markLost(): void {
    this.lost = true;
  }

  /** Puts this in the place of the peers file; resolves once it is durable. One at a time. */
  writePeers(bytes: Uint8Array): Promise<void> {
    this.#peersWrite = Buffer.from(bytes).toString();
    const life = this.#life;
    const { scheduler, random, enter } = this.#options;
    const settle = (act: () => void): void => {
      enter(() => {
        if (life === this.#life) act();
      });
    };
    return new Promise((resolve, reject) => {
      const finish = (): void => {
        if (life !== this.#life) return;
        if (this.mood.hanging) scheduler.after(50, finish);
        else if (this.mood.failing || this.mood.space === 'full') {
          const fault = this.#takeFault();
          settle(() => {
            reject(fault);
          });
        } else {
          this.#endPeersWrite();
          settle(resolve);
        }
      };
      scheduler.after(0.2 + random.exponential(this.mood.syncMsMean), finish);
    });
  }

  /** A view for the next life of the node. */
  mount(): GroupLogs {
    return new SimGroupLogs(this);
  }

  genesis(header: GroupHeader): GroupImage {
    return new GroupImage(header, chainGenesis({ clusterId: header.clusterId, group: header.group }, this.crc32c));
  }

  queue(group: GroupNumber, operation: PendingOperation['operation']): Promise<number> {
    if (this.#fault !== null) return Promise.reject(this.#fault);
    if (operation.kind === 'write' && operation.write.truncateAfter !== null) {
      const image = this.cached.get(group);
      if (image !== undefined) this.#options.onTruncate(image, operation.write.truncateAfter);
    }
    this.#applyTo(this.cached, group, operation);
    return new Promise((resolve, reject) => {
      this.#pending.push({ group, operation, done: resolve, failed: reject });
      if (this.#inFlight === 0) this.#startWrite();
    });
  }

  /** The process is killed or the power goes. What was synced stays; of the rest what `keep` says. */
  crash(keep: Keep): void {
    this.#life++;
    const kept = this.#kept(keep);
    for (const { group, operation } of kept) this.#applyTo(this.synced, group, operation);
    if (kept.length > 0) this.#commit++;
    if (keep === 'all') this.#endPeersWrite();
    this.#peersWrite = null;
    this.#pending = [];
    this.#inFlight = 0;
    this.#fault = null;
    this.cached = new Map([...this.synced].map(([group, image]) => [group, image.clone()]));
  }

  /** Everything is gone, as after `rm -rf`; the disk must be crashed. */
  wipe(): void {
    this.#restore(emptyCopy);
    this.lost = false;
    this.incarnation++;
  }

  /** A copy of what is durable, for a fault that rolls the disk back to it later. */
  copy(): DiskCopy {
    const groups = new Map([...this.synced].map(([group, image]) => [group, image.clone()]));
    return { groups, commit: this.#commit, floor: this.#floor, starts: this.#starts, peers: this.#peers };
  }

  /** An old copy comes back in place of the disk, which must be crashed. `keepsFloor`: but not of the floor. */
  rollBack(copy: DiskCopy, keepsFloor: boolean): void {
    const floor = Math.max(this.#floor, this.#commit);
    this.#restore(copy);
    if (keepsFloor) this.#floor = floor;
    this.lost ||= this.#commit < this.#floor;
  }

  #restore({ groups, commit, floor, starts, peers }: DiskCopy): void {
    this.synced = new Map([...groups].map(([group, image]) => [group, image.clone()]));
    this.cached = new Map([...groups].map(([group, image]) => [group, image.clone()]));
    this.#commit = commit;
    this.#floor = floor;
    this.#starts = starts;
    this.#peers = peers;
  }

  #endPeersWrite(): void {
    this.#peers = this.#peersWrite ?? this.#peers;
    this.#peersWrite = null;
  }

  /** Nothing is wrong with it any more; what was failed stays failed until the process has ended. */
  heal(): void {
    Object.assign(this.mood, calm);
  }

  #kept(keep: Keep): readonly PendingOperation[] {
    const most = this.#pending.length;
    const { random } = this.#options;
    switch (keep) {
      case 'none':
        return [];
      case 'all':
        return this.#pending;
      case 'prefix':
        return this.#pending.slice(0, random.between(0, most));
      case 'per-group': {
        const through = new Map<GroupNumber, number>();
        for (const { group } of this.#pending) {
          if (!through.has(group)) through.set(group, random.between(0, most));
        }
        return this.#pending.filter(({ group }, at) => at < (through.get(group) ?? 0));
      }
    }
  }

  #startWrite(): void {
    if (this.#pending.length === 0) return;
    this.#inFlight = this.#pending.length;
    const life = this.#life;
    const finish = (): void => {
      if (life !== this.#life) return;
      if (this.mood.hanging) this.#options.scheduler.after(50, finish);
      else if (this.mood.failing || this.mood.space === 'full') this.#failWrite();
      else this.#finishWrite();
    };
    const { scheduler, random } = this.#options;
    scheduler.after(0.2 + random.exponential(this.mood.syncMsMean), finish);
  }

  #finishWrite(): void {
    const written = this.#pending.splice(0, this.#inFlight);
    this.#inFlight = 0;
    this.#commit++;
    for (const { group, operation } of written) this.#applyTo(this.synced, group, operation);
    const [life, number] = [this.#life, this.#commit];
    this.#options.enter(() => {
      if (life === this.#life) for (const { done } of written) done(number);
    });
    this.#startWrite();
  }

  /** How much of it is on the disk all the same, nobody knows (P83). */
  #failWrite(): void {
    const fault = this.#takeFault();
    const life = this.#life;
    this.#options.enter(() => {
      if (life === this.#life) for (const { failed } of this.#pending) failed(fault);
    });
  }

  #takeFault(): SimDiskFault {
    const fault = new SimDiskFault(this.mood.space === 'full' ? 'no space left on the disk' : 'a write failed');
    this.mood.failing = false;
    this.#fault = fault;
    return fault;
  }

  #applyTo(images: Map<GroupNumber, GroupImage>, group: GroupNumber, operation: PendingOperation['operation']): void {
    if (operation.kind === 'create') {
      images.set(group, this.genesis(operation.header));
      return;
    }
    if (operation.kind === 'remove') {
      images.delete(group);
      return;
    }
    const image = images.get(group);
    assert(image !== undefined, 'sim: a write to a group that was created', `${group}`);
    image.apply(operation);
  }
}

class SimGroupLogs implements GroupLogs {
  readonly #disk: SimDisk;

  constructor(disk: SimDisk) {
    this.#disk = disk;
  }

  list(): Promise<readonly GroupHeader[]> {
    const headers = [...this.#disk.cached.values()].map(({ header }) => header);
    return Promise.resolve(headers.sort((a, b) => a.group - b.group));
  }

  async create(header: GroupHeader): Promise<GroupLog> {
    assert(!this.#disk.cached.has(header.group), 'sim: a group is created once', `${header.group}`);
    await this.#disk.queue(header.group, { kind: 'create', header });
    return new SimGroupLog(this.#disk, header.group);
  }

  open(group: GroupNumber): Promise<GroupLog> {
    return Promise.resolve(new SimGroupLog(this.#disk, group));
  }

  async remove(group: GroupNumber): Promise<void> {
    await this.#disk.queue(group, { kind: 'remove' });
  }
}

class SimGroupLog implements GroupLog {
  readonly #disk: SimDisk;
  readonly #group: GroupNumber;
  readonly #image: GroupImage;
  #needed: HoldBack | null = null;
  #import: SnapshotImport | null = null;

  constructor(disk: SimDisk, group: GroupNumber) {
    const image = disk.cached.get(group);
    assert(image !== undefined, 'sim: a group that is opened exists', `${group}`);
    this.#disk = disk;
    this.#group = group;
    this.#image = image;
  }

  get header(): GroupHeader {
    return this.#image.header;
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
  get logStart(): Offset {
    return this.#image.logStart;
  }
  get terms(): readonly TermStart[] {
    return this.#image.terms;
  }
  get configurations(): readonly { readonly index: LogIndex; readonly payload: Uint8Array }[] {
    return this.#image.configurations;
  }
  get appliedIndex(): LogIndex {
    return this.#image.appliedIndex;
  }

  get payloadBytes(): number {
    return this.#image.last.payloadBytes - this.#image.before.payloadBytes;
  }

  termAt(index: LogIndex): Term | null {
    if (index === this.#image.before.index) return this.#image.before.term;
    return this.#image.at(index)?.term ?? null;
  }

  async append(write: LogWrite): Promise<LogWriteDone> {
    const queued = this.#disk.queue(this.#group, { kind: 'write', write });
    const { index: lastIndex, term: lastTerm } = this.#image.last;
    return { lastIndex, lastTerm, writeNumber: await queued };
  }

  async moveLogStart(logStart: Offset): Promise<void> {
    if (logStart <= this.logStart) return;
    await this.#disk.queue(this.#group, { kind: 'log-start', logStart, needed: this.#needed });
  }

  async compactThrough(through: LogIndex): Promise<void> {
    await this.#disk.queue(this.#group, { kind: 'compact', through });
  }

  async saveCheckpoint(checkpoint: Checkpoint): Promise<void> {
    await this.#disk.queue(this.#group, { kind: 'checkpoint', checkpoint, needed: this.#needed });
  }

  loadCheckpoint(): Promise<Checkpoint | null> {
    return Promise.resolve(this.#image.checkpoint);
  }

  async writeState(applied: LogIndex, changes: readonly StateChange[]): Promise<void> {
    await this.#disk.queue(this.#group, { kind: 'state', applied, changes });
  }

  readState(): AsyncIterable<readonly StatePair[]> {
    // the port streams, the image has it all
    return onePage(this.#image.pairs);
  }

  async holdBack(needed: HoldBack | null): Promise<void> {
    this.#needed = needed;
    if (!this.#image.isRemovable(needed)) return;
    await this.#disk.queue(this.#group, { kind: 'log-start', logStart: this.logStart, needed });
  }

  openSnapshot(): Promise<LogSnapshot | null> {
    return Promise.resolve(this.#image.snapshot(this.#disk.crc32c));
  }

  receiveSnapshot(head: SnapshotHead): SnapshotReceipt {
    const { kind } = this.header;
    checkHead(kind, head);
    this.#import?.abandon();
    const staged: StatePair[] = [];
    const target = {
      stage: (pairs: readonly StatePair[]) => {
        staged.push(...pairs);
        return this.#disk.queue(this.#group, { kind: 'unseen' });
      },
      install: (installed: SnapshotHead, state: Uint8Array | null) => {
        return this.#disk.queue(this.#group, { kind: 'install', head: installed, state: state ?? staged });
      },
      abandoned: () => undefined,
    };
    this.#import = new SnapshotImport(kind, head, target, this.#disk.crc32c);
    return this.#import;
  }

  readEntriesFromCache(from: LogIndex, through: LogIndex, bytesMax: number): readonly Entry[] | null {
    const entries: Entry[] = [];
    let bytes = 0;
    for (let index = from; index <= through; index = toLogIndex(index + 1)) {
      const entry = this.#image.at(index);
      if (entry === undefined) break;
      bytes += entry.payload.byteLength;
      if (entries.length > 0 && bytes > bytesMax) break;
      entries.push(entry);
    }
    return entries.length === 0 ? null : entries;
  }

  readEntries(from: LogIndex, through: LogIndex, bytesMax: number): Promise<readonly Entry[]> {
    return Promise.resolve(this.readEntriesFromCache(from, through, bytesMax) ?? []);
  }

  readFromCache(from: Offset, below: Offset, bytesMax: number): readonly Entry[] {
    const entries: Entry[] = [];
    let bytes = 0;
    for (const entry of this.#image.entries) {
      if (entry.count === 0 || entryEndOffset(entry) <= from) continue;
      bytes += entry.payload.byteLength;
      if (entry.baseOffset >= below || (entries.length > 0 && bytes > bytesMax)) break;
      entries.push(entry);
    }
    return entries;
  }

  readFrom(from: Offset, below: Offset, bytesMax: number): Promise<readonly Entry[]> {
    return Promise.resolve(this.readFromCache(from, below, bytesMax));
  }

  firstEntry(through: LogIndex, holds: (entry: EntryMark) => boolean): Promise<EntryMark | null> {
    return Promise.resolve(this.#image.marks.find((mark) => mark.index <= through && holds(mark)) ?? null);
  }

  payloadBytesThrough(index: LogIndex): number | null {
    return this.#image.payloadBytesThrough(index);
  }

  findByTimestamp(timestampMs: Millis, below: Offset): Promise<Entry | null> {
    const found = this.#image.entries.find(
      (entry) => entry.count > 0 && entry.baseOffset < below && (entry.maxTimestampMs ?? 0) >= timestampMs,
    );
    return Promise.resolve(found ?? null);
  }
}

function onePage<T>(page: T): AsyncIterable<T> {
  return {
    [Symbol.asyncIterator]: () => {
      const pages = [page].values();
      return { next: () => Promise.resolve(pages.next()) };
    },
  };
}
