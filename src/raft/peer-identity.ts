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
  /** Where it listens for its peers, "host:port"; null: nowhere, or not yet. */
  readonly peerAddress: string | null;
}

/** What is known about the other brokers before they speak. Answers may change from call to call. */
export interface PeerAddresses {
  /** Where the broker listens for its peers, "host:port"; null: not known, nothing is sent to it. */
  addressOf(broker: BrokerId): string | null;
  /** UUID of the data directory that the catalog knows the broker by; null: none is known, any will do. */
  incarnationOf(broker: BrokerId): string | null;
  /** The broker, as proven, said where it listens. */
  told?(broker: BrokerId, address: string): void;
}
