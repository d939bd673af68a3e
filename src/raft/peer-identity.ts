/** Who the brokers are that talk to each other (design D4), and where they are. */
import type { BrokerId } from '../model/ids.ts';

/** What a broker says of itself when a connection opens; proven with the cluster secret. */
export interface PeerIdentity {
  readonly brokerId: BrokerId;
  /** UUID of the cluster; null until the broker has founded or joined one. */
  readonly clusterId: string | null;
  /** UUID of its data directory: an emptied or swapped disk is another one. */
  readonly incarnation: string;
  /** Number of this start of the data directory: rises by one with each, from 1. */
  readonly bootNumber: number;
  /** UUID made anew by every process: two processes that claim the same start differ in it. */
  readonly processNonce: string;
  /** Number of the newest engine write that this start found on its disk (design D10). */
  readonly recoveredCommit: number;
  /** The starts of the data directory before this one, the newest last; at most earlierStartsMax. */
  readonly earlierStarts: readonly EarlierStart[];
  /** Where it listens for its peers now, "host:port"; null: it does not say. */
  readonly peerAddress: string | null;
}

/** Earlier starts that a broker tells of itself; all together fit into a Hello. */
export const earlierStartsMax = 31;

/** A start of a data directory, as the directory has it. */
export interface EarlierStart {
  readonly bootNumber: number;
  readonly processNonce: string;
  /** Number of the newest engine write that it found on its disk. */
  readonly recoveredCommit: number;
}

/** This broker, as it presents itself to others. */
export interface OwnIdentity {
  readonly identity: PeerIdentity;
  /** Number of the newest engine write that is durable now; never falls while the process lives. */
  readonly durableCommit: number;
}

/** What is known about the other brokers before they speak. Answers may change from call to call. */
export interface PeerAddresses {
  /**
   * Where the broker may listen for its peers, "host:port" each, the likeliest first: one after the other is tried. Empty:
   * not known, nothing is sent to it.
   */
  addressesOf(broker: BrokerId): readonly string[];
  /** UUID of the data directory that the catalog knows the broker by; null: none is known, any will do. */
  incarnationOf(broker: BrokerId): string | null;
  /**
   * A broker has proven the cluster secret and was admitted: what it says is newer than what was known.
   * @returns whether it is another process than the one that spoke last, or is somewhere else
   */
  heard(peer: PeerIdentity): boolean;
}
