/** Where a replica is, for hints to clients. */
import type { LeaderHint } from '../model/errors.ts';
import type { ReplicaId, Term } from '../model/ids.ts';

export interface ReplicaPlace extends Pick<LeaderHint, 'brokerId' | 'address'> {
  /** Null: its broker does not say. */
  readonly rack: string | null;
}

/** Null: unknown. */
export type Locate = (replicaId: ReplicaId) => ReplicaPlace | null;

export const leaderHintOf = ({ brokerId, address }: ReplicaPlace, leaderEpoch: Term): LeaderHint => ({
  brokerId,
  address,
  leaderEpoch,
});
