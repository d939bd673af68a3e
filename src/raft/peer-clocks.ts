/**
 * The wall clocks of other brokers, as their heartbeat frames told them (design D23). No safety rests on them: they bound the
 * stamps of entries, and say whether this broker's own clock can be trusted to let records go by age (P120).
 *
 * What a peer told goes on with the monotonic clock here, so a jump of the own wall clock shows at once; it is behind by the
 * time that the frame was on its way.
 */
import type { Clock } from '../model/clock.ts';
import type { BrokerId, Millis } from '../model/ids.ts';
import { toMillis } from '../model/ids.ts';

/** A clock that was not heard of for this long is forgotten, milliseconds. */
const forgottenMs = 3_600_000;

/** What a peer's wall clock said, and when that was heard. */
interface Heard {
  readonly wallMs: Millis;
  readonly atMs: Millis;
}

export class PeerClocks {
  readonly #clock: Clock;
  readonly #strayMsMax: number;
  /** The newest of each; at most one for each broker of the cluster. */
  readonly #heard = new Map<BrokerId, Heard>();

  /** @param strayMsMax how far two clocks that agree may be apart, milliseconds */
  constructor(clock: Clock, strayMsMax: number) {
    this.#clock = clock;
    this.#strayMsMax = strayMsMax;
  }

  /** A frame of the broker said what its clock shows. */
  heard(broker: BrokerId, wallMs: Millis): void {
    this.#heard.set(broker, { wallMs, atMs: this.#clock.monotonicMs() });
  }

  /** For an entry: the wall clock, held to within strayMsMax of the median of all clocks, the own one included. */
  stampMs(): Millis {
    const ownMs = this.#clock.wallMs();
    const all = [ownMs, ...this.#peers()].sort((a, b) => a - b);
    const median = all[Math.floor(all.length / 2)] ?? ownMs;
    return toMillis(Math.max(0, Math.min(Math.max(ownMs, median - this.#strayMsMax), median + this.#strayMsMax)));
  }

  /**
   * Whether the own clock is within strayMsMax of more than half of all clocks, itself included.
   * @param hasPeers the cluster has other brokers: until one of them was heard, nothing is known
   */
  agrees(hasPeers: boolean): boolean {
    const ownMs = this.#clock.wallMs();
    const peers = this.#peers();
    if (peers.length === 0) return !hasPeers;
    const agreeing = peers.filter((wallMs) => Math.abs(wallMs - ownMs) <= this.#strayMsMax).length;
    return 2 * (agreeing + 1) > peers.length + 1;
  }

  /** What the clocks of the others show now. */
  #peers(): readonly number[] {
    const nowMs = this.#clock.monotonicMs();
    const shown: number[] = [];
    for (const [broker, { wallMs, atMs }] of this.#heard) {
      if (nowMs - atMs > forgottenMs) this.#heard.delete(broker);
      else shown.push(wallMs + nowMs - atMs);
    }
    return shown;
  }
}
