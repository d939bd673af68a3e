import type { Refused } from '../../model/errors.ts';
import type { Millis } from '../../model/ids.ts';
import type { GroupLimits } from './group-limits.ts';
import type { GroupTopics } from './group-topics.ts';
import type { AssignorName, GroupEntry, GroupRef } from './records.ts';

/** What a decision may depend on beside the groups themselves. */
export interface HandleContext {
  /** The coordinator's wall clock; decides only what may be removed because of its age. */
  readonly nowMs: Millis;
  readonly topics: GroupTopics;
  readonly limits: GroupLimits;
  /** For groups that are created. */
  readonly assignor: AssignorName;
  /** Groups whose creation is proposed and not yet applied; they count against `groupsMax`. */
  readonly groupsPending: number;
  /** Time until the member is expelled unless it is heard of; null: not known. */
  sessionRemainingMs(group: GroupRef, memberId: string): number | null;
  /** Whether the member's process is missed: it has no stream, and was not heard of since its stream ended, or for long. */
  isSilent(group: GroupRef, memberId: string): boolean;
  /** Hint in refusals that pass. */
  readonly retryAfterMs: number;
}

/** What a handler decided. Nothing has changed yet: `entry` changes the state when it is committed and applied. */
export interface Decided<T> {
  readonly kind: 'decided';
  /** Null: there is nothing to replicate, the response may leave at once. */
  readonly entry: GroupEntry | null;
  /** Holds once `entry` is applied; must not leave before. */
  readonly response: T;
  /**
   * Other such decisions about the same group may be made before `entry` is applied: commits that only replace
   * offsets. Everything else must see what went before.
   */
  readonly concurrent: boolean;
  readonly createsGroup: boolean;
}

export type Decision<T> = Decided<T> | Refused;

export const answered = <T>(response: T): Decided<T> => ({
  kind: 'decided',
  entry: null,
  response,
  concurrent: true,
  createsGroup: false,
});

export const decided = <T>(entry: GroupEntry, response: T): Decided<T> => ({
  kind: 'decided',
  entry: entry.records.length === 0 ? null : entry,
  response,
  concurrent: entry.records.length === 0,
  createsGroup: entry.records[0]?.kind === 'group-created',
});
