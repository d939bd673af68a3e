/** Collects what one Ready will carry. */
import { assert } from '../../model/assert.ts';
import type { LogIndex, ReplicaId, Term } from '../../model/ids.ts';
import type { RequestId } from './events.ts';
import type { Message, SnapshotChunk } from './messages.ts';
import type { Alarm, Ready } from './ready.ts';

export type LogRead = Ready['reads'][number];
export type SnapshotRead = Ready['snapshotsToSend'][number];

/** The parts of a Ready that are made while events are stepped; the rest is derived when it is taken. */
export interface Collected {
  messages: Message[];
  messagesAfterPersist: Message[];
  lostLeadership: { readonly term: Term; readonly committedThrough: LogIndex } | null;
  readStates: { readonly id: RequestId; readonly index: LogIndex | null }[];
  reads: LogRead[];
  snapshotsToSend: SnapshotRead[];
  install: { readonly chunk: SnapshotChunk } | null;
  alarms: Alarm[];
}

const nothing = (): Collected => ({
  messages: [],
  messagesAfterPersist: [],
  lostLeadership: null,
  readStates: [],
  reads: [],
  snapshotsToSend: [],
  install: null,
  alarms: [],
});

export class Outbox {
  #collected: Collected = nothing();
  #empty = true;

  get empty(): boolean {
    return this.#empty;
  }

  /** A chunk of a snapshot waits to be taken: no other one can. */
  get holdsChunk(): boolean {
    return this.#collected.install !== null;
  }

  /** May leave beside the write: what depends on no state that is not durable. */
  send(message: Message): void {
    this.#touch().messages.push(message);
  }

  /** Leaves once everything before it is durable. */
  sendAfterPersist(message: Message): void {
    this.#touch().messagesAfterPersist.push(message);
  }

  lostLeadership(term: Term, committedThrough: LogIndex): void {
    this.#touch().lostLeadership = { term, committedThrough };
  }

  answerRead(id: RequestId, index: LogIndex | null): void {
    this.#touch().readStates.push({ id, index });
  }

  readLog(read: LogRead): void {
    this.#touch().reads.push(read);
  }

  readSnapshot(to: ReplicaId, position: number, snapshotId: string | null): void {
    this.#touch().snapshotsToSend.push({ to, position, snapshotId });
  }

  install(chunk: SnapshotChunk): void {
    const collected = this.#touch();
    assert(collected.install === null, 'raft-12: one chunk at a time', chunk.meta.id);
    collected.install = { chunk };
  }

  alarm(alarm: Alarm): void {
    this.#touch().alarms.push(alarm);
  }

  take(): Collected {
    if (this.#empty) return nothing();
    const collected = this.#collected;
    this.#collected = nothing();
    this.#empty = true;
    return collected;
  }

  #touch(): Collected {
    this.#empty = false;
    return this.#collected;
  }
}
