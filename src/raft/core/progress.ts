/**
 * What a leader knows of one other replica, and how fast it may be fed. Replication is pipelined: in `replicate` the
 * next request leaves before the last one is acknowledged, within a window of bytes and messages; in `probe` one request
 * at a time looks for the place where the logs match; in `snapshot` the entries it needs are gone from the leader's log.
 */
import { assert } from '../../model/assert.ts';
import type { LogIndex, Millis, ReplicaId } from '../../model/ids.ts';
import { nextIndex, previousIndex, toLogIndex } from '../../model/ids.ts';
import type { RaftLimits } from './limits.ts';
import type { SnapshotMeta } from './snapshot.ts';
import type { Position } from './unstable-log.ts';

export type ProgressState =
  /** `sent`: a request is out; the next one waits for its answer or for a sign of life. */
  | { readonly kind: 'probe'; readonly sent: boolean }
  | { readonly kind: 'replicate' }
  | {
      readonly kind: 'snapshot';
      /** Null: not chosen yet. */
      readonly meta: SnapshotMeta | null;
      /** Bytes that the replica has. */
      readonly acknowledged: number;
      /** When the last chunk was asked for; it is asked for again after a while. */
      readonly askedMs: Millis;
    }
  /** It lost what it had acknowledged: never counted, never fed again; the catalog must replace it (P27). */
  | { readonly kind: 'lost' };

/** What others may know of it. */
export interface FollowerStatus {
  readonly id: ReplicaId;
  readonly state: ProgressState['kind'];
  readonly match: LogIndex;
  readonly next: LogIndex;
  /** On the monotonic clock, when it was heard last in this term; -Infinity: not yet. */
  readonly heardMs: number;
  readonly inFlightBytes: number;
  /** Entries are being read from disk for it. */
  readonly reading: boolean;
}

interface InFlight {
  readonly lastIndex: LogIndex;
  readonly bytes: number;
}

/** What an answer that rejects a request turned out to be. */
export type Rejection = 'moved' | 'stale' | 'lost';

export class Progress {
  readonly id: ReplicaId;
  readonly #limits: RaftLimits;
  /** Durable at the replica and equal to the leader's log through this index. Invariant: rises only; below `next`. */
  match: LogIndex = toLogIndex(0);
  /** The next index to send. */
  next: LogIndex;
  state: ProgressState = { kind: 'probe', sent: false };
  /** End of the entry before `next`, if it was sent or read; spares reading it again. */
  position: Position | null = null;
  /** Requests that were sent in this term. */
  sequence = 0;
  /** `sequence` when `match` last rose: answers to later requests can not be older than it. */
  #sequenceAtMatch = 0;
  /** The newest heartbeat round that was answered. */
  round = 0;
  /** When anything was sent or heard that carries the log (design D3: bulk). */
  bulkSentMs = -Infinity;
  bulkHeardMs = -Infinity;
  /** When anything at all was heard of it in this term; -Infinity: nothing was. */
  heardMs = -Infinity;
  /** The commit index that the replica will know from what was sent. */
  sentCommit: LogIndex = toLogIndex(0);
  /** The commit index that the replica is known to know; falls when it began anew. */
  knownCommit: LogIndex = toLogIndex(0);
  /** The newest commit index that was sent, and `sequence` of the first request that told it. */
  #told = { commit: toLogIndex(0), sequence: Infinity };
  /** A read of the log that is under way for this replica. */
  reading: number | null = null;
  /** Requests of `replicate` that are not acknowledged; ascending. At most inflightMessagesMax. */
  #inFlight: InFlight[] = [];
  #inFlightBytes = 0;

  constructor(id: ReplicaId, next: LogIndex, limits: RaftLimits) {
    this.id = id;
    this.next = next;
    this.#limits = limits;
  }

  get inFlightBytes(): number {
    return this.#inFlightBytes;
  }
  get inFlightMessages(): number {
    return this.#inFlight.length;
  }

  /** True if a request with entries may leave now. */
  get mayAppend(): boolean {
    if (this.reading !== null) return false;
    switch (this.state.kind) {
      case 'probe':
        return !this.state.sent;
      case 'replicate':
        return this.#windowOpen();
      case 'snapshot':
      case 'lost':
        return false;
    }
  }

  /** True if the replica has everything and knows that it is committed, so that nothing need be sent again. */
  isSettled(lastIndex: LogIndex, commit: LogIndex): boolean {
    if (this.state.kind === 'lost') return true;
    return this.state.kind === 'replicate' && this.match >= lastIndex && this.knownCommit >= commit;
  }

  /** A request is about to leave that tells the commit index. */
  tells(commit: LogIndex): void {
    this.sequence++;
    if (commit > this.#told.commit || this.#told.sequence === Infinity)
      this.#told = { commit, sequence: this.sequence };
  }

  /** The replica took request `sequence`, or a later one, and had everything through `index`: it knows what is committed of it. */
  knows(sequence: number, index: LogIndex): void {
    if (sequence < this.#told.sequence) return;
    this.knownCommit = toLogIndex(Math.max(this.knownCommit, Math.min(this.#told.commit, index)));
  }

  /** The replica may have begun anew: what it was told beside the log, which is durable, must be told again. */
  forgetTold(): void {
    this.knownCommit = toLogIndex(0);
    this.#told = { commit: toLogIndex(0), sequence: Infinity };
  }

  /** A request with entries through `last` left. */
  sent(last: Position, bytes: number, commit: LogIndex, now: Millis): void {
    this.bulkSentMs = now;
    this.sentCommit = toLogIndex(Math.max(this.sentCommit, Math.min(commit, last.index)));
    if (this.state.kind === 'probe') {
      this.state = { kind: 'probe', sent: true };
      return;
    }
    assert(last.index >= this.next, 'progress-1: what is sent in a pipeline goes forward', `${last.index}`);
    this.next = nextIndex(last.index);
    this.position = last;
    this.#inFlight.push({ lastIndex: last.index, bytes });
    this.#inFlightBytes += bytes;
  }

  /** A request without entries left; it takes no place in the window. */
  sentEmpty(commit: LogIndex, now: Millis): void {
    this.bulkSentMs = now;
    this.sentCommit = toLogIndex(Math.max(this.sentCommit, Math.min(commit, this.next - 1)));
    if (this.state.kind === 'probe') this.state = { kind: 'probe', sent: true };
  }

  /** The replica has everything through `index`, durably. True: `match` rose. */
  acknowledged(index: LogIndex): boolean {
    if (this.state.kind === 'lost') return false;
    const rose = index > this.match;
    if (rose) {
      this.match = index;
      this.#sequenceAtMatch = this.sequence;
      // an answer to what was sent before it was probed again: the replica has more than was sent since
      if (this.next <= index) this.#skipTo(nextIndex(index));
    }
    this.#free(index);
    if (this.state.kind === 'probe' || (this.state.kind === 'snapshot' && rose)) this.becomeReplicate();
    return rose;
  }

  /**
   * The replica's log does not match at `prevIndex`; `hint` is the best place to try next.
   * Stale answers, which arrive late or twice, change nothing (P26).
   */
  rejected(prevIndex: LogIndex, hint: LogIndex, sequence: number): Rejection {
    if (this.state.kind === 'lost' || this.state.kind === 'snapshot') return 'stale';
    if (hint < this.match && sequence > this.#sequenceAtMatch) {
      this.state = { kind: 'lost' };
      return 'lost';
    }
    const awaited = this.state.kind === 'probe' ? prevIndex === this.next - 1 : prevIndex < this.next;
    if (!awaited || prevIndex <= this.match) return 'stale';
    this.becomeProbe(toLogIndex(Math.min(prevIndex, hint + 1)));
    return 'moved';
  }

  /** Looks for the matching place again, from `from` or the first index that is not known to match. */
  becomeProbe(from: LogIndex): void {
    this.next = toLogIndex(Math.max(from, this.match + 1));
    this.state = { kind: 'probe', sent: false };
    this.#clearFlight();
  }

  becomeReplicate(): void {
    this.state = { kind: 'replicate' };
    this.next = nextIndex(this.match);
    this.#clearFlight();
  }

  becomeSnapshot(now: Millis): void {
    this.state = { kind: 'snapshot', meta: null, acknowledged: 0, askedMs: now };
    this.#clearFlight();
  }

  /** Lets a waiting probe try again. */
  wake(): void {
    if (this.state.kind === 'probe') this.state = { kind: 'probe', sent: false };
  }

  #skipTo(next: LogIndex): void {
    this.next = next;
    this.position = null;
    this.reading = null;
  }

  get previous(): LogIndex {
    return previousIndex(this.next);
  }

  #windowOpen(): boolean {
    if (this.#inFlight.length === 0) return true;
    return (
      this.#inFlight.length < this.#limits.inflightMessagesMax && this.#inFlightBytes < this.#limits.inflightBytesMax
    );
  }

  #free(index: LogIndex): void {
    let count = 0;
    for (const request of this.#inFlight) {
      if (request.lastIndex > index) break;
      this.#inFlightBytes -= request.bytes;
      count++;
    }
    if (count > 0) this.#inFlight.splice(0, count);
  }

  #clearFlight(): void {
    this.#inFlight = [];
    this.#inFlightBytes = 0;
    this.position = null;
    this.reading = null;
  }
}
