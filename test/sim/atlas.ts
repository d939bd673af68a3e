/**
 * The fault atlas: which replicas lost what they had acknowledged, and whether enough are left to go on (reliability 3.3).
 * A configuration counts as long as it may be in force in a log that can still win: the committed one, and whatever was
 * proposed above it.
 */
import type { GroupNumber, LogIndex, ReplicaId } from '../../src/model/ids.ts';
import type { Configuration } from '../../src/raft/core/configuration.ts';
import { decodeConfiguration, emptyConfiguration } from '../../src/raft/core/configuration.ts';
import type { GroupImage } from './group-image.ts';
import type { DiskCopy } from './sim-disk.ts';
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
    return this.#lost.has(replica) ? this.#lost.get(replica) : this.#presentImageOf(replica);
  }

  /** The node's disk is about to be emptied or to go back in time. */
  lose(node: SimNode): void {
    for (const { plan, replicaId } of node.assigned.values()) {
      if (this.#lost.has(replicaId)) continue;
      this.#lost.set(replicaId, this.imageOf(replicaId)?.clone());
      this.#world.trace.say(node.number, plan.group, 'lost', `replica ${replicaId}`);
    }
  }

  /** Whether the replica has the entry durably, or had when it was lost: what it acknowledged before may still be counted. */
  holds(replica: ReplicaId, index: LogIndex, chain: number): boolean {
    const holds = (image: GroupImage | undefined): boolean =>
      image !== undefined && (index <= image.before.index || image.at(index)?.chain === chain);
    return holds(this.#lost.get(replica)) || holds(this.#presentImageOf(replica));
  }

  /** The node itself, and all others that durably remember nothing of its disk that this copy of it lacks (design D4). */
  strangersTo(node: SimNode, copy: DiskCopy): readonly SimNode[] {
    return this.#world.nodes.filter((other) => other === node || !remembersMore(other, node, copy));
  }

  /**
   * Whether an old copy that these know nothing about is found before it votes, whatever else fails: nowhere do they and
   * the node decide by themselves that it may. Where they do, nobody could find it, so design D4 does not promise it.
   */
  isFoundDespite(strangers: readonly SimNode[], node: SimNode, copy: DiskCopy): boolean {
    return [...node.assigned.values()].every(({ plan, voters }) => {
      const own = configurationIn(copy.groups.get(plan.group)) ?? { ...emptyConfiguration, voters };
      const asked = [own, ...this.#world.catalog.live(plan.group), ...this.#inLogs(plan.group)];
      // a replica that knows no voters asks those of whoever asks it
      return !asked.some((one) => one.voters.length > 0 && this.#isMajority(one, strangers));
    });
  }

  /** Whether that stays true of every old copy that runs, once this is in force. */
  keepsOldCopiesFound(configuration: Configuration): boolean {
    return [...this.#world.oldCopies.values()].every((strangers) => !this.#isMajority(configuration, strangers));
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

  /** By replicas, not by places: whoever came after one that was lost does not speak for it. */
  #isMajority({ voters, outgoing }: Configuration, nodes: readonly SimNode[]): boolean {
    return [voters, outgoing]
      .filter((half) => half.length > 0)
      .every((half) => half.filter((replica) => this.#isAt(replica, nodes)).length * 2 > half.length);
  }

  /** Those in which some replica may stand for election: it need not be in force anywhere any more. */
  #inLogs(group: GroupNumber): readonly Configuration[] {
    return this.#world.nodes
      .flatMap(({ disk }) => {
        const image = disk.cached.get(group);
        return image === undefined ? [] : [image.header.genesis, ...image.configurations.map(({ payload }) => payload)];
      })
      .map(decoded);
  }

  #isAt(replica: ReplicaId, nodes: readonly SimNode[]): boolean {
    const place = this.#world.placeOf(replica);
    return place !== undefined && nodes.includes(place.node) && place.node.incarnation === place.incarnation;
  }

  #presentImageOf(replica: ReplicaId): GroupImage | undefined {
    const place = this.#world.placeOf(replica);
    const image = place?.node.disk.synced.get(place.group);
    return image?.header.replicaId === replica ? image : undefined;
  }
}

const decoded = (payload: Uint8Array): Configuration =>
  payload.length === 0 ? emptyConfiguration : decodeConfiguration(payload);

/** Null: there is no log. */
function configurationIn(image: GroupImage | undefined): Configuration | null {
  if (image === undefined) return null;
  return decoded(image.configurations.at(-1)?.payload ?? image.header.genesis);
}

/** By its starts, or by what it holds: both are judged whenever the copy starts. */
function remembersMore(other: SimNode, node: SimNode, { starts, commit }: DiskCopy): boolean {
  const remembered = other.remembered(node.incarnation);
  if (remembered === null) return false;
  return starts.length + 1 <= remembered.bootNumber || commit < remembered.durableCommit;
}
