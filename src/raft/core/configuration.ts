/** Who votes in a group (design D2, D5). Joint while `outgoing` is not empty: then both majorities must agree. */
import type { ReplicaId } from '../../model/ids.ts';

export interface Configuration {
  /** The catalog's revision that asked for it; older ones are refused. */
  readonly revision: number;
  readonly voters: readonly ReplicaId[];
  /** Voters of the configuration that is being left; empty outside of a joint phase. */
  readonly outgoing: readonly ReplicaId[];
  readonly learners: readonly ReplicaId[];
}
