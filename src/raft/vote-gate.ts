/**
 * After a start a broker votes in a group only once a majority of the group's voters, itself counted, knows it as healthy
 * (design D4, reliability P87): they have seen this very process and remember nothing of its disk that it lacks.
 *
 * Why votes, and nothing else. A disk that went back to an old copy has forgotten a vote or entries that it acknowledged.
 * A vote is where that does harm: it may be the second one of a term, or may elect who lacks what was committed. An
 * acknowledgement only says what is durable here now, after the log was matched with the leader's; a learner's vote is a
 * vote. So questions of candidates and the order to campaign are dropped, as the network may drop them, and the time-out
 * that would begin a campaign waits. A replica that may not vote can not lead, since leading takes its own vote; all else
 * goes on. It is decided once a group and start: who was found healthy does not lose its disk's past while it runs.
 *
 * Whoever remembers more than this disk holds says so to this process (standing.ts) as soon as the two speak, which ends
 * its part for good. What is left is a disk that goes back while the only voters that could know are down, which no count
 * that lets a minority be down can find.
 *
 * Liveness: brokers that start together welcome each other without any group, and whom a minority fails to welcome votes
 * all the same. Over links that are whole only in part one that has just started may reach too few to vote, where without
 * this rule its vote would have been enough. The voters are those of the newest configuration in this log, as in every
 * quorum. Should none of a majority of them ever be reachable again, because the group has moved on without this replica,
 * it votes again once a leader has brought its log up.
 */
import type { BrokerId, ReplicaId } from '../model/ids.ts';
import type { Configuration } from './core/configuration.ts';
import { isQuorum } from './core/quorum.ts';
import type { Hosted } from './beat-state.ts';
import type { Standing } from './standing.ts';
import type { PeerDirectory } from './transport.ts';

/**
 * Whether enough voters are known to be fine with it.
 * @param candidate who asks for a vote, if anybody: it stands for the voters where none are known yet, since a learner may
 * have become a voter before it learns of any configuration (P57)
 */
export function mayVote(
  configuration: Configuration,
  isFine: (replica: ReplicaId) => boolean,
  candidate: ReplicaId | null,
): boolean {
  if (configuration.voters.length === 0) return candidate !== null && isFine(candidate);
  return isQuorum(configuration, isFine);
}

export interface VoteGateOptions {
  /** Null: nobody could find anything wrong with this broker, every group may vote at once. */
  readonly standing: Standing | null;
  readonly directory: PeerDirectory;
  /** The group may vote from now on, after it had to wait. */
  opened(hosted: Hosted): void;
}

export class VoteGate {
  readonly #options: VoteGateOptions;
  /** Groups that may not vote yet. At most the groups of this broker. */
  readonly #waiting = new Set<Hosted>();

  constructor(options: VoteGateOptions) {
    this.#options = options;
  }

  /** A group has started here. */
  add(hosted: Hosted): void {
    if (this.#options.standing !== null) this.#waiting.add(hosted);
  }

  forget(hosted: Hosted): void {
    this.#waiting.delete(hosted);
  }

  /**
   * Whether the group's replica may vote or campaign now. If not, the voters' brokers are asked what they think of this
   * one, as far as it is known where they are; and whoever wants to know asks again.
   */
  passes(hosted: Hosted, candidate: ReplicaId | null): boolean {
    const { standing } = this.#options;
    if (standing === null || !this.#waiting.has(hosted)) return true;
    const { replicaId, membership } = hosted.driver;
    const { configuration } = membership;
    const isFine = (id: ReplicaId): boolean => id === replicaId || this.#isWelcomedBy(id, standing);
    // everybody is asked, not only as many as are needed: who remembers most is not known
    const asked = candidate === null ? [] : [candidate];
    for (const id of new Set([...configuration.voters, ...configuration.outgoing, ...asked])) this.#meet(id, replicaId);
    if (!mayVote(configuration, isFine, candidate)) return false;
    // without voters the answer is for this candidate only
    if (configuration.voters.length > 0) this.#waiting.delete(hosted);
    return true;
  }

  /** More brokers know this one as healthy. */
  changed(): void {
    for (const hosted of [...this.#waiting]) {
      if (this.passes(hosted, null)) this.#options.opened(hosted);
    }
  }

  #brokerOf(replica: ReplicaId): BrokerId | null {
    return this.#options.directory.brokerOf(replica);
  }

  #isWelcomedBy(replica: ReplicaId, { welcomedBy }: Standing): boolean {
    const broker = this.#brokerOf(replica);
    return broker !== null && welcomedBy.has(broker);
  }

  #meet(replica: ReplicaId, own: ReplicaId): void {
    const broker = replica === own ? null : this.#brokerOf(replica);
    if (broker !== null) this.#options.standing?.meet(broker);
  }
}
