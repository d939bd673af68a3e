/** ReadIndex requests that wait for a proof of leadership that began after they were made (design D3, P68). */
import type { LogIndex } from '../../model/ids.ts';
import type { RequestId } from './events.ts';

interface WaitingRead {
  readonly id: RequestId;
  /** The commit index when it was asked: the read sees at least that. */
  readonly index: LogIndex;
  /** The first round that may confirm it. */
  readonly round: number;
}

export class ReadRounds {
  /** Ascending by round. At most readsMax, which the caller checks. */
  readonly #waiting: WaitingRead[] = [];

  get size(): number {
    return this.#waiting.length;
  }

  /** The round that confirms everything that waits; 0: nothing does. */
  get wanted(): number {
    return this.#waiting.at(-1)?.round ?? 0;
  }

  add(id: RequestId, index: LogIndex, round: number): void {
    this.#waiting.push({ id, index, round });
  }

  /** A quorum answered `round`: takes out the requests that it confirms. */
  confirmed(round: number): readonly WaitingRead[] {
    const first = this.#waiting.findIndex((one) => one.round > round);
    return this.#waiting.splice(0, first === -1 ? this.#waiting.length : first);
  }

  /** Leadership ended: nothing can be confirmed any more. */
  abandonAll(): RequestId[] {
    return this.#waiting.splice(0).map((one) => one.id);
  }
}
