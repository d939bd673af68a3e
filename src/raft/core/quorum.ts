/** Majorities, of one configuration or of both halves of a joint one (thesis section 4.3). Pure functions. */
import type { ReplicaId } from '../../model/ids.ts';
import type { Configuration } from './configuration.ts';

/** Replicas that a majority of `count` voters has at least. */
export const majorityOf = (count: number): number => Math.floor(count / 2) + 1;

/** The largest value that a majority of `voters` has reached; 0 without voters, so that nobody decides nothing. */
function reachedByMajority(voters: readonly ReplicaId[], valueOf: (id: ReplicaId) => number): number {
  const [only] = voters;
  if (only === undefined) return 0;
  if (voters.length === 1) return valueOf(only);
  const values = voters.map(valueOf).sort((a, b) => b - a);
  return values[majorityOf(voters.length) - 1] ?? 0;
}

/** The largest value that is reached by a majority of the voters and, in a joint phase, of the outgoing ones too. */
export function reachedByQuorum(configuration: Configuration, valueOf: (id: ReplicaId) => number): number {
  const incoming = reachedByMajority(configuration.voters, valueOf);
  if (configuration.outgoing.length === 0) return incoming;
  return Math.min(incoming, reachedByMajority(configuration.outgoing, valueOf));
}

/** True if the replicas for which `holds` is true form a quorum. */
export function isQuorum(configuration: Configuration, holds: (id: ReplicaId) => boolean): boolean {
  return reachedByQuorum(configuration, (id) => (holds(id) ? 1 : 0)) === 1;
}

export type Tally = 'won' | 'lost' | 'open';

/** Where an election stands; lost as soon as those who refused can not be outvoted any more. */
export function tally(configuration: Configuration, votes: ReadonlyMap<ReplicaId, boolean>): Tally {
  if (isQuorum(configuration, (id) => votes.get(id) === true)) return 'won';
  return isQuorum(configuration, (id) => votes.get(id) !== false) ? 'open' : 'lost';
}
