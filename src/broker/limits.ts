/** Every limit of the broker layer with its default. Past a limit the caller gets a typed, retriable refusal. */

export interface BrokerLimits {
  /** Topics of the cluster, Sluice's own not counted. Range 1 to 1,000,000. */
  readonly topicsMax: number;
  /** Partitions of one topic. Range 1 to 10,000. */
  readonly partitionsPerTopicMax: number;
  /** Partitions of the cluster, Sluice's own not counted. Range 1 to 1,000,000. */
  readonly partitionsMax: number;
  /** Changes of the catalog that wait for their turn. Range 1 to 100,000. */
  readonly catalogCommandsQueuedMax: number;
  /** Bytes of batches that were appended and whose outcome is open, on this broker. At least one batch. */
  readonly appendBytesInFlightMax: number;
  /** Calls that wait for the outcome of one append: it and its retries. Range 1 to 1,000. */
  readonly appendWaitersPerBatchMax: number;
  /** How long an append waits for a leader where its partition has none that is ready, milliseconds; 0: not at all. */
  readonly leaderWaitMsMax: number;
  /** How often it is tried again meanwhile although nothing was heard, milliseconds. Range 1 to 10,000. */
  readonly leaderLookMs: number;
  /** Appends of one partition that wait so. Range 1 to 100,000. */
  readonly heldAppendsMax: number;
  /** Idempotent producers that one partition remembers. Idle ones are forgotten after a day. Range 1 to 1,000,000. */
  readonly producersPerPartitionMax: number;
  /** Partitions that parked fetches and open cursors wait for, added up, on this broker. Range 1 to 10,000,000. */
  readonly fetchWaitersMax: number;
  /** Producer ids that are reserved with one entry in the catalog's log. Range 1 to 1,000,000. */
  readonly producerIdBlock: number;
  /** Partitions of `__groups`, decided when the cluster is founded. Range 1 to 1,000. */
  readonly groupsPartitions: number;
  /** Groups that are started or removed side by side. Range 1 to 1,000. */
  readonly groupStartsMax: number;
  /** Decompressed bytes of one batch when a record is looked up by time. */
  readonly lookupBytesMax: number;
  /** How long a start waits until what was started serves, milliseconds. */
  readonly servingMsMax: number;
  /** How long a close waits for appends in flight before it leaves their outcome unknown, milliseconds. */
  readonly drainMsMax: number;
  /** How long a broker that stops hands over its leaderships, before it stops whatever it still leads, milliseconds. */
  readonly handoverMsMax: number;
  /** Leaderships that a broker that stops hands over at once. Range 1 to 1,000. */
  readonly handoversMax: number;
  /** How long one handover may take before another replica is asked, milliseconds. */
  readonly handoverTryMs: number;
  /** Only a replica that was heard this long ago or later is handed a leadership by a broker that stops, milliseconds. */
  readonly handoverHeardMs: number;
  /** How long a broker that said it stops is handed no leadership, milliseconds. */
  readonly departureMs: number;
  /** Voters that the catalog shall have where there are as many brokers. Odd, 1 to 7. */
  readonly catalogVotersMax: number;
  /** A broker that the catalog's leader did not hear of for this long is dead: its vote goes to another one, milliseconds. */
  readonly brokerDeadMs: number;
  /** A broker that was not heard of for this long is reported as unhealthy, milliseconds. */
  readonly brokerQuietMs: number;
  /** Least time between two replacements of voters of the catalog, milliseconds. */
  readonly voterReplacementMsMin: number;
  /** How often leaders look whether what they lead is as it shall be, milliseconds. */
  readonly upkeepIntervalMs: number;
  /** How often leaderships are looked at that belong to another broker, milliseconds. */
  readonly leadershipCheckMs: number;
  /** How long a preferred leader has to be ready without a break before it gets its leadership back, milliseconds. */
  readonly leadershipReturnMs: number;
  /** Leaderships that a broker gives back in one look. Range 1 to 1,000. */
  readonly leadershipReturnsMax: number;
  /** Replicas that are copied to one broker at once; others wait for their turn. Range 1 to 1,000. */
  readonly replicasMovingMax: number;
  /** How long the leaders of partitions are asked for their sizes before an operation, milliseconds. */
  readonly sizesMsMax: number;
  /** Entries that a replica may be behind and still be given a vote or a leadership. Range 0 to 100,000. */
  readonly promotionLagMax: number;
  /** How often it is looked whether partitions led here keep more than they need to, milliseconds. */
  readonly retentionCheckMs: number;
  /** Log starts that one such look moves; what is left over is looked at soon. Range 1 to 100,000. */
  readonly retentionMovesMax: number;
  /** A replica that its leader heard of this long ago or later can be called in sync, milliseconds. */
  readonly inSyncHeardMs: number;
  /**
   * Entries that a replica may be behind what is committed and be in sync: for min.insync.replicas, in descriptions and
   * explanations, and for readers in its rack. Range 0 to 100,000.
   */
  readonly inSyncLagMax: number;
  /** How long a start waits for news of the catalog before it goes on with what the disk knows, milliseconds. */
  readonly catalogNewsMsMax: number;
  /** Hint in refusals for a full budget, milliseconds. */
  readonly retryAfterMs: number;
}

export const defaultBrokerLimits: BrokerLimits = {
  topicsMax: 10_000,
  partitionsPerTopicMax: 1_000,
  partitionsMax: 100_000,
  catalogCommandsQueuedMax: 1_000,
  appendBytesInFlightMax: 64 * 1024 * 1024,
  appendWaitersPerBatchMax: 16,
  leaderWaitMsMax: 2_000,
  leaderLookMs: 50,
  heldAppendsMax: 1_000,
  producersPerPartitionMax: 10_000,
  fetchWaitersMax: 200_000,
  producerIdBlock: 1_000,
  groupsPartitions: 16,
  groupStartsMax: 64,
  lookupBytesMax: 16 * 1024 * 1024,
  servingMsMax: 1_000,
  drainMsMax: 2_000,
  handoverMsMax: 10_000,
  handoversMax: 32,
  handoverTryMs: 1_000,
  handoverHeardMs: 1_000,
  departureMs: 15_000,
  catalogVotersMax: 3,
  brokerDeadMs: 600_000,
  brokerQuietMs: 5_000,
  voterReplacementMsMin: 60_000,
  upkeepIntervalMs: 500,
  leadershipCheckMs: 2_000,
  leadershipReturnMs: 10_000,
  leadershipReturnsMax: 20,
  replicasMovingMax: 10,
  sizesMsMax: 2_000,
  promotionLagMax: 1_000,
  inSyncHeardMs: 2_000,
  inSyncLagMax: 1_000,
  retentionCheckMs: 30_000,
  retentionMovesMax: 200,
  catalogNewsMsMax: 10_000,
  retryAfterMs: 100,
};
