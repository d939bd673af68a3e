/** What made partitions of a group move, the newest last: kept with the group, so that a coordinator that is new knows it. */
import type { MemberEpoch, Millis } from '../../model/ids.ts';
import type { LeaveReason } from './records.ts';

/** Stored by their place in the list: only append. */
export const rebalanceReasons = [
  'joined',
  'resumed',
  'topics-changed',
  'left',
  'session-expired',
  'revocation-expired',
  'progress-expired',
] as const satisfies readonly (LeaveReason | 'joined' | 'resumed' | 'topics-changed')[];

/** `resumed`: with another subscription. `topics-changed`: topics or partitions came or went. */
export type RebalanceReason = (typeof rebalanceReasons)[number];

/** One computation of new targets. */
export interface Rebalance {
  readonly atMs: Millis;
  readonly reason: RebalanceReason;
  /** Who joined, left or was expelled; null: nobody, topics changed. */
  readonly memberId: string | null;
  readonly clientId: string;
  /** Highest epoch of the group then. */
  readonly epoch: MemberEpoch;
  /** Members after it. */
  readonly memberCount: number;
  /** Members whose target changed; the others go on undisturbed. */
  readonly membersAffected: number;
}

/** Rebalances that a group remembers. */
export const rebalancesKeptMax = 32;

export const withRebalance = (history: readonly Rebalance[], rebalance: Rebalance): readonly Rebalance[] =>
  [...history, rebalance].slice(-rebalancesKeptMax);

/** Estimated bytes of one. */
export const rebalanceBytes = 256;
