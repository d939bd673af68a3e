/** Where other brokers are: as the catalog says, and before a broker has applied it, as founding said. */
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

export class PeerBook implements PeerAddresses {
  /** At most the founders. */
  readonly #founders = new Map<BrokerId, KnownPeer>();
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
    return this.#known(broker)?.peerAddress ?? null;
  }

  incarnationOf(broker: BrokerId): string | null {
    return this.#known(broker)?.incarnation ?? null;
  }

  #known(broker: BrokerId): KnownPeer | null {
    return this.#catalog(broker) ?? this.#founders.get(broker) ?? null;
  }
}
