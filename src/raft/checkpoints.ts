/** Decides when the state of a data group is stored, so that a restart applies a bounded tail (design D6). */
import type { Entry } from '../model/entry.ts';
import type { LogIndex } from '../model/ids.ts';
import type { GroupLog } from '../log/log.ts';
import type { DriverLimits } from './driver-limits.ts';
import type { DataMachine } from './group.ts';

export class Checkpoints {
  readonly #log: GroupLog;
  readonly #machine: DataMachine;
  readonly #limits: DriverLimits;
  readonly #saved: () => void;
  readonly #failed: (error: unknown) => void;
  #index: LogIndex;
  #entries = 0;
  #bytes = 0;
  /** One at a time. */
  #saving: Promise<void> | null = null;

  constructor(
    log: GroupLog,
    machine: DataMachine,
    index: LogIndex,
    limits: DriverLimits,
    saved: () => void,
    failed: (error: unknown) => void,
  ) {
    this.#log = log;
    this.#machine = machine;
    this.#index = index;
    this.#limits = limits;
    this.#saved = saved;
    this.#failed = failed;
  }

  applied(page: readonly Entry[], index: LogIndex): void {
    this.#entries += page.length;
    for (const entry of page) this.#bytes += entry.payload.length;
    const due = this.#entries >= this.#limits.checkpointEntriesMax || this.#bytes >= this.#limits.checkpointBytesMax;
    if (!due || this.#saving !== null) return;
    this.#saving = this.#save(index)
      .then(this.#saved)
      .catch(this.#failed)
      .finally(() => {
        this.#saving = null;
      });
  }

  /** Stores the state once more when the group stops. */
  async final(index: LogIndex): Promise<void> {
    await this.#saving;
    if (index > this.#index) await this.#save(index);
  }

  async #save(index: LogIndex): Promise<void> {
    const state = this.#machine.checkpoint();
    this.#index = index;
    this.#entries = 0;
    this.#bytes = 0;
    await this.#log.saveCheckpoint({ index, state });
  }
}
