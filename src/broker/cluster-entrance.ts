/**
 * How a broker comes into its cluster when its process starts: it belongs to one, it founds one with the others that are
 * listed, or it joins one (design D4). Two steps, for the cluster must be known before groups can be hosted, and the
 * broker's replica of the catalog must be on the disk before it takes part.
 */
import { must } from '../model/assert.ts';
import type { Clock } from '../model/clock.ts';
import type { ReplicaId } from '../model/ids.ts';
import { catalogGroup } from '../model/ids.ts';
import type { Random } from '../model/random.ts';
import type { RaftHost } from '../raft/group.ts';
import type { PeerRpc } from '../raft/peer-rpc.ts';
import type { BrokerIdentity } from './broker-identity.ts';
import { BrokerStartError } from './broker-identity.ts';
import { askToJoin } from './cluster-entry.ts';
import type { ClusterMembership } from './cluster-membership.ts';
import type { Genesis } from './founding-agreement.ts';
import { foundingBrokers } from './founding-agreement.ts';
import type { Founder, GenesisStore } from './founding-talk.ts';
import { beginGenesis, FoundingTalk } from './founding-talk.ts';

export type Entrance =
  /** The disk belongs to it already. */
  | { readonly kind: 'member'; readonly clusterId: string }
  | { readonly kind: 'founds'; readonly clusterId: string; readonly genesis: Genesis }
  | { readonly kind: 'joins'; readonly clusterId: string; readonly catalogReplica: ReplicaId };

interface EntranceDeps {
  readonly self: Omit<BrokerIdentity, 'clusterId'>;
  /** Of the settings; empty: this broker founds nothing with others. */
  readonly founders: readonly Founder[];
  /** Peer addresses to ask for admission. */
  readonly seeds: readonly string[];
  /** UUID for a cluster that this broker founds alone; null: a new one. */
  readonly wishedClusterId: string | null;
  /** The cluster that the disk belongs to; null: none yet. */
  readonly clusterId: () => string | null;
  /** Whether the disk has a replica of the catalog. */
  readonly hasReplica: () => Promise<boolean>;
  readonly genesis: GenesisStore;
  readonly rpc: PeerRpc;
  readonly clock: Clock;
  readonly random: Random;
  /** Told what keeps it waiting, when that changes. */
  readonly waiting: (why: string) => void;
  /** Aborts when the broker is stopped. */
  readonly signal: AbortSignal;
}

/**
 * Finds out, or decides with the others, which cluster this disk belongs to. Answers the other founders from then on.
 * @throws BrokerStartError if it can come into none, or was stopped meanwhile
 */
export async function findCluster(deps: EntranceDeps): Promise<Entrance> {
  const { self, founders, seeds, genesis: store, rpc, clock, random, waiting, signal, clusterId } = deps;
  const alone = founders.length === 0 && seeds.length === 0;
  const list = alone ? [{ brokerId: self.brokerId, peerAddress: self.peerAddress ?? '' }] : founders;
  const talk = new FoundingTalk({ self, founders: list, store, clusterId, rpc, clock, random, waiting, signal });
  await talk.open();
  const held = await store.read();
  const known = clusterId();
  if (known !== null && held === null && (await deps.hasReplica())) return { kind: 'member', clusterId: known };
  // a member without one was interrupted while it joined, or has lost it: the catalog knows which
  if (held !== null || list.some((founder) => founder.brokerId === self.brokerId)) {
    const outcome = await talk.settle();
    if (outcome.kind === 'founds')
      return { kind: 'founds', clusterId: outcome.genesis.clusterId, genesis: outcome.genesis };
  }
  const others = founders.filter((founder) => founder.brokerId !== self.brokerId);
  const named = [...seeds, ...others.map((founder) => founder.peerAddress)];
  // all pods may have the same list, each with itself in it
  const ask = named.filter((address) => address !== self.peerAddress);
  if (ask.length === 0) throw new BrokerStartError('there is a cluster, and nobody to ask: set cluster.seeds');
  return { kind: 'joins', ...(await askToJoin({ identity: self, rpc, seeds: ask, clock, waiting, signal })) };
}

/**
 * Makes the broker's replica of the catalog if this is its first start; the disk is bound to the cluster before.
 * @throws BrokerStartError if the replica was there and is gone
 */
export async function takeReplica(
  host: RaftHost,
  entrance: Entrance,
  { self, genesis: store }: Pick<EntranceDeps, 'self' | 'genesis'>,
): Promise<Pick<ClusterMembership, 'catalogReplica' | 'catalogVoters' | 'founders'>> {
  switch (entrance.kind) {
    case 'joins':
      return { catalogReplica: entrance.catalogReplica, catalogVoters: [], founders: [] };
    case 'founds':
      await beginGenesis(host, store, self);
      return { ...(await ownReplica(host)), founders: foundingBrokers(entrance.genesis) };
    case 'member':
      return { ...(await ownReplica(host)), founders: [] };
  }
}

async function ownReplica(host: RaftHost): Promise<Pick<ClusterMembership, 'catalogReplica' | 'catalogVoters'>> {
  const own = (await host.existing()).find(({ group }) => group === catalogGroup);
  return {
    catalogReplica: must(own, 'entrance-1: a disk that belongs to a cluster has a replica of the catalog').replicaId,
    catalogVoters: [],
  };
}
