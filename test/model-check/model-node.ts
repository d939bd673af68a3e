/**
 * One replica in the model: the real core, and the disk below it as the driver uses it: writes complete in order, and
 * what waits for a write leaves when it completes. Time is a choice: a node's clock stands still until its deadline is
 * chosen to act, so every relative speed of clocks is covered.
 */
import type { Millis, ReplicaId } from '../../src/model/ids.ts';
import { toMillis, toTerm } from '../../src/model/ids.ts';
import type { Configuration } from '../../src/raft/core/configuration.ts';
import { raftLimitsDefault } from '../../src/raft/core/limits.ts';
import type { Message } from '../../src/raft/core/messages.ts';
import type { RaftNode } from '../../src/raft/core/raft-node.ts';
import type { Ready } from '../../src/raft/core/ready.ts';
import { crc32c } from '../../src/runtime/crc32c.ts';
import { lastOf, recoveredFrom } from '../raft/core/cluster.ts';
import type { Image } from '../raft/core/cluster.ts';
import type { MakeNode } from './exposed-core.ts';
import { canonical, fork } from './forking.ts';

/** What can happen to a replica. */
export type ModelEvent =
  | { readonly kind: 'deliver'; readonly message: Message }
  /** Its election time-out passes, and so many pre-votes are granted that it stands for election. */
  | { readonly kind: 'campaign' }
  /** A leader's deadline passes: it checks its quorum, then sends heartbeats. */
  | { readonly kind: 'beat' }
  /** The oldest write is durable. */
  | { readonly kind: 'persisted' }
  | { readonly kind: 'propose' }
  | { readonly kind: 'configure'; readonly target: Configuration }
  | { readonly kind: 'transfer'; readonly to: ReplicaId }
  /** Its memory is gone, and of its writes that are not durable all but the `kept` oldest; it starts again. */
  | { readonly kind: 'crash'; readonly kept: number };

interface Write {
  readonly number: number;
  readonly image: Image;
  readonly messages: readonly Message[];
}

export interface ModelNode {
  readonly id: ReplicaId;
  readonly core: RaftNode;
  readonly now: Millis;
  /** What a crash leaves, and what was written, durable or not. */
  readonly synced: Image;
  readonly written: Image;
  readonly writes: readonly Write[];
}

export interface Settings {
  readonly makeNode: MakeNode;
  readonly genesis: Configuration;
  /** Writes become durable one by one, by choice; false: at once. */
  readonly slowDisk: boolean;
  /** Ages of what was heard and sent matter: leaders check their quorum and send again. */
  readonly beats: boolean;
}

const electionTimeoutMs = 100;
const limits = {
  ...raftLimitsDefault,
  electionTimeoutMs,
  // heartbeat and check of the quorum fall together, so that a leader's deadline is one event
  heartbeatMs: electionTimeoutMs,
  // one entry a request, so that entries are lost and reordered one by one
  messageBytesMax: 1,
  inflightMessagesMax: 2,
};
/** The largest value below the bound: a lease has always ended before the time-out that follows it. */
const slowest = { below: (bound: number): number => bound - 1, bytes: (count: number) => new Uint8Array(count) };

export function startNode(id: ReplicaId, image: Image, settings: Settings): Stepped {
  return restart(id, image, toMillis(1_000_000), settings);
}

export interface Stepped {
  readonly node: ModelNode;
  readonly sent: readonly Message[];
}

/** Null: the event can not happen to this node now. A broken invariant of the core is thrown. */
export function stepNode(node: ModelNode, event: ModelEvent, settings: Settings): Stepped | null {
  if (event.kind === 'crash') {
    if (event.kept > node.writes.length) return null;
    const image = event.kept === 0 ? node.synced : node.writes[event.kept - 1]!.image;
    return restart(node.id, image, node.now, settings);
  }
  const moving = new Moving(fork(node), settings);
  return moving.happens(event) ? moving.done() : null;
}

function restart(id: ReplicaId, image: Image, now: Millis, settings: Settings): Stepped {
  const recovered = recoveredFrom(image, settings.genesis);
  const core = settings.makeNode({ id, recovered, limits, random: slowest, crc32c, now });
  const moving = new Moving({ id, core, now, synced: image, written: image, writes: [] }, settings);
  moving.work();
  return moving.done();
}

/** A node while an event is worked off. */
class Moving {
  readonly #settings: Settings;
  readonly #id: ReplicaId;
  readonly #core: RaftNode;
  readonly #sent: Message[] = [];
  #now: Millis;
  #synced: Image;
  #written: Image;
  readonly #writes: Write[];

  constructor(node: ModelNode, settings: Settings) {
    this.#settings = settings;
    this.#id = node.id;
    this.#core = node.core;
    this.#now = node.now;
    this.#synced = node.synced;
    this.#written = node.written;
    this.#writes = [...node.writes];
  }

  done(): Stepped {
    const node = {
      id: this.#id,
      core: this.#core,
      now: this.#now,
      synced: this.#synced,
      written: this.#written,
      writes: this.#writes,
    };
    return { node, sent: this.#sent };
  }

  happens(event: Exclude<ModelEvent, { kind: 'crash' }>): boolean {
    const { role } = this.#core.role;
    switch (event.kind) {
      case 'deliver':
        // a lease may have ended; a campaign that comes too early is a campaign that is lost
        if (event.message.kind === 'vote-request' && role !== 'leader') this.#pass(electionTimeoutMs);
        this.#core.step({ kind: 'message', message: event.message }, this.#now);
        break;
      case 'campaign':
        if (role === 'leader' || this.#core.nextDeadline === Infinity) return false;
        this.#campaign();
        break;
      case 'beat':
        if (role !== 'leader' || this.#core.nextDeadline === Infinity) return false;
        this.#passTo(this.#core.nextDeadline);
        this.#core.step({ kind: 'tick' }, this.#now);
        break;
      case 'persisted':
        if (this.#writes.length === 0) return false;
        this.#persisted();
        break;
      case 'propose':
        if (!this.#propose()) return false;
        break;
      case 'configure':
        if (this.#core.proposeConfiguration(event.target, toMillis(0)).kind === 'refused') return false;
        break;
      case 'transfer':
        if (role !== 'leader' || event.to === this.#id) return false;
        this.#core.step({ kind: 'transfer', to: event.to }, this.#now);
        break;
    }
    this.work();
    return true;
  }

  /** Does what the core wants done, as the driver does. */
  work(): void {
    for (;;) {
      const ready = this.#core.takeReady();
      if (ready !== null) this.#handle(ready);
      else if (!this.#settings.slowDisk && this.#writes.length > 0) this.#persisted();
      else return;
    }
  }

  #handle(ready: Ready): void {
    this.#sent.push(...ready.messages);
    if (ready.persist !== null) this.#write(ready, ready.persist);
    else this.#sendAfterWrites(ready.messagesAfterPersist);
    if (ready.committed !== null) {
      this.#core.step({ kind: 'applied', index: ready.committed.through }, this.#now);
    }
    for (const { token, from } of ready.reads) {
      const entries = this.#written.entries.filter((entry) => entry.index >= from).slice(0, 1);
      this.#core.step({ kind: 'entries-read', token, entries }, this.#now);
    }
  }

  #write(ready: Ready, persist: NonNullable<Ready['persist']>): void {
    const { truncateAfter, hardState } = persist;
    const kept = this.#written.entries.filter((entry) => truncateAfter === null || entry.index <= truncateAfter);
    const entries = [...kept, ...persist.entries];
    this.#written = { ...this.#written, entries, hardState: hardState ?? this.#written.hardState };
    this.#writes.push({ number: ready.number, image: this.#written, messages: ready.messagesAfterPersist });
  }

  #sendAfterWrites(messages: readonly Message[]): void {
    const newest = this.#writes.pop();
    if (newest === undefined) this.#sent.push(...messages);
    else this.#writes.push({ ...newest, messages: [...newest.messages, ...messages] });
  }

  #persisted(): void {
    const write = this.#writes.shift()!;
    this.#synced = write.image;
    this.#sent.push(...write.messages);
    const lastIndex = lastOf(write.image);
    const lastTerm = write.image.entries.at(-1)?.term ?? toTerm(0);
    this.#core.step({ kind: 'persisted', lastIndex, lastTerm, readyNumber: write.number }, this.#now);
  }

  /** The requests for pre-votes are not sent: the answers are here already, from whoever could give them. */
  #campaign(): void {
    const term = toTerm(this.#core.role.term + 1);
    this.#passTo(this.#core.nextDeadline);
    this.#core.step({ kind: 'tick' }, this.#now);
    const { voters, outgoing } = this.#core.status.membership.configuration;
    for (const from of new Set([...voters, ...outgoing])) {
      if (from === this.#id || this.#core.role.role !== 'pre-candidate') continue;
      const reply = { kind: 'vote-reply', from, to: this.#id, term, pre: true, granted: true } as const;
      this.#core.step({ kind: 'message', message: reply }, this.#now);
    }
    for (let ready = this.#core.takeReady(); ready !== null; ready = this.#core.takeReady()) {
      const messages = ready.messages.filter((message) => message.kind !== 'vote-request' || !message.pre);
      this.#handle({ ...ready, messages });
    }
  }

  #propose(): boolean {
    const place = this.#core.nextAppend();
    if (place === null) return false;
    const payload = Buffer.from(`by ${this.#id} in ${place.term}`);
    const draft = { kind: 'batch', count: 1, payload, maxTimestampMs: null } as const;
    return this.#core.propose(draft, toMillis(0)).kind === 'accepted';
  }

  #pass(ms: number): void {
    this.#now = toMillis(this.#now + ms);
  }

  #passTo(deadlineMs: number): void {
    this.#now = toMillis(Math.max(this.#now, Math.ceil(deadlineMs)));
  }
}

/** Two nodes with the same text behave the same from here on. */
export function textOf(node: ModelNode, beats: boolean): string {
  const how = { now: node.now, oldestMs: beats ? 3 * electionTimeoutMs : null };
  return `${node.id}${canonical(node.core, how)}${canonical([node.synced, node.written, node.writes], how)}`;
}

export const messageText = (message: Message): string => canonical(message, { now: 0, oldestMs: null });

/**
 * Nothing to its receiver for ever: an answer to a term that its disk has left behind, or in which it neither leads nor
 * campaigns any more; where notices are lost, also a request that could only be refused. Whether such a message is still
 * on its way makes no difference.
 */
export function isDead(message: Message, receiver: ModelNode, losesNotices: boolean): boolean {
  const { term: durable, vote } = receiver.synced.hardState;
  const isAnswer = message.kind.endsWith('-reply') || message.kind === 'timeout-now';
  if (message.term < durable) return isAnswer || losesNotices;
  if (message.term > durable || message.kind === 'timeout-now') return false;
  if (!isAnswer) return losesNotices && message.kind === 'vote-request' && vote !== null && vote !== message.from;
  const { role, term } = receiver.core.role;
  return term !== durable || (role !== 'leader' && role !== 'candidate');
}

/** A refusal, or an answer to somebody whose term is over, which only tells the new one. */
export function isNotice(message: Message): boolean {
  return (
    (message.kind === 'vote-reply' && !message.granted) || (message.kind === 'heartbeat-reply' && message.round === 0)
  );
}
