/**
 * Notices partitions that are assigned, have records to read, and of which nothing comes. Pure bookkeeping: the consumer
 * tells where each is, asks the brokers for the ends of those that `suspects` names, and reports what it finds.
 */

/** A partition as it is read now. */
export interface Watched {
  readonly key: string;
  /** Next offset to ask the broker for. */
  readonly position: number;
  /** The application does not want any of it now, or has yet to take what came. */
  readonly isWaitedFor: boolean;
}

interface Watch {
  position: number;
  sinceMs: number;
  /** It was reported and has not moved since. */
  stalled: boolean;
}

export class StallWatch {
  readonly #afterMs: number;
  readonly #watches = new Map<string, Watch>();

  /** @param afterMs how long nothing comes before it is looked into, milliseconds */
  constructor(afterMs: number) {
    this.#afterMs = afterMs;
  }

  /**
   * Where everything is now. Gives the partitions of which nothing has come for long, whether there is anything or not, and
   * those that were reported and go on.
   */
  look(partitions: Iterable<Watched>, nowMs: number): { readonly suspects: string[]; readonly recovered: string[] } {
    const suspects: string[] = [];
    const recovered: string[] = [];
    const seen = new Set<string>();
    for (const { key, position, isWaitedFor } of partitions) {
      seen.add(key);
      const watch = this.#watches.get(key);
      if (watch === undefined || watch.position !== position || isWaitedFor) {
        if (watch?.stalled === true) recovered.push(key);
        this.#watches.set(key, { position, sinceMs: nowMs, stalled: false });
      } else if (nowMs - watch.sinceMs >= this.#afterMs && !watch.stalled) suspects.push(key);
    }
    for (const key of this.#watches.keys()) if (!seen.has(key)) this.#watches.delete(key);
    return { suspects, recovered };
  }

  /**
   * The end of a suspect is known. Gives for how long it has been stalled, milliseconds; null: it is not, as it moved
   * meanwhile or there is nothing to read.
   */
  found(key: string, position: number, end: number, nowMs: number): number | null {
    const watch = this.#watches.get(key);
    if (watch?.position !== position) return null;
    if (end <= position) {
      watch.sinceMs = nowMs; // what comes from now on has its full time
      return null;
    }
    watch.stalled = true;
    return nowMs - watch.sinceMs;
  }
}
