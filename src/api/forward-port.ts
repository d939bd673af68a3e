/** What forwarding needs of the rest of the process: a way to other brokers, and to know which of them to ask. */
import type { LeaderHint } from '../model/errors.ts';
import type { BrokerId } from '../model/ids.ts';
import type { PartitionRef } from '../broker/requests.ts';

export type PeerAnswer =
  | { readonly kind: 'answered'; readonly payload: Uint8Array }
  /** Certainly not carried out, and never will be. */
  | { readonly kind: 'not-sent'; readonly why: string }
  /** It left, and no answer came: carried out or not, nobody here can tell. */
  | { readonly kind: 'unknown'; readonly why: string };

/** Requests to other brokers. Those to one broker arrive in the order of the calls. */
export interface ForwardPeers {
  /** Never rejects. Payloads are at most 8 MiB. */
  call(to: BrokerId, method: string, payload: Uint8Array, timeoutMs: number): Promise<PeerAnswer>;
  /** Answers a method from now on; once a method. A handler that rejects is a defect, and its caller is told `unknown`. */
  serve(method: string, handler: (payload: Uint8Array, timeoutMs: number) => Promise<Uint8Array>): void;
}

/** Where requests belong, as far as this broker knows. Null: here, or nobody can tell, so that this broker answers. */
export interface Routes {
  /** Who leads the partition. */
  leaderOf(tenant: number, ref: PartitionRef): BrokerId | null;
  /** Who has a replica of the partition: this broker if it has one. */
  readerOf(tenant: number, ref: PartitionRef): BrokerId | null;
  /** Who coordinates the group. */
  coordinatorOf(group: string): BrokerId | null;
  /** Who answers for this broker: it itself. */
  brokerOf(brokerId: BrokerId): BrokerId | null;
  /** "host:port" at which a broker takes clients; null: not known. */
  addressOf(brokerId: BrokerId): string | null;
  /** All brokers of the cluster but this one. */
  otherBrokers(): readonly BrokerId[];
  /** A broker that was asked does not lead the partition, and says who does. */
  learnLeader(tenant: number, ref: PartitionRef, hint: LeaderHint): void;
  /** The same of a group. */
  learnCoordinator(group: string, hint: LeaderHint): void;
  /** The broker that was asked can not be reached, or can not help and names nobody: another replica may know more. */
  missed(tenant: number, ref: PartitionRef, asked: BrokerId): void;
  /** The same of a group. */
  missedCoordinator(group: string, asked: BrokerId): void;
}
