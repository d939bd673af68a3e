/**
 * After a start a broker votes in a group only once a majority of the group's voters, itself counted, knows it as healthy
 * (design D4, reliability P87): they have seen this very process and remember nothing of its disk that it lacks.
 *
 * Why votes, and nothing else. A disk that went back to an old copy has forgotten a vote or entries that it acknowledged.
 * A vote is where that does harm: it may be the second one of a term, or may elect who lacks what was committed. An
 * acknowledgement only says what is durable here now, after the log was matched with the leader's; a learner's vote is a
 * vote. So questions of candidates and the order to campaign are dropped, as the network may drop them, and the time-out
 * that would begin a campaign waits. A replica that may not vote can not lead, since leading takes its own vote; all else
 * goes on. Who was found healthy does not lose its disk's past while it runs.
 *
 * Whose majority. That of the configuration in which the election is held:
 * - for a campaign of its own, and then for every vote of this group and process: the newest configuration C of its log,
 *   whose majority it would ask;
 * - for one vote: the newest configuration C' of the candidate's log, which comes with the question. The group may have
 *   left C behind while this replica was away, and with it every voter that could still answer.
 *
 * Why a majority of C' suffices. Let this disk be an old copy, and S those who durably remember nothing of it that it
 * lacks, itself included. Nobody else welcomes it, so it votes in C' only if S holds a majority of C'.
 * 1. What it forgot to have acknowledged before the entry of C' does no harm there. The candidate's log holds that entry,
 *    so it equals, up to there, that of the leader that appended it, which held all that was committed (log matching,
 *    leader completeness). Waiting until a leader has brought this log up to C' would add nothing to that.
 * 2. What it forgot after that, it had said to leaders and candidates whose logs hold C': voters of C', or of a later
 *    configuration that began with a quorum of C', or a leader that was about to leave. Whoever read such an answer
 *    remembers it (peer-memory.ts says from when on), and so does whoever met that life of the disk: they are not in S.
 *    So where they block the majorities of C', an old copy is found, as it was with C.
 * 3. Where they do not, no rule that stays alive finds it. Take the same majority of C', the same words, and a disk that
 *    lost nothing, while the rest is gone for good: a quorum of what may be the newest configuration would wait for ever.
 *    Nobody who is there can tell the two apart.
 * What is left is a disk that goes back while all that could know are a minority of C' that is away, or have left the
 * group (then, for a vote of the very term in which C' came to be, too: it may have been for a candidate without C').
 *
 * Liveness: brokers that start together welcome each other without any group, and whom a minority fails to welcome votes
 * all the same. Let a healthy quorum be there of every configuration that may be in force. Who has the longest log among
 * them holds one of these as its newest, so a majority of it welcomes that replica, which campaigns; whom it asks is told
 * that configuration, and is welcomed by the same majority. Over links that are whole only in part one that
 * has just started may reach too few to vote, where without this rule its vote would have been enough.
 *
 * Whoever remembers more than this disk holds says so to this process (standing.ts) as soon as the two speak, which ends
 * its part for good.
 */
import type { ReplicaId } from '../model/ids.ts';
import type { Configuration } from './core/configuration.ts';
import type { VoteRequest } from './core/messages.ts';
import { isQuorum } from './core/quorum.ts';
import type { Hosted } from './beat-state.ts';
import type { Standing } from './standing.ts';
import type { PeerDirectory } from './transport.ts';

/** Whether enough of these voters are fine with it. Nobody is where none are known yet. */
export function mayVote(configuration: Configuration, isFine: (replica: ReplicaId) => boolean): boolean {
  return isQuorum(configuration, isFine);
}

/**
 * Whether the replica has taken this process for healthy: its broker has, with the very disk that the replica is bound to.
 * Where the disk is not known yet, the broker's word is enough.
 */
export function isWelcomedBy(replica: ReplicaId, { welcomedBy }: Standing, directory: PeerDirectory): boolean {
  const broker = directory.brokerOf(replica);
  const incarnation = broker === null ? undefined : welcomedBy.get(broker);
  if (incarnation === undefined) return false;
  const bound = directory.incarnationOf(replica);
  return bound === null || bound === incarnation;
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
   * Whether the group's replica may answer this candidate now, or campaign if there is none. If not, the brokers of the
   * voters are asked what they think of this one, as far as it is known where they are; and whoever wants to know asks
   * again.
   */
  passes(hosted: Hosted, request: VoteRequest | null): boolean {
    const { standing, directory } = this.#options;
    if (standing === null || !this.#waiting.has(hosted)) return true;
    const { replicaId, membership } = hosted.driver;
    const { configuration: own } = membership;
    const isFine = (id: ReplicaId): boolean => id === replicaId || isWelcomedBy(id, standing, directory);
    // everybody is asked, not only as many as are needed: who remembers most is not known
    this.#meet([own, ...(request === null ? [] : [request.configuration])], replicaId);
    if (mayVote(own, isFine)) {
      this.#waiting.delete(hosted);
      return true;
    }
    // this answer is for this candidate only: another one may stand in a configuration of other voters
    return request !== null && mayVote(request.configuration, isFine);
  }

  /** More brokers know this one as healthy. */
  changed(): void {
    for (const hosted of [...this.#waiting]) {
      if (this.passes(hosted, null)) this.#options.opened(hosted);
    }
  }

  #meet(configurations: readonly Configuration[], own: ReplicaId): void {
    const voters = new Set(configurations.flatMap(({ voters, outgoing }) => [...voters, ...outgoing]));
    for (const replica of voters) {
      const broker = replica === own ? null : this.#options.directory.brokerOf(replica);
      if (broker !== null) this.#options.standing?.meet(broker);
    }
  }
}
