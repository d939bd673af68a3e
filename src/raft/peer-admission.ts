/** Decides whether a broker talks to another one (design D4, reliability P61, P62, P87). */
import type { BrokerId } from '../model/ids.ts';
import type { EarlierStart, PeerIdentity } from './peer-identity.ts';
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
  | 'limit-reached'
  | 'no-cluster-yet';

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
    code: foreign ? 'other-cluster' : 'no-cluster-yet',
    detail: `broker ${brokerId} belongs to cluster ${theirs} and this broker to ${ours}`,
  };
}

function judgeDisk(
  peer: PresentedPeer,
  { knownIncarnation, remembered, saidBefore }: AdmissionContext,
): Refusal | null {
  const { brokerId, clusterId, incarnation, bootNumber, processNonce } = peer.identity;
  // one that joins or replaces another is not known by its disk yet: whoever lets it in decides
  if (clusterId !== null && knownIncarnation !== null && incarnation !== knownIncarnation) {
    return {
      code: 'other-incarnation',
      detail: `broker ${brokerId} is known by data directory ${knownIncarnation} and has ${incarnation}: put its disk back, or replace it`,
    };
  }
  if (remembered === null) return null;
  if (bootNumber > remembered.bootNumber) return judgeLaterStart(peer.identity, remembered);
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

/**
 * A disk that was started again since has had that very start, and the first one after it found at least what had been
 * called durable. The present number alone would not do: an old copy that is started writes too, and its own writes would
 * stand for those that it lost.
 */
function judgeLaterStart(identity: PeerIdentity, remembered: RememberedPeer): Refusal | null {
  const { brokerId, earlierStarts } = identity;
  const starts: readonly EarlierStart[] = [...earlierStarts, identity];
  const heard = starts.find(({ bootNumber }) => bootNumber === remembered.bootNumber);
  if (heard !== undefined && heard.processNonce !== remembered.processNonce) {
    return {
      code: 'rolled-back',
      detail: `the disk of broker ${brokerId} has had another start ${remembered.bootNumber} than the one that was here: it was rolled back; replace it`,
    };
  }
  const next = starts.find(({ bootNumber }) => bootNumber > remembered.bootNumber) ?? identity;
  return next.recoveredCommit >= remembered.durableCommit
    ? null
    : rolledBack(brokerId, next.recoveredCommit, remembered.durableCommit);
}

function rolledBack(broker: BrokerId, holds: number, said: number): Refusal {
  return {
    code: 'rolled-back',
    detail: `the disk of broker ${broker} holds ${holds} writes and held ${said}: it was rolled back; replace it`,
  };
}
