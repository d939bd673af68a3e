/**
 * The load of the broker's benchmarks: batches that were encoded beforehand, sent over one gRPC stream, so that what is
 * measured is the broker and not the client's batching. Runs in a process of its own and prints one JSON line.
 */
import * as grpc from '@grpc/grpc-js';
import { parseArgs } from 'node:util';
import { crc32c } from '../src/runtime/crc32c.ts';
import { createCompression } from '../src/runtime/compression.ts';
import { encodeBatch } from '../src/model/batch-builder.ts';
import { toMillis } from '../src/model/ids.ts';
import {
  Acks,
  FetchFormat,
  FetchStreamRequest,
  FetchStreamResponse,
  LogServiceService,
  ProduceRequest,
  ProduceResponse,
  ProduceStreamRequest,
  ProduceStreamResponse,
} from '../src/gen/sluice/v1/log.ts';
import { Compression } from '../src/gen/sluice/v1/record.ts';
import { TopicServiceClient } from '../src/gen/sluice/v1/topic.ts';
import type { PartitionDescription } from '../src/gen/sluice/v1/topic.ts';

const { values: options } = parseArgs({
  options: {
    address: { type: 'string' },
    mode: { type: 'string' },
    topic: { type: 'string' },
    partitions: { type: 'string', default: '4' },
    replicas: { type: 'string' },
    megabytes: { type: 'string', default: '1024' },
    inflight: { type: 'string', default: '64' },
    calls: { type: 'string', default: '20000' },
  },
});
/** Of one broker, or of all brokers, separated by commas: then each partition's batches go to its leader. */
const addresses = (options.address ?? '127.0.0.1:9400').split(',');
const address = addresses[0] ?? '';
const topic = options.topic ?? 'bench';
const partitions = Number(options.partitions);
const bytesTotal = Number(options.megabytes) * 1e6;
const credentials = grpc.credentials.createInsecure();
const channel = {
  'grpc.max_receive_message_length': 8 << 20,
  'grpc.enable_channelz': 0,
  'grpc-node.flow_control_window': 2 << 20,
};
const buffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
const recordsPerBatch = 63;

async function batchOf(records: number, valueBytes: number): Promise<Uint8Array> {
  const compression = await createCompression();
  const value = new Uint8Array(valueBytes).map((_, at) => (at * 31) & 0xff);
  const encoded = encodeBatch(
    {
      records: Array.from({ length: records }, () => ({
        timestampMs: toMillis(Date.now()),
        key: null,
        value,
        headers: [],
      })),
      producer: null,
      compression: 'none',
    },
    { compression, crc32c },
  );
  if (encoded.kind === 'refused') throw new Error(encoded.error.message);
  return encoded.value;
}

function createTopic(): Promise<void> {
  const client = new TopicServiceClient(address, credentials, channel);
  return new Promise((resolve, reject) => {
    client.createTopic({ name: topic, partitions, replicationFactor: undefined, config: undefined }, (error) => {
      client.close();
      if (error !== null && error.code !== grpc.status.ALREADY_EXISTS) reject(error);
      else resolve();
    });
  });
}

/** Where each partition is led, by partition; waits until all are. */
async function leaders(): Promise<readonly string[]> {
  if (addresses.length === 1) return Array.from({ length: partitions }, () => address);
  for (;;) {
    // the addresses are given by broker id
    const led = (await describeTopic()).map(({ leader }) => (leader === undefined ? undefined : addresses[leader]));
    const known = led.filter((at) => at !== undefined);
    if (known.length === partitions) return known;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

function describeTopic(): Promise<readonly PartitionDescription[]> {
  const client = new TopicServiceClient(address, credentials, channel);
  return new Promise((resolve, reject) => {
    client.describeTopic({ name: topic }, (error, reply) => {
      client.close();
      if (error !== null) reject(error);
      else resolve(reply.topic?.partitions ?? []);
    });
  });
}

async function produceStream(): Promise<object> {
  const batch = await batchOf(recordsPerBatch, 1024);
  const bodies = Array.from({ length: partitions }, (_, partition) =>
    ProduceRequest.encode({
      topic,
      topicId: undefined,
      partition,
      routingKey: undefined,
      payload: { $case: 'recordBatch', value: batch },
      acks: Acks.ACKS_ALL,
      producer: undefined,
      compression: Compression.COMPRESSION_NONE,
      timeoutMs: undefined,
    }).finish(),
  );
  const total = Math.ceil(bytesTotal / batch.byteLength);
  const inflightMax = Number(options.inflight);
  let byLeader = await bodiesByLeader(bodies);
  const started = process.hrtime.bigint();
  const startCpu = process.cpuUsage();
  let acknowledged = 0;
  let leaderChanges = 0;
  for (;;) {
    const share = (of: number, led: readonly Uint8Array[]): number => Math.ceil((of * led.length) / partitions);
    const rest = total - acknowledged;
    const pumps = [...byLeader].map(([leader, led]) => pump(leader, led, share(rest, led), share(inflightMax, led)));
    for (const { answered, refusal } of await Promise.all(pumps)) {
      acknowledged += answered;
      if (refusal !== null && addresses.length === 1) throw new Error(`refused: ${refusal}`);
      if (refusal !== null) leaderChanges += 1;
    }
    if (acknowledged >= total) break;
    // a leader was lost, as it happens on a machine that is too busy: what has no answer is sent again to the next one
    byLeader = await bodiesByLeader(bodies);
  }
  const bytes = acknowledged * batch.byteLength;
  return { ...figures(started, startCpu, bytes, acknowledged * recordsPerBatch), leaderChanges };
}

async function bodiesByLeader(bodies: readonly Uint8Array[]): Promise<ReadonlyMap<string, readonly Uint8Array[]>> {
  const byLeader = new Map<string, Uint8Array[]>();
  for (const [partition, leader] of (await leaders()).entries())
    byLeader.set(leader, [...(byLeader.get(leader) ?? []), ...bodies.slice(partition, partition + 1)]);
  return byLeader;
}

interface Pumped {
  /** Requests that were acknowledged. */
  readonly answered: number;
  /** What ended it before all were; null: all are. */
  readonly refusal: string | null;
}

/** Sends `total` requests over one stream, in turn those of `bodies`, until all are answered or one is refused. */
async function pump(to: string, bodies: readonly Uint8Array[], total: number, inflightMax: number): Promise<Pumped> {
  const client = new grpc.Client(to, credentials, channel);
  const pumped = await new Promise<Pumped>((resolve, reject) => {
    const stream = client.makeBidiStreamRequest<number, ProduceStreamResponse>(
      LogServiceService.produceStream.path,
      (id) => {
        const head = ProduceStreamRequest.encode({ correlationId: BigInt(id), produce: undefined }).finish();
        const body = bodies[id % bodies.length] ?? new Uint8Array();
        const tag = [0x12];
        for (let rest = body.byteLength; ; rest >>>= 7) {
          tag.push(rest > 127 ? (rest & 127) | 128 : rest);
          if (rest <= 127) break;
        }
        return Buffer.concat([head, Uint8Array.from(tag), body]);
      },
      (bytes) => ProduceStreamResponse.decode(bytes),
    );
    let sent = 0;
    let answered = 0;
    const more = (): void => {
      while (sent < total && sent - answered < inflightMax) {
        sent += 1;
        stream.write(sent);
      }
    };
    stream.on('data', (reply: ProduceStreamResponse) => {
      if (reply.result?.$case !== 'produced') {
        const told = JSON.stringify(reply.result, (_, v: unknown) => (typeof v === 'bigint' ? String(v) : v));
        resolve({ answered, refusal: told });
        stream.cancel();
        return;
      }
      answered += 1;
      if (answered === total) {
        stream.end();
        resolve({ answered, refusal: null });
      } else more();
    });
    stream.on('error', reject);
    more();
  });
  client.close();
  return pumped;
}

async function produceUnary(): Promise<object> {
  const client = new grpc.Client(address, credentials, channel);
  const batch = await batchOf(1, 1024);
  const method = LogServiceService.produce;
  const total = Number(options.calls);
  const bodies = Array.from({ length: partitions }, (_, partition) =>
    buffer(
      ProduceRequest.encode({
        topic,
        topicId: undefined,
        partition,
        routingKey: undefined,
        payload: { $case: 'recordBatch', value: batch },
        acks: Acks.ACKS_ALL,
        producer: undefined,
        compression: Compression.COMPRESSION_NONE,
        timeoutMs: undefined,
      }).finish(),
    ),
  );
  const started = process.hrtime.bigint();
  const startCpu = process.cpuUsage();
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < total) {
      const body = bodies[next++ % partitions] ?? Buffer.alloc(0);
      await new Promise<void>((resolve, reject) => {
        client.makeUnaryRequest<Buffer, ProduceResponse>(
          method.path,
          (bytes) => bytes,
          (bytes) => ProduceResponse.decode(bytes),
          body,
          (error) => {
            if (error === null) resolve();
            else reject(new Error(error.message));
          },
        );
      });
    }
  };
  await Promise.all(Array.from({ length: Number(options.inflight) }, worker));
  client.close();
  return { ...figures(started, startCpu, total * batch.byteLength, total), callsPerSecond: total / seconds(started) };
}

async function fetchStream(): Promise<object> {
  const client = new grpc.Client(address, credentials, channel);
  const method = LogServiceService.fetchStream;
  const started = process.hrtime.bigint();
  const startCpu = process.cpuUsage();
  let bytes = 0;
  // reads the same filled partitions again and again, each time over a new stream, until enough was read
  while (bytes < bytesTotal) bytes += await drainOnce(client, method.path);
  client.close();
  return figures(started, startCpu, bytes, Math.floor((bytes / 65_536) * recordsPerBatch));
}

function drainOnce(client: grpc.Client, path: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const stream = client.makeBidiStreamRequest<FetchStreamRequest, FetchStreamResponse>(
      path,
      (request) => buffer(FetchStreamRequest.encode(request).finish()),
      (reply) => FetchStreamResponse.decode(reply),
    );
    let bytes = 0;
    const done = new Set<number>();
    stream.on('data', (reply: FetchStreamResponse) => {
      for (const part of reply.partitions) {
        if (part.error !== undefined) reject(new Error(part.error.message));
        if (part.payload?.$case === 'recordBatches') bytes += part.payload.value.byteLength;
        if (part.nextOffset !== undefined && part.nextOffset === part.highWatermark) done.add(part.partition);
      }
      if (done.size === partitions) {
        stream.cancel();
        resolve(bytes);
      } else stream.write({ action: { $case: 'grantBytes', value: Math.max(1, reply.usedBytes) } });
    });
    stream.on('error', (error: grpc.ServiceError) => {
      if (error.code !== grpc.status.CANCELLED) reject(error);
    });
    stream.write({
      action: {
        $case: 'start',
        value: {
          partitions: Array.from({ length: partitions }, (_, partition) => ({
            topic,
            topicId: undefined,
            partition,
            fetchOffset: 0n,
            leaderEpoch: undefined,
            maxBytes: undefined,
          })),
          format: FetchFormat.FETCH_FORMAT_RECORD_BATCHES,
          grantBytes: 16 << 20,
          maxBytes: 1 << 20,
        },
      },
    });
  });
}

const seconds = (started: bigint): number => Number(process.hrtime.bigint() - started) / 1e9;

function figures(started: bigint, startCpu: NodeJS.CpuUsage, bytes: number, records: number): object {
  const elapsed = seconds(started);
  const cpu = process.cpuUsage(startCpu);
  return {
    seconds: elapsed,
    megabytesPerSecond: bytes / 1e6 / elapsed,
    recordsPerSecond: records / elapsed,
    clientCpuSecondsPerGigabyte: (cpu.user + cpu.system) / 1e6 / (bytes / 1e9),
  };
}

const modes: Record<string, () => Promise<object>> = {
  'produce-stream': produceStream,
  'produce-unary': produceUnary,
  'fetch-stream': fetchStream,
};
const run = modes[options.mode ?? ''];
if (run === undefined) throw new Error(`--mode is one of ${Object.keys(modes).join(', ')}`);
await createTopic();
process.stdout.write(JSON.stringify(await run()) + '\n');
process.exit(0);
