/** ReadIndex requests that wait for a proof of leadership that began after they were made (design D3, P68). */
import type { RequestId } from './events.ts';

interface WaitingRead {
  readonly id: RequestId;
  /** The first round that may confirm it. */
  readonly round: number;
}

export class ReadRounds {
  /** Ascending by round. */
  #waiting: WaitingRead[] = [];

  get size(): number {
    return this.#waiting.length;
  }

  add(id: RequestId, round: number): void {
    this.#waiting.push({ id, round });
  }

  /** A quorum answered in `round`: takes out the requests that it confirms. */
  confirmed(round: number): RequestId[] {
    const done = this.#waiting.filter((one) => one.round <= round);
    if (done.length > 0) this.#waiting = this.#waiting.filter((one) => one.round > round);
    return done.map((one) => one.id);
  }

  /** Leadership ended: nothing can be confirmed any more. */
  abandonAll(): RequestId[] {
    const ids = this.#waiting.map((one) => one.id);
    this.#waiting = [];
    return ids;
  }
}
