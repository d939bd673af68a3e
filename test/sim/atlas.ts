/**
 * The fault atlas: which replicas lost what they had acknowledged, and whether enough are left to go on (reliability 3.3).
 * A configuration counts as long as it may be in force in a log that can still win: the committed one, and whatever was
 * proposed above it.
 */
import type { GroupNumber, ReplicaId } from '../../src/model/ids.ts';
import type { Configuration } from '../../src/raft/core/configuration.ts';
import type { GroupImage } from './group-image.ts';
import type { SimNode } from './sim-node.ts';
import type { SimWorld } from './sim-world.ts';

export class Atlas {
  readonly #world: SimWorld;
  /** What each lost replica had durably at the moment of the loss; undefined: nothing yet. */
  readonly #lost = new Map<ReplicaId, GroupImage | undefined>();

  constructor(world: SimWorld) {
    this.#world = world;
  }

  isLost(replica: ReplicaId): boolean {
    return this.#lost.has(replica);
  }

  /** What the replica has, or had when it was lost: what it acknowledged before may still be counted. */
  imageOf(replica: ReplicaId): GroupImage | undefined {
    if (this.#lost.has(replica)) return this.#lost.get(replica);
    const place = this.#world.placeOf(replica);
    const image = place?.node.disk.synced.get(place.group);
    return image?.header.replicaId === replica ? image : undefined;
  }

  /** The node's disk is about to be emptied or to go back in time. */
  lose(node: SimNode): void {
    for (const { plan, replicaId } of node.assigned.values()) {
      if (this.#lost.has(replicaId)) continue;
      this.#lost.set(replicaId, this.imageOf(replicaId)?.clone());
      this.#world.trace.say(node.number, plan.group, 'lost', `replica ${replicaId}`);
    }
  }

  /** True if every group can elect a leader without the disks of these nodes. */
  maySpare(nodes: readonly SimNode[]): boolean {
    const others = this.#world.nodes.filter((node) => !nodes.includes(node));
    return this.#world.groups.every((group) => this.canElect(group, others));
  }

  /** True if healthy replicas on these nodes are a quorum, whichever configuration is in force. */
  canElect(group: GroupNumber, nodes: readonly SimNode[] = this.#world.nodes): boolean {
    return this.#world.catalog.live(group).every((one) => this.isQuorum(one, nodes));
  }

  isQuorum({ voters, outgoing }: Pick<Configuration, 'voters' | 'outgoing'>, nodes = this.#world.nodes): boolean {
    const isHealthy = (replica: ReplicaId): boolean => {
      const node = this.#world.placeOf(replica)?.node;
      return node !== undefined && nodes.includes(node) && !this.#lost.has(replica);
    };
    return [voters, outgoing]
      .filter((half) => half.length > 0)
      .every((half) => half.filter(isHealthy).length * 2 > half.length);
  }
}
