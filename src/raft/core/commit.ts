/** How a leader's commit index moves, and what a committed configuration brings about. */
import type { LogIndex, ReplicaId } from '../../model/ids.ts';
import { toLogIndex } from '../../model/ids.ts';
import { appendConfiguration } from './appending.ts';
import type { Leadership } from './leadership.ts';
import { reachedByQuorum } from './quorum.ts';
import type { Replica } from './replica.ts';

/** Moves the commit index to what a quorum has durably, if that is an entry of this term (P17). */
export function advanceCommit(replica: Replica): void {
  const { role } = replica;
  if (role.kind !== 'leader') return;
  const index = toLogIndex(reachedByQuorum(replica.membership.current, (id) => matchOf(replica, role.lead, id)));
  if (index <= replica.commit || replica.log.termAt(index) !== replica.term) return;
  replica.advanceCommit(index);
  role.lead.waitingSinceMs = index < replica.log.lastIndex ? replica.now : null;
  afterConfiguration(replica, index);
}

/** Voters that have everything through `index` durably; empty: this replica does not lead. */
export function holdersOf(replica: Replica, index: LogIndex): readonly ReplicaId[] {
  const { role } = replica;
  if (role.kind !== 'leader') return [];
  return replica.membership.current.voters.filter((id) => matchOf(replica, role.lead, id) >= index);
}

/** What a replica has durably; the leader's own match is what its own disk has (P23). */
function matchOf(replica: Replica, lead: Leadership, id: ReplicaId): number {
  if (id === replica.id) return replica.ledger.durableIndex;
  const progress = lead.progress.get(id);
  return progress === undefined || progress.state.kind === 'lost' ? 0 : progress.match;
}

/** A joint configuration that is committed is left at once; a leader that the new one leaves out has done its duty. */
function afterConfiguration(replica: Replica, commit: LogIndex): void {
  const { newest } = replica.membership;
  if (newest.index > commit) return;
  const { configuration } = newest;
  if (configuration.outgoing.length > 0) appendConfiguration(replica, { ...configuration, outgoing: [] });
  else if (!configuration.voters.includes(replica.id)) handOver(replica);
}

/** Tells the others what is committed, names a successor and steps down (P55, P59). */
function handOver(replica: Replica): void {
  if (replica.role.kind !== 'leader') return;
  const { lead } = replica.role;
  const { voters } = replica.membership.current;
  const peers = [...lead.progress.values()].filter((peer) => voters.includes(peer.id));
  for (const { id, match } of peers) {
    const commit = toLogIndex(Math.min(match, replica.commit));
    replica.send({
      kind: 'heartbeat-request',
      from: replica.id,
      to: id,
      term: replica.term,
      commit,
      round: replica.newestRound(lead),
    });
  }
  const successor = peers.find((peer) => peer.match === replica.log.lastIndex && peer.state.kind !== 'lost');
  if (successor !== undefined) {
    replica.send({ kind: 'timeout-now', from: replica.id, to: successor.id, term: replica.term });
  }
  replica.becomeFollower(replica.term, null);
}
