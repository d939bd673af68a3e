import type { RecordMeta } from '../../clients/typescript/src/index.ts';
import { BrokerError } from '../../clients/typescript/src/errors.ts';
import { exitCodeOf } from './exit-codes.ts';
import type { ExitCode } from './exit-codes.ts';
import { brokerErrorLine } from './failure-line.ts';
import { int64 } from './output-format.ts';
import type { Json } from './output-format.ts';

interface PartitionTally {
  records: number;
  /** Null: the broker did not say. */
  firstOffset: number | null;
  lastOffset: number | null;
}

/** What became of the records that were sent. */
export class DeliveryTally {
  /** Written, as far as --acks asks for. */
  acknowledged = 0;
  /** Not written, and never will be. */
  failed = 0;
  /** Written or not: nobody knows. */
  unknown = 0;
  /** The first record that was not acknowledged. */
  failure: { readonly line: number; readonly error: BrokerError } | null = null;
  onFailure: () => void = () => undefined;
  #open = 0;
  #onSettled: () => void = () => undefined;
  readonly #partitions = new Map<number, PartitionTally>();

  add(line: number, delivery: Promise<RecordMeta>): void {
    this.#open += 1;
    delivery.then(
      (meta) => this.#delivered(meta),
      (error: unknown) => this.#refused(line, error),
    );
  }

  /** Resolves when the outcome of every record is known, or known to be unknown. */
  settled(): Promise<void> {
    if (this.#open === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#onSettled = resolve;
    });
  }

  summary(): string {
    const parts = [
      `${this.acknowledged} ${this.acknowledged === 1 ? 'record' : 'records'} written`,
      ...(this.failed > 0 ? [`${this.failed} not written`] : []),
      ...(this.unknown > 0 ? [`${this.unknown} written or not (no answer came)`] : []),
    ];
    return parts.join(', ');
  }

  failureLine(brokers: string): string {
    return this.failure === null ? '' : `Line ${this.failure.line}: ${brokerErrorLine(this.failure.error, brokers)}`;
  }

  failureExitCode(): ExitCode | null {
    return this.failure === null ? null : exitCodeOf(this.failure.error.code, this.failure.error.retriable);
  }

  json(topic: string): Json {
    const partitions = [...this.#partitions].sort(([a], [b]) => a - b);
    return {
      topic,
      acknowledged: int64(this.acknowledged),
      failed: int64(this.failed),
      unknown: int64(this.unknown),
      partitions: partitions.map(([partition, { records, firstOffset, lastOffset }]) => ({
        partition,
        records: int64(records),
        firstOffset: int64(firstOffset),
        lastOffset: int64(lastOffset),
      })),
    };
  }

  #delivered({ partition, offset }: RecordMeta): void {
    this.acknowledged += 1;
    const known = this.#partitions.get(partition);
    if (known === undefined) this.#partitions.set(partition, { records: 1, firstOffset: offset, lastOffset: offset });
    else {
      known.records += 1;
      known.lastOffset = offset;
    }
    this.#close();
  }

  #refused(line: number, thrown: unknown): void {
    const error = BrokerError.is(thrown)
      ? thrown
      : new BrokerError('INTERNAL', String(thrown), { indeterminate: true });
    if (error.indeterminate) this.unknown += 1;
    else this.failed += 1;
    if (this.failure === null || line < this.failure.line) this.failure = { line, error };
    this.onFailure();
    this.#close();
  }

  #close(): void {
    this.#open -= 1;
    if (this.#open === 0) this.#onSettled();
  }
}
