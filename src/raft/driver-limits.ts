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
  /** Payload bytes of the uncommitted tail that are read back into memory at the start. Default 64 MiB. */
  readonly recentBytesMax: number;
}

export const driverLimitsDefault: DriverLimits = {
  applyBytesMax: 1024 * 1024,
  checkpointEntriesMax: 10_000,
  checkpointBytesMax: 32 * 1024 * 1024,
  commandEntriesMax: 20_000,
  commandEntriesKept: 5_000,
  recentBytesMax: 64 * 1024 * 1024,
};
