/**
 * What two brokers say to each other about who is alive, for all their groups at once (design D3): one request every
 * heartbeatMs for which the sender leads anything that the receiver holds a replica of, and one answer to each.
 *
 * A request stands for one heartbeat of every leadership in a set. The set is sent as what changed since `base`, so that
 * a quiet thousand of groups costs a few bytes. Revisions number the sender's set for this receiver, from 1; 0 is the
 * empty set. Both kinds travel on the beat channel, best effort, in any order, perhaps twice.
 */
import type { GroupNumber, Millis, ReplicaId, Term } from '../model/ids.ts';

/** A replica of a group on the broker that receives the request. */
export interface BeatTarget {
  readonly group: GroupNumber;
  readonly target: ReplicaId;
}

/** A leadership on the sending broker, as far as it concerns one replica on the receiving one. */
export interface BeatLead extends BeatTarget {
  /** The replica that leads, on the sending broker. */
  readonly leader: ReplicaId;
  /** The term in which it leads. */
  readonly term: Term;
}

export interface BeatRequest {
  readonly kind: 'request';
  /** Drawn by the sender's process when it starts, 0 to 2^32-1: sequences and revisions of two processes do not mix. */
  readonly process: number;
  /** Number of the frame: rises with every request that this process sends to anybody, from 1. */
  readonly sequence: number;
  /** The receiver must hold the set at this revision or a newer one; 0: `announced` begins from nothing. */
  readonly base: number;
  /** The set's revision once the receiver has taken this frame. At least `base`. */
  readonly revision: number;
  /** New or changed since `base`. At most beatChangesMax together with `ended`. */
  readonly announced: readonly BeatLead[];
  /** In the set at `base`, not any more. */
  readonly ended: readonly BeatTarget[];
  /** What the sender's wall clock shows (peer-clocks.ts); absent: it does not say. */
  readonly wallMs?: Millis;
}

/** A leadership of the set that the answer does not cover, and why: it is no sign of life for that group. */
export type BeatException = BeatTarget &
  (
    | {
        readonly why:
          /** No such group runs here; the frame creates none (P79). */
          | 'unknown-group'
          /** The group's replica here has another id. */
          | 'other-replica'
          /** The group is set apart here (design D7). */
          | 'quarantined'
          /** The replica does not follow this leader yet, or started anew since; it answers by itself (heartbeat-reply). */
          | 'behind';
      }
    | {
        readonly why: 'higher-term';
        /** The term in which the replica is: this leadership is over. */
        readonly term: Term;
      }
  );

export interface BeatReply {
  readonly kind: 'reply';
  /** Drawn by the answering process when it starts, 0 to 2^32-1: another one remembers nothing of what was told before. */
  readonly process: number;
  /** `process` of the request. */
  readonly asker: number;
  /** `sequence` of the request. */
  readonly sequence: number;
  /**
   * The revision of the asker's set that is held here after the request. 0: none; the request could not be taken, and
   * the next one must begin from nothing. Every leadership whose newest change is at or below it is covered, save the
   * exceptions: that very replica runs, is not set apart, and follows that leader in that term.
   */
  readonly holds: number;
  readonly exceptions: readonly BeatException[];
  /** What the answering broker's wall clock shows; absent: it does not say. */
  readonly wallMs?: Millis;
}

export type BeatFrame = BeatRequest | BeatReply;

/** Changes in one request; what is beyond goes with the next one. */
export const beatChangesMax = 10_000;
/** Leaderships that are remembered of one peer, and exceptions in one answer; a frame that goes beyond is dropped. */
export const beatLeadsMax = 100_000;
