/** What the scripts measure beside k6's own metrics. docs/LOADTEST.md lists them; a test keeps both equal. */
import { Counter, Gauge, Rate, Trend } from 'k6/metrics';

/** Tags: method. Share of calls that were refused, or whose outcome is unknown. */
export const callsFailed = new Rate('calls_failed');
/** Tags: method, code. The same, counted by reason. */
export const failures = new Counter('failures');
/** Tags: method. Calls that may have happened although they failed. */
export const outcomesUnknown = new Counter('outcomes_unknown');

/** Tags: topic, acks. Acknowledged records. */
export const recordsProduced = new Counter('records_produced');
/** Tags: topic, acks. Bytes of their values. */
export const bytesProduced = new Counter('bytes_produced');
/** Tags: topic, acks. Share of the produces that a broker had to hand on to the leader. */
export const producesForwarded = new Rate('produces_forwarded');

/** Tags: topic. */
export const recordsConsumed = new Counter('records_consumed');
/** Tags: topic. Bytes of fetched batches; only where batches are fetched. */
export const bytesFetched = new Counter('bytes_fetched');
/** Tags: topic. From the record's time, which its producer set, until its consumer has it: the oldest of each fetch. */
export const endToEndMs = new Trend('end_to_end_ms', true);
/** Tags: topic. Offsets that a reader did not get, or got twice. */
export const offsetGaps = new Counter('offset_gaps');

/** Tags: topic, consumer_group. Records that are committed in the log. */
export const logEndRecords = new Gauge('log_end_records');
/** Tags: topic, consumer_group. Records that the group has committed. */
export const groupCommittedRecords = new Gauge('group_committed_records');
/** Tags: topic, consumer_group. The difference. */
export const consumerLagRecords = new Gauge('consumer_lag_records');

/** Tags: consumer_group. From joining until the member has its first partition. */
export const rebalanceMs = new Trend('rebalance_ms', true);
/** Tags: consumer_group. */
export const groupMembers = new Gauge('group_members');
/** Tags: consumer_group. Partitions that were in the sets of two members at once. */
export const partitionsAssignedTwice = new Counter('partitions_assigned_twice');
/** Tags: consumer_group. Commits of a member that had left, and that were stored all the same. */
export const fencedCommitsAccepted = new Counter('fenced_commits_accepted');
/** Tags: consumer_group. Members that got no partition before they left. */
export const joinedInVain = new Counter('joined_in_vain');

/** Exceptions in the scripts themselves: their figures mean nothing then. */
export const scriptErrors = new Counter('script_errors');
