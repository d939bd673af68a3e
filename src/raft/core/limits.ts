/** The named limits of one replica. Times in milliseconds on the monotonic clock, sizes in bytes. */
export interface RaftLimits {
  /**
   * A follower that hears nothing from a leader campaigns after a random time in [electionTimeoutMs, 2 x electionTimeoutMs).
   * 50 to 60,000; default 1,000.
   */
  readonly electionTimeoutMs: number;
  /**
   * A leader with peers sends a heartbeat this often, or its host a frame for all groups (`framesSent` of
   * ReplicaOptions); below electionTimeoutMs / 3. Default 150.
   */
  readonly heartbeatMs: number;
  /** Bytes above the commit index at which a leader refuses proposals (P33). One entry is always taken. Default 16 MiB. */
  readonly uncommittedBytesMax: number;
  /** Payload bytes of one append request; one entry always goes. Below the peers' message limit (P35). Default 1 MiB. */
  readonly messageBytesMax: number;
  /** Bytes sent to one follower and not acknowledged yet. One message is always let out. Default 8 MiB. */
  readonly inflightBytesMax: number;
  /** Append requests sent to one follower and not acknowledged yet. Default 64. */
  readonly inflightMessagesMax: number;
  /** Bytes of committed entries that a leader keeps in memory for followers that are behind. Default 4 MiB. */
  readonly memoryBytesMax: number;
  /** ReadIndex requests that wait for a round. Beyond it they are refused. Default 10,000. */
  readonly readsMax: number;
  /** A term further above the present one than this can not be true: the message is dropped. Default 1,000,000. */
  readonly termJumpMax: number;
  /** A learner that is further behind than this (entries) is not promoted (P56). Default 1,000. */
  readonly promotionLagMax: number;
}

export const raftLimitsDefault: RaftLimits = {
  electionTimeoutMs: 1_000,
  heartbeatMs: 150,
  uncommittedBytesMax: 16 * 1024 * 1024,
  messageBytesMax: 1024 * 1024,
  inflightBytesMax: 8 * 1024 * 1024,
  inflightMessagesMax: 64,
  memoryBytesMax: 4 * 1024 * 1024,
  readsMax: 10_000,
  termJumpMax: 1_000_000,
  promotionLagMax: 1_000,
};

/** What an entry costs beside its payload, in every byte limit here. */
export const entryOverheadBytes = 64;
