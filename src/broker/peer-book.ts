/**
 * Where other brokers are: as the catalog says, and before this broker has applied it, as founding or they themselves said:
 * a broker that joins must be able to answer the leader that feeds it the catalog.
 */
import type { BrokerId } from '../model/ids.ts';
import type { PeerAddresses } from '../raft/peer-identity.ts';

/** What is known of a broker. */
export interface KnownPeer {
  readonly brokerId: BrokerId;
  /** Where it listens for its peers, `host:port`; null: nowhere. */
  readonly peerAddress: string | null;
  /** UUID of its disk. */
  readonly incarnation: string;
}

/** Brokers whose own word is remembered; the oldest goes first. */
const toldMax = 1_000;

export class PeerBook implements PeerAddresses {
  /** At most the founders. */
  readonly #founders = new Map<BrokerId, KnownPeer>();
  readonly #told = new Map<BrokerId, string>();
  #catalog: (broker: BrokerId) => KnownPeer | null = () => null;

  /** Asks the catalog first from now on. */
  follow(catalog: (broker: BrokerId) => KnownPeer | null): void {
    this.#catalog = catalog;
  }

  /** Founding named these. */
  foundedBy(founders: readonly KnownPeer[]): void {
    for (const founder of founders) this.#founders.set(founder.brokerId, founder);
  }

  addressOf(broker: BrokerId): string | null {
    return this.#known(broker)?.peerAddress ?? this.#told.get(broker) ?? null;
  }

  told(broker: BrokerId, address: string): void {
    this.#told.delete(broker);
    const [oldest] = this.#told.keys();
    if (oldest !== undefined && this.#told.size >= toldMax) this.#told.delete(oldest);
    this.#told.set(broker, address);
  }

  incarnationOf(broker: BrokerId): string | null {
    return this.#known(broker)?.incarnation ?? null;
  }

  #known(broker: BrokerId): KnownPeer | null {
    return this.#catalog(broker) ?? this.#founders.get(broker) ?? null;
  }
}
