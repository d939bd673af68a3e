/**
 * Gives disk space back (design D11). Deleting a range frees nothing by itself: a blob file stays as long as one group
 * still uses a value in it. So once garbage passes a part of everything, the whole key space is compacted step by step,
 * with a pause after each step as long as the step took, so that at most half of the disk's time goes into it.
 */
import type { Clock } from '../model/clock.ts';
import type { GroupNumber } from '../model/ids.ts';
import { toGroupNumber } from '../model/ids.ts';
import type { GarbageMeter } from './garbage-meter.ts';
import { GroupKeys, type KeyRange } from './keys.ts';
import type { GroupLogs } from './log.ts';
import type { Store } from './store.ts';

export interface SweepLimits {
  /** Garbage as a part of everything from which on a sweep runs. 0 to 1, default 0.3. */
  readonly garbageRatioMax: number;
  /** Below this much garbage no sweep runs. Bytes, default 64 MiB. */
  readonly garbageBytesMin: number;
  /** Time between two looks. Milliseconds, default 30,000. */
  readonly intervalMs: number;
  /** Steps of one sweep at most; a step is the range of one or more groups. Default 64. */
  readonly stepsMax: number;
}

export const sweepLimitsDefault: SweepLimits = {
  garbageRatioMax: 0.3,
  garbageBytesMin: 64 * 1024 * 1024,
  intervalMs: 30_000,
  stepsMax: 64,
};

export interface SweepParts {
  readonly store: Store;
  readonly logs: GroupLogs;
  readonly garbage: GarbageMeter;
  readonly clock: Clock;
  readonly limits: SweepLimits;
  /** A sweep failed; the next one starts from the beginning. */
  readonly failed: (error: unknown) => void;
}

export class Sweep {
  readonly #parts: SweepParts;
  #running: Promise<void> | null = null;
  #urgent = false;
  #stopped = false;
  /** End the pauses that are going on. */
  readonly #wakers = new Set<() => void>();

  constructor(parts: SweepParts) {
    this.#parts = parts;
  }

  /** Looks at intervals from now on. */
  start(): void {
    void this.#pause(this.#parts.limits.intervalMs).then(async () => {
      if (this.#stopped) return;
      await this.lookOnce().catch(this.#parts.failed);
      this.start();
    });
  }

  /** Sweeps if there is enough garbage; resolves when it is done. */
  async lookOnce(): Promise<void> {
    const { garbage, limits } = this.#parts;
    const due = garbage.garbageBytes >= limits.garbageBytesMin && garbage.ratio >= limits.garbageRatioMax;
    if (due || this.#running !== null) await this.#runOnce();
  }

  /** The disk is nearly full: sweeps now, whatever the estimate says, and without pauses. */
  async urgently(): Promise<void> {
    this.#urgent = true;
    for (const wake of this.#wakers) wake();
    await this.#runOnce();
  }

  /** Starts no further step; resolves when the one that runs is done. */
  async stop(): Promise<void> {
    this.#stopped = true;
    for (const wake of this.#wakers) wake();
    await this.#running?.catch(() => undefined); // it was reported to whoever started it
  }

  #runOnce(): Promise<void> {
    this.#running ??= this.#sweep().finally(() => {
      this.#running = null;
      this.#urgent = false;
    });
    return this.#running;
  }

  async #sweep(): Promise<void> {
    const { store, logs, garbage, clock, limits } = this.#parts;
    const bytes = garbage.garbageBytes;
    const groups = (await logs.list()).map(({ group }) => group);
    for (const { from, to } of stepsOver(groups, limits.stepsMax)) {
      if (this.#stopped) return;
      const startedMs = clock.monotonicMs();
      await store.reclaim(from, to);
      const tookMs = clock.monotonicMs() - startedMs;
      if (!this.#urgent && tookMs > 0) await this.#pause(tookMs);
    }
    garbage.reclaimed(bytes);
  }

  #pause(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      const end = (): void => {
        timer.cancel();
        this.#wakers.delete(end);
        resolve();
      };
      const timer = this.#parts.clock.setTimer(delayMs, end);
      this.#wakers.add(end);
    });
  }
}

/** Ranges that together cover the keys of all groups, removed ones between them included; each ends after a group. */
export function stepsOver(groups: readonly GroupNumber[], stepsMax: number): readonly KeyRange[] {
  const groupsPerStep = Math.max(1, Math.ceil(groups.length / stepsMax));
  const steps: KeyRange[] = [];
  let from = new GroupKeys(toGroupNumber(0)).all().from;
  for (let last = groupsPerStep - 1; last < groups.length - 1; last += groupsPerStep) {
    const { to } = new GroupKeys(groups[last] ?? toGroupNumber(0)).all();
    steps.push({ from, to });
    from = to;
  }
  return [...steps, { from, to: Uint8Array.of(0x01) }];
}
