/**
 * Several cores on one clock, with a network and disks that the test commands. Everything is synchronous and repeats
 * exactly. After every step the harness checks what must hold whatever the test does: one leader a term (inv-I1), equal
 * committed logs (inv-I3, inv-I5), acknowledged entries durable on a quorum (inv-I6), monotone terms and commits (inv-I7).
 */
import assert from 'node:assert/strict';
import type { Entry } from '../../../src/model/entry.ts';
import { chainAfter, chainGenesis, entryEndOffset } from '../../../src/model/entry.ts';
import type { LogIndex, Millis, ReplicaId } from '../../../src/model/ids.ts';
import {
  indexZero,
  offsetZero,
  termZero,
  toGroupNumber,
  toLogIndex,
  toMillis,
  toOffset,
  toReplicaId,
  toTerm,
} from '../../../src/model/ids.ts';
import type { HardState, TermStart } from '../../../src/model/raft-state.ts';
import { decodeConfiguration } from '../../../src/raft/core/configuration.ts';
import type { Configuration } from '../../../src/raft/core/configuration.ts';
import type { RaftEvent } from '../../../src/raft/core/events.ts';
import { raftLimitsDefault } from '../../../src/raft/core/limits.ts';
import type { RaftLimits } from '../../../src/raft/core/limits.ts';
import type { Message } from '../../../src/raft/core/messages.ts';
import { RaftNode } from '../../../src/raft/core/raft-node.ts';
import type { Alarm, Ready, RecoveredState } from '../../../src/raft/core/ready.ts';
import type { SnapshotMeta } from '../../../src/raft/core/snapshot.ts';
import { describeReady } from '../../../src/raft/core/describe.ts';
import { crc32c } from '../../../src/runtime/crc32c.ts';
import { SeededRandom } from '../../fakes/seeded-random.ts';

export const seed = { clusterId: 'f0000000-0000-4000-8000-00000000000f', group: toGroupNumber(1) };
export const genesisChain = chainGenesis(seed, crc32c);
export const ids = (...numbers: number[]): ReplicaId[] => numbers.map(toReplicaId);

/** What a disk holds: a log, the hard state, and the snapshot before the log. */
export interface Image {
  readonly hardState: HardState;
  readonly entries: readonly Entry[];
  /** Stands for everything before the first entry; null: nothing is before it. */
  readonly snapshot: SnapshotMeta | null;
  /** The applied payloads that the snapshot stands for. */
  readonly state: readonly string[];
}

const emptyImage: Image = {
  hardState: { term: termZero, vote: null, commit: indexZero },
  entries: [],
  snapshot: null,
  state: [],
};

export const lastOf = (image: Image): LogIndex =>
  image.entries.at(-1)?.index ?? image.snapshot?.lastIndex ?? toLogIndex(0);

interface Write {
  readonly ready: Ready;
  readonly image: Image;
}

export interface ClusterOptions {
  readonly voters?: readonly number[];
  readonly learners?: readonly number[];
  readonly limits?: Partial<RaftLimits>;
  /** The hosts send frames instead of heartbeats; the test plays the hosts. */
  readonly framesSent?: () => number;
  /** Preferred leaders campaign as soon as they are started. */
  readonly eager?: boolean;
  readonly seed?: number;
}

export class TestNode {
  readonly id: ReplicaId;
  readonly #cluster: Cluster;
  core: RaftNode;
  /** What was written, durable or not, and what a crash leaves. */
  image: Image;
  synced: Image;
  /** Writes that are not durable yet; they become so at once unless `slowDisk`. */
  writes: Write[] = [];
  slowDisk = false;
  up = true;
  /** Applied payloads. */
  readonly applied: string[] = [];
  appliedIndex: LogIndex;
  readonly answers = new Map<number, number | null>();
  readonly alarms: Alarm[] = [];
  /** Times that leadership was lost, with what was committed. */
  readonly lost: number[] = [];
  /** Describes every Ready if set. */
  trace: string[] | null = null;
  #installing: Uint8Array[] = [];

  constructor(cluster: Cluster, id: ReplicaId, image: Image = emptyImage) {
    this.#cluster = cluster;
    this.id = id;
    this.image = image;
    this.synced = image;
    this.appliedIndex = image.snapshot?.lastIndex ?? toLogIndex(0);
    this.core = cluster.build(this);
  }

  step(event: RaftEvent): void {
    if (!this.up) return;
    this.core.step(event, this.#cluster.now);
    this.work();
  }

  /** Does what the core wants done. */
  work(): void {
    for (let ready = this.core.takeReady(); ready !== null; ready = this.core.takeReady()) this.#handle(ready);
  }

  /** Makes the oldest `count` writes durable. */
  sync(count = Infinity): void {
    for (let i = 0; i < count; i++) {
      const write = this.writes.shift();
      if (write === undefined) return;
      this.synced = write.image;
      for (const message of write.ready.messagesAfterPersist) this.#cluster.post(message);
      const last = write.image.entries.at(-1);
      const lastIndex = lastOf(write.image);
      const lastTerm = last?.term ?? write.image.snapshot?.lastTerm ?? termZero;
      this.step({ kind: 'persisted', lastIndex, lastTerm, readyNumber: write.ready.number });
    }
  }

  crash(): void {
    this.up = false;
    this.writes = [];
    this.#installing = [];
  }

  /** Comes back with what was durable. */
  restart(): void {
    this.image = this.synced;
    this.applied.splice(0, Infinity, ...this.image.state);
    this.appliedIndex = this.image.snapshot?.lastIndex ?? toLogIndex(0);
    this.core = this.#cluster.build(this);
    this.up = true;
    this.work();
  }

  /** `batch` payloads of the log. */
  get texts(): string[] {
    return this.image.entries.filter((entry) => entry.kind === 'batch').map((entry) => textOf(entry));
  }

  /** Everyone that the configuration in this log names. */
  get members(): readonly number[] {
    const { voters, outgoing, learners } = configurationAt(this.image, this.#cluster.genesis, lastOf(this.image));
    return [...voters, ...outgoing, ...learners];
  }

  get status(): string {
    return this.core.role.role;
  }

  #handle(ready: Ready): void {
    this.trace?.push(...describeReady(ready));
    for (const message of ready.messages) this.#cluster.post(message);
    if (ready.persist !== null) {
      this.#write(ready);
    } else if (this.writes.length > 0) {
      const newest = this.writes.pop()!;
      const messagesAfterPersist = [...newest.ready.messagesAfterPersist, ...ready.messagesAfterPersist];
      this.writes.push({ image: newest.image, ready: { ...newest.ready, messagesAfterPersist } });
    } else {
      for (const message of ready.messagesAfterPersist) this.#cluster.post(message);
    }
    if (ready.lostLeadership !== null) this.lost.push(ready.lostLeadership.committedThrough);
    for (const { id, index } of ready.readStates) this.answers.set(id, index);
    this.alarms.push(...ready.alarms);
    if (ready.committed !== null) this.#apply(ready.committed.through);
    for (const { token, from, bytesMax } of ready.reads) {
      const entries = this.image.entries.filter((entry) => entry.index >= from);
      let bytes = 0;
      const end = entries.findIndex((entry, i) => (bytes += entry.payload.length) > bytesMax && i > 0);
      this.step({ kind: 'entries-read', token, entries: end === -1 ? entries : entries.slice(0, end) });
    }
    for (const read of ready.snapshotsToSend) this.#cluster.readSnapshot(this, read);
    if (ready.install !== null) this.#install(ready.install.chunk);
    if (!this.slowDisk) this.sync();
  }

  #write(ready: Ready): void {
    const { persist } = ready;
    assert.ok(persist !== null);
    const kept =
      persist.truncateAfter === null
        ? this.image.entries
        : this.image.entries.filter((entry) => entry.index <= (persist.truncateAfter ?? 0));
    const entries = [...kept, ...persist.entries];
    entries.forEach((entry, i) => {
      if (i > 0) assert.equal(entry.index, entries[i - 1]!.index + 1, 'a log has no gaps');
    });
    this.image = { ...this.image, entries, hardState: persist.hardState ?? this.image.hardState };
    this.writes.push({ ready, image: this.image });
  }

  #apply(through: LogIndex): void {
    for (const entry of this.image.entries) {
      if (entry.index <= this.appliedIndex || entry.index > through) continue;
      assert.equal(entry.index, this.appliedIndex + 1, 'entries are applied in order');
      this.appliedIndex = entry.index;
      if (entry.kind === 'batch') this.applied.push(textOf(entry));
      this.#cluster.committed(this, entry);
    }
    this.step({ kind: 'applied', index: this.appliedIndex });
  }

  #install(chunk: Extract<Message, { kind: 'snapshot-chunk' }>): void {
    if (chunk.position === 0) this.#installing = [];
    this.#installing.push(chunk.bytes);
    if (!chunk.last) return;
    const text = Buffer.concat(this.#installing).toString();
    const state = text.split(',').filter((one) => one !== '');
    this.applied.splice(0, Infinity, ...state);
    const { meta } = chunk;
    const hardState = { ...this.image.hardState, commit: meta.lastIndex };
    this.image = { hardState, entries: [], snapshot: meta, state };
    this.synced = this.image;
    this.appliedIndex = meta.lastIndex;
    this.step({ kind: 'snapshot-installed', meta });
  }
}

export const textOf = (entry: Entry): string => Buffer.from(entry.payload).toString();

export class Cluster {
  readonly nodes = new Map<number, TestNode>();
  readonly limits: RaftLimits;
  readonly genesis: Configuration;
  now: Millis = toMillis(0);
  /** Messages on their way, oldest first. */
  wire: Message[] = [];
  /** Everything that was ever posted. */
  posted: Message[] = [];
  /** True: the message is lost. */
  loses: (message: Message) => boolean = () => false;
  readonly #seed: number;
  readonly #framesSent: (() => number) | undefined;
  readonly #eager: boolean;
  readonly #leaders = new Map<number, number>();
  readonly #committed = new Map<number, Entry>();
  readonly #commits = new Map<number, number>();
  #builds = 0;

  constructor(options: ClusterOptions = {}) {
    this.limits = { ...raftLimitsDefault, ...options.limits };
    this.#seed = options.seed ?? 1;
    this.#framesSent = options.framesSent;
    this.#eager = options.eager ?? false;
    const voters = ids(...(options.voters ?? [1, 2, 3]));
    const learners = ids(...(options.learners ?? []));
    this.genesis = { revision: 0, voters, outgoing: [], learners };
    for (const id of [...voters, ...learners]) this.add(id);
  }

  /** A replica that is empty, or has what `image` says. */
  add(id: number, image: Image = emptyImage): TestNode {
    const node = new TestNode(this, toReplicaId(id), image);
    this.nodes.set(id, node);
    return node;
  }

  node(id: number): TestNode {
    return this.nodes.get(id)!;
  }

  build(node: TestNode): RaftNode {
    return new RaftNode({
      id: node.id,
      recovered: recoveredFrom(node.image, this.genesis),
      limits: this.limits,
      random: new SeededRandom(this.#seed * 1_000 + node.id + 7_919 * this.#builds++),
      crc32c,
      now: this.now,
      eager: this.#eager,
      ...(this.#framesSent === undefined ? {} : { framesSent: this.#framesSent }),
    });
  }

  post(message: Message): void {
    this.posted.push(message);
    if (!this.loses(message)) this.wire.push(message);
  }

  /** Delivers every message, and what follows from it, until nothing is on its way. */
  settle(): void {
    for (let left = 100_000; this.wire.length > 0; left--) {
      assert.ok(left > 0, 'the cluster does not come to rest');
      this.deliver(this.wire.shift()!);
    }
  }

  deliver(message: Message): void {
    this.nodes.get(message.to)?.step({ kind: 'message', message });
    this.#check();
  }

  /** Lets time pass; deadlines act at their time, messages arrive at once. */
  pass(ms: number): void {
    const end = this.now + ms;
    for (;;) {
      const due = [...this.nodes.values()].filter((node) => node.up).map((node) => Math.ceil(node.core.nextDeadline));
      const next = Math.max(this.now, Math.min(...due));
      if (next > end) break;
      this.now = toMillis(next);
      for (const node of this.nodes.values()) {
        if (node.up && node.core.nextDeadline <= this.now) node.step({ kind: 'tick' });
      }
      this.settle();
      this.#check();
    }
    this.now = toMillis(end);
  }

  /** Time passes for everybody, but nobody's deadline acts. */
  freeze(ms: number): void {
    this.now = toMillis(this.now + ms);
  }

  /** Loses everything between the two, in one direction or both. */
  cut(from: number, to: number, both = true): void {
    const before = this.loses;
    this.loses = (message) =>
      before(message) ||
      (message.from === from && message.to === to) ||
      (both && message.from === to && message.to === from);
  }

  isolate(id: number): void {
    const before = this.loses;
    this.loses = (message) => before(message) || message.from === id || message.to === id;
  }

  heal(): void {
    this.loses = () => false;
  }

  /** Makes `id` the leader: everybody forgets the old one for long enough, then it campaigns first. */
  elect(id: number): TestNode {
    const node = this.node(id);
    this.freeze(10 * this.limits.electionTimeoutMs);
    node.step({ kind: 'tick' });
    this.settle();
    assert.equal(node.status, 'leader', `${id} is elected`);
    return node;
  }

  get leader(): TestNode {
    const leaders = [...this.nodes.values()].filter((node) => node.up && node.status === 'leader');
    const newest = leaders.sort((a, b) => b.core.role.term - a.core.role.term)[0];
    assert.ok(newest !== undefined, 'there is a leader');
    return newest;
  }

  /** Proposes without delivering anything. */
  offer(id: number, text: string): ReturnType<RaftNode['propose']> {
    const node = this.node(id);
    const payload = Buffer.from(text);
    const answer = node.core.propose({ kind: 'batch', count: 1, payload, maxTimestampMs: null }, this.now);
    node.work();
    return answer;
  }

  propose(id: number, text: string): void {
    assert.equal(this.offer(id, text).kind, 'accepted', `${id} accepts`);
    this.settle();
  }

  configure(id: number, target: Partial<Configuration> & { readonly revision: number }): string {
    const node = this.node(id);
    const configuration = { ...this.genesis, outgoing: [], ...target };
    const answer = node.core.proposeConfiguration(configuration, this.now);
    node.work();
    this.settle();
    return answer.kind === 'accepted' ? 'accepted' : answer.why;
  }

  /** Cuts the log of a node at what it has applied, as if a snapshot of it were durable. */
  compact(id: number): void {
    const node = this.node(id);
    const at = node.image.entries.find((entry) => entry.index === node.appliedIndex);
    assert.ok(at !== undefined, 'something is applied');
    const terms = termsOf(node.image).filter((start) => start.startIndex <= at.index);
    const byteLength = node.applied.join(',').length;
    const configuration = configurationAt(node.image, this.genesis, at.index);
    const snapshot = {
      id: `s${id}-${at.index}`,
      lastIndex: at.index,
      lastTerm: at.term,
      endOffset: entryEndOffset(at),
      chain: at.chain,
      appendTimeMs: at.appendTimeMs,
      maxTimestampMs: null,
      payloadBytes: 0,
      logStart: entryEndOffset(at),
      configuration,
      terms,
      byteLength,
      checksum: crc32c(Buffer.from(node.applied.join(','))),
    };
    const entries = node.image.entries.filter((entry) => entry.index > at.index);
    node.image = { ...node.image, snapshot, entries, state: [...node.applied] };
    node.synced = node.image;
    node.step({ kind: 'compacted', firstIndex: toLogIndex(at.index + 1), chain: at.chain });
  }

  /** Bytes of a chunk; small, so that a snapshot takes several. */
  chunkBytes = 4;

  readSnapshot(node: TestNode, read: Ready['snapshotsToSend'][number]): void {
    const meta = node.image.snapshot;
    assert.ok(meta !== null, 'a leader that cut its log has a snapshot');
    const whole = Buffer.from(node.image.state.join(','));
    const position = read.snapshotId === meta.id ? read.position : 0;
    const bytes = whole.subarray(position, position + this.chunkBytes);
    const last = position + bytes.length >= whole.length;
    node.step({ kind: 'snapshot-read', to: read.to, meta, position, bytes, last });
  }

  /** An entry was committed at a node: all nodes agree on it, and a quorum of the voters has it durably. */
  committed(node: TestNode, entry: Entry): void {
    const known = this.#committed.get(entry.index);
    assert.equal(entry.chain, known?.chain ?? entry.chain, `inv-I3: index ${entry.index} differs at ${node.id}`);
    if (known !== undefined) return;
    this.#committed.set(entry.index, entry);
    const holders = [...this.nodes.values()].filter((one) =>
      lastOf(one.synced) >= entry.index
        ? (one.synced.snapshot?.lastIndex ?? 0) >= entry.index ||
          one.synced.entries.some((held) => held.index === entry.index && held.chain === entry.chain)
        : false,
    );
    const { voters, outgoing } = configurationAt(node.image, this.genesis, lastOf(node.image));
    for (const half of [voters, outgoing]) {
      const durable = half.filter((id) => holders.some((one) => one.id === id)).length;
      assert.ok(half.length === 0 || durable > half.length / 2, `inv-I6: ${entry.index} is durable on ${durable}`);
    }
  }

  #check(): void {
    for (const node of this.nodes.values()) {
      if (!node.up) continue;
      const { term, role } = node.core.role;
      if (role === 'leader') {
        assert.equal(this.#leaders.get(term) ?? node.id, node.id, `inv-I1: two leaders in term ${term}`);
        this.#leaders.set(term, node.id);
      }
      const { commitIndex } = node.core;
      const before = this.#commits.get(node.id) ?? 0;
      assert.ok(commitIndex >= Math.min(before, node.synced.hardState.commit), 'inv-I7: the commit index fell');
      this.#commits.set(node.id, commitIndex);
    }
  }
}

function termsOf(image: Image): TermStart[] {
  const terms: TermStart[] = [...(image.snapshot?.terms ?? [])];
  for (const entry of image.entries) {
    if (terms.at(-1)?.term === entry.term) continue;
    terms.push({ term: entry.term, startIndex: entry.index, startOffset: entry.baseOffset });
  }
  return terms;
}

function configurationsOf(image: Image, genesis: Configuration): { index: LogIndex; configuration: Configuration }[] {
  const { snapshot } = image;
  const first =
    snapshot === null
      ? { index: toLogIndex(0), configuration: genesis }
      : { index: snapshot.lastIndex, configuration: snapshot.configuration };
  const later = image.entries.filter((entry) => entry.kind === 'configuration');
  return [first, ...later.map(({ index, payload }) => ({ index, configuration: decodeConfiguration(payload) }))];
}

function configurationAt(image: Image, genesis: Configuration, index: LogIndex): Configuration {
  const known = configurationsOf(image, genesis).filter((one) => one.index <= index);
  return known.at(-1)!.configuration;
}

/** What a driver finds when it opens the log. */
export function recoveredFrom(image: Image, genesis: Configuration): RecoveredState {
  const { entries, snapshot, hardState } = image;
  const last = entries.at(-1);
  const applied = snapshot?.lastIndex ?? toLogIndex(0);
  const firstIndex = toLogIndex(applied + 1);
  const known = Math.max(hardState.commit, firstIndex);
  return {
    hardState,
    firstIndex,
    boundaryTerm: snapshot?.lastTerm ?? termZero,
    boundaryChain: snapshot?.chain ?? genesisChain,
    lastIndex: last?.index ?? applied,
    lastTerm: last?.term ?? snapshot?.lastTerm ?? termZero,
    lastChain: last?.chain ?? snapshot?.chain ?? genesisChain,
    lastAppendTimeMs: last?.appendTimeMs ?? snapshot?.appendTimeMs ?? toMillis(0),
    endOffset: last === undefined ? (snapshot?.endOffset ?? offsetZero) : entryEndOffset(last),
    appliedIndex: applied,
    terms: termsOf(image).filter((start) => entries.some((entry) => entry.term === start.term)),
    configurations: configurationsOf(image, genesis),
    recent: entries.filter((entry) => entry.index >= known),
    snapshot,
  };
}

export interface LogEnd {
  readonly index: number;
  readonly term: number;
  readonly offset: number;
  readonly chain: number;
}

/** The batch entry that a leader of `term` would put after `last`. */
export function sealAfter(last: LogEnd, term: number, text: string): Entry {
  const payload = Buffer.from(text);
  const entry = {
    kind: 'batch' as const,
    count: 1,
    payload,
    maxTimestampMs: null,
    term: toTerm(term),
    index: toLogIndex(last.index + 1),
    baseOffset: toOffset(last.offset),
    appendTimeMs: toMillis(0),
    payloadCrc: crc32c(payload),
  };
  return { ...entry, chain: chainAfter(last.chain, entry, crc32c) };
}

/** A log that is already durable: one entry per term named, with the index as its text. */
export function imageOf(
  terms: readonly number[],
  hardState: Partial<{ term: number; vote: number; commit: number }>,
): Image {
  const entries: Entry[] = [];
  const last = { index: 0, term: 0, offset: 0, chain: genesisChain };
  for (const term of terms) {
    const sealed = sealAfter(last, term, `${last.index + 1}@${term}`);
    entries.push(sealed);
    Object.assign(last, { index: sealed.index, term, offset: sealed.baseOffset + 1, chain: sealed.chain });
  }
  return {
    entries,
    snapshot: null,
    state: [],
    hardState: {
      term: toTerm(hardState.term ?? terms.at(-1) ?? 0),
      vote: hardState.vote === undefined ? null : toReplicaId(hardState.vote),
      commit: toLogIndex(hardState.commit ?? 0),
    },
  };
}
