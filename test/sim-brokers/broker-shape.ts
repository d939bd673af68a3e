/** What a run is made of before anything happens: drawn from the seed. */
import type { BrokerLimits } from '../../src/broker/limits.ts';
import type { GroupSettings } from '../../src/broker/group-settings.ts';
import { defaultGroupSettings } from '../../src/broker/group-settings.ts';
import type { RaftLimits } from '../../src/raft/core/limits.ts';
import { raftLimitsDefault } from '../../src/raft/core/limits.ts';
import type { DriverLimits } from '../../src/raft/driver-limits.ts';
import { driverLimitsDefault } from '../../src/raft/driver-limits.ts';
import type { SimRandom } from '../sim/sim-random.ts';

export interface BrokerShape {
  /** Brokers that found the cluster together: 1 or 3. */
  readonly founders: number;
  /** Brokers that join it, some at once and some later. */
  readonly joiners: number;
  readonly racks: number;
  /** Virtual time of the phase with faults, in ms. */
  readonly safetyMs: number;
  readonly producers: number;
  readonly consumers: number;
  /** Clients that read as members of groups. */
  readonly members: number;
  readonly groups: number;
  /** Names that topics take turns under. */
  readonly topicNames: readonly string[];
  /** Mean time between two batches of a producer, in ms. */
  readonly pauseMsMean: number;
  /** Mean time between two changes of topics, in ms. */
  readonly topicMsMean: number;
  readonly raftLimits: RaftLimits;
  readonly driverLimits: DriverLimits;
  readonly limits: Partial<BrokerLimits>;
  readonly groupSettings: GroupSettings;
}

export function drawShape(random: SimRandom): BrokerShape {
  const founders = random.pick([1, 3, 3, 3]);
  return {
    groupSettings: {
      ...defaultGroupSettings,
      sessionTimeoutMs: 6_000,
      heartbeatIntervalMs: 1_500,
      reconcilingHeartbeatIntervalMs: 300,
      revocationTimeoutMs: random.pick([3_000, 12_000]),
      sweepIntervalMs: random.pick([1_000, 10_000]),
      expiryRetryMs: 500,
      commitsInFlightMax: random.pick([1, 64]),
      assignor: random.pick(['uniform', 'range']),
    },
    founders,
    joiners: founders === 1 ? random.pick([0, 2, 3]) : random.pick([0, 1, 1, 2]),
    racks: random.pick([0, 0, 2, 3]),
    safetyMs: random.between(15_000, 40_000),
    producers: random.between(1, 3),
    consumers: random.between(1, 2),
    members: random.chance(0.01) ? 200 : random.between(1, 6),
    groups: random.between(1, 2),
    topicNames: ['a', 'b', 'c'].slice(0, random.between(1, 3)),
    pauseMsMean: random.between(20, 300),
    topicMsMean: random.between(500, 5_000),
    raftLimits: {
      ...raftLimitsDefault,
      messageBytesMax: random.pick([300, 1_000, 100_000]),
      inflightMessagesMax: random.pick([1, 4, 64]),
      memoryBytesMax: random.pick([0, 1_000, 1_000_000]),
    },
    driverLimits: {
      ...driverLimitsDefault,
      checkpointEntriesMax: random.pick([3, 50, 10_000]),
      commandEntriesMax: random.pick([3, 30, 20_000]),
      commandEntriesKept: random.pick([0, 5, 5_000]),
      lagBytesMax: random.pick([0, 1_000, 100_000]),
      snapshotChunkBytes: random.pick([200, 2_000, 100_000]),
    },
    limits: {
      groupsPartitions: 1,
      producerIdBlock: random.pick([1, 10]),
      brokerDeadMs: random.pick([10_000, 600_000]),
      brokerQuietMs: random.pick([1_000, 5_000]),
      voterReplacementMsMin: random.pick([1_000, 60_000]),
      leadershipReturnMs: random.pick([1_000, 10_000]),
      catalogNewsMsMax: random.pick([500, 10_000]),
      promotionLagMax: random.pick([0, 10, 1_000]),
      retentionCheckMs: random.pick([300, 2_000]),
      retentionMovesMax: random.pick([1, 200]),
    },
  };
}
