/**
 * One run, wholly decided by its seed, in three phases: safety (anything may fail), liveness (a random quorum is healed
 * and must make progress while the rest stays dead), drain (all are healed and must end equal).
 */
import type { Counters } from './counters.ts';
import type { TimedFault } from './faults.ts';
import { Faults } from './faults.ts';
import { SimViolation } from './invariant.ts';
import { AckedDurable } from './invariants/acked-durable.ts';
import { BoundedMemory } from './invariants/bounded-memory.ts';
import { CommittedIsDurable } from './invariants/committed-is-durable.ts';
import { ConfigurationSafety } from './invariants/configuration-safety.ts';
import { DependsOnDurable } from './invariants/depends-on-durable.ts';
import { ElectionSafety } from './invariants/election-safety.ts';
import { LeaderAppendOnly } from './invariants/leader-append-only.ts';
import { LeaderCompleteness } from './invariants/leader-completeness.ts';
import { LinearizableRead } from './invariants/linearizable-read.ts';
import { LogMatching } from './invariants/log-matching.ts';
import { LogOrder } from './invariants/log-order.ts';
import { MonotoneState } from './invariants/monotone-state.ts';
import { NoPhantom } from './invariants/no-phantom.ts';
import { OneVote } from './invariants/one-vote.ts';
import { RealTimeOrder } from './invariants/real-time-order.ts';
import { SnapshotState } from './invariants/snapshot-state.ts';
import { StallReadsFirst } from './invariants/stall-reads-first.ts';
import { StateMachineSafety } from './invariants/state-machine-safety.ts';
import { UncleanExclusion } from './invariants/unclean-exclusion.ts';
import { UniqueOffset } from './invariants/unique-offset.ts';
import { drain, liveness, run } from './liveness.ts';
import { Retention } from './retention.ts';
import { SimRandom } from './sim-random.ts';
import { SimWorld } from './sim-world.ts';
import type { TraceRecord } from './trace.ts';
import type { WorldShape } from './world-shape.ts';
import { drawShape } from './world-shape.ts';

export interface SimOptions {
  /** Whether anything fails. Default true. */
  readonly faults?: boolean;
  /** A longer run of more nodes and groups. Default false. */
  readonly long?: boolean;
  /** Takes the place of what the seed would draw. */
  readonly shape?: Partial<WorldShape>;
  /** Exactly these faults, instead of drawn ones. */
  readonly schedule?: readonly TimedFault[];
  /** Whether the trace is rendered. Default false. */
  readonly verbose?: boolean;
}

export interface SimResult {
  readonly seed: number;
  readonly shape: WorldShape;
  /** What was injected. */
  readonly schedule: readonly TimedFault[];
  readonly events: number;
  readonly virtualMs: number;
  readonly counters: Counters;
  readonly hash: string;
  readonly violation: SimViolation | null;
  /** Oldest first; empty unless verbose. */
  readonly trace: readonly TraceRecord[];
}

export async function simulate(seed: number, options: SimOptions = {}): Promise<SimResult> {
  const random = new SimRandom(seed);
  const shape = { ...drawShape(random.split('shape'), options.long ?? false), ...options.shape };
  const world = new SimWorld(shape, random.split('world'));
  world.trace.verbose = options.verbose ?? false;
  watch(world);
  const retention = new Retention(world, random.split('retention'), shape.retentionMsMean);
  const faults = new Faults(world, random.split('faults'));
  let violation: SimViolation | null = null;
  try {
    for (const node of world.nodes) world.start(node);
    world.workload.start();
    retention.start();
    world.catalog.start();
    if (options.schedule !== undefined) faults.repeat(options.schedule);
    else if (options.faults ?? true) faults.start();
    await run(world, shape.safetyMs);
    faults.stop();
    world.workload.stop();
    retention.stop();
    world.catalog.stop();
    await liveness(world, random.split('liveness'));
    await drain(world);
  } catch (error) {
    if (!(error instanceof SimViolation)) throw error;
    violation = error;
  }
  const { events, now } = world.scheduler;
  return {
    seed,
    shape,
    schedule: faults.injected,
    events,
    virtualMs: now,
    counters: world.counters,
    hash: world.trace.hash,
    violation,
    trace: world.trace.records,
  };
}

function watch(world: SimWorld): void {
  world.invariants.push(
    new ElectionSafety(world),
    new LeaderAppendOnly(world),
    new LogMatching(world),
    new LeaderCompleteness(world),
    new StateMachineSafety(world),
    new SnapshotState(world),
    new CommittedIsDurable(world),
    new MonotoneState(world),
    new OneVote(world),
    new LogOrder(world),
    new ConfigurationSafety(world),
    new UncleanExclusion(world),
    new DependsOnDurable(world),
    new BoundedMemory(world),
    new AckedDurable(world),
    new UniqueOffset(world),
    new NoPhantom(world),
    new RealTimeOrder(world),
    new LinearizableRead(world),
    new StallReadsFirst(world),
  );
}
