/**
 * Writes one small record at a time to every partition, often, and notes when each was acknowledged: how long a partition
 * takes nothing. A client and a producer of its own, so that the backlog of the load does not count.
 */
import { asBrokerError } from '../../../clients/typescript/src/errors.ts';
import { Client } from '../../../clients/typescript/src/index.ts';
import type { Producer } from '../../../clients/typescript/src/index.ts';
import type { Ledger, PartitionBook, TopicBook } from '../broker/ledger.ts';
import { wait } from '../broker/patience.ts';

/** Between two records to one partition: what a pause is measured to. */
export const probeEveryMs = 25;
const valueBytes = 64;
/** Records of one partition that wait for their acknowledgement; while there are as many, none is added. */
const openMax = 40;
/** Longer than any case. */
const deliveryTimeoutMs = 3_600_000;

interface Watched {
  readonly fromMs: number;
  readonly answered: (ms: number) => void;
}

/** One partition as the probe sees it. Times are those of performance.now(). */
interface Line {
  readonly book: PartitionBook;
  open: number;
  /** When the newest acknowledgement came. */
  ackedMs: number;
  /** The longest time between two acknowledgements since `restart`. */
  longestGapMs: number;
  watched: Watched | null;
}

export class ProbeWriter {
  readonly #topic: TopicBook;
  readonly #ledger: Ledger;
  readonly #writer: number;
  readonly #client: Client;
  readonly #producer: Producer;
  readonly #lines: readonly Line[];
  #loop: Promise<void> | null = null;
  #ended = false;

  constructor(addresses: readonly string[], ledger: Ledger, topic: TopicBook, writer: number) {
    this.#topic = topic;
    this.#ledger = ledger;
    this.#writer = writer;
    this.#client = new Client({ brokers: addresses });
    this.#producer = this.#client.producer({ deliveryTimeoutMs });
    this.#lines = topic.partitions.map((book) => ({ book, open: 0, ackedMs: 0, longestGapMs: 0, watched: null }));
  }

  start(): void {
    this.#loop = this.#run();
  }

  /** Records that no broker has answered yet. */
  get open(): number {
    return this.#lines.reduce((sum, { open }) => sum + open, 0);
  }

  /**
   * Resolves with how long after `fromMs` the first record of the partition was acknowledged that was sent later than
   * that: an answer which was on its way already does not count.
   */
  pauseAfter(fromMs: number, partition: number): Promise<number> {
    const line = this.#line(partition);
    return new Promise((resolve) => {
      line.watched = { fromMs, answered: (ms) => resolve(ms - fromMs) };
    });
  }

  /** From now on `longestGapMs` is looked for anew. */
  restart(): void {
    for (const line of this.#lines) {
      line.longestGapMs = 0;
      line.ackedMs = performance.now();
    }
  }

  /** The longest time without an acknowledgement since `restart`, one that goes on included. */
  longestGapMs(partition: number): number {
    const { longestGapMs, ackedMs } = this.#line(partition);
    return Math.max(longestGapMs, performance.now() - ackedMs);
  }

  /** Sends no more; resolves when the loop has ended, which leaves records open. */
  async finish(): Promise<void> {
    this.#ended = true;
    await this.#loop;
  }

  close(): void {
    this.#ended = true;
    this.#producer.abandon();
    void this.#client.close().catch(() => undefined);
  }

  #line(partition: number): Line {
    const line = this.#lines[partition];
    if (line === undefined) throw new RangeError(`partition ${partition} is not probed`);
    return line;
  }

  /** In turn, so that the records of all partitions do not come in one burst. */
  async #run(): Promise<void> {
    for (let at = 0; !this.#ended; at++) {
      const line = this.#lines[at % this.#lines.length];
      if (line !== undefined && line.open < openMax) void this.#send(line);
      await wait(probeEveryMs / this.#lines.length);
    }
  }

  async #send(line: Line): Promise<void> {
    const { book } = line;
    const { record, value } = this.#ledger.sending(book, this.#writer, valueBytes);
    const sentMs = performance.now();
    line.open++;
    try {
      const { offset, duplicate } = await this.#producer.send(this.#topic.name, { value, partition: book.partition });
      this.#ledger.acknowledged(book, record, offset, duplicate);
      this.#answered(line, sentMs);
    } catch (error) {
      this.#ledger.failed(record, asBrokerError(error).indeterminate);
    } finally {
      line.open--;
    }
  }

  #answered(line: Line, sentMs: number): void {
    const now = performance.now();
    line.longestGapMs = Math.max(line.longestGapMs, now - line.ackedMs);
    line.ackedMs = now;
    const { watched } = line;
    if (watched === null || sentMs < watched.fromMs) return;
    line.watched = null;
    watched.answered(now);
  }
}
