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
  /** The log start moved: a state stored now lets go of all that lies below it, if nothing was appended meanwhile. */
  #startMoved = false;
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
    for (const entry of page) {
      this.#bytes += entry.payload.length;
      if (entry.kind === 'log-start') this.#startMoved = true;
    }
    if (!this.#isDue || this.#saving !== null) return;
    this.#saving = this.#save(index)
      .then(this.#saved)
      .catch(this.#failed)
      .finally(() => {
        this.#saving = null;
      });
  }

  get #isDue(): boolean {
    const { checkpointEntriesMax, checkpointBytesMax } = this.#limits;
    return this.#startMoved || this.#entries >= checkpointEntriesMax || this.#bytes >= checkpointBytesMax;
  }

  /** A snapshot was installed: the state as of `index` is stored. */
  restartAt(index: LogIndex): void {
    this.#index = index;
    this.#entries = 0;
    this.#bytes = 0;
    this.#startMoved = false;
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
    this.#startMoved = false;
    await this.#log.saveCheckpoint({ index, state });
  }
}
