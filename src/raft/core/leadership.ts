/** What only a leader has; it ends with the leadership. */
import type { LogIndex, ReplicaId } from '../../model/ids.ts';
import type { Progress } from './progress.ts';
import type { ReadRounds } from './read-rounds.ts';

export interface Leadership {
  /** Index of the no-op that opened this term: nothing is served, and nothing older counted, before it (P17, P18). */
  readonly noOpIndex: LogIndex;
  /** Everyone else who takes part. */
  readonly progress: Map<ReplicaId, Progress>;
  readonly reads: ReadRounds;
}
