import type { GroupNumber, LogIndex, Term } from '../../../src/model/ids.ts';
import type { Configuration } from '../../../src/raft/core/configuration.ts';
import type { IndexedConfiguration } from '../../../src/raft/core/membership.ts';
import type { RaftGroup } from '../../../src/raft/group.ts';
import { Invariant } from '../invariant.ts';
import type { SimNode } from '../sim-node.ts';
import type { SimWorld } from '../sim-world.ts';

/**
 * inv-I6: a committed entry is in the synced image of a quorum of voters' disks, by the configuration that committed it,
 * and nobody applies what no leader has committed. Raft thesis 10.2.1; etcd's TLA+ `CommittedIsDurableInv`. Reads the
 * disks, not what the nodes believe.
 */
export class CommittedIsDurable extends Invariant {
  readonly id = 'inv-I6';
  /**
   * What was in force at whoever leads or led, since its commit index was last seen to move: the core moves it, and may
   * take a change right after, before the driver tells. Who leads anew begins anew: what was in force when it led before
   * was changed by others since, and its quorum may be gone.
   */
  readonly #inForce = new Map<RaftGroup, { readonly term: Term; readonly list: IndexedConfiguration[] }>();
  /** The highest index that a leader has committed. */
  readonly #committed = new Map<GroupNumber, number>();
  /** The highest index that was applied in this event. */
  readonly #applied = new Map<GroupNumber, number>();

  constructor(world: SimWorld) {
    super(world);
    world.committed.onCommitted.push((_node, group, entry) => {
      this.#applied.set(group, entry.index);
    });
  }

  override onTouched(node: SimNode): void {
    for (const [group, raft] of node.groups) {
      if (raft.commitIndex > (this.#committed.get(group) ?? 0)) this.#onCommit(node, group, raft);
      if (raft.role.role === 'leader') this.#note(raft);
    }
  }

  /** What was written may be committed, applied and followed by a write that fails, all at once when a pause ends. */
  override onCrashing(node: SimNode): void {
    this.onTouched(node);
  }

  override onEventOver(): void {
    if (this.#applied.size === 0) return;
    for (const [group, index] of this.#applied) {
      const committed = this.#committed.get(group) ?? 0;
      this.check(index <= committed, `g${group}: ${index} was applied, and leaders have committed ${committed}`);
    }
    this.#applied.clear();
  }

  #note(raft: RaftGroup): IndexedConfiguration[] {
    const { role, term } = raft.role;
    const known = this.#inForce.get(raft);
    const isSameLead = known !== undefined && (role !== 'leader' || term === known.term);
    const noted = isSameLead ? known : { term, list: [] };
    if (noted.list.at(-1) !== raft.membership) noted.list.push(raft.membership);
    this.#inForce.set(raft, noted);
    return noted.list;
  }

  /** Nobody knew this to be committed: so this replica decided it, as a leader that may have stepped down since. */
  #onCommit(node: SimNode, group: GroupNumber, raft: RaftGroup): void {
    const index = raft.commitIndex;
    this.#committed.set(group, index);
    this.check(this.#inForce.has(raft), `n${node.number} g${group}: commit ${index}, and it never led`);
    const inForce = this.#note(raft);
    // each change was taken only when the configuration before it was committed, by itself
    for (const before of inForce.slice(0, -1)) {
      this.check(
        this.#isDurable(node, group, before.index, before.configuration),
        `g${group}: the configuration at ${before.index} was changed before it was durable on its own quorum`,
      );
    }
    const newest = inForce.slice(-1);
    const deciding = (newest[0]?.index ?? 0) <= index ? newest : inForce;
    this.check(
      deciding.some(({ configuration }) => this.#isDurable(node, group, index, configuration)),
      `g${group} index ${index} is committed but not durable on a quorum of ${JSON.stringify(deciding)}`,
    );
    inForce.splice(0, inForce.length - 1);
  }

  #isDurable(node: SimNode, group: GroupNumber, index: LogIndex, { voters, outgoing }: Configuration): boolean {
    const own = node.disk.cached.get(group);
    const chain = index === 0 ? undefined : own?.at(index)?.chain;
    // before the beginning of the log: a snapshot stands for it
    if (chain === undefined) return true;
    return [voters, outgoing].every((half) => {
      const holders = half.filter((voter) => this.world.atlas.holds(voter, index, chain));
      return half.length === 0 || holders.length * 2 > half.length;
    });
  }
}
