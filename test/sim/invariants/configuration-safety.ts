import type { Entry } from '../../../src/model/entry.ts';
import type { GroupNumber, LogIndex, ReplicaId, Term } from '../../../src/model/ids.ts';
import type { Configuration } from '../../../src/raft/core/configuration.ts';
import { decodeConfiguration } from '../../../src/raft/core/configuration.ts';
import type { RaftGroup } from '../../../src/raft/group.ts';
import type { GroupImage } from '../group-image.ts';
import { Invariant } from '../invariant.ts';
import type { SimNode } from '../sim-node.ts';

interface Placed {
  readonly index: LogIndex;
  readonly term: Term;
  readonly configuration: Configuration;
}

/**
 * inv-I10: a log has at most one configuration that is not committed, and any two configurations that can still win have
 * quorums that intersect: the committed one, and those above it that were proposed after the newest committed term began
 * (P53). A leader asks for a change only after an entry of its own term is committed (P52), and leads no longer than
 * until a configuration without it is committed (P55, P59). Raft thesis 4.1, its erratum and 4.2.2; etcd's
 * `joint_safety.txt`.
 */
export class ConfigurationSafety extends Invariant {
  readonly id = 'inv-I10';
  /** Configurations above the committed one, by group. */
  readonly #open = new Map<GroupNumber, Placed[]>();
  /** The newest configuration of each log when it was looked at. */
  readonly #seen = new Map<ReplicaId, unknown>();

  override onTouched(node: SimNode): void {
    for (const [group, raft] of node.groups) if (raft.role.role === 'leader') this.#lookAtLeader(node, group, raft);
    for (const [group, image] of node.disk.cached) {
      const newest = image.configurations.at(-1);
      const { replicaId } = image.header;
      if (newest === undefined || this.#seen.get(replicaId) === newest) continue;
      this.#seen.set(replicaId, newest);
      const committed = this.world.committed.entries(group);
      const open = image.configurations.filter(({ index }) => index > committed.length);
      this.check(
        open.length <= 1 ||
          this.#isKnownCommitted(
            group,
            open.slice(0, -1).map(({ index }) => index),
          ),
        `n${node.number} g${group}: configurations at ${open.map(({ index }) => index).join(', ')} are not committed`,
      );
      const entry = image.at(newest.index);
      if (entry === undefined) continue;
      this.#checkTerm(node, group, image, entry);
      this.#appended(group, entry);
    }
  }

  #lookAtLeader(node: SimNode, group: GroupNumber, { membership, commitIndex }: RaftGroup): void {
    const { voters, outgoing } = membership.configuration;
    const replica = node.assigned.get(group)?.replicaId;
    if (replica === undefined || membership.index > commitIndex || outgoing.length > 0) return;
    if (!voters.includes(replica)) this.check(false, `n${node.number} leads g${group}, and is committed to be out`);
  }

  #checkTerm(node: SimNode, group: GroupNumber, image: GroupImage, { index, term }: Entry): void {
    const raft = node.groups.get(group);
    const start = image.terms.findLast((one) => one.term === term)?.startIndex ?? 0;
    if (raft?.role.role !== 'leader' || raft.role.term !== term) return;
    const committed = Math.max(raft.commitIndex, this.world.committed.entries(group).length);
    this.check(
      committed >= start,
      `n${node.number} g${group}: a change at ${index} before anything of term ${term} is committed`,
    );
  }

  /** A leader may have committed what nobody has applied yet. */
  #isKnownCommitted(group: GroupNumber, indexes: readonly LogIndex[]): boolean {
    const commit = Math.max(...this.world.nodes.map((node) => node.groups.get(group)?.commitIndex ?? 0));
    return indexes.every((index) => index <= commit || this.#wasCommitted(group, index));
  }

  /** By a leader that is gone: then a quorum has it. */
  #wasCommitted(group: GroupNumber, index: LogIndex): boolean {
    const { voters } = this.world.committed.membership(group).configuration;
    const holders = voters.filter((voter) => (this.world.atlas.imageOf(voter)?.last.index ?? 0) >= index);
    return holders.length * 2 > voters.length;
  }

  #appended(group: GroupNumber, { index, term, payload }: Entry): void {
    const committed = this.world.committed.membership(group);
    const lastTerm = this.world.committed.entries(group).at(-1)?.term ?? 0;
    const isOpen = (one: Placed): boolean => one.index > committed.index && one.term >= lastTerm;
    const open = (this.#open.get(group) ?? []).filter(isOpen);
    const placed = { index, term, configuration: decodeConfiguration(payload) };
    if (!isOpen(placed) || open.some((one) => one.index === index && one.term === term)) return;
    for (const { configuration } of [committed, ...open.filter((one) => one.index === index)]) {
      this.check(
        intersect(configuration, placed.configuration),
        `g${group}: the configuration at ${index}/${term} and another one that can win share no quorum`,
      );
    }
    this.#open.set(group, [...open, placed]);
  }
}

/** True if no quorum of one avoids every quorum of the other. */
export function intersect(a: Configuration, b: Configuration): boolean {
  const everyone = [...new Set([...a.voters, ...a.outgoing, ...b.voters, ...b.outgoing])];
  for (let chosen = 0; chosen < 2 ** everyone.length; chosen++) {
    const isIn = (replica: ReplicaId): boolean => (chosen & (1 << everyone.indexOf(replica))) !== 0;
    if (isQuorum(a, isIn) && isQuorum(b, (replica) => !isIn(replica))) return false;
  }
  return true;
}

/** Written out once more on purpose: the product's own majorities are what is tested. */
function isQuorum({ voters, outgoing }: Configuration, isIn: (replica: ReplicaId) => boolean): boolean {
  return [voters, outgoing].every((half) => half.length === 0 || half.filter(isIn).length * 2 > half.length);
}
