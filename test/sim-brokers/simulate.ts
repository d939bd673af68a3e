/**
 * One run of a cluster of whole brokers, wholly decided by its seed, in three phases: safety (anything may fail, and
 * operators work), liveness (everything healthy comes back and must work), drain (everything ends where it shall be, equal).
 */
import { SimViolation } from '../sim/invariant.ts';
import { SimRandom } from '../sim/sim-random.ts';
import type { TraceRecord } from '../sim/trace.ts';
import { BrokerFaults } from './broker-faults.ts';
import type { BrokerShape } from './broker-shape.ts';
import { drawShape } from './broker-shape.ts';
import { BrokerWorld } from './broker-world.ts';
import { ConsumerClient } from './consumer-client.ts';
import type { Counters } from './counters.ts';
import { AckedDurable } from './invariants/acked-durable.ts';
import { CommittedRegister } from './invariants/committed-register.ts';
import { ElectionSafety } from './invariants/election-safety.ts';
import { EqualAtEnd } from './invariants/equal-at-end.ts';
import { NoDuplicate } from './invariants/no-duplicate.ts';
import { NoPhantom } from './invariants/no-phantom.ts';
import { OneOwner } from './invariants/one-owner.ts';
import { OneCluster } from './invariants/one-cluster.ts';
import { OneVote } from './invariants/one-vote.ts';
import { RetentionKeeps } from './invariants/retention-keeps.ts';
import { RealTimeOrder } from './invariants/real-time-order.ts';
import { RemovalAfterExclusion } from './invariants/removal-after-exclusion.ts';
import { ReplicaBound } from './invariants/replica-bound.ts';
import { TopicsLinearizable } from './invariants/topics-linearizable.ts';
import { VisibleCommitted } from './invariants/visible-committed.ts';
import { drain, groupsHeal, liveness, run } from './phases.ts';
import { MemberClient } from './member-client.ts';
import { Operators } from './operators.ts';
import { ProducerClient } from './producer-client.ts';
import { TopicClient } from './topic-client.ts';

export interface BrokerSimOptions {
  /** Whether anything fails. Default true. */
  readonly faults?: boolean;
  /** Whether the trace is rendered. Default false. */
  readonly verbose?: boolean;
}

export interface BrokerSimResult {
  readonly seed: number;
  readonly shape: BrokerShape;
  readonly events: number;
  readonly virtualMs: number;
  readonly counters: Counters;
  readonly hash: string;
  readonly violation: SimViolation | null;
  /** Oldest first; empty unless verbose. */
  readonly trace: readonly TraceRecord[];
}

/** Most of the time that joiners wait before they come, ms. */
const joinMsMax = 20_000;

export async function simulate(seed: number, options: BrokerSimOptions = {}): Promise<BrokerSimResult> {
  const random = new SimRandom(seed);
  const shape = drawShape(random.split('shape'));
  const world = new BrokerWorld(shape, random.split('world'));
  world.trace.verbose = options.verbose ?? false;
  watch(world);
  let violation: SimViolation | null = null;
  try {
    await phases(world, random, options.faults ?? true);
  } catch (error) {
    if (!(error instanceof SimViolation)) throw error;
    violation = error;
  }
  const { events, now } = world.scheduler;
  const { counters, trace } = world;
  return { seed, shape, events, virtualMs: now, counters, hash: trace.hash, violation, trace: trace.records };
}

async function phases(world: BrokerWorld, random: SimRandom, isFaulty: boolean): Promise<void> {
  const { shape } = world;
  const coming = random.split('coming');
  for (const broker of world.brokers) {
    const isFounder = broker.number <= shape.founders;
    const afterMs = isFounder || coming.chance(0.3) ? coming.below(500) : coming.below(joinMsMax);
    world.scheduler.after(afterMs, () => {
      if (!broker.alive) world.start(broker);
    });
  }
  const producers = Array.from({ length: shape.producers }, (_, i) => {
    return new ProducerClient(`p${i}`, world, random.split(`producer ${i}`), i === 0 || coming.chance(0.6));
  });
  const consumers = Array.from({ length: shape.consumers }, (_, i) => {
    return new ConsumerClient(world, random.split(`consumer ${i}`));
  });
  const members = Array.from({ length: shape.members }, (_, i) => {
    return new MemberClient(`m${i}`, `group-${i % shape.groups}`, world, random.split(`member ${i}`));
  });
  world.members.push(...members);
  const topics = new TopicClient(world, random.split('topics'));
  const faults = new BrokerFaults(world, random.split('faults'));
  for (const client of [topics, ...producers, ...consumers, ...members]) client.start();
  const operators = new Operators(world, random.split('operators'));
  if (isFaulty) faults.start();
  if (isFaulty) operators.start();
  await run(world, shape.safetyMs);
  faults.stop();
  operators.stop();
  topics.stop();
  await liveness(world, random.split('liveness'), producers);
  for (const member of members) member.calm();
  await groupsHeal(world, members);
  for (const member of members) member.stop();
  for (const consumer of consumers) consumer.stop();
  await drain(world);
}

function watch(world: BrokerWorld): void {
  world.invariants.push(
    new AckedDurable(world),
    new NoDuplicate(world),
    new NoPhantom(world),
    new RealTimeOrder(world),
    new VisibleCommitted(world),
    new RetentionKeeps(world),
    new OneOwner(world),
    new CommittedRegister(world),
    new TopicsLinearizable(world),
    new RemovalAfterExclusion(world),
    new ReplicaBound(world),
    new ElectionSafety(world),
    new OneVote(world),
    new OneCluster(world),
    new EqualAtEnd(world),
  );
}
