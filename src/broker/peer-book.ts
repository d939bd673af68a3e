/**
 * Where other brokers are. Four sources, of which each may be out of date: what a broker said itself when it spoke last,
 * the catalog, and before this broker has applied that, its settings and the founding. All of them are tried, since the
 * handshake tells whether the one who was sought is there; the newest word comes first.
 */
import type { BrokerId } from '../model/ids.ts';
import type { PeerAddresses, PeerIdentity } from '../raft/peer-identity.ts';

/** What is known of a broker. */
export interface KnownPeer {
  readonly brokerId: BrokerId;
  /** Where it listens for its peers, `host:port`; null: nowhere. */
  readonly peerAddress: string | null;
  /** UUID of its disk. */
  readonly incarnation: string;
}

/** Brokers whose own word is kept; the word of more is not. */
export const heardPeersMax = 1_000;

export class PeerBook implements PeerAddresses {
  /** By the settings: an operator may have changed them since the cluster was founded. At most the founders. */
  readonly #settings: ReadonlyMap<BrokerId, string>;
  /** At most the founders. */
  readonly #founders = new Map<BrokerId, KnownPeer>();
  /** What each said of itself when it spoke last to this process. At most heardPeersMax. */
  readonly #heard = new Map<BrokerId, PeerIdentity>();
  #catalog: (broker: BrokerId) => KnownPeer | null = () => null;

  constructor(settings: readonly { readonly brokerId: BrokerId; readonly peerAddress: string }[] = []) {
    this.#settings = new Map(settings.map(({ brokerId, peerAddress }) => [brokerId, peerAddress]));
  }

  /** Asks the catalog too from now on. */
  follow(catalog: (broker: BrokerId) => KnownPeer | null): void {
    this.#catalog = catalog;
  }

  /** Founding named these. */
  foundedBy(founders: readonly KnownPeer[]): void {
    for (const founder of founders) this.#founders.set(founder.brokerId, founder);
  }

  heard(peer: PeerIdentity): boolean {
    const { brokerId, clusterId, processNonce, peerAddress } = peer;
    // who is in no cluster yet is nobody's replica
    if (clusterId === null) return false;
    const last = this.#heard.get(brokerId);
    if (last === undefined && this.#heard.size >= heardPeersMax) return false;
    this.#heard.set(brokerId, peer);
    return last?.processNonce !== processNonce || last.peerAddress !== peerAddress;
  }

  /** UUID of the process of that broker that spoke last; null: none did. */
  processOf(broker: BrokerId): string | null {
    return this.#heard.get(broker)?.processNonce ?? null;
  }

  addressesOf(broker: BrokerId): readonly string[] {
    const heard = this.#heard.get(broker);
    const known = this.incarnationOf(broker);
    const own = heard !== undefined && (known === null || known === heard.incarnation) ? heard.peerAddress : null;
    const others = [this.#catalog(broker)?.peerAddress, this.#settings.get(broker), this.#founders.get(broker)?.peerAddress]; // prettier-ignore
    return [...new Set([own, ...others].filter((address) => typeof address === 'string'))];
  }

  incarnationOf(broker: BrokerId): string | null {
    return (this.#catalog(broker) ?? this.#founders.get(broker))?.incarnation ?? null;
  }
}
