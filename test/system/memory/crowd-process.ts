/** The process of a crowd: it begins when it is told what to do, and goes on until it is killed. */
import { randomBytes } from 'node:crypto';
import { Acks, FetchFormat, FetchStreamRequest, ProduceStreamRequest } from '../../../src/gen/sluice/v1/log.ts';
import { ProduceStreamResponse } from '../../../src/gen/sluice/v1/log.ts';
import { ErrorCode } from '../../../src/gen/sluice/v1/error.ts';
import { Compression } from '../../../src/gen/sluice/v1/record.ts';
import { encodeBatch } from '../../../src/model/batch-builder.ts';
import { toMillis } from '../../../src/model/ids.ts';
import { createCompression } from '../../../src/runtime/compression.ts';
import { crc32c } from '../../../src/runtime/crc32c.ts';
import type { Crowd, CrowdMessage, CrowdOrder, CrowdTally } from './crowd.ts';
import { framed, RawStream } from './raw-stream.ts';

const valueBytes = 64 * 1024;
const grantBytes = 64 << 20;
const messageBytes = 4 << 20;
const tickMs = 20;
/** A client has a buffer too; what does not fit there was pushed in vain. */
const unsentBytesMax = 1 << 20;
const reopenMs = 1_000;
/** Connections that are opened in one turn, so that opening is no load of its own. */
const openedPerTick = 20;
/** Each kind has addresses of its own: a broker takes so many connections from one. */
const readersFrom = '127.0.0.2';
const producersFrom = '127.0.0.3';
const defaultRetryMs = 100;
const codeNames = new Map<number, string>(
  Object.entries(ErrorCode).map(([name, code]) => [code, name.slice('ERROR_CODE_'.length)]),
);

const tally: CrowdTally = { opened: 0, cut: 0, sent: 0, acked: 0, heldBack: 0, broken: 0, errors: {} };
const say = (message: CrowdMessage): void => void process.send?.(message);

interface Producer {
  stream: RawStream | null;
  restsUntilMs: number;
}

function openReader({ port, history }: Crowd, nth: number): void {
  const partitions = Array.from({ length: history.partitions }, (_, partition) => ({
    topic: history.topic,
    partition,
    fetchOffset: 0n,
  }));
  // half of them have the broker decode what it can not send
  const format = nth % 2 === 0 ? FetchFormat.FETCH_FORMAT_RECORDS : FetchFormat.FETCH_FORMAT_RECORD_BATCHES;
  const start = { partitions, format, grantBytes, maxBytes: messageBytes };
  const request = FetchStreamRequest.encode({ action: { $case: 'start', value: start } }).finish();
  const open = (): void => {
    tally.opened++;
    const onEnd = (): void => {
      tally.cut++;
      setTimeout(open, reopenMs);
    };
    new RawStream({ port, from: readersFrom, path: '/sluice.v1.LogService/FetchStream', onEnd }).write(framed(request));
  };
  open();
}

function openProducer(crowd: Crowd, producer: Producer): void {
  const { port, obeys } = crowd;
  const onMessage = (bytes: Buffer): void => {
    const { result } = ProduceStreamResponse.decode(bytes);
    if (result?.$case !== 'error') {
      tally.acked++;
      return;
    }
    const code = codeNames.get(result.value.code) ?? String(result.value.code);
    tally.errors[code] = (tally.errors[code] ?? 0) + 1;
    if (obeys) producer.restsUntilMs = performance.now() + Number(result.value.retryAfterMs ?? defaultRetryMs);
  };
  const onEnd = (): void => {
    tally.broken++;
    producer.stream = null;
    setTimeout(() => openProducer(crowd, producer), reopenMs);
  };
  const path = '/sluice.v1.LogService/ProduceStream';
  producer.stream = new RawStream({ port, from: producersFrom, path, onMessage, onEnd });
}

/** One batch for each partition, to be sent again and again. */
async function framesFor({ flood }: Crowd): Promise<readonly Buffer[]> {
  const codecs = { compression: await createCompression(), crc32c };
  return Array.from({ length: flood.partitions }, (_, partition) => {
    const record = { key: null, value: randomBytes(valueBytes), headers: [], timestampMs: toMillis(Date.now()) };
    const batch = encodeBatch({ records: [record], compression: 'none', producer: null }, codecs);
    if (batch.kind === 'refused') throw new Error(batch.error.message);
    const produce = {
      topic: flood.topic,
      partition,
      payload: { $case: 'recordBatch' as const, value: batch.value },
      acks: Acks.ACKS_ALL,
      compression: Compression.COMPRESSION_NONE,
    };
    return framed(ProduceStreamRequest.encode({ correlationId: 1n, produce }).finish());
  });
}

async function begin(crowd: Crowd): Promise<void> {
  const frames = await framesFor(crowd);
  const producers: Producer[] = [];
  let readers = 0;
  let turn = 0;
  const startMs = performance.now();
  let pushed = 0;
  setInterval(() => {
    for (let n = 0; n < openedPerTick && readers < crowd.neverReaders; n++) openReader(crowd, readers++);
    for (let n = 0; n < openedPerTick && producers.length < crowd.producers; n++) {
      const producer = { stream: null, restsUntilMs: 0 };
      producers.push(producer);
      openProducer(crowd, producer);
    }
    const now = performance.now();
    const due = Math.floor(((now - startMs) / 1_000) * (crowd.pushBytesPerSecond / valueBytes));
    for (; pushed < due; pushed++) {
      const producer = producers[turn % producers.length];
      const frame = frames[turn % frames.length];
      turn++;
      const stream = producer === undefined || producer.restsUntilMs > now ? null : producer.stream;
      if (stream === null || stream.unsentBytes >= unsentBytesMax || frame === undefined) {
        tally.heldBack++;
        continue;
      }
      stream.write(frame);
      tally.sent++;
    }
  }, tickMs);
}

process.on('message', (order: CrowdOrder) => {
  if (order.kind === 'tell') say({ kind: 'tally', tally });
  else void begin(order.crowd);
});
process.on('disconnect', () => process.exit());
say({ kind: 'ready' });
