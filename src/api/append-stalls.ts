/**
 * Says of the oldest open append of each partition of one stream why it has no outcome yet.
 *
 * Invariant: append-stalls-1: nothing is told of an append once it has its outcome.
 */
import type { PartitionStalls } from '../gen/sluice/v1/log.ts';
import type { PartitionRef } from '../broker/requests.ts';
import type { Clock, Timer } from '../model/clock.ts';

export interface WaitingAppend {
  readonly correlationId: bigint;
  readonly ref: PartitionRef;
  /** It is told after this time, and what has changed after each further one, milliseconds. */
  readonly explainAfterMs: number;
}

export interface AppendStallsDeps {
  readonly clock: Clock;
  /** Null: there is nothing new. Must not reject. */
  readonly news: (ref: PartitionRef) => Promise<PartitionStalls | null>;
  readonly forget: (ref: PartitionRef) => void;
  readonly tell: (correlationId: bigint, stalls: PartitionStalls) => void;
}

interface Open {
  readonly append: WaitingAppend;
  readonly sinceMs: number;
}

interface Lane {
  readonly open: Open[];
  timer: Timer;
}

export class AppendStalls {
  readonly #deps: AppendStallsDeps;
  readonly #lanes = new Map<string, Lane>();

  constructor(deps: AppendStallsDeps) {
    this.#deps = deps;
  }

  /** To be called once the append has its outcome. */
  open(lane: string, append: WaitingAppend): () => void {
    const open = { append, sinceMs: this.#deps.clock.monotonicMs() };
    const known = this.#lanes.get(lane);
    if (known === undefined) this.#lanes.set(lane, { open: [open], timer: this.#timer(lane, open) });
    else known.open.push(open);
    return () => this.#close(lane, open);
  }

  /** The stream is over. */
  stop(): void {
    for (const { timer } of this.#lanes.values()) timer.cancel();
    this.#lanes.clear();
  }

  #close(name: string, open: Open): void {
    const lane = this.#lanes.get(name);
    const at = lane?.open.indexOf(open) ?? -1;
    if (lane === undefined || at < 0) return;
    lane.open.splice(at, 1);
    if (at > 0) return;
    lane.timer.cancel();
    this.#deps.forget(open.append.ref);
    const [next] = lane.open;
    if (next === undefined) this.#lanes.delete(name);
    else lane.timer = this.#timer(name, next);
  }

  #timer(lane: string, { append, sinceMs }: Open): Timer {
    const { clock } = this.#deps;
    const leftMs = sinceMs + append.explainAfterMs - clock.monotonicMs();
    return clock.setTimer(Math.max(0, leftMs), () => void this.#look(lane));
  }

  async #look(name: string): Promise<void> {
    const oldest = this.#lanes.get(name)?.open[0];
    if (oldest === undefined) return;
    const { correlationId, ref, explainAfterMs } = oldest.append;
    const news = await this.#deps.news(ref);
    const lane = this.#lanes.get(name);
    if (lane?.open[0] !== oldest) return; // append-stalls-1; the next one has a timer of its own
    if (news !== null) this.#deps.tell(correlationId, news);
    lane.timer = this.#deps.clock.setTimer(explainAfterMs, () => void this.#look(name));
  }
}
