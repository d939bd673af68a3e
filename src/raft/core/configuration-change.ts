/** Asking for another configuration (thesis chapter 4): the checks, and whether it needs a joint phase. */
import type { Millis, ReplicaId } from '../../model/ids.ts';
import { appendConfiguration } from './appending.ts';
import type { Configuration } from './configuration.ts';
import { replicasMax } from './configuration.ts';
import type { Leadership } from './leadership.ts';
import type { ConfigurationAnswer, ConfigurationRefusal } from './ready.ts';
import type { Replica } from './replica.ts';

export function proposeConfiguration(replica: Replica, target: Configuration, wallMs: Millis): ConfigurationAnswer {
  const why = refusalOf(replica, target);
  if (why !== null) return { kind: 'refused', why };
  const { voters } = replica.membership.current;
  const outgoing = votersMoved(voters, target.voters) > 1 ? voters : [];
  return { kind: 'accepted', entry: appendConfiguration(replica, { ...target, outgoing }, wallMs) };
}

function refusalOf(replica: Replica, target: Configuration): ConfigurationRefusal | null {
  const { role, membership, commit } = replica;
  if (role.kind !== 'leader') return 'not-leader';
  // without an entry of its own term committed, an older uncommitted change could come back to life (P52)
  if (commit < role.lead.noOpIndex) return 'leader-not-ready';
  if (role.lead.transfer !== null) return 'transferring';
  const { newest } = membership;
  if (newest.index > commit || newest.configuration.outgoing.length > 0) return 'change-in-progress';
  if (!isWellFormed(target)) return 'invalid';
  if (target.revision <= newest.configuration.revision) return 'stale-revision';
  const added = target.voters.filter((id) => !newest.configuration.voters.includes(id));
  return added.every((id) => hasCaughtUp(replica, role.lead, id)) ? null : 'learner-behind';
}

function isWellFormed({ revision, voters, outgoing, learners }: Configuration): boolean {
  const all = [...voters, ...learners];
  if (!Number.isSafeInteger(revision) || outgoing.length > 0 || voters.length === 0) return false;
  return all.length <= replicasMax && new Set(all).size === all.length;
}

/** A learner that is fed from the log, and almost at its end (P56). */
function hasCaughtUp(replica: Replica, lead: Leadership, id: ReplicaId): boolean {
  const progress = lead.progress.get(id);
  if (progress?.state.kind !== 'replicate') return false;
  return progress.match + replica.limits.promotionLagMax >= replica.log.lastIndex;
}

/** One voter more or less keeps majorities overlapping; anything else needs both majorities for a while. */
function votersMoved(from: readonly ReplicaId[], to: readonly ReplicaId[]): number {
  return from.filter((id) => !to.includes(id)).length + to.filter((id) => !from.includes(id)).length;
}
