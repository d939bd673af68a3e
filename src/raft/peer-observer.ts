/** What the way to the other brokers reports; metrics/ counts it, tests record it. */
import type { BrokerId } from '../model/ids.ts';
import type { Refusal } from './peer-admission.ts';
import type { PeerTarget } from './peer-rpc.ts';

/** The three streams from one broker to another, each on a connection of its own. */
export type PeerLane = 'bulk' | 'beat' | 'call';

/** Why a message, a beat frame or a request was dropped. */
export type PeerDropReason =
  /** Nobody knows which broker holds the replica, or where the broker is. */
  | 'unknown-peer'
  /** There is no connection just now. */
  | 'disconnected'
  /** Too much is unsent. */
  | 'queue-full'
  | 'too-large'
  /** A frame that can not be read, or does not belong on its stream. */
  | 'malformed'
  /** A message of a replica that another broker holds. */
  | 'wrong-source';

export interface PeerObserver {
  connected?(to: PeerTarget, lane: PeerLane, broker: BrokerId): void;
  /** A connection ended, or could not be made; it is tried again. */
  disconnected?(to: PeerTarget, lane: PeerLane, why: string): void;
  /**
   * One of the two refused the other.
   * @param by who refused: this broker or the peer. A peer that calls this one old or rolled back: see a person.
   */
  refused?(to: PeerTarget, by: 'us' | 'peer', refusal: Refusal): void;
  /** A peer has proven who it is on a stream that it opened. */
  admitted?(broker: BrokerId, lane: PeerLane): void;
  /** This broker refused one that called. `from`: its network address. */
  turnedAway?(from: string, refusal: Refusal): void;
  dropped?(reason: PeerDropReason): void;
}
