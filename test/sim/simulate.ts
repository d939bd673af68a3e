/**
 * One run, wholly decided by its seed, in three phases: safety (anything may fail), liveness (a random quorum is healed
 * and must make progress while the rest stays dead), drain (all are healed and must end equal).
 */
import { driverLimitsDefault } from '../../src/raft/driver-limits.ts';
import { raftLimitsDefault } from '../../src/raft/core/limits.ts';
import { Faults } from './faults.ts';
import { SimViolation } from './invariant.ts';
import { AckedDurable } from './invariants/acked-durable.ts';
import { BoundedMemory } from './invariants/bounded-memory.ts';
import { CommittedIsDurable } from './invariants/committed-is-durable.ts';
import { DependsOnDurable } from './invariants/depends-on-durable.ts';
import { ElectionSafety } from './invariants/election-safety.ts';
import { LeaderAppendOnly } from './invariants/leader-append-only.ts';
import { LeaderCompleteness } from './invariants/leader-completeness.ts';
import { LogMatching } from './invariants/log-matching.ts';
import { LogOrder } from './invariants/log-order.ts';
import { MonotoneState } from './invariants/monotone-state.ts';
import { NoPhantom } from './invariants/no-phantom.ts';
import { OneVote } from './invariants/one-vote.ts';
import { RealTimeOrder } from './invariants/real-time-order.ts';
import { StateMachineSafety } from './invariants/state-machine-safety.ts';
import { UniqueOffset } from './invariants/unique-offset.ts';
import type { SimNode } from './sim-node.ts';
import { SimRandom } from './sim-random.ts';
import type { Counters } from './sim-world.ts';
import { SimWorld } from './sim-world.ts';

export interface SimOptions {
  /** Virtual time of the safety phase, in ms. Default drawn: 10 to 60 s. */
  readonly safetyMs?: number;
  /** Whether anything fails. Default true. */
  readonly faults?: boolean;
  /** Whether the trace is rendered. Default false. */
  readonly verbose?: boolean;
}

export interface SimResult {
  readonly seed: number;
  readonly events: number;
  readonly virtualMs: number;
  readonly counters: Counters;
  readonly hash: string;
  readonly violation: SimViolation | null;
  readonly trace: readonly string[];
}

/** How long a healed quorum may take to elect and commit, and all nodes to become equal, in virtual ms. */
const livenessMsMax = 30_000;
const drainMsMax = 60_000;
const stepMs = 100;

export async function simulate(seed: number, options: SimOptions = {}): Promise<SimResult> {
  const random = new SimRandom(seed);
  const world = makeWorld(random.split('world'));
  world.trace.verbose = options.verbose ?? false;
  const faults = new Faults(world, random.split('faults'));
  const safetyMs = options.safetyMs ?? random.between(10_000, 60_000);
  let violation: SimViolation | null = null;
  try {
    for (const node of world.nodes) world.start(node);
    world.workload.start();
    if (options.faults ?? true) faults.start();
    await run(world, safetyMs);
    faults.stop();
    await liveness(world, random.split('liveness'));
    await drain(world);
  } catch (error) {
    if (!(error instanceof SimViolation)) throw error;
    violation = error;
  }
  const { events, now } = world.scheduler;
  return {
    seed,
    events,
    virtualMs: now,
    counters: world.counters,
    hash: world.trace.hash,
    violation,
    trace: world.trace.lines,
  };
}

function makeWorld(random: SimRandom): SimWorld {
  const world = new SimWorld(
    {
      nodes: random.pick([1, 3, 3, 3, 5, 5]),
      groups: random.between(1, 3),
      raftLimits: {
        ...raftLimitsDefault,
        uncommittedBytesMax: random.pick([2_000, 20_000, 1_000_000]),
        messageBytesMax: random.pick([100, 1_000, 100_000]),
        inflightBytesMax: random.pick([500, 10_000, 1_000_000]),
        inflightMessagesMax: random.pick([1, 4, 64]),
        memoryBytesMax: random.pick([0, 1_000, 1_000_000]),
      },
      driverLimits: {
        ...driverLimitsDefault,
        applyBytesMax: random.pick([100, 10_000]),
        checkpointEntriesMax: random.pick([3, 50, 10_000]),
        // the driver does not install snapshots yet, so no log may be cut past a follower
        commandEntriesMax: Number.MAX_SAFE_INTEGER,
        recentBytesMax: random.pick([0, 1_000, 1_000_000]),
      },
      workload: {
        clients: random.between(1, 6),
        pauseMsMean: random.between(20, 400),
        payloadBytesMax: random.pick([1, 50, 400]),
      },
    },
    random,
  );
  world.invariants.push(
    new ElectionSafety(world),
    new LeaderAppendOnly(world),
    new LogMatching(world),
    new LeaderCompleteness(world),
    new StateMachineSafety(world),
    new CommittedIsDurable(world),
    new MonotoneState(world),
    new OneVote(world),
    new LogOrder(world),
    new DependsOnDurable(world),
    new BoundedMemory(world),
    new AckedDurable(world),
    new UniqueOffset(world),
    new NoPhantom(world),
    new RealTimeOrder(world),
  );
  return world;
}

async function run(world: SimWorld, forMs: number): Promise<void> {
  await world.scheduler.runUntil(world.scheduler.now + forMs, () => world.afterEvent());
}

/** inv-I14: a random quorum, healed, makes progress while everybody else is gone for ever (VOPR's liveness mode). */
async function liveness(world: SimWorld, random: SimRandom): Promise<void> {
  world.workload.stop();
  const able = random.shuffle(world.nodes.filter(({ number }) => !world.lostDisks.has(number)));
  const quorum = (world.nodes.length >> 1) + 1;
  const core = able.slice(0, random.between(quorum, able.length));
  world.trace.say(0, null, 'liveness', core.map(({ number }) => `n${number}`).join(' '));
  world.network.heal();
  world.network.calm();
  for (const node of world.nodes) {
    node.disk.heal();
    if (!core.includes(node) && node.alive) world.crash(node, 'prefix');
    if (core.includes(node) && !node.alive) world.start(node);
  }
  const deadline = world.scheduler.now + livenessMsMax;
  while (!settled(world, core) && world.scheduler.now < deadline) await run(world, stepMs);
  if (!settled(world, core))
    throw new SimViolation('inv-I14', `no progress in ${livenessMsMax} ms: ${describe(world, core)}`);
  const before = world.counters.acked;
  while (world.counters.acked === before && world.scheduler.now < deadline) {
    // a client tries again: one in twenty asks a node that does not lead
    for (const group of world.groups) world.workload.propose(0, group);
    await run(world, stepMs);
  }
  if (world.counters.acked === before)
    throw new SimViolation('inv-I14', `nothing was acknowledged: ${describe(world, core)}`);
}

/** Every group has one serving leader, and everybody has applied everything. */
function settled(world: SimWorld, nodes: readonly SimNode[]): boolean {
  return world.groups.every((group) => {
    const rafts = nodes.map((node) => node.groups.get(group));
    const leader = rafts.find((raft) => raft?.role.role === 'leader' && raft.role.serving);
    return leader !== undefined && rafts.every((raft) => raft?.appliedIndex === leader.log.lastIndex);
  });
}

function describe(world: SimWorld, nodes: readonly SimNode[]): string {
  return world.groups
    .flatMap((group) =>
      nodes.map((node) => {
        const raft = node.groups.get(group);
        if (raft === undefined) return `n${node.number} g${group} closed`;
        const { role, term, serving } = raft.role;
        return `n${node.number} g${group} ${role}${serving ? '*' : ''} t${term} last ${raft.log.lastIndex} commit ${raft.commitIndex} applied ${raft.appliedIndex}`;
      }),
    )
    .join('; ');
}

async function drain(world: SimWorld): Promise<void> {
  for (const node of world.nodes) if (!node.alive) world.start(node);
  const able = world.nodes.filter(({ number }) => !world.lostDisks.has(number));
  const deadline = world.scheduler.now + drainMsMax;
  while (!settled(world, able) && world.scheduler.now < deadline) await run(world, stepMs);
  if (!settled(world, able))
    throw new SimViolation('inv-I14', `not equal after ${drainMsMax} ms: ${describe(world, able)}`);
  await run(world, 1_000);
  for (const invariant of world.invariants) invariant.atEnd?.();
}
