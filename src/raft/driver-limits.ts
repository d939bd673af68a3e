/** The named limits of what drives the core. Sizes in bytes. */
export interface DriverLimits {
  /** Payload bytes that are read and applied at a time. Default 1 MiB. */
  readonly applyBytesMax: number;
  /** A data group's state is stored after this many entries. Default 10,000. */
  readonly checkpointEntriesMax: number;
  /**
   * A data group's state is stored after this many payload bytes. Below the log start, disk space is given back up to such a
   * state only (log-9), so this bounds what a small log keeps too long. Default 32 MiB.
   */
  readonly checkpointBytesMax: number;
  /** A command group's log is cut once more entries than this are applied and stored. Default 20,000. */
  readonly commandEntriesMax: number;
  /** Entries of a command group that stay for followers that are a little behind. Default 5,000. */
  readonly commandEntriesKept: number;
  /**
   * What a leader keeps for live followers that are behind, though its state stands for it or it lies below the log start:
   * payload bytes up to the end of the log. A follower that is further behind gets a snapshot (P49). Default 64 MiB.
   */
  readonly lagBytesMax: number;
  /** A follower that was heard within this time is live, for lagBytesMax. Milliseconds, default 30,000. */
  readonly followerLiveMs: number;
  /** A snapshot travels in pieces of this size. Default 256 KiB. */
  readonly snapshotChunkBytes: number;
  /** Snapshots that a broker sends at a time, all groups together (P80). Default 4. */
  readonly snapshotsSentMax: number;
  /** Snapshots that a broker takes at a time, all groups together. Default 8. */
  readonly snapshotsTakenMax: number;
  /** A snapshot that does not move for this long gives its place to another one. Milliseconds, default 10,000. */
  readonly snapshotStallMs: number;
  /** Payload bytes of the uncommitted tail that are read back into memory at the start. Default 64 MiB. */
  readonly recentBytesMax: number;
}

export const driverLimitsDefault: DriverLimits = {
  applyBytesMax: 1024 * 1024,
  checkpointEntriesMax: 10_000,
  checkpointBytesMax: 32 * 1024 * 1024,
  commandEntriesMax: 20_000,
  commandEntriesKept: 5_000,
  lagBytesMax: 64 * 1024 * 1024,
  followerLiveMs: 30_000,
  snapshotChunkBytes: 256 * 1024,
  snapshotsSentMax: 4,
  snapshotsTakenMax: 8,
  snapshotStallMs: 10_000,
  recentBytesMax: 64 * 1024 * 1024,
};
