/**
 * One replica on the stage: the real core, a disk with a written and a synced image, and a driver whose every step can
 * be slowed down, so that a script may stop between a write, its completion, its messages, its application.
 */
import { InvariantViolation, must } from '../../src/model/assert.ts';
import type { Entry } from '../../src/model/entry.ts';
import { entryEndOffset } from '../../src/model/entry.ts';
import type { LogIndex, Millis, ReplicaId } from '../../src/model/ids.ts';
import { termZero, toLogIndex } from '../../src/model/ids.ts';
import type { Configuration } from '../../src/raft/core/configuration.ts';
import { describeReady } from '../../src/raft/core/describe.ts';
import type { RaftEvent } from '../../src/raft/core/events.ts';
import type { Message, SnapshotChunk } from '../../src/raft/core/messages.ts';
import type { RaftNode } from '../../src/raft/core/raft-node.ts';
import type { Ready } from '../../src/raft/core/ready.ts';
import type { Image } from '../raft/core/cluster.ts';
import { lastOf, textOf } from '../raft/core/cluster.ts';
import { snapshotOf } from './image.ts';

/** What may be slow: done only when the script says so. */
export const parts = ['work', 'disk', 'apply', 'reads', 'install'] as const;
export type Part = (typeof parts)[number];

interface Write {
  readonly number: number;
  readonly image: Image;
  readonly then: Ready['messagesAfterPersist'][number][];
  durable: boolean;
}

type Asked = { readonly log: Ready['reads'][number] } | { readonly snapshot: Ready['snapshotsToSend'][number] };

/** What an actor needs of the stage that it stands on. */
export interface Surroundings {
  readonly now: Millis;
  readonly genesis: Configuration;
  /** Bytes of a snapshot chunk. */
  readonly chunkBytes: number;
  build(actor: Actor): RaftNode;
  post(message: Message): void;
  tell(id: number, line: string): void;
  violation(what: string): void;
  checkCommitted(actor: Actor, entry: Entry): void;
}

export class Actor {
  readonly id: ReplicaId;
  readonly #stage: Surroundings;
  core: RaftNode;
  /** What was written, durable or not, and what a crash leaves. */
  image: Image;
  synced: Image;
  readonly slow = new Set<Part>();
  state: 'up' | 'paused' | 'down' | 'quarantined' = 'up';
  applied: string[];
  appliedIndex: LogIndex;
  #writes: Write[] = [];
  #committed: LogIndex;
  #asked: Asked[] = [];
  #received: Uint8Array[] = [];
  #installing: SnapshotChunk | null = null;
  /** Drops that were told, by reason. */
  #dropped = new Map<string, number>();

  constructor(stage: Surroundings, id: ReplicaId, image: Image) {
    this.#stage = stage;
    this.id = id;
    this.image = image;
    this.synced = image;
    this.applied = [...image.state];
    this.appliedIndex = image.snapshot?.lastIndex ?? toLogIndex(0);
    this.#committed = this.appliedIndex;
    this.core = stage.build(this);
  }

  get waitingWrites(): number {
    return this.#writes.length;
  }

  step(event: RaftEvent): void {
    if (this.state !== 'up') return;
    this.attempt(() => this.core.step(event, this.#stage.now));
    this.#tellDrops();
    if (!this.slow.has('work')) this.work();
  }

  /** Does what the core wants done, until it wants nothing more. */
  work(): void {
    while (this.state === 'up') {
      const ready = this.attempt(() => this.core.takeReady());
      if (ready === null) return;
      this.#handle(ready);
    }
  }

  /** Makes the oldest `count` writes durable; the core does not hear of it yet. */
  persist(count: number): void {
    for (const write of this.#writes.filter((one) => !one.durable).slice(0, count)) {
      write.durable = true;
      this.synced = write.image;
    }
  }

  /** Tells the core of up to `count` durable writes, oldest first, and lets out what waited for them. */
  complete(count: number): void {
    for (let i = 0; i < count && this.#writes[0]?.durable === true; i++) {
      const { number: readyNumber, image, then } = this.#writes.shift()!;
      for (const message of then) this.#stage.post(message);
      const lastTerm = image.entries.at(-1)?.term ?? image.snapshot?.lastTerm ?? termZero;
      this.step({ kind: 'persisted', lastIndex: lastOf(image), lastTerm, readyNumber });
    }
  }

  sync(count: number): void {
    this.persist(count);
    this.complete(count);
  }

  crash(): void {
    this.state = 'down';
    this.#writes = [];
    this.#asked = [];
    this.#received = [];
    this.#installing = null;
  }

  /** Comes back with what was durable. */
  restart(): void {
    this.image = this.synced;
    this.applied = [...this.image.state];
    this.appliedIndex = this.image.snapshot?.lastIndex ?? toLogIndex(0);
    this.#committed = this.appliedIndex;
    this.#dropped = new Map();
    this.state = 'up';
    this.attempt(() => (this.core = this.#stage.build(this)));
    this.work();
  }

  /** Applies what is committed. */
  apply(): void {
    const before = this.appliedIndex;
    for (const entry of this.image.entries) {
      if (entry.index <= this.appliedIndex || entry.index > this.#committed) continue;
      this.appliedIndex = entry.index;
      if (entry.kind === 'batch') this.applied.push(textOf(entry));
      this.#stage.checkCommitted(this, entry);
    }
    if (this.appliedIndex > before) this.step({ kind: 'applied', index: this.appliedIndex });
  }

  /** Answers what the core asked the log and the snapshots for. */
  answer(count: number): void {
    for (const asked of this.#asked.splice(0, count)) {
      if ('log' in asked) this.#readLog(asked.log);
      else this.#readSnapshot(asked.snapshot);
    }
  }

  /** The disk has taken the whole snapshot. */
  install(): void {
    const chunk = this.#installing;
    if (chunk === null) return;
    this.#installing = null;
    const { meta } = chunk;
    const state = Buffer.concat(this.#received).toString().split(',');
    const hardState = { ...this.image.hardState, commit: meta.lastIndex };
    this.image = { hardState, entries: [], snapshot: meta, state };
    this.synced = this.image;
    this.applied = [...state];
    this.appliedIndex = meta.lastIndex;
    this.#committed = meta.lastIndex;
    this.step({ kind: 'snapshot-installed', meta });
  }

  /** What was received can not be used. */
  refuse(): void {
    const chunk = this.#installing;
    this.#installing = null;
    if (chunk !== null) this.step({ kind: 'snapshot-refused', id: chunk.meta.id });
  }

  /** Drops the log's prefix through `index`, for which a durable snapshot stands from now on. */
  compact(index: LogIndex): void {
    this.image = snapshotOf(this.image, this.#stage.genesis, index, `s${this.id}-${index}`);
    this.synced = this.image;
    const { chain } = must(this.image.snapshot, 'a snapshot stands for what was dropped');
    this.step({ kind: 'compacted', firstIndex: toLogIndex(index + 1), chain });
  }

  #handle(ready: Ready): void {
    for (const line of describeReady(ready)) this.#stage.tell(this.id, line);
    for (const message of ready.messages) this.#stage.post(message);
    const then = [...ready.messagesAfterPersist];
    if (ready.persist !== null) {
      this.#write(ready.persist);
      this.#writes.push({ number: ready.number, image: this.image, then, durable: false });
    } else if (this.#writes.length > 0) {
      this.#writes.at(-1)!.then.push(...then);
    } else {
      for (const message of then) this.#stage.post(message);
    }
    if (ready.committed !== null) this.#committed = ready.committed.through;
    for (const log of ready.reads) this.#asked.push({ log });
    for (const snapshot of ready.snapshotsToSend) this.#asked.push({ snapshot });
    if (ready.install !== null) this.#take(ready.install.chunk);
    if (!this.slow.has('apply')) this.apply();
    if (!this.slow.has('reads')) this.answer(Infinity);
    if (!this.slow.has('disk')) this.sync(Infinity);
  }

  #write({ truncateAfter, entries, hardState }: NonNullable<Ready['persist']>): void {
    const kept =
      truncateAfter === null ? this.image.entries : this.image.entries.filter((entry) => entry.index <= truncateAfter);
    const follows = entries[0] === undefined || entries[0].index === lastOf({ ...this.image, entries: kept }) + 1;
    if (!follows) this.#stage.violation(`log of ${this.id} has a gap before ${entries[0]?.index}`);
    this.image = { ...this.image, entries: [...kept, ...entries], hardState: hardState ?? this.image.hardState };
  }

  #take(chunk: SnapshotChunk): void {
    if (chunk.position === 0) this.#received = [];
    this.#received.push(chunk.bytes);
    if (!chunk.last) return;
    this.#installing = chunk;
    if (!this.slow.has('install')) this.install();
  }

  #readLog({ token, from, bytesMax }: Ready['reads'][number]): void {
    const rest = this.image.entries.filter((entry) => entry.index >= from);
    let bytes = 0;
    const end = rest.findIndex((entry, i) => (bytes += entry.payload.length) > bytesMax && i > 0);
    this.step({ kind: 'entries-read', token, entries: end === -1 ? rest : rest.slice(0, end) });
  }

  #readSnapshot({ to, position: wanted, snapshotId }: Ready['snapshotsToSend'][number]): void {
    const meta = this.image.snapshot;
    if (meta === null) throw new Error(`${this.id} has no snapshot`);
    const whole = Buffer.from(this.image.state.join(','));
    const position = snapshotId === meta.id ? wanted : 0;
    const bytes = whole.subarray(position, position + this.#stage.chunkBytes);
    this.step({ kind: 'snapshot-read', to, meta, position, bytes, last: position + bytes.length >= whole.length });
  }

  /** Null if an invariant broke, which quarantines the group on this broker (design D7). */
  attempt<T>(act: () => T): T | null {
    try {
      return act();
    } catch (error) {
      if (!(error instanceof InvariantViolation)) throw error;
      this.state = 'quarantined';
      this.#stage.tell(this.id, `quarantined by ${error.message}`);
      return null;
    }
  }

  #tellDrops(): void {
    for (const [reason, times] of this.core.dropped) {
      if (this.#dropped.get(reason) !== times) this.#stage.tell(this.id, `dropped ${reason}`);
      this.#dropped.set(reason, times);
    }
  }
}

/** `1/1 no-op, 2/1 batch "a"`: what a log holds, with its texts. */
export function describeLog(entries: readonly Entry[]): string {
  const text = (entry: Entry): string => (entry.kind === 'batch' ? ` ${textOf(entry).slice(0, 20)}` : '');
  const end = (entry: Entry): number => entryEndOffset(entry);
  const parts = entries.map((entry) => `${entry.index}/${entry.term} ${entry.kind}${text(entry)}`);
  return entries.length === 0 ? 'empty' : `${parts.join(', ')} (end offset ${end(entries.at(-1)!)})`;
}
