/** What only a leader has; it ends with the leadership. */
import type { LogIndex, ReplicaId } from '../../model/ids.ts';
import type { Progress } from './progress.ts';
import type { ReadRounds } from './read-rounds.ts';

export interface Transfer {
  readonly to: ReplicaId;
  /** When it is given up. */
  readonly deadlineMs: number;
  /** The target was told to campaign. */
  readonly told: boolean;
}

export interface Leadership {
  /** Index of the no-op that opened this term: nothing is served, and nothing older counted, before it (P17, P18). */
  readonly noOpIndex: LogIndex;
  /** Everyone else who takes part. */
  readonly progress: Map<ReplicaId, Progress>;
  readonly reads: ReadRounds;
  /** Number of the newest heartbeat round; from 1. */
  round: number;
  /** The newest round's heartbeats were not taken yet, so that a read which arrives now may still rely on it. */
  roundOpen: boolean;
  heartbeatDueMs: number;
  /** When the quorum is checked next, and the round that was the newest at the last check (P11). */
  quorumDueMs: number;
  checkedRound: number;
  /** Since when something waits for its commit; null: nothing does. */
  waitingSinceMs: number | null;
  transfer: Transfer | null;
  /** Number of the newest read of the log. */
  readToken: number;
}
