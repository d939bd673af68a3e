/**
 * The disk runs full on a small file system. At the reserve produce is refused, typed and retriable, while fetch, commits
 * and deletes go on; a deleted topic gives its space back and everything heals without a restart. On a file system that is
 * full to the last byte the broker still starts, because its ballast makes room, or says in one line why it can not.
 */
import { execFileSync } from 'node:child_process';
import { rmSync, statfsSync } from 'node:fs';
import { join } from 'node:path';
import { asBrokerError, type BrokerError } from '../../../clients/typescript/src/errors.ts';
import { createCompression } from '../../../src/runtime/compression.ts';
import { crc32c } from '../../../src/runtime/crc32c.ts';
import { Ext4Image } from '../durability/ext4-image.ts';
import { newSeed, SeededChance } from '../durability/random.ts';
import type { CaseResult } from '../report.ts';
import { FrontDoor } from './front-door.ts';
import type { TopicBook } from './ledger.ts';
import { figuresOf } from './audit.ts';
import { Lives } from './lives.ts';
import { patience, until, wait } from './patience.ts';
import { StreamWriter } from './stream-writer.ts';

const mib = 1 << 20;
const imageMegabytes = 256;
const reserves = { softReserveBytes: 48 * mib, hardReserveBytes: 24 * mib, ballastBytes: 24 * mib };
const settings = Object.fromEntries(Object.entries(reserves).map(([name, bytes]) => [`storage.${name}`, bytes]));
/** The space of a deleted topic is back and produce goes on after this, on an idle machine. */
const healMsMax = 15_000;
/** Most of what the deleted topic held. */
const healedBytesMin = 80 * mib;
const fullBatch = Array.from({ length: 15 }, () => 4_200);
const writerId = 99;
/** Refusals in a row after which the disk counts as full: deleted write-ahead files give some room back at first. */
const refusalsInARow = 40;

export async function runBrokerDiskFull(): Promise<CaseResult> {
  const seed = newSeed();
  const image = Ext4Image.create(imageMegabytes);
  try {
    const dataDir = join(image.path, 'data');
    const lives = await Lives.begin({ dataDir, chance: new SeededChance(seed), settings, churn: false });
    try {
      const figures = await new FullDisk(image, lives, await rawStream(lives)).run();
      return {
        figures: { ...figures, ...lives.ledger.counts, ...figuresOf(lives.findings), seed },
        problems: lives.problems,
      };
    } finally {
      await lives.end();
    }
  } finally {
    image.destroy();
  }
}

async function rawStream({ address, ledger }: Lives): Promise<StreamWriter> {
  return new StreamWriter(new FrontDoor(address), ledger, { compression: await createCompression(), crc32c }, writerId);
}

class FullDisk {
  readonly #image: Ext4Image;
  readonly #lives: Lives;
  readonly #stream: StreamWriter;
  readonly #filler: string;

  constructor(image: Ext4Image, lives: Lives, stream: StreamWriter) {
    this.#image = image;
    this.#lives = lives;
    this.#stream = stream;
    this.#filler = join(image.path, 'filler');
  }

  async run(): Promise<Record<string, number | string>> {
    const { load } = this.#lives;
    load.resume();
    await wait(1_000);
    await load.pause();
    const first = await this.#createTopic('bulk-1');
    const filledMiB = await this.#fill(first);
    const freeMiB = this.#freeBytes() / mib;
    if (freeMiB < reserves.hardReserveBytes / mib) this.#problem(`only ${freeMiB} MiB are left behind the reserve`);
    await this.#worksWhileFull(first);
    const healMs = await this.#healsAfterDelete(first);
    await this.#lives.broker.kill();
    await this.#lives.restart('restart after healing');
    const second = await this.#createTopic('bulk-2');
    await this.#fill(second);
    const fullStart = await this.#startsOnFullDisk();
    await this.#goesOnWhenFreed(second);
    await this.#lives.finish('the end');
    return { filledMiB, freeMiB: Math.round(freeMiB), healMs, fullStart };
  }

  #problem(what: string): void {
    this.#lives.problems.push(`${what}: ${this.#lives.broker.lastWords}`);
  }

  #freeBytes(): number {
    const { bavail, bsize } = statfsSync(this.#image.path);
    return bavail * bsize;
  }

  async #createTopic(name: string): Promise<TopicBook> {
    const book = this.#lives.ledger.addTopic(name, 2);
    const { topicId } = await this.#lives.load.client.admin.createTopic({ name, partitions: 2 });
    book.topicId = topicId;
    book.state = 'live';
    return book;
  }

  /** Produces until nothing but refusals comes; every one must be the right one. Returns MiB that were acknowledged. */
  async #fill(topic: TopicBook): Promise<number> {
    const before = topic.partitions.reduce((sum, book) => sum + book.acked.length, 0);
    let inARow = 0;
    for (let n = 0; inARow < refusalsInARow; n++) {
      const { produced } = this.#stream.tally;
      this.#stream.lastError = null;
      if (!(await this.#stream.send(topic, n % 2, fullBatch)))
        throw new Error(`the broker is gone: ${this.#lives.broker.lastWords}`);
      await this.#stream.room(inARow === 0 ? 8 : 1);
      inARow = this.#stream.tally.produced > produced ? 0 : inARow + 1;
      this.#checkRefusal(this.#stream.lastError);
      if (inARow > 0) await wait(25);
    }
    await this.#stream.settled();
    const acked = topic.partitions.reduce((sum, book) => sum + book.acked.length, 0) - before;
    return Math.round((acked * (fullBatch[0] ?? 0)) / mib);
  }

  #checkRefusal(error: BrokerError | null): void {
    if (error === null) return;
    const { code, retriable, indeterminate, retryAfterMs } = error;
    if (code === 'DISK_RESERVE_REACHED' && retriable && !indeterminate && (retryAfterMs ?? 0) > 0) return;
    this.#problem(`refused with ${code}, retriable ${retriable}, indeterminate ${indeterminate}`);
  }

  /** Everything is read back, and groups commit or are refused with a type. */
  async #worksWhileFull(topic: TopicBook): Promise<void> {
    await this.#lives.check('while full');
    try {
      const refused = await this.#lives.load.door.commit({ group: 'full', topic: topic.name, partition: 0, offset: 7 });
      const committed = await this.#lives.load.client.admin.fetchCommitted('full');
      if (refused === null && committed[0]?.offset !== 7) this.#problem('a commit while full was lost');
      if (refused?.indeterminate === true) this.#problem(`a commit while full is unknown: ${refused.code}`);
    } catch (error) {
      const { code, retriable } = asBrokerError(error);
      if (!retriable || code === 'UNAVAILABLE') this.#problem(`a commit while full failed with ${code}`);
    }
  }

  /** A record that waits in an idempotent producer gets through once the topic that fills the disk is deleted. */
  async #healsAfterDelete(topic: TopicBook): Promise<number> {
    const { client, topics } = this.#lives.load;
    const book = topics[0]?.partitions[0];
    if (book === undefined) throw new Error('there is a topic');
    const { record, value } = this.#lives.ledger.sending(book, writerId, 1_000);
    const producer = client.producer();
    const freeAgain = this.#freeBytes() + healedBytesMin;
    let waiting = true;
    const sent = producer.send('records', { value, partition: 0 }).then(
      ({ offset }) => this.#lives.ledger.acknowledged(book, record, offset),
      (error: unknown) => this.#problem(`the waiting record failed: ${asBrokerError(error).message}`),
    );
    void sent.finally(() => (waiting = false));
    topic.state = 'doubtful';
    await client.admin.deleteTopic(topic.name);
    topic.state = 'deleted';
    const deletedAt = performance.now();
    if (!(await until(() => !waiting && this.#freeBytes() > freeAgain, healMsMax))) {
      this.#problem(
        `nothing gets through ${healMsMax} ms x ${patience().toFixed(1)} after the delete, ${this.#freeBytes()} bytes are free`,
      );
    }
    const healMs = Math.round(performance.now() - deletedAt);
    producer.abandon();
    await sent;
    return healMs;
  }

  /** A foreign file takes the rest, below the broker while it runs, and then it is started there. */
  async #startsOnFullDisk(): Promise<string> {
    const { load } = this.#lives;
    this.#takeTheRest();
    load.resume(); // commits and idempotent producers, on the last bytes and beyond them
    await wait(2_000);
    const survived = !this.#lives.broker.hasEnded;
    if (!survived) this.#checkEnd();
    await this.#lives.broker.kill();
    await load.pause();
    this.#takeTheRest();
    const broker = this.#lives.start();
    if (await broker.ready()) {
      await this.#lives.check('on a full disk');
      return survived ? 'survived,started' : 'ended,started';
    }
    const { code } = await broker.exited;
    if (code !== 1 || broker.said.length !== 1) this.#problem(`does not start, and says ${broker.said.length} lines`);
    return survived ? 'survived,refused' : 'ended,refused';
  }

  #checkEnd(): void {
    const { errors } = this.#lives.broker;
    if (errors.length !== 1) this.#problem(`it ended with ${errors.length} error lines`);
  }

  /** Every byte, whatever size the pieces have to be. */
  #takeTheRest(): void {
    const script = 'cat /dev/zero >> "$1" 2>/dev/null; sync "$1" 2>/dev/null; cat /dev/zero >> "$1" 2>/dev/null; true';
    execFileSync('sh', ['-c', script, 'sh', this.#filler]);
  }

  async #goesOnWhenFreed(topic: TopicBook): Promise<void> {
    rmSync(this.#filler);
    if (this.#lives.broker.hasEnded) await this.#lives.restart('after space was freed');
    else await this.#lives.check('after space was freed');
    topic.state = 'doubtful';
    await this.#lives.load.client.admin.deleteTopic(topic.name);
    topic.state = 'deleted';
    this.#lives.load.resume();
  }
}
