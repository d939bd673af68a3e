/**
 * Keeps a broker that operators have drained, or that goes, from leading anything: whatever it leads is handed over as
 * if it were about to stop, now and whenever an election gives it something again.
 */
import type { Clock, Timer } from '../model/clock.ts';
import type { BrokerId } from '../model/ids.ts';
import type { CatalogCommand } from './catalog-commands.ts';
import type { Catalog } from './catalog.ts';

interface DrainKeeperDeps {
  readonly brokerId: BrokerId;
  readonly catalog: Catalog;
  /** True: this broker leads something. */
  readonly leads: () => boolean;
  /** Resolves when it leads nothing that others could lead, or the time for it is over. */
  readonly handOver: () => Promise<void>;
  readonly clock: Clock;
  /** How often it is looked, milliseconds. */
  readonly intervalMs: number;
}

export class DrainKeeper {
  readonly #deps: DrainKeeperDeps;
  #handing: Promise<void> | null = null;
  #timer: Timer | null = null;
  #closed = false;

  constructor(deps: DrainKeeperDeps) {
    this.#deps = deps;
  }

  /** From now on. */
  start(): void {
    const { catalog } = this.#deps;
    catalog.onApplied((command: CatalogCommand) => {
      // the order came this moment: nobody is to wait for the next look
      if (command.kind === 'set-duty') this.#look();
    });
    this.#schedule();
  }

  /** Resolves when nothing is under way any more. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#timer?.cancel();
    await this.#handing;
  }

  #schedule(): void {
    if (this.#closed) return;
    const { clock, intervalMs } = this.#deps;
    this.#timer = clock.setTimer(intervalMs, () => {
      this.#look();
      this.#schedule();
    });
  }

  #look(): void {
    const { catalog, brokerId, leads, handOver } = this.#deps;
    const isDrained = catalog.state.brokers.get(brokerId)?.duty !== undefined;
    if (this.#closed || this.#handing !== null || !isDrained || !leads()) return;
    this.#handing = handOver().finally(() => {
      this.#handing = null;
    });
  }
}
