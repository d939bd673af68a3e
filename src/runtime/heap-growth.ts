/**
 * How far V8 lets its heap grow before it marks all of it again. V8 takes that from how fast objects age and does not see
 * that buffers count too: a broker's heap of about 30 MiB may grow by 8 MiB, so under load all of it was marked for every
 * 10 MB that were received, cached and framed. With room, only V8's own limit for buffers (64 MiB more than at the last
 * marking) starts the next one: a quarter less CPU for each gigabyte (docs/BENCHMARKS.md).
 */
import { getHeapStatistics, setFlagsFromString } from 'node:v8';
import type { Clock, Timer } from '../model/clock.ts';

/** What the heap may grow by, bytes. Above V8's limit for buffers and its young generation (16 MiB) together. */
export const heapRoomBytes = 128 * 1024 * 1024;
/** The heap is looked at this often, milliseconds. */
const sampleMs = 5_000;
/** What lives is the least of this many samples: all others hold garbage too. */
const samplesMax = 12;

/** What `--heap-growing-percent` has to be for a heap of which this much lives; 0: a large heap, V8 decides by itself. */
export function growingPercent(liveBytes: number): number {
  const percent = Math.ceil((100 * heapRoomBytes) / Math.max(1, liveBytes));
  return percent < 100 ? 0 : Math.min(percent, 1_000);
}

/** Keeps the room what it is while what lives grows and shrinks. */
export class HeapGrowth {
  readonly #clock: Clock;
  readonly #heapBytes: () => number;
  readonly #setPercent: (percent: number) => void;
  /** The newest last; at most samplesMax. */
  #samples: readonly number[] = [];
  #percent: number | null = null;
  #timer: Timer | null = null;

  constructor(
    clock: Clock,
    heapBytes: () => number = () => getHeapStatistics().used_heap_size,
    setPercent: (percent: number) => void = (percent) => {
      // V8 reads it at the end of each marking, so it may change while the program runs
      setFlagsFromString(`--heap-growing-percent=${percent}`);
    },
  ) {
    this.#clock = clock;
    this.#heapBytes = heapBytes;
    this.#setPercent = setPercent;
  }

  start(): void {
    this.#samples = [...this.#samples, this.#heapBytes()].slice(-samplesMax);
    const percent = growingPercent(Math.min(...this.#samples));
    if (percent !== this.#percent) this.#setPercent(percent);
    this.#percent = percent;
    this.#timer = this.#clock.setTimer(sampleMs, () => {
      this.start();
    });
  }

  stop(): void {
    this.#timer?.cancel();
  }
}
