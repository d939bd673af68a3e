/** Handing leadership to a chosen voter (thesis section 3.10): it is brought level, then told to campaign at once. */
import type { ReplicaId } from '../../model/ids.ts';
import type { Leadership } from './leadership.ts';
import type { Progress } from './progress.ts';
import type { Replica } from './replica.ts';

/** Only to another voter whose log can be trusted (P27); a learner, a stranger or the leader itself changes nothing (P66). */
export function startTransfer(replica: Replica, to: ReplicaId): void {
  if (replica.role.kind !== 'leader' || to === replica.id) return;
  const { lead } = replica.role;
  const progress = lead.progress.get(to);
  if (progress === undefined || progress.state.kind === 'lost') return;
  if (!replica.membership.current.voters.includes(to)) return;
  if (lead.transfer?.to === to) return;
  lead.transfer = { to, deadlineMs: replica.now + replica.limits.electionTimeoutMs, told: false };
  progress.wake();
  continueTransfer(replica, lead, progress);
}

/** The target has the whole log: it may campaign, although the leader is alive. */
export function continueTransfer(replica: Replica, lead: Leadership, progress: Progress): void {
  const { transfer } = lead;
  if (transfer?.to !== progress.id || transfer.told || progress.match !== replica.log.lastIndex) return;
  lead.transfer = { ...transfer, told: true };
  replica.send({ kind: 'timeout-now', from: replica.id, to: progress.id, term: replica.term });
}

/** It took too long: the leader goes on. */
export function expireTransfer(replica: Replica, lead: Leadership): void {
  if (lead.transfer !== null && replica.now >= lead.transfer.deadlineMs) lead.transfer = null;
}
