/**
 * The small files of a data directory beside the store: who the disk is, its founding, what it remembers of others. Each is
 * replaced as a whole and durable when its write resolves; a crash before that keeps the old content or the new.
 */
import type { SimRandom } from '../sim/sim-random.ts';
import type { SimScheduler } from '../sim/sim-scheduler.ts';
import type { HeldGenesis } from '../../src/broker/founding-talk.ts';
import type { RememberedPeer } from '../../src/raft/peer-memory.ts';
import type { SimProcess } from './sim-process.ts';

export interface DiskFiles {
  /** UUID of the disk; null: it was never started. */
  readonly incarnation: string | null;
  /** UUID of the cluster that it is bound to. */
  readonly clusterId: string | null;
  /** Another broker has found that it is an old copy (`RocksdbStore.markLost`). */
  readonly lost: boolean;
  readonly genesis: HeldGenesis | null;
  readonly peers: ReadonlyMap<string, RememberedPeer>;
}

const emptyFiles: DiskFiles = {
  incarnation: null,
  clusterId: null,
  lost: false,
  genesis: null,
  peers: new Map(),
};

const writeMsMean = 2;

export class SimFiles {
  #durable: DiskFiles = emptyFiles;
  /** In the order of the calls. */
  readonly #pending: Partial<DiskFiles>[] = [];
  readonly #scheduler: SimScheduler;
  readonly #random: SimRandom;

  constructor(scheduler: SimScheduler, random: SimRandom) {
    this.#scheduler = scheduler;
    this.#random = random;
  }

  get content(): DiskFiles {
    return this.#durable;
  }

  /** Resolves in the process once it is durable. */
  write(process: SimProcess, change: Partial<DiskFiles>): Promise<void> {
    this.#pending.push(change);
    return new Promise((resolve) => {
      this.#scheduler.after(0.2 + this.#random.exponential(writeMsMean), () => {
        // one writer at a time: what was asked for before is there too
        const through = this.#pending.indexOf(change) + 1;
        for (const earlier of this.#pending.splice(0, through)) this.#durable = { ...this.#durable, ...earlier };
        process.enter('input', resolve);
      });
    });
  }

  crash(): void {
    const kept = this.#random.below(this.#pending.length + 1);
    for (const change of this.#pending.splice(0).slice(0, kept)) this.#durable = { ...this.#durable, ...change };
  }

  /** Of a disk that is crashed. */
  replace(content: DiskFiles = emptyFiles): void {
    this.#durable = content;
  }
}
