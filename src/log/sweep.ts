/**
 * Gives disk space back (design D11). Deleting keys frees nothing by itself: a file of values stays as long as one key still
 * refers to a value in it. So once enough was deleted, the key space is compacted step by step, which frees the files of
 * which nothing is left. If much of what remains is garbage, the oldest files are then rewritten without it, as many at a
 * time as there is room for. After each step comes a pause as long as the step took, so that at most half of the disk's
 * time goes into it. It does not rest while so much is garbage that it falls behind; and while the disk is nearly full
 * nothing waits, and any garbage is reason enough.
 *
 * Invariants:
 * - sweep-1: a sweep never fills the disk: what it rewrites takes at most half of the room.
 * - sweep-2: what is rewritten at a time is at most an eighth of the files, or little.
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
  /** The same while the disk is nearly full. Bytes, default 1 MiB. */
  readonly pressedGarbageBytesMin: number;
  /** Time between two looks. Milliseconds, default 30,000. */
  readonly intervalMs: number;
  /** The same while the disk is nearly full. Milliseconds, default 1,000. */
  readonly pressedIntervalMs: number;
  /** Steps of one pass at most; a step is the range of one or more groups. Default 64. */
  readonly stepsMax: number;
}

export const sweepLimitsDefault: SweepLimits = {
  garbageRatioMax: 0.3,
  garbageBytesMin: 64 * 1024 * 1024,
  pressedGarbageBytesMin: 1024 * 1024,
  intervalMs: 30_000,
  pressedIntervalMs: 1_000,
  stepsMax: 64,
};

export interface SweepParts {
  readonly store: Store;
  readonly logs: Pick<GroupLogs, 'list'>;
  /** What was deleted since the last sweep. */
  readonly garbage: GarbageMeter;
  readonly clock: Clock;
  readonly limits: SweepLimits;
  /** Bytes that may be taken from the disk without touching its hard reserve; 0 or less: none. */
  readonly roomBytes: () => number;
  /** A sweep failed; the next one starts from the beginning. */
  readonly failed: (error: unknown) => void;
}

/** Of the room at most this part is taken, because the files differ in size and others write too (sweep-1). */
const roomPart = 0.5;
/**
 * What is rewritten takes its place twice until the old files go, so only this part of the files is, at a time: the disk
 * holds what is live, the garbage that is tolerated, and this (sweep-2).
 */
const rewritePartMax = 0.125;
/** So little is rewritten at once, whatever part of the files it is. Bytes. */
const rewriteBytesFree = 256 * 1024 * 1024;
/** Garbage may be this much more than the part from which on it is swept before a sweep no longer rests. 0 to 1. */
const behindBy = 0.1;
/** Rewriting less than this part of the files at a time is not worth reading all keys. */
const rewritePartMin = 0.02;

export class Sweep {
  readonly #parts: SweepParts;
  #running: Promise<void> | null = null;
  #pressed = false;
  /** Whether garbage comes faster than a sweep that rests takes it away. */
  #behind = false;
  /** Whether all that was deleted before this process began has been dropped; nobody counted it. */
  #droppedOnce = false;
  #stopped = false;
  /** End the pauses that are going on. */
  readonly #wakers = new Set<() => void>();

  constructor(parts: SweepParts) {
    this.#parts = parts;
  }

  /** Looks at intervals from now on. */
  start(): void {
    const { limits, failed } = this.#parts;
    void this.#pause(this.#pressed ? limits.pressedIntervalMs : limits.intervalMs).then(async () => {
      if (this.#stopped) return;
      await this.lookOnce().catch(failed);
      this.start();
    });
  }

  /** Sweeps if there is enough garbage; resolves when it is done. */
  async lookOnce(): Promise<void> {
    this.#running ??= this.#sweep().finally(() => {
      this.#running = null;
    });
    await this.#running;
  }

  /** Whether the disk is nearly full: from now on any garbage is swept, and soon. */
  press(pressed: boolean): void {
    if (pressed && !this.#pressed) for (const wake of this.#wakers) wake();
    this.#pressed = pressed;
  }

  /** Starts no further step; resolves when the one that runs is done. */
  async stop(): Promise<void> {
    this.#stopped = true;
    for (const wake of this.#wakers) wake();
    await this.#running?.catch(() => undefined); // it was reported to whoever started it
  }

  async #sweep(): Promise<void> {
    const { garbage, limits } = this.#parts;
    const deletedBytes = garbage.garbageBytes;
    const enough =
      this.#isEnough(deletedBytes) && (this.#pressed || (await this.#isMuch(deletedBytes, limits.garbageRatioMax)));
    if (enough || (this.#pressed && !this.#droppedOnce)) {
      this.#behind = await this.#isMuch(deletedBytes, limits.garbageRatioMax + behindBy);
      await this.#pass(0);
      this.#droppedOnce = true;
      garbage.reclaimed(deletedBytes);
    }
    await this.#rewriteWhileWorthwhile();
  }

  /**
   * Whether what was deleted is much of everything; or much of the files, together with the garbage that is known to be in
   * them: each for itself could stay below the limit while both are far above it.
   */
  async #isMuch(deletedBytes: number, ratioMax: number): Promise<boolean> {
    const { store, garbage } = this.#parts;
    if (garbage.ratio >= ratioMax) return true;
    const { bytes, garbageBytes } = await store.valueFiles();
    return garbageBytes > 0 && deletedBytes + garbageBytes >= bytes * ratioMax;
  }

  /** Ends when little garbage is left, when there is no room, or when every file was looked at and it did not become less. */
  async #rewriteWhileWorthwhile(): Promise<void> {
    const { store, limits, roomBytes } = this.#parts;
    // the oldest files may hold what stays for ever, and the garbage is in those behind them
    let inVain = 0;
    for (let before = Number.POSITIVE_INFINITY; !this.#stopped;) {
      const { bytes, garbageBytes } = await store.valueFiles();
      if (!this.#isEnough(garbageBytes) || garbageBytes < bytes * limits.garbageRatioMax) return;
      this.#behind = garbageBytes >= bytes * (limits.garbageRatioMax + behindBy);
      const atATime = Math.max(rewritePartMax, rewriteBytesFree / bytes);
      const part = Math.min(1, atATime, (roomBytes() * roomPart) / bytes);
      if (part < rewritePartMin) return;
      if (garbageBytes < before) inVain = 0;
      else if (inVain >= 1) return;
      before = Math.min(before, garbageBytes);
      inVain += part;
      await this.#pass(part);
    }
  }

  #isEnough(garbageBytes: number): boolean {
    const { garbageBytesMin, pressedGarbageBytesMin } = this.#parts.limits;
    return garbageBytes >= (this.#pressed ? pressedGarbageBytesMin : garbageBytesMin);
  }

  async #pass(rewritePart: number): Promise<void> {
    const { store, logs, clock, limits } = this.#parts;
    const groups = (await logs.list()).map(({ group }) => group);
    for (const { from, to } of stepsOver(groups, limits.stepsMax)) {
      if (this.#stopped) return;
      const startedMs = clock.monotonicMs();
      await store.reclaim(from, to, rewritePart);
      const tookMs = clock.monotonicMs() - startedMs;
      if (!this.#pressed && !this.#behind && tookMs > 0) await this.#pause(tookMs);
    }
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
