/**
 * What follows the phase with faults: liveness, in which everything that is healthy comes back and must work again, and
 * drain, in which everything ends where the catalog wants it, and equal (reliability 3.3).
 */
import type { PartitionPlace } from '../../src/broker/catalog-commands.ts';
import type { BrokerId, GroupNumber } from '../../src/model/ids.ts';
import { catalogGroup } from '../../src/model/ids.ts';
import { SimViolation } from '../sim/invariant.ts';
import type { SimRandom } from '../sim/sim-random.ts';
import type { BrokerWorld } from './broker-world.ts';
import { readOn } from './consumer-client.ts';
import type { MemberClient } from './member-client.ts';
import { ProducerClient } from './producer-client.ts';
import type { SimBroker } from './sim-broker.ts';

/** How long what is healed may take to work, and all replicas to be where they shall be and equal, in virtual ms. */
const livenessMsMax = 60_000;
const drainMsMax = 90_000;
const stepMs = 100;

export async function run(world: BrokerWorld, forMs: number): Promise<void> {
  await world.scheduler.runUntil(world.scheduler.now + forMs, () => {
    world.afterEvent();
  });
  world.afterEvent();
}

async function waitFor(world: BrokerWorld, forMs: number, holds: () => boolean, what: () => string): Promise<void> {
  const deadline = world.scheduler.now + forMs;
  while (!holds()) {
    if (world.scheduler.now >= deadline) throw new SimViolation('inv-I14', `${what()} in ${forMs} ms`);
    await run(world, stepMs);
  }
}

/** Everything that can work works again: brokers, the topics that there are, and new ones. */
export async function liveness(
  world: BrokerWorld,
  random: SimRandom,
  producers: readonly ProducerClient[],
): Promise<void> {
  heal(world);
  world.trace.say(0, null, 'liveness', world.healthy.map(({ number }) => `b${number}`).join(' '));
  await waitFor(
    world,
    livenessMsMax,
    () => world.healthy.every(({ api }) => api !== null),
    () => `broker ${world.healthy.filter(({ api }) => api === null).map(({ number }) => number).join(' ')} is not ready`, // prettier-ignore
  );
  for (const producer of producers) producer.stop();
  let open = producers.length;
  for (const producer of producers) void producer.done.then(() => open--);
  const client = new ProducerClient('healed', world, random.split('healed'), true);
  const pending = new Set<string>();
  for (const place of places(world)) {
    const topic = world.catalog.topicOfGroup.get(place.group);
    if (topic === undefined || topic.internal || !world.canElectWithout(place.group)) continue;
    const partition = topic.groups.indexOf(place.group);
    const known = { name: topic.name, topicId: topic.topicId, partitions: topic.groups.length };
    const key = `${topic.name} ${topic.topicId}/${partition} group ${place.group}`;
    pending.add(key);
    void client.sendTo(known, partition).then((isAcked) => {
      // somebody may have asked for its end before
      if (!isAcked && topic.deletedAt === null) return;
      pending.delete(key);
      if (isAcked) world.count('partitionsHealed');
    });
  }
  const isUnrecoverable = places(world).some(({ group }) => !world.canElectWithout(group));
  await waitFor(
    world,
    livenessMsMax,
    () => pending.size === 0 && (open === 0 || isUnrecoverable),
    () => `not acknowledged: ${[...pending].join(', ')} ${producers.map((one) => one.open).join(', ')}`,
  );
}

/** Within two session timeouts every partition that is subscribed to has one owner, in the view of the members too. */
export async function groupsHeal(world: BrokerWorld, members: readonly MemberClient[]): Promise<void> {
  const coordinators = places(world).filter(({ group }) => world.catalog.topicOfGroup.get(group)?.internal === true);
  if (coordinators.length === 0 || coordinators.some(({ group }) => !world.canElectWithout(group))) return;
  world.trace.say(0, null, 'groups heal', '');
  const groups = [...new Set(members.map(({ group }) => group))];
  const wrong = (): readonly string[] =>
    groups.flatMap((group) => notOwnedOnce(world, group, members.filter((member) => member.group === group))); // prettier-ignore
  const forMs = 2 * world.shape.groupSettings.sessionTimeoutMs;
  await waitFor(
    world,
    forMs,
    () => wrong().length === 0,
    () => wrong().slice(0, 5).join('; '),
  );
  groups.forEach(() => {
    world.count('groupsHealed');
  });
}

/** What is wrong with who reads what, one sentence each. */
function notOwnedOnce(world: BrokerWorld, group: string, members: readonly MemberClient[]): readonly string[] {
  if (world.catalog.live.length === 0) return [];
  const found = members.filter((member) => !member.isMember).map(({ name }) => `${name} is not in ${group}`);
  for (const { name, topicId, partitions } of world.catalog.live) {
    const isWanted = members.some((member) => member.topics.includes(name));
    for (let partition = 0; isWanted && partition < partitions.length; partition++) {
      const owners = members.filter(({ owned }) =>
        owned.some((one) => one.topicId === topicId && one.partitions.includes(partition)),
      );
      const names = owners.map((owner) => owner.name).join(' and ');
      if (owners.length !== 1) found.push(`${name}/${partition} is read by ${names} in ${group}`);
    }
  }
  return found;
}

/** Everything ends where it shall be, and equal. */
export async function drain(world: BrokerWorld): Promise<void> {
  world.trace.say(0, null, 'drain', '');
  await finish(world);
  await run(world, 1_000);
  await readEverything(world);
  // a broker that is to go may have gone only now, and have come back with an empty disk
  await finish(world);
  for (const invariant of world.invariants) invariant.atEnd?.();
}

const finish = (world: BrokerWorld): Promise<void> =>
  waitFor(
    world,
    drainMsMax,
    () => unfinished(world).length === 0,
    () => `not done: ${unfinished(world).slice(0, 5).join('; ')}`,
  );

function heal(world: BrokerWorld): void {
  world.network.heal();
  world.network.calm();
  world.clientLoss = 0;
  for (const broker of world.brokers) {
    broker.disk.heal();
    broker.process?.resume();
    if (!broker.alive) world.start(broker);
  }
}

const places = (world: BrokerWorld): readonly PartitionPlace[] =>
  [...world.catalog.state.topics.values()].flatMap(({ partitions }) => partitions);

/** What is not as it shall be, one sentence each. */
function unfinished(world: BrokerWorld): readonly string[] {
  const { state } = world.catalog;
  const isLost = (broker: number): boolean => world.broker(broker).isLost;
  const found: string[] = [];
  const hasLost = world.brokers.some((broker) => broker.isLost);
  for (const broker of world.brokers) {
    const { number, isGivenUp, api } = broker;
    if (isGivenUp) found.push(`b${number} is to get an empty disk`);
    if (!broker.isLost && !isGivenUp && api === null) found.push(`b${number} is not ready`);
    const isGoing = state.brokers.get(broker.brokerId)?.duty === 'decommissioning';
    if (isGoing && !hasLost) found.push(`b${number} is decommissioned, and still there`);
  }
  const catalogHolders = [...state.brokers.values()].filter(({ brokerId }) => !isLost(brokerId));
  if (world.canElectWithout(catalogGroup))
    found.push(...unequal(catalogGroup, catalogHolders.map(({ brokerId }) => world.broker(brokerId)))); // prettier-ignore
  for (const { group, replicas, leaving, revision, reached } of places(world)) {
    if (!world.canElectWithout(group)) continue;
    const kept = (all: readonly { brokerId: BrokerId }[]): readonly SimBroker[] =>
      all.filter(({ brokerId }) => !isLost(brokerId)).map(({ brokerId }) => world.broker(brokerId));
    // a move to a lost disk can not end: who is to leave leads on
    found.push(...unequal(group, kept(replicas), kept(leaving)));
    const touchesLost = [...replicas, ...leaving].some(({ brokerId }) => isLost(brokerId));
    if (reached !== revision && !touchesLost) found.push(`group ${group} reached ${reached} of ${revision}`);
    for (const { brokerId, leftAt } of leaving) {
      const mayStay = leftAt > reached && touchesLost;
      if (!isLost(brokerId) && !mayStay) found.push(`group ${group} is leaving b${brokerId}`);
    }
  }
  for (const { group, replicas } of state.tombstones.values()) {
    for (const { brokerId } of replicas)
      if (!isLost(brokerId)) found.push(`group ${group} is not gone from b${brokerId}`);
  }
  for (const broker of world.healthy) {
    for (const group of broker.disk.cached.keys())
      if (!world.groups.includes(group)) found.push(`b${broker.number} has group ${group}, which is gone`);
  }
  return found;
}

/** One of the group's replicas, or of those that may still leave, leads; `holders` have everything, on their disks too. */
function unequal(
  group: GroupNumber,
  holders: readonly SimBroker[],
  leaving: readonly SimBroker[] = [],
): readonly string[] {
  const rafts = holders.map((broker) => broker.groups.get(group));
  const leader = [...rafts, ...leaving.map((broker) => broker.groups.get(group))]
    .filter((raft) => raft?.role.role === 'leader' && raft.role.serving)
    .sort((a, b) => (b?.role.term ?? 0) - (a?.role.term ?? 0))[0];
  if (leader === undefined) return [`group ${group} has no leader`];
  const last = leader.log.lastIndex;
  return holders.flatMap((broker, at) => {
    const applied = rafts[at]?.appliedIndex;
    if (applied !== last)
      return [`b${broker.number} has applied ${applied ?? 'nothing'} of group ${group} through ${last}`];
    // what the others committed is applied here too, while a write from the time of a slow disk is still under way
    const synced = broker.disk.synced.get(group)?.last.index;
    return synced === last
      ? []
      : [`b${broker.number} has synced ${synced ?? 'nothing'} of group ${group} through ${last}`];
  });
}

/** Every partition from every replica. */
async function readEverything(world: BrokerWorld): Promise<void> {
  let open = 0;
  for (const { group, replicas } of places(world)) {
    const topic = world.catalog.topicOfGroup.get(group);
    if (topic === undefined || topic.internal || !world.canElectWithout(group)) continue;
    for (const { brokerId } of replicas) {
      const broker = world.broker(brokerId);
      if (broker.isLost) continue;
      const position = { topic: topic.name, topicId: topic.topicId, partition: topic.groups.indexOf(group), next: 0 };
      open++;
      readAll(world, broker, position, world.committed.endOffset(group)).then(
        () => open--,
        (error: unknown) => {
          world.fail(error);
        },
      );
    }
  }
  await waitFor(
    world,
    livenessMsMax,
    () => open === 0,
    () => `${open} replicas can not be read to their end`,
  );
}

async function readAll(
  world: BrokerWorld,
  broker: SimBroker,
  position: Parameters<typeof readOn>[2],
  end: number,
): Promise<void> {
  while (position.next < end) {
    const answer = await readOn(world, broker, position, 0);
    if (answer === 'gone') throw new SimViolation('inv-B9', `b${broker.number} does not know ${position.topicId}`);
    if (answer === 'nothing') await world.sleep(50);
  }
}
