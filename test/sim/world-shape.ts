/** What a run is made of before anything happens: drawn from the seed, plain data, so that a shrinker can make it simpler. */
import { driverLimitsDefault } from '../../src/raft/driver-limits.ts';
import type { DriverLimits } from '../../src/raft/driver-limits.ts';
import { raftLimitsDefault } from '../../src/raft/core/limits.ts';
import type { RaftLimits } from '../../src/raft/core/limits.ts';
import type { SimRandom } from './sim-random.ts';
import type { WorkloadSettings } from './workload.ts';

export interface WorldShape {
  readonly nodes: number;
  readonly groups: number;
  /** Founding voters of each group; at most `nodes`. */
  readonly voters: number;
  /** Virtual time of the safety phase, in ms. */
  readonly safetyMs: number;
  /**
   * True: at most a minority of every group's voters loses its disk, replacements counted, so nothing may be lost. False:
   * anything may be lost, and nothing false may be told.
   */
  readonly mustSurvive: boolean;
  /** True: the network and the disks always take the same time. */
  readonly steady: boolean;
  readonly raftLimits: RaftLimits;
  readonly driverLimits: DriverLimits;
  readonly workload: WorkloadSettings;
  /** Mean time between two moves of the log start of some data group, in ms; Infinity: it never moves. */
  readonly retentionMsMean: number;
}

/** @param isLong ten times as long, with more nodes and groups */
export function drawShape(random: SimRandom, isLong: boolean): WorldShape {
  const nodes = random.pick(isLong ? [5, 6, 7] : [1, 3, 3, 3, 4, 5, 5, 5]);
  return {
    nodes,
    groups: isLong ? random.between(4, 8) : random.between(1, 3),
    voters: nodes < 3 ? nodes : nodes > 4 && random.chance(0.4) ? 5 : 3,
    safetyMs: random.between(10_000, 60_000) * (isLong ? 10 : 1),
    mustSurvive: random.chance(0.9),
    steady: false,
    raftLimits: {
      ...raftLimitsDefault,
      uncommittedBytesMax: random.pick([2_000, 20_000, 1_000_000]),
      messageBytesMax: random.pick([100, 1_000, 100_000]),
      inflightBytesMax: random.pick([500, 10_000, 1_000_000]),
      inflightMessagesMax: random.pick([1, 4, 64]),
      memoryBytesMax: random.pick([0, 1_000, 1_000_000]),
      promotionLagMax: random.pick([0, 10, 1_000]),
    },
    driverLimits: {
      ...driverLimitsDefault,
      applyBytesMax: random.pick([100, 10_000]),
      checkpointEntriesMax: random.pick([3, 50, 10_000]),
      commandEntriesMax: random.pick([3, 30, 30, 20_000]),
      commandEntriesKept: random.pick([0, 5, 5_000]),
      lagBytesMax: random.pick([0, 1_000, 100_000]),
      followerLiveMs: random.pick([500, 30_000]),
      snapshotChunkBytes: random.pick([3, 10, 1_000]),
      snapshotsSentMax: random.pick([1, 4]),
      snapshotsTakenMax: random.pick([1, 8]),
      snapshotStallMs: random.pick([500, 10_000]),
      recentBytesMax: random.pick([0, 1_000, 1_000_000]),
    },
    workload: {
      clients: random.between(1, 6),
      pauseMsMean: random.between(20, 400),
      payloadBytesMax: random.pick([1, 50, 400]),
      readShare: random.pick([0, 0.1, 0.4]),
    },
    retentionMsMean: random.pick([300, 2_000, 2_000, Infinity]),
  };
}
