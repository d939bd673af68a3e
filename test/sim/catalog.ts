/**
 * The catalog as an oracle: it holds who should vote in each group, asks whoever leads, tries again, gives up, changes its
 * mind, replaces what was lost, and deletes a replica only once the group has committed that it is out (design D5). Every
 * wish has a revision of its own, rising, so that an older one that comes late is refused (P60, P64).
 */
import type { GroupNumber, LogIndex, ReplicaId, Term } from '../../src/model/ids.ts';
import type { Configuration } from '../../src/raft/core/configuration.ts';
import { emptyConfiguration } from '../../src/raft/core/configuration.ts';
import type { SimNode } from './sim-node.ts';
import type { SimRandom } from './sim-random.ts';
import type { SimWorld } from './sim-world.ts';

/** Who should take part; replicas that are new to a configuration are learners first. */
interface Wish {
  readonly voters: readonly ReplicaId[];
  readonly learners: readonly ReplicaId[];
}

interface Placement {
  wish: Wish;
  /** The newest request; its revision is the highest that was given out. */
  request: Configuration;
  /** Requests that were made before, for a late repetition. */
  readonly older: Configuration[];
  /** Highest revision of a request that named the replica. */
  readonly namedAt: Map<ReplicaId, number>;
  /** Accepted by a leader at this place of its log, and not known to be superseded. */
  proposed: { readonly index: LogIndex; readonly term: Term; readonly configuration: Configuration }[];
  attempts: number;
}

const stepMs = 200;
const attemptsMax = 50;
const olderMax = 8;

export class Catalog {
  /** True: it does not give up any more, because nothing keeps it from success. */
  mustFinish = false;
  readonly #world: SimWorld;
  readonly #random: SimRandom;
  readonly #placements = new Map<GroupNumber, Placement>();
  #running = false;

  constructor(world: SimWorld, random: SimRandom) {
    this.#world = world;
    this.#random = random;
    for (const group of world.groups) {
      const { voters } = world.planOf(group);
      this.#placements.set(group, {
        wish: { voters, learners: [] },
        request: { ...emptyConfiguration, voters },
        older: [],
        namedAt: new Map(voters.map((voter) => [voter, 0])),
        proposed: [],
        attempts: 0,
      });
    }
  }

  start(): void {
    this.#running = true;
    this.#next();
  }

  stop(): void {
    this.#running = false;
  }

  /** Every configuration that may be in force in a log that can still win. */
  live(group: GroupNumber): readonly Configuration[] {
    const { index, configuration } = this.#world.committed.membership(group);
    const placement = this.#of(group);
    placement.proposed = placement.proposed.filter((one) => one.index > index);
    return [configuration, ...placement.proposed.map((one) => one.configuration)];
  }

  /** Whether the group is as it should be, by a committed configuration, and nothing is left to be replaced or deleted. */
  isDone(group: GroupNumber): boolean {
    const { configuration } = this.#world.committed.membership(group);
    const { wish, request } = this.#of(group);
    if (configuration.outgoing.length > 0 || configuration.revision < request.revision) return false;
    const members = membersOf(configuration);
    const isOut = (node: SimNode): boolean => {
      const replica = node.assigned.get(group)?.replicaId;
      return replica !== undefined && !members.includes(replica);
    };
    return (
      isSame(wish, configuration) &&
      !members.some((replica) => this.#world.atlas.isLost(replica)) &&
      !this.#world.nodes.some(isOut)
    );
  }

  /** Wishes for another voter, at this node. */
  add(group: GroupNumber, node: SimNode): void {
    const { voters, learners } = this.#present(group);
    if (voters.length >= 5) return;
    const added = this.#place(group, node);
    if (added !== null) this.#wishFor(group, { voters: [...voters, added], learners });
  }

  /** Wishes for a learner that is not to be promoted. */
  addLearner(group: GroupNumber, node: SimNode): void {
    const { voters, learners } = this.#present(group);
    const added = this.#place(group, node);
    if (added !== null) this.#wishFor(group, { voters, learners: [...learners, added] });
  }

  /** Wishes that the node holds nothing of the group. */
  remove(group: GroupNumber, node: SimNode): void {
    const { voters, learners } = this.#present(group);
    const isElsewhere = (replica: ReplicaId): boolean => this.#world.placeOf(replica)?.node !== node;
    const left = voters.filter(isElsewhere);
    if (left.length > 0) this.#wishFor(group, { voters: left, learners: learners.filter(isElsewhere) });
  }

  /** Wishes that one node takes the other's place. */
  move(group: GroupNumber, from: SimNode, to: SimNode): void {
    const { voters, learners } = this.#present(group);
    const moved = voters.find((replica) => this.#world.placeOf(replica)?.node === from);
    if (moved === undefined) return;
    const added = this.#place(group, to);
    if (added === null) return;
    this.#wishFor(group, { voters: voters.map((one) => (one === moved ? added : one)), learners });
  }

  /** Wishes that these nodes vote, and nobody else. */
  spread(group: GroupNumber, nodes: readonly SimNode[]): void {
    const { voters, learners } = this.#present(group);
    const wanted = nodes.map((node) => {
      const isHere = (replica: ReplicaId): boolean => this.#world.placeOf(replica)?.node === node;
      return voters.find(isHere) ?? learners.find(isHere) ?? this.#place(group, node);
    });
    const placed = wanted.filter((replica) => replica !== null);
    if (placed.length > 0) this.#wishFor(group, { voters: placed, learners: [] });
  }

  /** Changes its mind: everything is to be as it is committed now, without learners (P65). */
  cancel(group: GroupNumber): void {
    this.#wishFor(group, { voters: this.#present(group).voters, learners: [] });
  }

  /** A request of before arrives once more, at whoever leads (P60, P64). */
  repeat(group: GroupNumber): void {
    const { older } = this.#of(group);
    if (older.length === 0) return;
    const request = this.#random.pick(older);
    // what was harmless then may be the end of the group now
    if (!this.#world.atlas.isQuorum(request)) return;
    this.#world.count('lateCatalogRequests');
    this.#send(group, request);
  }

  transfer(group: GroupNumber, to: SimNode): void {
    const node = this.#leaderOf(group);
    const replica = to.assigned.get(group)?.replicaId;
    if (node === undefined || replica === undefined || node === to) return;
    this.#world.count('transfers');
    node.enter('input', () => {
      node.groups.get(group)?.transferLeadership(replica);
    });
  }

  #next(): void {
    this.#world.scheduler.after(stepMs, () => {
      if (!this.#running) return;
      for (const group of this.#world.groups) this.#step(group);
      this.#next();
    });
  }

  #step(group: GroupNumber): void {
    this.#collectGarbage(group);
    this.#replaceLost(group);
    const placement = this.#of(group);
    const { configuration } = this.#world.committed.membership(group);
    if (configuration.outgoing.length > 0) return;
    if (isSame(placement.wish, configuration) && configuration.revision >= placement.request.revision) return;
    const target = nextTarget(configuration, placement.wish);
    if (!isSame(target, placement.request)) this.#revise(placement, target);
    placement.attempts++;
    const isTired = placement.attempts > attemptsMax && !this.mustFinish;
    if (isTired || !this.#world.atlas.isQuorum(placement.request)) this.cancel(group);
    else this.#send(group, placement.request);
  }

  #revise(placement: Placement, { voters, learners }: Wish): void {
    placement.older.push(placement.request);
    if (placement.older.length > olderMax) placement.older.shift();
    const revision = placement.request.revision + 1;
    placement.request = { revision, voters, outgoing: [], learners };
    for (const replica of [...voters, ...learners]) placement.namedAt.set(replica, revision);
  }

  /** Asks who seems to lead; now and then somebody who does not. */
  #send(group: GroupNumber, request: Configuration): void {
    const node = this.#random.chance(0.1) ? this.#random.pick(this.#world.nodes) : this.#leaderOf(group);
    if (node?.alive !== true) return;
    const { life } = node;
    node.enter('input', () => {
      // a process that stood still may take it when the phase is over: nothing may change any more who can be spared
      const { atlas } = this.#world;
      if (!this.#running || node.life !== life || !atlas.isQuorum(request)) return;
      if (!atlas.keepsOldCopiesFound(request)) return;
      const raft = node.groups.get(group);
      const before = raft?.membership.configuration.voters ?? [];
      const answer = raft?.changeConfiguration(request, { outcome: () => undefined });
      const said = answer === undefined || answer.kind === 'accepted' ? 'accepted' : answer.why;
      if (answer === undefined) return;
      this.#world.trace.say(node.number, group, 'catalog', `r${request.revision} ${said}`);
      if (answer.kind === 'refused') return;
      const { index, term } = answer;
      this.#of(group).proposed.push({ index, term, configuration: { ...request, outgoing: before } });
    });
  }

  /** Somebody who says so, whether it is still true or not. */
  #leaderOf(group: GroupNumber): SimNode | undefined {
    const leaders = this.#world.nodes.filter((node) => node.groups.get(group)?.role.role === 'leader');
    return leaders.length === 0 ? undefined : this.#random.pick(leaders);
  }

  /** Replicas that are out, by a committed configuration that is newer than any request for them, are deleted. */
  #collectGarbage(group: GroupNumber): void {
    const { configuration } = this.#world.committed.membership(group);
    const { wish, namedAt } = this.#of(group);
    for (const node of this.#world.nodes) {
      const replica = node.assigned.get(group)?.replicaId;
      if (replica === undefined || [...wish.voters, ...wish.learners].includes(replica)) continue;
      if (membersOf(configuration).includes(replica) || (namedAt.get(replica) ?? -1) >= configuration.revision)
        continue;
      this.#world.trace.say(node.number, group, 'delete', `replica ${replica}`);
      this.#world.count('removals');
      node.assigned.delete(group);
      node.follow(group);
    }
  }

  /** A lost replica is replaced by a new one, there or elsewhere; a lost learner is given up. */
  #replaceLost(group: GroupNumber): void {
    const { atlas } = this.#world;
    const { wish } = this.#of(group);
    const isLost = (replica: ReplicaId): boolean => atlas.isLost(replica);
    if (![...wish.voters, ...wish.learners].some(isLost)) return;
    const voters = wish.voters.flatMap((replica) =>
      isLost(replica) ? this.#replacementOf(group, replica) : [replica],
    );
    const learners = wish.learners.filter((replica) => !isLost(replica));
    const changed = !isSameSet(voters, wish.voters) || learners.length < wish.learners.length;
    if (changed && voters.length > 0) this.#wishFor(group, { voters, learners });
  }

  /** At its own node, or another one; itself as long as there is hope for a place, nobody if there is none. */
  #replacementOf(group: GroupNumber, lost: ReplicaId): readonly ReplicaId[] {
    const home = this.#world.placeOf(lost)?.node;
    const others = this.#world.nodes.filter((node) => node !== home);
    const nodes = home === undefined ? others : [home, ...others];
    for (const node of nodes) {
      const replica = this.#place(group, node);
      if (replica !== null) return [replica];
    }
    const isHopeful = nodes.some((node) => this.#world.lostDisks.has(node.number) || !node.assigned.has(group));
    return isHopeful ? [lost] : [];
  }

  /** A new replica of the group at the node; null: there is no room for it. */
  #place(group: GroupNumber, node: SimNode): ReplicaId | null {
    if (node.assigned.has(group) || this.#world.lostDisks.has(node.number)) return null;
    const replicaId = this.#world.newReplica(group, node);
    node.assigned.set(group, { plan: this.#world.planOf(group), replicaId, voters: [] });
    node.follow(group);
    return replicaId;
  }

  #wishFor(group: GroupNumber, wish: Wish): void {
    const placement = this.#of(group);
    const { configuration } = this.#world.committed.membership(group);
    placement.attempts = 0;
    placement.wish = wish;
    // a request that is under way must not win over the new wish
    this.#revise(placement, nextTarget(configuration, wish));
    if (this.#running && this.#world.atlas.isQuorum(placement.request)) this.#send(group, placement.request);
    this.#world.trace.say(0, group, 'wish', `voters ${wish.voters.join(' ')} learners ${wish.learners.join(' ')}`);
  }

  #present(group: GroupNumber): Wish {
    return this.#world.committed.membership(group).configuration;
  }

  #of(group: GroupNumber): Placement {
    const placement = this.#placements.get(group);
    if (placement === undefined) throw new RangeError(`group ${group}`);
    return placement;
  }
}

const membersOf = ({ voters, outgoing, learners }: Configuration): readonly ReplicaId[] => [
  ...voters,
  ...outgoing,
  ...learners,
];

const isSameSet = (a: readonly ReplicaId[], b: readonly ReplicaId[]): boolean =>
  a.length === b.length && a.every((one) => b.includes(one));

const isSame = (a: Wish, b: Wish): boolean => isSameSet(a.voters, b.voters) && isSameSet(a.learners, b.learners);

/** The next configuration on the way: voters that are new come in as learners first (P56). */
function nextTarget(present: Wish, wish: Wish): Wish {
  const fresh = wish.voters.filter((voter) => !present.voters.includes(voter) && !present.learners.includes(voter));
  if (fresh.length === 0) return wish;
  const staying = present.learners.filter((one) => wish.learners.includes(one) || wish.voters.includes(one));
  // one that was promoted since the wish was made becomes a learner in the step after this one
  const learners = wish.learners.filter((one) => !present.voters.includes(one));
  return { voters: present.voters, learners: [...new Set([...staying, ...learners, ...fresh])] };
}
