/**
 * inv-I14, after the faults: a random set of nodes that is enough for a quorum of every group is healed and makes
 * progress while everybody else stays dead (VOPR's liveness mode); first, sometimes, over a chain, a star or a ring of
 * links only (P10). Then everybody comes back, the catalog gets what it wants (P65), and all end equal.
 */
import type { GroupNumber, ReplicaId } from '../../src/model/ids.ts';
import { SimViolation } from './invariant.ts';
import { linksBetween } from './sim-network.ts';
import type { SimNode } from './sim-node.ts';
import type { SimRandom } from './sim-random.ts';
import type { SimWorld } from './sim-world.ts';

/** How long a healed quorum may take to elect and commit, and all nodes to become equal, in virtual ms. */
const livenessMsMax = 30_000;
const drainMsMax = 60_000;
/** So many of these times at most, as long as more is committed. */
const slowMax = 4;
const stepMs = 100;
/** How long a partial topology is watched once it works, and how often leaders may change in a group meanwhile (P10). */
const calmMs = 8_000;
/** How long nodes may take to meet before links are cut, in virtual ms. */
const acquaintMsMax = 6_000;
const leaderChangesMax = 3;

const topologies = ['full', 'full', 'chain', 'star', 'ring'] as const;
type Topology = (typeof topologies)[number];

export async function run(world: SimWorld, forMs: number): Promise<void> {
  await world.scheduler.runUntil(world.scheduler.now + forMs, () => world.afterEvent());
}

/**
 * Resolves when it holds. A world whose limits let through one entry at a time may have thousands to catch up with, and
 * commits nothing of a former term until a majority has all of them: while some replica gets on the time begins anew, up
 * to `slowMax` of it.
 */
async function waitFor(world: SimWorld, forMs: number, holds: () => boolean, what: () => string): Promise<void> {
  const began = world.scheduler.now;
  let advancedAt = began;
  for (let best = gotOn(world); !holds();) {
    const { now } = world.scheduler;
    if (now >= Math.min(advancedAt + forMs, began + slowMax * forMs))
      throw new SimViolation('inv-I14', `${what()} in ${Math.round(now - began)} ms`);
    await run(world, stepMs);
    const present = gotOn(world);
    if (present <= best) continue;
    best = present;
    advancedAt = world.scheduler.now;
  }
}

/** What all replicas that run have, and know to be committed, in entries. */
function gotOn(world: SimWorld): number {
  let sum = 0;
  for (const { groups } of world.nodes)
    for (const { commitIndex, log } of groups.values()) sum += commitIndex + log.lastIndex;
  return sum;
}

/** A healed quorum makes progress. */
export async function liveness(world: SimWorld, random: SimRandom): Promise<void> {
  const able = random.shuffle(world.nodes.filter(({ number }) => !world.lostDisks.has(number)));
  if (world.groups.some((group) => !world.atlas.canElect(group, able))) {
    if (world.shape.mustSurvive) throw new SimViolation('sim-atlas', 'more was lost than a group survives');
    world.count('haltedSafely');
  }
  const groups = world.groups.filter((group) => world.atlas.canElect(group, able));
  const core = coreOf(world, able, groups, random);
  world.trace.say(0, null, 'liveness', core.map(({ number }) => `n${number}`).join(' '));
  heal(world, core);
  const topology = random.pick(topologies);
  if (topology !== 'full' && core.length > 2) await partial(world, core, groups, topology);
  await waitFor(
    world,
    livenessMsMax,
    () => settled(world, core, groups),
    () => `no progress: ${describe(world, core, groups)}`,
  );
  await acknowledged(world, groups, core);
}

/** Everybody comes back, and all end equal. */
export async function drain(world: SimWorld): Promise<void> {
  for (const node of world.nodes) {
    if (world.lostDisks.has(node.number)) {
      if (node.alive) world.crash(node, 'none');
      world.wipe(node);
    }
    world.returning.add(node);
    if (!node.alive) world.start(node);
  }
  const groups = world.groups.filter((group) => world.atlas.canElect(group));
  world.trace.say(0, null, 'drain', `groups ${groups.join(' ')}`);
  world.catalog.mustFinish = true;
  world.catalog.start();
  await waitFor(
    world,
    drainMsMax,
    () => groups.every((group) => world.catalog.isDone(group)) && settled(world, world.nodes, groups),
    () => `not equal: ${describe(world, world.nodes, groups)}`,
  );
  world.catalog.stop();
  await run(world, 1_000);
  for (const invariant of world.invariants) invariant.atEnd?.();
}

/** Some nodes that are enough for these groups: others are left out at random. */
function coreOf(
  world: SimWorld,
  able: readonly SimNode[],
  groups: readonly GroupNumber[],
  random: SimRandom,
): readonly SimNode[] {
  let core = able;
  for (const node of able) {
    const rest = core.filter((one) => one !== node);
    if (random.chance(0.6) && groups.every((group) => world.atlas.canElect(group, rest))) core = rest;
  }
  return core;
}

function heal(world: SimWorld, core: readonly SimNode[]): void {
  world.network.heal();
  world.network.calm();
  for (const node of world.nodes) {
    node.disk.heal();
    node.resume();
    if (core.includes(node)) {
      if (!node.alive) world.start(node);
      continue;
    }
    world.returning.delete(node);
    if (node.alive) world.crash(node, 'prefix');
  }
}

/** Only some of the links are whole; where somebody can still lead, it does, and it stays. */
async function partial(
  world: SimWorld,
  core: readonly SimNode[],
  groups: readonly GroupNumber[],
  topology: Topology,
): Promise<void> {
  await acquaint(world, core);
  const isLinked = (a: SimNode, b: SimNode): boolean => linked(topology, core.length, core.indexOf(a), core.indexOf(b));
  for (const [i, a] of core.entries()) {
    for (const b of core.slice(i + 1)) {
      if (!isLinked(a, b)) for (const link of linksBetween(a.number, b.number)) world.network.cut(link);
    }
  }
  // what is on its way and on the disks comes to rest first
  await run(world, 500);
  const isPossible = (group: GroupNumber): boolean =>
    core.some((node) => {
      return canLead(
        world,
        group,
        node,
        core.filter((other) => other === node || isLinked(node, other)),
      );
    });
  const able = groups.filter(isPossible);
  world.trace.say(0, null, 'topology', `${topology} groups ${able.join(' ')}`);
  if (able.length > 0) {
    world.count('partialTopologies');
    // what an old leader still appends may leave nobody who can lead over these links
    await acknowledged(world, able, core, isPossible);
    const before = world.counters.leaderChanges;
    await run(world, calmMs);
    const changes = world.counters.leaderChanges - before;
    if (changes > leaderChangesMax * world.groups.length && able.length === world.groups.length) {
      throw new SimViolation('inv-I14', `${changes} leaders in ${calmMs} ms over a ${topology}`);
    }
  }
  world.network.heal();
}

/**
 * Whoever has just started votes only once a majority knows it (design D4), and over a part of the links it may never
 * meet one: that is the price of finding old copies, so those that can meet do so before the links are cut.
 */
async function acquaint(world: SimWorld, core: readonly SimNode[]): Promise<void> {
  const deadline = world.scheduler.now + acquaintMsMax;
  const isDone = (): boolean => core.every((node) => [...node.groups.keys()].every((group) => node.mayVote(group)));
  while (!isDone() && world.scheduler.now < deadline) await run(world, stepMs);
}

function linked(topology: Topology, count: number, a: number, b: number): boolean {
  const distance = Math.abs(a - b);
  switch (topology) {
    case 'full':
      return true;
    case 'chain':
      return distance === 1;
    case 'star':
      return a === 0 || b === 0;
    case 'ring':
      return distance === 1 || distance === count - 1;
  }
}

/**
 * The node and those neighbours that may vote are a quorum, and no neighbour's log is ahead of its own. Without such a node no Raft makes
 * progress, whatever it does (OmniPaxos calls it the constrained election).
 */
function canLead(world: SimWorld, group: GroupNumber, node: SimNode, near: readonly SimNode[]): boolean {
  const last = (one: SimNode): { readonly term: number; readonly index: number } =>
    one.disk.cached.get(group)?.last ?? { term: 0, index: 0 };
  const own = last(node);
  const replica = node.assigned.get(group)?.replicaId;
  const isVoter = (id: ReplicaId | undefined): boolean =>
    id !== undefined && world.catalog.live(group).every(({ voters }) => voters.includes(id));
  const isBehind = (one: SimNode): boolean => {
    const { term, index } = last(one);
    return term < own.term || (term === own.term && index <= own.index);
  };
  const voting = near.filter((one) => one.mayVote(group));
  return isVoter(replica) && voting.includes(node) && near.every(isBehind) && world.atlas.canElect(group, voting);
}

/** Every group acknowledges something new. */
async function acknowledged(
  world: SimWorld,
  groups: readonly GroupNumber[],
  nodes: readonly SimNode[],
  isPossible: (group: GroupNumber) => boolean = () => true,
): Promise<void> {
  const { acked } = world.workload;
  const before = new Map(groups.map((group) => [group, acked.get(group) ?? 0]));
  const open = (): GroupNumber[] =>
    groups.filter((group) => (acked.get(group) ?? 0) === before.get(group) && isPossible(group));
  await waitFor(
    world,
    livenessMsMax,
    () => {
      // a client tries again: now and then it asks a node that does not lead
      for (const group of open()) world.workload.propose(0, group);
      return open().length === 0;
    },
    () => `nothing was acknowledged: ${describe(world, nodes, open())}`,
  );
}

/** Every group has one serving leader whose configuration is committed, and all of its members here have everything. */
function settled(world: SimWorld, nodes: readonly SimNode[], groups: readonly GroupNumber[]): boolean {
  return groups.every((group) => {
    const rafts = nodes.flatMap((node) => node.groups.get(group) ?? []);
    const leaders = rafts.filter(({ role }) => role.role === 'leader' && role.serving);
    const leader = leaders.sort((a, b) => b.role.term - a.role.term)[0];
    if (leader === undefined || leader.membership.index > leader.commitIndex) return false;
    const { voters, outgoing, learners } = leader.membership.configuration;
    if (outgoing.length > 0) return false;
    const members = [...voters, ...learners].flatMap((replica) => {
      const node = world.placeOf(replica)?.node;
      return node !== undefined && nodes.includes(node) && !world.atlas.isLost(replica) ? [node] : [];
    });
    return members.every((node) => node.groups.get(group)?.appliedIndex === leader.log.lastIndex);
  });
}

function describe(world: SimWorld, nodes: readonly SimNode[], groups: readonly GroupNumber[]): string {
  return groups
    .flatMap((group) => [
      `g${group} committed ${JSON.stringify(world.committed.membership(group).configuration)}`,
      ...nodes.map((node) => {
        const raft = node.groups.get(group);
        const replica = node.assigned.get(group)?.replicaId ?? '-';
        if (raft === undefined) return `n${node.number} replica ${replica} closed`;
        const { role, term, serving } = raft.role;
        return `n${node.number} replica ${replica} ${role}${serving ? '*' : ''} t${term} last ${raft.log.lastIndex} commit ${raft.commitIndex} applied ${raft.appliedIndex}`;
      }),
    ])
    .join('; ');
}
