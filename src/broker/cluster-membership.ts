/** How a broker takes part in its cluster: its replica of the catalog, and its way to the others. */
import type { BrokerId, ReplicaId } from '../model/ids.ts';
import type { PeerRpc } from '../raft/peer-rpc.ts';
import type { BrokerIdentity } from './broker-identity.ts';
import { founderReplica } from './catalog.ts';
import type { BrokerEntry } from './catalog-commands.ts';
import { ReplicaDirectory } from './replica-directory.ts';

export interface ClusterMembership {
  /** This broker's replica of the catalog. */
  readonly catalogReplica: ReplicaId;
  /** The catalog's genesis voters if this broker is a founder; empty if it joins. Without meaning after the first start. */
  readonly catalogVoters: readonly ReplicaId[];
  /** Who founds the cluster, this broker among them; empty if it joins. */
  readonly founders: readonly BrokerEntry[];
  /** Peer addresses of brokers that may be in the cluster. */
  readonly seeds: readonly string[];
  /** Null: it has no peers. */
  readonly rpc: PeerRpc | null;
  /** UUID of the process of a broker that spoke last to this one; null: none did. */
  readonly processOf: (broker: BrokerId) => string | null;
  /** Shared with the transport, which teaches it. */
  readonly directory: ReplicaDirectory;
}

/** A broker that founds a cluster by itself, and has no way to others. */
export const alone = (identity: BrokerIdentity): ClusterMembership => ({
  ...foundsAlone(identity),
  seeds: [],
  rpc: null,
  processOf: () => null,
  directory: new ReplicaDirectory(),
});

/** The part of the only founder. */
export const foundsAlone = (
  identity: BrokerIdentity,
): Pick<ClusterMembership, 'catalogReplica' | 'catalogVoters' | 'founders'> => {
  const { brokerId, address, peerAddress, rack, incarnation, version } = identity;
  const self = { brokerId, address, peerAddress, rack, incarnation, version };
  return {
    catalogReplica: founderReplica,
    catalogVoters: [founderReplica],
    founders: [{ ...self, catalogReplica: founderReplica, joined: true }],
  };
};
