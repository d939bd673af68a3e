/**
 * Which brokers are silent although they should be heard (reliability P123): whoever leads something that concerns this
 * broker, or is led in something by it, says so several times a second. Where nothing arrives for longer than elections
 * take, and no connection broke, packets are swallowed, or the process stands still: what waits for its answer is told
 * now rather than when the connection itself is found dead, and the next request begins anew.
 *
 * After a stall of this process everybody gets the whole time again: what arrived meanwhile may not have been read yet.
 */
import type { Clock } from '../model/clock.ts';
import type { BrokerId } from '../model/ids.ts';
import type { TimedTask } from './timer-wheel.ts';

/** Another broker, as far as it matters here. */
export interface WatchedPeer {
  readonly broker: BrokerId;
  /** True: it should be heard all the time. */
  readonly isDue: boolean;
  /** When it was heard last, monotonic milliseconds; -Infinity: never. */
  readonly heardMs: number;
}

interface SilenceWatchOptions {
  readonly clock: Clock;
  readonly peers: () => Iterable<WatchedPeer>;
  /** How long one may be silent, milliseconds. */
  readonly silentMsMax: number;
  /** How often it is looked, milliseconds. */
  readonly lookMs: number;
  readonly giveUp: (broker: BrokerId) => void;
}

export class SilenceWatch implements TimedTask {
  nextDeadline = Infinity;
  readonly #options: SilenceWatchOptions;
  /** Since when each should be heard, or when it was given up. Bounded by the brokers that are due. */
  readonly #sinceMs = new Map<BrokerId, number>();
  /** Those that were given up and not heard since. */
  readonly #givenUp = new Set<BrokerId>();
  #lookedMs = -Infinity;

  constructor(options: SilenceWatchOptions) {
    this.#options = options;
  }

  /** Somebody may be due by now. True: the deadline was set. */
  begin(): boolean {
    if (this.nextDeadline !== Infinity) return false;
    this.#lookedMs = this.#options.clock.monotonicMs();
    this.nextDeadline = this.#lookedMs + this.#options.lookMs;
    return true;
  }

  deadlinePassed(): void {
    const { clock, peers, lookMs } = this.#options;
    const now = clock.monotonicMs();
    if (now - this.#lookedMs > 2 * lookMs) this.#sinceMs.clear();
    this.#lookedMs = now;
    let isAnyDue = false;
    for (const peer of peers()) {
      if (peer.isDue) isAnyDue = true;
      this.#look(peer, now);
    }
    this.nextDeadline = isAnyDue ? now + lookMs : Infinity;
  }

  #look({ broker, isDue, heardMs }: WatchedPeer, now: number): void {
    const sinceMs = this.#sinceMs.get(broker);
    if (!isDue || sinceMs === undefined) {
      if (isDue) this.#sinceMs.set(broker, now);
      else this.#sinceMs.delete(broker);
      return;
    }
    if (heardMs > sinceMs) this.#givenUp.delete(broker);
    if (this.#givenUp.has(broker) || now - Math.max(sinceMs, heardMs) <= this.#options.silentMsMax) return;
    this.#givenUp.add(broker);
    this.#sinceMs.set(broker, now);
    this.#options.giveUp(broker);
  }
}
