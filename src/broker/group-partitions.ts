/** How the broker hosts the partitions of the internal topic `__groups`: what broker.ts asks of the group service. */
import type { CommandMachine, RaftGroup } from '../raft/group.ts';

export interface GroupPartitions {
  /** The state machine of one partition of `__groups`, before its Raft group is started. Once for each start. */
  machine(partition: number): CommandMachine;
  /** The Raft group of the partition runs: proposals go there. Serving is told through `roleChanged` of the machine. */
  opened(partition: number, group: RaftGroup): void;
  /** Stops timers and answers everybody who waits; no proposal after it. */
  close(): void;
}
