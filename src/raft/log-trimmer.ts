/**
 * Cuts the log of a command group once its state keys stand for the old part (design D6), but not past a live follower,
 * unless it is so far behind that the log would grow beyond lagBytesMax (P49).
 */
import type { GroupLog } from '../log/log.ts';
import type { LogIndex } from '../model/ids.ts';
import { toLogIndex } from '../model/ids.ts';
import type { DriverLimits } from './driver-limits.ts';

export class LogTrimmer {
  readonly #log: GroupLog;
  readonly #limits: DriverLimits;
  /** Entries above this index are needed by a live follower; null: none are. */
  readonly #needed: () => LogIndex | null;
  readonly #trimmed: () => void;
  readonly #failed: (error: unknown) => void;
  #busy = false;

  constructor(
    log: GroupLog,
    limits: DriverLimits,
    needed: () => LogIndex | null,
    trimmed: () => void,
    failed: (error: unknown) => void,
  ) {
    this.#log = log;
    this.#limits = limits;
    this.#needed = needed;
    this.#trimmed = trimmed;
    this.#failed = failed;
  }

  /** Looks again once the state keys of a page are durable. */
  applied(storing: Promise<void> | null): void {
    if (storing === null || this.#busy) return;
    if (this.#log.lastIndex - this.#log.firstIndex < this.#limits.commandEntriesMax) return;
    this.#busy = true;
    storing
      .then(() => this.#trim(this.#log.appliedIndex))
      .catch(this.#failed)
      .finally(() => {
        this.#busy = false;
      });
  }

  /** @param stored the index that the state keys stand for, durably */
  async #trim(stored: LogIndex): Promise<void> {
    const needed = this.#log.payloadBytes > this.#limits.lagBytesMax ? null : this.#needed();
    const through = Math.min(stored - this.#limits.commandEntriesKept, needed ?? Infinity);
    if (through < this.#log.firstIndex) return;
    await this.#log.compactThrough(toLogIndex(through));
    this.#trimmed();
  }
}
