/**
 * What the client costs: the CPU of a process that only produces or only consumes through `@sluice/client`, for each record,
 * after it has warmed up. Also whether its memory stays what it is. Prints one JSON line.
 *
 *   --mode produce        sends without awaiting each record, as fast as there is room
 *   --mode batches        reads as a member of a group, batch by batch; `records`: record by record; `run`: by a handler
 *   --mode memory         produces and consumes at the same time
 */
import { setImmediate as turn } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import type { Client as ClientType, Consumer } from '../clients/typescript/src/index.ts';

/** As users have it: compiled by tsc, not on the fly, which would add to every closure. */
const built = new URL('../dist/clients/typescript/src/index.js', import.meta.url).href;
const { Client } = (await import(built)) as { readonly Client: typeof ClientType };

const { values: options } = parseArgs({
  options: {
    address: { type: 'string' },
    mode: { type: 'string' },
    topic: { type: 'string' },
    records: { type: 'string' },
    bytes: { type: 'string', default: '1024' },
  },
});
const { mode = '', topic = 'client', address = '127.0.0.1:9400' } = options;
const total = Number(options.records);
const valueBytes = Number(options.bytes);
/** Compiled and optimised by then. */
const warmUpShare = 0.2;
const warmUp = Math.floor(total * warmUpShare);
const samplesMax = 10;

await using client = new Client({ brokers: address });
await client.admin.createTopic({ name: topic, partitions: 4 }).catch((error: unknown) => {
  if (!String(error).includes('exists')) throw error;
});

/** Tells how far it is, and measures from the warm-up on. */
class Meter {
  readonly heaps: number[] = [];
  readonly residents: number[] = [];
  #count = 0;
  #cpu: NodeJS.CpuUsage | null = null;
  #startedMs = 0;

  /** True: everything is done. */
  add(count: number): boolean {
    const before = this.#count;
    this.#count += count;
    if (this.#cpu === null && this.#count >= warmUp) {
      this.#cpu = process.cpuUsage();
      this.#startedMs = performance.now();
    }
    const [from, to] = [before, this.#count].map((each) => Math.floor((each * samplesMax) / total));
    if (from !== to && mode === 'memory') {
      globalThis.gc?.();
      const { heapUsed, arrayBuffers, rss } = process.memoryUsage();
      this.heaps.push(heapUsed + arrayBuffers);
      this.residents.push(rss);
    }
    return this.#count >= total;
  }

  figures(): object {
    const { user, system } = process.cpuUsage(this.#cpu ?? undefined);
    const measured = this.#count - warmUp;
    const seconds = (performance.now() - this.#startedMs) / 1_000;
    return {
      microsPerRecord: (user + system) / measured,
      recordsPerSecond: measured / seconds,
      heapMebibytes: this.heaps.map((bytes) => bytes / (1 << 20)),
      residentMebibytes: this.residents.map((bytes) => bytes / (1 << 20)),
    };
  }
}

async function produce(meter: Meter | null): Promise<void> {
  await using producer = client.producer();
  const value = new Uint8Array(valueBytes).map((_, at) => (at * 31) & 0xff);
  for (let n = 0; n < total; n++) {
    if (producer.isFull) await producer.room();
    void producer.send(topic, { value });
    if (meter !== null) meter.add(1);
    if (n % 256 === 255) await turn(); // as between the requests of a server
  }
  await producer.flush();
}

async function consume(by: string, meter: Meter): Promise<void> {
  const consumer: Consumer = client.consumer({
    group: `${by}-${process.pid}`,
    topics: [topic],
    onNoOffset: 'earliest',
  });
  if (by === 'run') {
    let isDone = (): void => undefined;
    const done = new Promise<void>((resolve) => (isDone = resolve));
    const running = consumer.run(
      () => {
        if (meter.add(1)) isDone();
      },
      { concurrency: 16, orderBy: 'none' },
    );
    await Promise.race([done, running]);
    await consumer.close();
    await running;
  } else if (by === 'records') {
    for await (const record of consumer) if (record.value !== null && meter.add(1)) break;
  } else for await (const batch of consumer.batches()) if (meter.add(batch.records.length)) break;
}

const meter = new Meter();
if (mode === 'produce') await produce(meter);
else if (mode === 'memory') await Promise.all([produce(null), consume('batches', meter)]);
else await consume(mode, meter);
console.log(JSON.stringify(meter.figures()));
