/** What happened to groups, told once it is committed and applied: for timers, metrics and the history of a group. */
import type { MemberEpoch } from '../../model/ids.ts';
import type { RebalanceReason } from './rebalance-history.ts';
import type { GroupRef, LeaveReason, RemovalReason } from './records.ts';

export type GroupEvent =
  | {
      /** `member-away`: a static member has gone and its place is kept. */
      readonly kind: 'member-joined' | 'member-resumed' | 'member-away';
      readonly group: GroupRef;
      readonly memberId: string;
      readonly epoch: MemberEpoch;
    }
  | { readonly kind: 'member-left'; readonly group: GroupRef; readonly memberId: string; readonly reason: LeaveReason }
  | {
      readonly kind: 'member-assigned';
      readonly group: GroupRef;
      readonly memberId: string;
      readonly epoch: MemberEpoch;
      /** It was told to give up partitions and has not done so yet. */
      readonly revoking: boolean;
    }
  /** It was decided anew who shall read what, and there is somebody who shall. */
  | { readonly kind: 'rebalanced'; readonly group: GroupRef; readonly reason: RebalanceReason }
  | { readonly kind: 'offsets-committed'; readonly group: GroupRef; readonly count: number }
  | {
      readonly kind: 'offsets-removed';
      readonly group: GroupRef;
      readonly topicId: string;
      readonly reason: RemovalReason;
      readonly count: number;
    };
