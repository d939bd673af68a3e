/**
 * Which brokers are about to stop: each tells the others, so that nobody hands it a leadership any more. A notice is a
 * courtesy: who does not get it at worst hands over a leadership that comes back.
 */
import type { Clock } from '../model/clock.ts';
import type { BrokerId } from '../model/ids.ts';
import type { PeerIdentity } from '../raft/peer-identity.ts';
import type { PeerRpc } from '../raft/peer-rpc.ts';
import type { CatalogState } from './catalog-state.ts';

const departsMethod = 'broker.departs';

/** How long a notice may be on its way, milliseconds. */
const noticeMsMax = 1_000;

interface DeparturesDeps {
  readonly clusterId: string;
  readonly brokerId: BrokerId;
  readonly state: () => CatalogState;
  readonly clock: Clock;
  /** Null: there are no other brokers. */
  readonly rpc: PeerRpc | null;
  /** How long a notice counts at most, milliseconds, where its broker is not heard of again before. */
  readonly departureMs: number;
  /** UUID of the process of a broker that spoke last; null: none did. Another one than that which departed is back. */
  readonly processOf: (broker: BrokerId) => string | null;
}

interface Notice {
  /** UUID of the process that is about to stop. */
  readonly process: string;
  readonly heardMs: number;
}

export class Departures {
  readonly #deps: DeparturesDeps;
  /** The newest notice of each broker. Bounded by the brokers of the catalog. */
  readonly #notices = new Map<BrokerId, Notice>();

  constructor(deps: DeparturesDeps) {
    this.#deps = deps;
    deps.rpc?.serve(departsMethod, (from) => {
      this.#hear(from);
      return Promise.resolve(new Uint8Array());
    });
  }

  isDeparting(broker: BrokerId): boolean {
    const { clock, departureMs, processOf } = this.#deps;
    const notice = this.#notices.get(broker);
    if (notice === undefined) return false;
    const present = processOf(broker);
    const isBack = present !== null && present !== notice.process;
    if (!isBack && clock.monotonicMs() - notice.heardMs < departureMs) return true;
    this.#notices.delete(broker);
    return false;
  }

  /** Tells every other broker; resolves when each was told, or could not be. */
  async announce(): Promise<void> {
    const { rpc, brokerId, state } = this.#deps;
    if (rpc === null) return;
    const others = [...state().brokers.keys()].filter((broker) => broker !== brokerId);
    await Promise.all(
      others.map((broker) => rpc.call({ kind: 'broker', broker }, departsMethod, new Uint8Array(), noticeMsMax)),
    );
  }

  #hear({ brokerId, clusterId, processNonce: process }: PeerIdentity): void {
    const { state, clock } = this.#deps;
    if (clusterId !== this.#deps.clusterId || !state().brokers.has(brokerId)) return;
    this.#notices.set(brokerId, { process, heardMs: clock.monotonicMs() });
  }
}
