/**
 * The coordinator of the consumer groups of one partition of `__groups`, purely: handlers look at the state and decide
 * on records; only `apply` of what the log has committed changes it (style habit 9). The shell, group-partition.ts,
 * proposes the records, holds the response back until they are applied, and keeps the timers.
 *
 * Invariants, asserted where they could break:
 * - group-1 (B7): a partition is read by at most one member; it moves only after its holder has acknowledged to stop.
 * - group-2 (B7): epochs of a group and of a member never fall; none is given twice.
 * - group-3 (B8): a committed offset is replaced only by a commit with a higher (member epoch, sequence).
 * - group-4 (B7): targets cover every partition of every subscribed topic exactly once.
 * - group-5 (P109): when a commit is applied, its member is current and holds the partitions.
 * - group-6: stored forms decode completely; unknown versions halt the partition.
 * - group-7: what is created, joined, removed was not, or was, there.
 * - group-8: the tables count what they hold.
 * - group-9: sharing partitions ends: each move makes the shares more even.
 */
import type { Result } from '../../model/errors.ts';
import type { Millis } from '../../model/ids.ts';
import type { StatePair } from '../../model/raft-state.ts';
import type { Decision, HandleContext } from './decision.ts';
import type { GroupDescription } from './description.ts';
import { describeGroup } from './description.ts';
import type { GroupsView } from './groups.ts';
import { Groups } from './groups.ts';
import type {
  ExpireRequest,
  HeartbeatAnswer,
  HeartbeatRequest,
  JoinAnswer,
  JoinRequest,
  LeaveRequest,
} from './membership.ts';
import { decideExpiry, decideHeartbeat, decideJoin, decideLeave } from './membership.ts';
import type { CommitAnswer, CommitRequest, FetchCommittedRequest, FoundOffset } from './offset-decisions.ts';
import { decideCommit, decideDeletion, decideSweep, findCommitted } from './offset-decisions.ts';
import { decodeEntry } from './record-codec.ts';
import type { GroupRef } from './records.ts';
import type { Applied } from './replay.ts';
import { replayEntry } from './replay.ts';
import { restore } from './state-keys.ts';

export class Coordinator {
  private readonly tables = new Groups();

  get groups(): GroupsView {
    return this.tables;
  }

  /** State keys, ascending, in pages, before anything is applied. */
  load(page: readonly StatePair[]): void {
    for (const pair of page) restore(this.tables, pair);
  }

  /** Applies the payload of one committed entry. `atMs`: its append time. */
  apply(payload: Uint8Array, atMs: Millis): Applied {
    return replayEntry(this.tables, decodeEntry(payload), atMs);
  }

  join(request: JoinRequest, context: HandleContext): Decision<JoinAnswer> {
    return decideJoin(this.tables, request, context);
  }

  heartbeat(request: HeartbeatRequest, context: HandleContext): Decision<HeartbeatAnswer> {
    return decideHeartbeat(this.tables, request, context);
  }

  leave(request: LeaveRequest, context: HandleContext): Decision<null> {
    return decideLeave(this.tables, request, context);
  }

  expire(request: ExpireRequest, context: HandleContext): Decision<boolean> {
    return decideExpiry(this.tables, request, context);
  }

  commit(request: CommitRequest, context: HandleContext): Decision<CommitAnswer> {
    return decideCommit(this.tables, request, context);
  }

  deleteGroup(group: GroupRef): Decision<null> {
    return decideDeletion(this.tables, group);
  }

  /** Null: there is no such group. */
  describe(group: GroupRef): GroupDescription | null {
    const found = this.tables.find(group);
    return found === null ? null : describeGroup(found);
  }

  sweep(group: GroupRef, context: HandleContext): Decision<boolean> {
    return decideSweep(this.tables, group, context);
  }

  fetchCommitted(request: FetchCommittedRequest, context: HandleContext): Result<readonly FoundOffset[]> {
    return findCommitted(this.tables, request, context);
  }
}
