/**
 * Where replicas are. What the catalog says goes first; before a broker has applied it, it knows the founders, and what
 * others taught it by sending from a replica: else a new learner could not answer the leader that feeds it.
 */
import type { BrokerId, ReplicaId } from '../model/ids.ts';
import type { PeerDirectory } from '../raft/transport.ts';
import type { ReplicaDisk } from './catalog-state.ts';

/** Places that were taught and that the catalog does not tell; the oldest goes first. */
const taughtMax = 10_000;

export class ReplicaDirectory implements PeerDirectory {
  readonly #taught = new Map<ReplicaId, BrokerId>();
  #catalog: (replica: ReplicaId) => ReplicaDisk | null = () => null;
  #transport: (replica: ReplicaId) => BrokerId | null = () => null;

  /** Asks the catalog from now on. */
  follow(catalog: (replica: ReplicaId) => ReplicaDisk | null): void {
    this.#catalog = catalog;
  }

  /** Asks the transport last from now on: it hears from replicas that nobody else knows yet. */
  learnFrom(transport: (replica: ReplicaId) => BrokerId | null): void {
    this.#transport = transport;
  }

  /** Null: nobody knows, nothing can be sent to it. */
  brokerOf(replica: ReplicaId): BrokerId | null {
    return this.#catalog(replica)?.brokerId ?? this.#taught.get(replica) ?? this.#transport(replica);
  }

  /** Only the catalog tells. */
  incarnationOf(replica: ReplicaId): string | null {
    return this.#catalog(replica)?.incarnation ?? null;
  }

  /** The broker, as proven, spoke for the replica. */
  teach(replica: ReplicaId, broker: BrokerId): void {
    if (this.#taught.get(replica) === broker) return;
    const [oldest] = this.#taught.keys();
    if (oldest !== undefined && this.#taught.size >= taughtMax) this.#taught.delete(oldest);
    this.#taught.set(replica, broker);
  }
}
