/**
 * Raft groups of one voter in memory, as src/raft/group.ts says they behave, with what a test wants to command: commits
 * that are held back, leadership that is lost and won again, reads that must go to disk or find it damaged, and a disk
 * that outlives the host, so that a restart restores a checkpoint and applies the rest again.
 */
import assert from 'node:assert/strict';
import type { Clock } from '../../src/model/clock.ts';
import type { Entry, EntryDraft } from '../../src/model/entry.ts';
import { entryEndOffset } from '../../src/model/entry.ts';
import type { GroupNumber, LogIndex, Millis, Offset, ReplicaId, Term } from '../../src/model/ids.ts';
import { indexZero, nextIndex, nextTerm, offsetZero, termZero, toLogIndex, toMillis } from '../../src/model/ids.ts';
import type { StatePair, TermStart } from '../../src/model/raft-state.ts';
import type { EntryMark, LogReader } from '../../src/log/reader.ts';
import { LogCorruption } from '../../src/log/reader.ts';
import type { ProposalRefusal, RoleState } from '../../src/raft/core/ready.ts';
import { emptyConfiguration } from '../../src/raft/core/configuration.ts';
import { decodeLogStart } from '../../src/raft/log-start.ts';
import type { IndexedConfiguration } from '../../src/raft/core/membership.ts';
import type { FollowerStatus } from '../../src/raft/core/progress.ts';
import type {
  ConfigurationProposed,
  GroupSpec,
  LocalReplica,
  ProposalListener,
  Proposed,
  RaftGroup,
  RaftHost,
  StateMachine,
} from '../../src/raft/group.ts';

/** What a group has on disk. */
interface StoredGroup {
  readonly kind: StateMachine['kind'];
  readonly replicaId: ReplicaId;
  entries: Entry[];
  term: Term;
  logStart: Offset;
  checkpoint: { readonly index: LogIndex; readonly state: Uint8Array } | null;
  readonly state: Map<string, StatePair>;
  stateApplied: LogIndex;
}

/** Outlives hosts. */
export class MemoryDisk {
  readonly groups = new Map<GroupNumber, StoredGroup>();
}

interface Pending {
  readonly index: LogIndex;
  readonly listener: ProposalListener;
}

class MemoryLogReader implements LogReader {
  readonly #stored: StoredGroup;
  /** True: the cache holds nothing, so every read waits. */
  cold = false;
  /** True: reads from disk reject. */
  damaged = false;
  /** Set: reads from disk wait for it. */
  delay: Promise<void> | null = null;
  /** Payload bytes asked for, read by read. */
  readonly asked: number[] = [];
  /** Searches for the first entry that retention keeps. */
  searches = 0;

  constructor(stored: StoredGroup) {
    this.#stored = stored;
  }

  get firstIndex(): LogIndex {
    return toLogIndex(1);
  }
  get lastIndex(): LogIndex {
    return this.#stored.entries.at(-1)?.index ?? indexZero;
  }
  get payloadBytes(): number {
    return this.#stored.entries.reduce((sum, entry) => sum + entry.payload.length, 0);
  }
  get endOffset(): Offset {
    const last = this.#stored.entries.at(-1);
    return last === undefined ? offsetZero : entryEndOffset(last);
  }
  get logStart(): Offset {
    return this.#stored.logStart;
  }
  get terms(): readonly TermStart[] {
    const starts: TermStart[] = [];
    for (const { term, index, baseOffset } of this.#stored.entries)
      if (starts.at(-1)?.term !== term) starts.push({ term, startIndex: index, startOffset: baseOffset });
    return starts;
  }

  readFromCache(from: Offset, below: Offset, bytesMax: number): readonly Entry[] | null {
    return this.cold ? null : this.#read(from, below, bytesMax);
  }

  async readFrom(from: Offset, below: Offset, bytesMax: number): Promise<readonly Entry[]> {
    if (this.damaged) throw new LogCorruption('an entry does not match its checksum');
    await this.delay;
    return this.#read(from, below, bytesMax);
  }

  readEntriesFromCache(): readonly Entry[] | null {
    return null;
  }

  readEntries(from: LogIndex, through: LogIndex): Promise<readonly Entry[]> {
    return Promise.resolve(this.#stored.entries.filter((entry) => entry.index >= from && entry.index <= through));
  }

  findByTimestamp(timestampMs: Millis, below: Offset): Promise<Entry | null> {
    if (this.damaged) return Promise.reject(new LogCorruption('an entry does not match its checksum'));
    const hit = this.#batches(offsetZero, below).find((entry) => (entry.maxTimestampMs ?? -1) >= timestampMs);
    return Promise.resolve(hit ?? null);
  }

  firstEntry(through: LogIndex, holds: (entry: EntryMark) => boolean): Promise<EntryMark | null> {
    if (this.damaged) return Promise.reject(new LogCorruption('an entry does not match its checksum'));
    this.searches++;
    return Promise.resolve(this.#marks().find((mark) => mark.index <= through && holds(mark)) ?? null);
  }

  payloadBytesThrough(index: LogIndex): number | null {
    return this.#marks()[index - 1]?.payloadBytesThrough ?? null;
  }

  #marks(): readonly EntryMark[] {
    let payloadBytesThrough = 0;
    return this.#stored.entries.map((entry) => {
      payloadBytesThrough += entry.payload.length;
      const { index, baseOffset, appendTimeMs } = entry;
      return { index, baseOffset, endOffset: entryEndOffset(entry), appendTimeMs, payloadBytesThrough };
    });
  }

  #read(from: Offset, below: Offset, bytesMax: number): readonly Entry[] {
    this.asked.push(bytesMax);
    let bytes = 0;
    const hits = this.#batches(from > this.logStart ? from : this.logStart, below);
    const end = hits.findIndex((entry, at) => {
      bytes += entry.payload.length;
      return at > 0 && bytes > bytesMax;
    });
    return end === -1 ? hits : hits.slice(0, end);
  }

  #batches(from: Offset, below: Offset): readonly Entry[] {
    const { entries } = this.#stored;
    return entries.filter((entry) => entry.count > 0 && entry.baseOffset < below && entryEndOffset(entry) > from);
  }
}

export class MemoryGroup implements RaftGroup {
  readonly group: GroupNumber;
  readonly log: MemoryLogReader;
  readonly #stored: StoredGroup;
  readonly #machine: StateMachine;
  readonly #clock: Clock;
  role: RoleState;
  commitIndex: LogIndex = indexZero;
  appliedIndex: LogIndex = indexZero;
  highWatermark: Offset = offsetZero;
  /** False: reads wait for ever, as for a majority that is away. */
  confirming = true;
  quarantine: string | null = null;
  quarantinedMs: Millis | null = null;
  /** Set: proposals are refused with it. */
  refusing: ProposalRefusal | null = null;
  /** Proposals that were seen, accepted or not. */
  proposals = 0;
  #pending: Pending[] = [];
  /** The other voters; their acknowledgements are not needed here to commit. */
  readonly #peers = new Map<ReplicaId, Pick<FollowerStatus, 'state' | 'match' | 'heardMs'>>();
  #held = false;
  #stopped = false;
  #commitScheduled = false;

  constructor(group: GroupNumber, stored: StoredGroup, machine: StateMachine, clock: Clock) {
    this.group = group;
    this.#stored = stored;
    this.#machine = machine;
    this.#clock = clock;
    this.log = new MemoryLogReader(stored);
    this.role = { role: 'follower', term: stored.term, leader: null, serving: false };
    this.#recover();
  }

  /** Becomes leader of a new term; serves once its no-op is applied, unless commits are held. */
  elect(): void {
    this.#stored.term = nextTerm(this.#stored.term);
    this.#changeRole({ role: 'leader', term: this.#stored.term, leader: this.#stored.replicaId, serving: false });
    this.#append({ kind: 'no-op', count: 0, payload: new Uint8Array(), maxTimestampMs: null });
    if (!this.#held) this.#commitAll();
  }

  /** Nothing is committed from now on. */
  hold(): void {
    this.#held = true;
  }

  /** The leader's own fsync of everything that is held. */
  makeDurable(): void {
    for (const { listener } of this.#pending) listener.durable?.();
  }

  /** Commits the first `count` entries that are held; all of them, and what follows, without a count. */
  release(count = Infinity): void {
    if (count === Infinity) this.#held = false;
    this.#commitThrough(toLogIndex(Math.min(this.commitIndex + count, this.log.lastIndex)));
  }

  /** Another leader takes over: of what is not committed it kept the first `kept` entries, which are committed now. */
  loseLeadership(kept = 0, leader: ReplicaId | null = null): void {
    const through = this.commitIndex + kept;
    this.#stored.entries = this.#stored.entries.filter((entry) => entry.index <= through);
    const lost = this.#pending.splice(0);
    this.#changeRole({ role: 'follower', term: nextTerm(this.#stored.term), leader, serving: false });
    this.#stored.term = this.role.term;
    for (const { listener } of lost) listener.outcome({ kind: 'unknown', why: 'leadership-lost' });
    this.#commitThrough(this.log.lastIndex);
  }

  /** As an applied log-start entry does. */
  moveLogStart(logStart: Offset): void {
    this.#stored.logStart = logStart;
  }

  /** Stores a checkpoint of the machine's present state. */
  saveCheckpoint(): void {
    if (this.#machine.kind !== 'data') assert.fail('only data groups have checkpoints');
    this.#stored.checkpoint = { index: this.appliedIndex, state: this.#machine.checkpoint() };
  }

  nextAppend(): { readonly term: Term; readonly baseOffset: Offset } | null {
    return this.role.role === 'leader' ? { term: this.role.term, baseOffset: this.log.endOffset } : null;
  }

  propose(draft: EntryDraft, listener: ProposalListener): Proposed {
    this.proposals++;
    if (this.quarantine !== null) return { kind: 'refused', why: 'quarantined' };
    if (this.#stopped) return { kind: 'refused', why: 'stopped' };
    if (this.refusing !== null) return { kind: 'refused', why: this.refusing };
    if (this.role.role !== 'leader') return { kind: 'refused', why: 'not-leader' };
    if (!this.role.serving) return { kind: 'refused', why: 'leader-not-ready' };
    const entry = this.#append(draft);
    this.#pending.push({ index: entry.index, listener });
    if (!this.#held) this.#commitSoon();
    const { term, index, baseOffset, appendTimeMs } = entry;
    return { kind: 'accepted', term, index, baseOffset, appendTimeMs };
  }

  get membership(): IndexedConfiguration {
    const voters = [this.#stored.replicaId, ...this.#peers.keys()];
    return { index: indexZero, configuration: { ...emptyConfiguration, voters } };
  }

  get followers(): readonly FollowerStatus[] {
    const none = { inFlightBytes: 0, reading: false };
    return [...this.#peers].map(([id, { state, match, heardMs }]) => ({
      ...{ id, state, match, heardMs, next: nextIndex(match) },
      ...none,
    }));
  }

  holders(index: LogIndex): readonly ReplicaId[] {
    if (this.role.role !== 'leader') return [];
    const others = [...this.#peers].filter(([, { match }]) => match >= index).map(([id]) => id);
    return this.log.lastIndex >= index ? [this.#stored.replicaId, ...others] : others;
  }

  /** Another voter, as this leader sees it: has everything through `match`, was heard last at `heardMs`. */
  peer(id: ReplicaId, match: number, heardMs: number, state: FollowerStatus['state'] = 'replicate'): void {
    this.#peers.set(id, { match: toLogIndex(match), heardMs, state });
    if (this.#machine.kind === 'data') this.#machine.progressed?.();
  }

  changeConfiguration(): ConfigurationProposed {
    assert.fail('a group in memory keeps its one voter');
  }

  transferLeadership(): void {
    assert.fail('a group in memory has nobody to hand over to');
  }

  /** Needs no round: the only voter is this one; unless nobody is to confirm that it leads. */
  readIndex(done: (index: LogIndex | null) => void): void {
    if (this.confirming) done(this.role.serving ? this.commitIndex : null);
  }

  stop(): void {
    this.#stopped = true;
    this.role = { ...this.role, role: 'follower', serving: false };
    for (const { listener } of this.#pending.splice(0)) listener.outcome({ kind: 'unknown', why: 'stopped' });
  }

  setApart(reason: string): void {
    this.quarantine = reason;
    this.quarantinedMs = this.#clock.wallMs();
    this.#machine.quarantined(reason);
    for (const { listener } of this.#pending.splice(0)) listener.outcome({ kind: 'unknown', why: 'quarantined' });
  }

  #recover(): void {
    if (this.#machine.kind === 'data') {
      this.#machine.restore(this.#stored.checkpoint?.state ?? null);
      this.appliedIndex = this.#stored.checkpoint?.index ?? indexZero;
    } else {
      const pairs = [...this.#stored.state.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, pair]) => pair);
      // Two pages, so that machines do not count on one.
      this.#machine.load(pairs.slice(0, 1));
      this.#machine.load(pairs.slice(1));
      this.appliedIndex = this.#stored.stateApplied;
    }
    this.commitIndex = this.appliedIndex;
    const last = this.#stored.entries[this.appliedIndex - 1];
    this.highWatermark = last === undefined ? offsetZero : entryEndOffset(last);
  }

  #append(draft: EntryDraft): Entry {
    const previous = this.#stored.entries.at(-1);
    const entry: Entry = {
      ...draft,
      term: this.role.term,
      index: nextIndex(this.log.lastIndex),
      baseOffset: this.log.endOffset,
      appendTimeMs: toMillis(Math.max(this.#clock.wallMs(), previous?.appendTimeMs ?? 0)),
      payloadCrc: 0,
      chain: 0,
    };
    this.#stored.entries.push(entry);
    return entry;
  }

  #commitSoon(): void {
    if (this.#commitScheduled) return;
    this.#commitScheduled = true;
    setImmediate(() => {
      this.#commitScheduled = false;
      if (!this.#held && !this.#stopped && this.role.role === 'leader') this.#commitAll();
    });
  }

  #commitAll(): void {
    this.#commitThrough(this.log.lastIndex);
  }

  #commitThrough(index: LogIndex): void {
    if (index <= this.commitIndex) return;
    this.commitIndex = index;
    for (const { index: at, listener } of this.#pending) if (at <= index) listener.durable?.();
    for (const entry of this.#stored.entries) {
      if (entry.index > this.appliedIndex && entry.index <= index && !this.#apply(entry)) return;
    }
    this.#machine.committed?.(this.highWatermark);
    const { term } = this.role;
    const ownNoOp = this.#stored.entries.some((entry) => entry.kind === 'no-op' && entry.term === term);
    if (this.role.role === 'leader' && !this.role.serving && ownNoOp) this.#changeRole({ ...this.role, serving: true });
    const told = this.#pending.filter((one) => one.index <= index);
    this.#pending = this.#pending.filter((one) => one.index > index);
    for (const { listener } of told) listener.outcome({ kind: 'committed' });
  }

  #apply(entry: Entry): boolean {
    try {
      if (this.#machine.kind === 'data') this.#machine.apply(entry);
      else this.#store(this.#machine.apply(entry), entry.index);
    } catch (error) {
      this.setApart(error instanceof Error ? error.message : String(error));
      return false;
    }
    if (entry.kind === 'log-start') this.moveLogStart(decodeLogStart(entry.payload));
    this.appliedIndex = entry.index;
    this.highWatermark = entryEndOffset(entry);
    return true;
  }

  #store(changes: ReturnType<Extract<StateMachine, { kind: 'commands' }>['apply']>, index: LogIndex): void {
    for (const change of changes) {
      const name = Buffer.from(change.key).toString('latin1');
      if (change.kind === 'put') this.#stored.state.set(name, { key: change.key, value: change.value });
      else this.#stored.state.delete(name);
    }
    this.#stored.stateApplied = index;
  }

  #changeRole(role: RoleState): void {
    this.role = role;
    this.#machine.roleChanged(role);
  }
}

export class MemoryRaftHost implements RaftHost {
  readonly #disk: MemoryDisk;
  readonly #clock: Clock;
  readonly groups = new Map<GroupNumber, MemoryGroup>();
  /** Set: as if the whole disk were not what it was. */
  apart: string | null = null;
  /** False: groups start as followers until `elect`. */
  electing = true;
  /** Groups whose start rejects. */
  readonly failing = new Map<GroupNumber, Error>();
  /** Set: starts and removals wait for it, as for a slow disk. */
  delay: Promise<void> | null = null;
  #closed = false;

  constructor(disk: MemoryDisk, clock: Clock) {
    this.#disk = disk;
    this.#clock = clock;
  }

  /** A group that must run. */
  running(group: GroupNumber): MemoryGroup {
    const found = this.groups.get(group);
    assert.ok(found, `group ${group} runs`);
    return found;
  }

  existing(): Promise<readonly LocalReplica[]> {
    const stored = [...this.#disk.groups].map(([group, { replicaId }]) => ({ group, replicaId }));
    return Promise.resolve(stored.sort((a, b) => a.group - b.group));
  }

  async create(spec: GroupSpec, kind: StateMachine['kind']): Promise<void> {
    await this.delay;
    const failure = this.failing.get(spec.group);
    if (failure !== undefined) throw failure;
    assert.ok(!this.#disk.groups.has(spec.group), `group ${spec.group} is created once`);
    this.#disk.groups.set(spec.group, emptyGroup(spec, kind));
  }

  async start(spec: GroupSpec, machine: StateMachine): Promise<RaftGroup> {
    await this.delay;
    assert.ok(!this.#closed, `a closed host starts nothing: group ${spec.group}`);
    const failure = this.failing.get(spec.group);
    if (failure !== undefined) throw failure;
    assert.ok(!this.groups.has(spec.group), `group ${spec.group} is started once`);
    const stored = this.#disk.groups.get(spec.group) ?? emptyGroup(spec, machine.kind);
    assert.equal(stored.kind, machine.kind);
    assert.equal(stored.replicaId, spec.replicaId);
    this.#disk.groups.set(spec.group, stored);
    const group = new MemoryGroup(spec.group, stored, machine, this.#clock);
    this.groups.set(spec.group, group);
    if (this.electing) {
      setImmediate(() => {
        group.elect();
      });
    }
    return group;
  }

  stop(group: GroupNumber): Promise<void> {
    this.groups.get(group)?.stop();
    this.groups.delete(group);
    return Promise.resolve();
  }

  async remove(group: GroupNumber): Promise<void> {
    await this.stop(group);
    await this.delay;
    assert.ok(!this.#closed, `a closed host removes nothing: group ${group}`);
    this.#disk.groups.delete(group);
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const group of [...this.groups.keys()]) await this.stop(group);
  }
}

const emptyGroup = (spec: GroupSpec, kind: StateMachine['kind']): StoredGroup => ({
  kind,
  replicaId: spec.replicaId,
  entries: [],
  term: termZero,
  logStart: offsetZero,
  checkpoint: null,
  state: new Map(),
  stateApplied: indexZero,
});
