/** Decides whether a broker talks to another one (design D4, reliability P61, P62, P87). */
import type { BrokerId } from '../model/ids.ts';
import type { PeerIdentity } from './peer-identity.ts';
import type { RememberedPeer } from './peer-memory.ts';

/** Why a broker does not talk to another one; each is explained in sluice/internal/v1/peer.proto. */
export type RefusalCode =
  | 'protocol-version'
  | 'other-cluster'
  | 'wrong-secret'
  | 'wrong-broker'
  | 'other-incarnation'
  | 'old-boot'
  | 'boot-reused'
  | 'rolled-back'
  | 'malformed'
  | 'limit-reached';

export interface Refusal {
  readonly code: RefusalCode;
  /** One sentence for people. */
  readonly detail: string;
}

/** A peer as it presents itself. */
export interface PresentedPeer {
  readonly identity: PeerIdentity;
  /** Number of its newest durable engine write. */
  readonly durableCommit: number;
}

export interface AdmissionContext {
  readonly own: PeerIdentity;
  /** The broker that was sought; null: whoever is there. */
  readonly sought: BrokerId | null;
  /** True: for members of this cluster only. False: a broker without a cluster may speak too, to found or to join one. */
  readonly membersOnly: boolean;
  /** UUID of the data directory that the catalog knows this broker id by; null: none is known. */
  readonly knownIncarnation: string | null;
  /** What is remembered of the data directory that speaks. */
  readonly remembered: RememberedPeer | null;
  /**
   * The highest durable commit number that was remembered before the peer said `durableCommit`; what was remembered since
   * may be newer than that.
   */
  readonly saidBefore: number;
}

/** Null: it may speak. The caller has seen the proof of the cluster secret. */
export function judgePeer(peer: PresentedPeer, context: AdmissionContext): Refusal | null {
  return judgeName(peer.identity, context) ?? judgeCluster(peer.identity, context) ?? judgeDisk(peer, context);
}

function judgeName({ brokerId }: PeerIdentity, { own, sought }: AdmissionContext): Refusal | null {
  if (brokerId === own.brokerId)
    return {
      code: 'wrong-broker',
      detail: `broker id ${brokerId} is in use already: give each broker its own broker.id`,
    };
  if (sought !== null && brokerId !== sought)
    return { code: 'wrong-broker', detail: `broker ${sought} was sought and broker ${brokerId} is there` };
  return null;
}

function judgeCluster({ brokerId, clusterId }: PeerIdentity, { own, membersOnly }: AdmissionContext): Refusal | null {
  const foreign = clusterId !== null && own.clusterId !== null && clusterId !== own.clusterId;
  if (!foreign && (!membersOnly || (clusterId !== null && own.clusterId !== null))) return null;
  const [theirs, ours] = [clusterId ?? 'none yet', own.clusterId ?? 'none yet'];
  return {
    code: 'other-cluster',
    detail: `broker ${brokerId} belongs to cluster ${theirs} and this broker to ${ours}`,
  };
}

function judgeDisk(
  peer: PresentedPeer,
  { knownIncarnation, remembered, saidBefore }: AdmissionContext,
): Refusal | null {
  const { brokerId, clusterId, incarnation, bootNumber, processNonce, recoveredCommit } = peer.identity;
  // one that joins or replaces another is not known by its disk yet: whoever lets it in decides
  if (clusterId !== null && knownIncarnation !== null && incarnation !== knownIncarnation) {
    return {
      code: 'other-incarnation',
      detail: `broker ${brokerId} is known by data directory ${knownIncarnation} and has ${incarnation}: put its disk back, or replace it`,
    };
  }
  if (remembered === null || bootNumber > remembered.bootNumber) {
    // a disk that was started again must hold at least what it once called durable
    return remembered === null || recoveredCommit >= remembered.durableCommit
      ? null
      : rolledBack(brokerId, recoveredCommit, remembered.durableCommit);
  }
  if (bootNumber < remembered.bootNumber) {
    return {
      code: 'old-boot',
      detail: `broker ${brokerId} says it is start ${bootNumber} of its data directory, and start ${remembered.bootNumber} was here: it runs on an old copy; replace it`,
    };
  }
  if (processNonce !== remembered.processNonce) {
    return {
      code: 'boot-reused',
      detail: `another process was start ${bootNumber} of the data directory of broker ${brokerId}: one of the two runs on a copy; replace it`,
    };
  }
  // what was remembered since it spoke may have overtaken it on another stream, so that does not count
  return peer.durableCommit >= saidBefore ? null : rolledBack(brokerId, peer.durableCommit, saidBefore);
}

function rolledBack(broker: BrokerId, holds: number, said: number): Refusal {
  return {
    code: 'rolled-back',
    detail: `the disk of broker ${broker} holds ${holds} writes and held ${said}: it was rolled back; replace it`,
  };
}
