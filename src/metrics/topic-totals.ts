/**
 * Records and bytes by topic. Added up in plain numbers, once a batch, and handed to the registry when somebody asks. So
 * many topics have series of their own; what goes through the others counts as `(other)`, a name that no topic can have.
 */
import type { Registry } from 'prom-client';
import { Counter } from 'prom-client';

interface Totals {
  producedRecords: number;
  producedBytes: number;
  producedBatches: number;
  fetchedRecords: number;
  fetchedBytes: number;
}

export const otherTopics = '(other)';

const labelNames = ['topic'] as const;

const definitions: readonly { readonly name: string; readonly help: string; readonly of: keyof Totals }[] = [
  {
    name: 'sluice_produce_records_total',
    help: 'Records that leaders here accepted, by topic.',
    of: 'producedRecords',
  },
  {
    name: 'sluice_produce_bytes_total',
    help: 'Bytes of batches that leaders here accepted, as they are stored.',
    of: 'producedBytes',
  },
  {
    name: 'sluice_produce_batches_total',
    help: 'Batches that leaders here accepted, by topic.',
    of: 'producedBatches',
  },
  {
    name: 'sluice_fetch_records_total',
    help: 'Records in the batches that were given to readers, by topic.',
    of: 'fetchedRecords',
  },
  {
    name: 'sluice_fetch_bytes_total',
    help: 'Bytes of batches that were given to readers, by topic.',
    of: 'fetchedBytes',
  },
];

export class TopicTotals {
  readonly #topicsMax: number;
  /** At most `topicsMax` topics and `(other)`. */
  readonly #totals = new Map<string, Totals>();

  constructor(registry: Registry, topicsMax: number) {
    this.#topicsMax = topicsMax;
    const totals = this.#totals;
    for (const { name, help, of } of definitions) {
      new Counter({
        ...{ name, help, labelNames: [...labelNames], registers: [registry] },
        collect() {
          this.reset();
          for (const [topic, values] of totals) this.inc({ topic }, values[of]);
        },
      });
    }
  }

  produced(topic: string, records: number, bytes: number): void {
    const totals = this.#of(topic);
    totals.producedRecords += records;
    totals.producedBytes += bytes;
    totals.producedBatches += 1;
  }

  fetched(topic: string, records: number, bytes: number): void {
    const totals = this.#of(topic);
    totals.fetchedRecords += records;
    totals.fetchedBytes += bytes;
  }

  /** The topic is gone: so are its series. */
  forget(topic: string): void {
    this.#totals.delete(topic);
  }

  #of(topic: string): Totals {
    const known = this.#totals.get(topic);
    if (known !== undefined) return known;
    const named = this.#totals.size < this.#topicsMax ? topic : otherTopics;
    const totals = this.#totals.get(named) ?? nothing();
    this.#totals.set(named, totals);
    return totals;
  }
}

const nothing = (): Totals => ({
  producedRecords: 0,
  producedBytes: 0,
  producedBatches: 0,
  fetchedRecords: 0,
  fetchedBytes: 0,
});
