/** How long things take in consumer groups, and what the shell around the coordinators may queue. */
import type { GroupLimits } from './group/group-limits.ts';
import { defaultGroupLimits } from './group/group-limits.ts';
import type { AssignorName } from './group/records.ts';

export interface GroupSettings {
  /** A member that is not heard of for this long is out, milliseconds. Default 45,000; Kafka allows 45,000 to 60,000. */
  readonly sessionTimeoutMs: number;
  /** How often members send heartbeats, milliseconds; at most a third of the session timeout. Default 5,000. */
  readonly heartbeatIntervalMs: number;
  /** The same while partitions are on their way between members. Default 500. */
  readonly reconcilingHeartbeatIntervalMs: number;
  /** A member that does not give up what it must within this time is out, milliseconds. Default 300,000. */
  readonly revocationTimeoutMs: number;
  /** How often offsets are looked through for what has outlived its use, milliseconds. Default 60,000. */
  readonly sweepIntervalMs: number;
  /** Groups that are looked through in one turn of the event loop. Default 200. */
  readonly sweepGroupsMax: number;
  /** An expiry that could not be replicated is tried again after this time, milliseconds. Default 1,000. */
  readonly expiryRetryMs: number;
  /** A timer that fires later than this saw the broker stall: that time does not count against members. Default 250. */
  readonly stallMs: number;
  /** Calls that wait behind others for the same group. Default 256. */
  readonly waitingPerGroupMax: number;
  /** Calls that wait in one partition of `__groups`. Default 4,096. */
  readonly waitingMax: number;
  /** Commits of one group that are on their way through the log side by side. Default 64. */
  readonly commitsInFlightMax: number;
  /** Hint in refusals that pass, milliseconds. Default 100. */
  readonly retryAfterMs: number;
  /** How new groups share partitions. Default `uniform`. */
  readonly assignor: AssignorName;
  readonly limits: GroupLimits;
}

export const defaultGroupSettings: GroupSettings = {
  sessionTimeoutMs: 45_000,
  heartbeatIntervalMs: 5_000,
  reconcilingHeartbeatIntervalMs: 500,
  revocationTimeoutMs: 300_000,
  sweepIntervalMs: 60_000,
  sweepGroupsMax: 200,
  expiryRetryMs: 1_000,
  stallMs: 250,
  waitingPerGroupMax: 256,
  waitingMax: 4_096,
  commitsInFlightMax: 64,
  retryAfterMs: 100,
  assignor: 'uniform',
  limits: defaultGroupLimits,
};
