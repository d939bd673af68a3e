/**
 * How many replicas must have a batch: `min.insync.replicas` (design D13; semantics A4, A5, A10). Pure.
 *
 * A majority is what committing means, and a leader without one steps down by itself (CheckQuorum); so nothing is looked at
 * for topics that ask for no more than that.
 */
import type { Refused } from '../model/errors.ts';
import { refuse } from '../model/errors.ts';
import type { ReplicaId } from '../model/ids.ts';
import { majorityOf } from '../raft/core/quorum.ts';
import type { BrokerLimits } from './limits.ts';
import type { LedGroup } from './in-sync.ts';

/** A group as its leader sees it, with those who vote. */
export interface LedVoters extends LedGroup {
  readonly membership: { readonly configuration: { readonly voters: readonly ReplicaId[] } };
}

type Limits = Pick<BrokerLimits, 'inSyncHeardMs' | 'inSyncLagMax' | 'retryAfterMs'>;

/** Voters that must have a batch, if that is more than a commit says by itself; null: it is not. */
export function beyondMajority(wanted: number, { membership }: LedVoters): number | null {
  return wanted > majorityOf(membership.configuration.voters.length) ? wanted : null;
}

/** Voters that were heard lately and are being fed; the leader, by what it is, is one. */
export function liveVoters(group: LedVoters, nowMs: number, { inSyncHeardMs, inSyncLagMax }: Limits): number {
  const { voters } = group.membership.configuration;
  const live = group.followers.filter(
    ({ id, state, match, heardMs }) =>
      voters.includes(id) &&
      state === 'replicate' &&
      match + inSyncLagMax >= group.commitIndex &&
      nowMs - heardMs <= inSyncHeardMs,
  );
  return live.length + (group.role.leader !== null && voters.includes(group.role.leader) ? 1 : 0);
}

/**
 * Why acks=all is not taken; null: enough replicas are in sync.
 * @param insyncMin what the topic asks for, more than a majority
 * @param servingSinceMs on the monotonic clock: a new leader has yet to hear of the others
 */
export function refuseTooFew(
  group: LedVoters,
  insyncMin: number,
  nowMs: number,
  servingSinceMs: number,
  limits: Limits,
): Refused | null {
  const live = liveVoters(group, nowMs, limits);
  if (live >= insyncMin) return null;
  const { retryAfterMs } = limits;
  const unheard = group.followers.some(({ heardMs }) => heardMs < servingSinceMs);
  if (unheard && nowMs - servingSinceMs < limits.inSyncHeardMs) {
    const what = 'the new leader has not heard of enough replicas yet; try again';
    return refuse('LEADER_NOT_AVAILABLE', what, { retryAfterMs });
  }
  const fields = { required: `${insyncMin}`, actual: `${live}` };
  const what = `${live} of ${insyncMin} replicas that min.insync.replicas asks for are in sync; nothing was appended`;
  return refuse('NOT_ENOUGH_REPLICAS', what, { retryAfterMs, fields });
}

/** A batch is committed, and fewer replicas have it than was asked for. */
export function tooFewHave(required: number, actual: number, retryAfterMs: number): Refused {
  const fields = { required: `${required}`, actual: `${actual}`, committed: 'true' };
  const what = `the batch is committed, but ${actual} replicas are known to have it, not ${required}`;
  return refuse('NOT_ENOUGH_REPLICAS_AFTER_APPEND', what, { retryAfterMs, fields });
}
