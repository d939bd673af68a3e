/**
 * Topics of one hour and of endless retention, written side by side for a week, so that nearly every file of values holds
 * some of both. A week is simulated by scale: an hour takes `hourMs`, and the topics of one hour have that retention. The
 * process is the one that users run, with its own clock, store and sweep: a week whose hours pass faster asks more of it
 * than a real one, because retention looks once in an hour or two, not 120 times, and sweeps still come every 30 seconds,
 * which are many hours here.
 *
 * At every sample the disk must stay under 1.5 x the live bytes + 1 GB. Live is what retention promises to keep at that
 * moment and no more: acknowledged records of the endless topics, and those of the others that are not an hour old.
 */
import { randomBytes } from 'node:crypto';
import { readdirSync, statSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from '../../../clients/typescript/src/index.ts';
import { BrokerProcess, freePort } from '../broker/broker-process.ts';
import { until, wait } from '../broker/patience.ts';
import { newSeed, SeededChance } from '../durability/random.ts';
import type { CaseResult } from '../report.ts';

export interface Size {
  readonly hours: number;
  readonly hourMs: number;
  /** Written in all to the topics of endless retention, and to those of one hour. */
  readonly endlessBytes: number;
  readonly hourlyBytes: number;
  /** `retention.checkInterval`. */
  readonly checkInterval: string;
}

/** Of the bound, beside 1.5 x what is live. */
const slackBytes = 1e9;
/** A record and so a batch: what compresses would hide what is kept. */
const recordBytes = 60_000;
const noise = randomBytes(4 << 20);
const inFlightMax = 64;
const partitionsEach = 2;
const sampleMs = 500;
/** After the week: the time in which the disk has to come down, on an idle machine. */
const settleMsMax = 45_000;
/** What may be left then beside 1.4 x what is live: write-ahead files, and less garbage than a sweep is worth. */
const settledSlackBytes = 128 << 20;

export async function runInterleaved(size: Size): Promise<CaseResult> {
  const directory = await mkdtemp(join(tmpdir(), 'sluice-space-'));
  const port = await freePort();
  const settings = { 'retention.checkInterval': size.checkInterval, 'storage.ballastBytes': 0 };
  const broker = new BrokerProcess({ dataDir: directory, port, settings });
  const client = new Client({ brokers: `127.0.0.1:${port}` });
  try {
    if (!(await broker.ready())) throw new Error(`the broker is not ready: ${broker.lastWords}`);
    return await new Week(client, directory, size).run();
  } finally {
    await client.close().catch(() => undefined);
    await broker.kill();
    await rm(directory, { recursive: true, force: true });
  }
}

interface Written {
  readonly atMs: number;
  readonly bytes: number;
}

class Week {
  readonly #client: Client;
  readonly #directory: string;
  readonly #size: Size;
  readonly #chance = new SeededChance(newSeed());
  readonly #problems: string[] = [];
  #endlessBytes = 0;
  #hourlyBytes = 0;
  /** Acknowledged in the last hour, oldest first. */
  readonly #young: Written[] = [];
  #youngBytes = 0;
  #failures = 0;
  #samples = 0;
  #peakBytes = 0;
  /** The largest part of its bound that the disk reached. */
  #worst = 0;
  #ended = false;

  constructor(client: Client, directory: string, size: Size) {
    this.#client = client;
    this.#directory = directory;
    this.#size = size;
  }

  async run(): Promise<CaseResult> {
    const { hourMs } = this.#size;
    for (const [name, retentionMs] of [
      ['hourly-1', hourMs],
      ['hourly-2', hourMs],
      ['endless-1', null],
      ['endless-2', null],
    ] as const)
      // prettier-ignore
      await this.#client.admin.createTopic({ name, partitions: partitionsEach, config: { retentionMs } });
    const began = performance.now();
    const sampling = this.#sample();
    await this.#write();
    const tookMs = performance.now() - began;
    this.#ended = true;
    await sampling;
    const total = this.#endlessBytes + this.#hourlyBytes;
    const bound = 1.5 * this.#liveBytes + slackBytes;
    const hours = Math.round(tookMs / hourMs);
    const settledBytes = await this.#settle();
    await this.#readBack();
    if (this.#failures > 0) this.#problems.push(`${this.#failures} records were not acknowledged`);
    const gb = (bytes: number): string => (bytes / 1e9).toFixed(2);
    const figures = {
      hours,
      writtenGB: gb(total),
      endlessGB: gb(this.#endlessBytes),
      peakDiskGB: gb(this.#peakBytes),
      lastBoundGB: gb(bound),
      worstOfBound: this.#worst.toFixed(2),
      settledGB: gb(settledBytes),
      samples: this.#samples,
    };
    return { figures, problems: this.#problems };
  }

  /** Each hour its part, evenly to all topics; the next one begins when its time is over, or later if the disk is slow. */
  async #write(): Promise<void> {
    const { hours, hourMs, endlessBytes, hourlyBytes } = this.#size;
    const producer = this.#client.producer({ batch: { maxBytes: 64 * 1024 } });
    const open = new Set<Promise<void>>();
    const began = performance.now();
    for (let hour = 1; hour <= hours; hour++) {
      for (;;) {
        const isEndless = this.#endlessBytes / endlessBytes <= this.#hourlyBytes / hourlyBytes;
        const [written, planned] = isEndless ? [this.#endlessBytes, endlessBytes] : [this.#hourlyBytes, hourlyBytes];
        if (written >= (planned * hour) / hours) break;
        const n = written / recordBytes;
        const topic = `${isEndless ? 'endless' : 'hourly'}-${1 + (n % 2)}`;
        if (isEndless) this.#endlessBytes += recordBytes;
        else this.#hourlyBytes += recordBytes;
        const sent = this.#send(producer, topic, (n >> 1) % partitionsEach).finally(() => open.delete(sent));
        open.add(sent);
        if (open.size >= inFlightMax) await Promise.race(open);
      }
      await wait(Math.max(0, began + hour * hourMs - performance.now()));
    }
    await Promise.all(open);
    await producer.close();
  }

  async #send(producer: ReturnType<Client['producer']>, topic: string, partition: number): Promise<void> {
    try {
      await producer.send(topic, { value: this.#value(), partition });
      if (!topic.startsWith('hourly')) return;
      this.#young.push({ atMs: performance.now(), bytes: recordBytes });
      this.#youngBytes += recordBytes;
    } catch {
      this.#failures++;
    }
  }

  #value(): Uint8Array {
    const from = this.#chance.below(noise.length - recordBytes);
    return noise.subarray(from, from + recordBytes);
  }

  get #liveBytes(): number {
    const since = performance.now() - this.#size.hourMs;
    while ((this.#young[0]?.atMs ?? Infinity) < since) this.#youngBytes -= this.#young.shift()?.bytes ?? 0;
    return this.#endlessBytes + this.#youngBytes;
  }

  async #sample(): Promise<void> {
    while (!this.#ended) {
      const diskBytes = allocatedBytes(this.#directory);
      const bound = 1.5 * this.#liveBytes + slackBytes;
      this.#samples++;
      this.#peakBytes = Math.max(this.#peakBytes, diskBytes);
      this.#worst = Math.max(this.#worst, diskBytes / bound);
      if (diskBytes >= bound) this.#problems.push(`${diskBytes} bytes on the disk, the bound is ${Math.round(bound)}`);
      await wait(sampleMs);
    }
  }

  /** Nothing is written any more: what is not live has to go without new records that would push it. */
  async #settle(): Promise<number> {
    const bound = (): number => 1.45 * this.#liveBytes + settledSlackBytes;
    if (this.#endlessBytes + this.#hourlyBytes < bound()) this.#problems.push('keeping everything would have passed');
    if (!(await until(() => allocatedBytes(this.#directory) < bound(), settleMsMax))) {
      this.#problems.push(`${allocatedBytes(this.#directory)} bytes stay on the disk, ${this.#liveBytes} are live`);
    }
    return allocatedBytes(this.#directory);
  }

  /** The endless topics have every record; the others none, and start where they end. */
  async #readBack(): Promise<void> {
    // the disk may have come down before retention looked for the last time
    await until(async () => (await this.#notLetGo()).length === 0, settleMsMax);
    this.#problems.push(...(await this.#notLetGo()));
    let records = 0;
    for (const name of ['endless-1', 'endless-2']) {
      const { partitions } = await this.#client.admin.describeTopic(name);
      for (const { partition, logStartOffset, highWatermark } of partitions) {
        records += highWatermark ?? 0;
        if (logStartOffset !== 0) this.#problems.push(`${name}/${partition} starts at ${logStartOffset ?? '?'}, not 0`);
      }
    }
    const written = this.#endlessBytes / recordBytes;
    if (records !== written) this.#problems.push(`${records} records of ${written} are in the endless topics`);
  }

  /** Partitions of the hourly topics that do not start at their end. */
  async #notLetGo(): Promise<readonly string[]> {
    const topics = await Promise.all(['hourly-1', 'hourly-2'].map((name) => this.#client.admin.describeTopic(name)));
    return topics.flatMap(({ name, partitions }) =>
      partitions
        .filter(({ logStartOffset, highWatermark }) => logStartOffset === null || logStartOffset !== highWatermark)
        .map(({ partition, logStartOffset, highWatermark }) => {
          return `${name}/${partition} starts at ${logStartOffset ?? '?'}, not ${highWatermark ?? '?'}`;
        }),
    );
  }
}

/** What the directory takes on the disk. Files come and go while it is read. */
function allocatedBytes(directory: string): number {
  let bytes = 0;
  for (const entry of readdirSync(directory, { withFileTypes: true, recursive: true })) {
    if (!entry.isFile()) continue;
    const stat = statSync(join(entry.parentPath, entry.name), { throwIfNoEntry: false });
    bytes += (stat?.blocks ?? 0) * 512;
  }
  return bytes;
}
