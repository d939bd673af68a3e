/** The real server on a free port of the loopback, a fake broker behind it, and real clients in front. */
import { readFileSync } from 'node:fs';
import { once } from 'node:events';
import type { TestContext } from 'node:test';
import type { ClientDuplexStream, ClientOptions, ServiceError, status as GrpcStatus } from '@grpc/grpc-js';
import { credentials } from '@grpc/grpc-js';
import { defaultApiLimits } from '../../src/api/limits.ts';
import type { ApiLimits } from '../../src/api/limits.ts';
import { ApiServer } from '../../src/api/server.ts';
import { detailsTrailer } from '../../src/api/status.ts';
import type { BrokerApi } from '../../src/broker/requests.ts';
import { Status } from '../../src/gen/google/rpc/status.ts';
import { ErrorCode, ErrorDetail } from '../../src/gen/sluice/v1/error.ts';
import { ClusterServiceClient } from '../../src/gen/sluice/v1/cluster.ts';
import { GroupServiceClient } from '../../src/gen/sluice/v1/group.ts';
import { LogServiceClient } from '../../src/gen/sluice/v1/log.ts';
import { TopicServiceClient } from '../../src/gen/sluice/v1/topic.ts';
import { encodeBatch } from '../../src/model/batch-builder.ts';
import type { BatchSeal } from '../../src/model/batch-builder.ts';
import { toMillis } from '../../src/model/ids.ts';
import type { BatchCodecs } from '../../src/model/record-batch.ts';
import { batchLimits } from '../../src/model/record-batch.ts';
import type { NewRecord } from '../../src/model/record.ts';
import { createCompression } from '../../src/runtime/compression.ts';
import { crc32c } from '../../src/runtime/crc32c.ts';
import { realClock } from '../../src/runtime/real-clock.ts';

export const codecs: BatchCodecs = { compression: await createCompression(), crc32c };
export const descriptors = readFileSync(new URL('../../proto/sluice.binpb', import.meta.url));

export interface Rig {
  readonly server: ApiServer;
  readonly port: number;
  readonly address: string;
  readonly log: LogServiceClient;
  readonly topics: TopicServiceClient;
  readonly groups: GroupServiceClient;
  readonly cluster: ClusterServiceClient;
  /** What handlers threw; a test that expects none need not look: the rig fails it. */
  readonly defects: unknown[];
}

/** Everything is closed when the test ends, which fails if a handler threw and the test did not empty `defects`. */
export async function startRig(
  t: TestContext,
  broker: BrokerApi,
  limits: Partial<ApiLimits> = {},
  clientOptions: ClientOptions = {},
): Promise<Rig> {
  const defects: unknown[] = [];
  const server = new ApiServer({
    codecs,
    clock: realClock,
    limits: { ...defaultApiLimits, ...limits },
    descriptors,
    onDefect: (defect) => defects.push(defect),
  });
  const port = await server.listen('127.0.0.1', 0);
  server.serve(broker, { ready: true });
  const address = `127.0.0.1:${port}`;
  const open = <Client>(Kind: new (to: string, with_: typeof insecure, options: ClientOptions) => Client): Client =>
    new Kind(address, insecure, clientOptions);
  const insecure = credentials.createInsecure();
  const [log, topics, groups, cluster] = [
    open(LogServiceClient),
    open(TopicServiceClient),
    open(GroupServiceClient),
    open(ClusterServiceClient),
  ] as const;
  t.after(async () => {
    for (const client of [log, topics, groups, cluster]) client.close();
    await server.close(0);
    if (defects.length > 0) throw defects[0];
  });
  return { server, port, address, log, topics, groups, cluster, defects };
}

/** What an unary call answered: its value, or its refusal. */
export type Answer<T> =
  | { readonly kind: 'ok'; readonly value: T }
  | {
      readonly kind: 'error';
      readonly status: GrpcStatus;
      readonly detail: ErrorDetail | null;
      readonly error: ServiceError;
    };

/** Runs an unary call. */
export function call<T>(run: (reply: (error: ServiceError | null, value: T) => void) => unknown): Promise<Answer<T>> {
  return new Promise((resolve) => {
    run((error, value) =>
      resolve(
        error === null ? { kind: 'ok', value } : { kind: 'error', status: error.code, detail: detailOf(error), error },
      ),
    );
  });
}

/** The typed detail of a failed call; null: it has none. */
export function detailOf(error: ServiceError): ErrorDetail | null {
  const [envelope] = error.metadata.get(detailsTrailer);
  if (envelope === undefined) return null;
  const [detail] = Status.decode(envelope as Buffer).details;
  return detail === undefined ? null : ErrorDetail.decode(detail.value);
}

const codeNames = new Map<number, string>(Object.entries(ErrorCode).map(([name, value]) => [value, name]));

/** The code without its prefix, or what the call answered instead. */
export function codeOf(answer: Answer<unknown>): string {
  if (answer.kind === 'ok') return 'ok';
  return answer.detail === null ? `status ${answer.status}` : codeName(answer.detail);
}

export const codeName = (detail: ErrorDetail): string =>
  (codeNames.get(detail.code) ?? String(detail.code)).replace('ERROR_CODE_', '');

/** Messages of a stream, one at a time. */
export class Replies<T> {
  readonly #arrived: T[] = [];
  readonly #ended: Promise<ServiceError | null>;
  #wake: (() => void) | null = null;

  constructor(stream: ClientDuplexStream<never, T>) {
    stream.on('data', (reply: T) => {
      this.#arrived.push(reply);
      this.#wake?.();
    });
    this.#ended = new Promise((resolve) => {
      stream.on('error', (error: ServiceError) => resolve(error));
      stream.on('end', () => setImmediate(resolve, null));
    });
  }

  get count(): number {
    return this.#arrived.length;
  }

  async next(): Promise<T> {
    while (this.#arrived.length === 0)
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    return this.#arrived.shift()!;
  }

  async take(count: number): Promise<T[]> {
    const taken: T[] = [];
    while (taken.length < count) taken.push(await this.next());
    return taken;
  }

  /** How the stream ended: null for OK. */
  ended(): Promise<ServiceError | null> {
    return this.#ended;
  }
}

export const repliesOf = <T>(stream: ClientDuplexStream<never, T>): Replies<T> => new Replies(stream);

const plain: BatchSeal = { compression: 'none', producer: null };
const text = new TextEncoder();

export const record = (value: string, key: string | null = null, timestampMs = 1_700_000_000_000): NewRecord => ({
  key: key === null ? null : text.encode(key),
  value: text.encode(value),
  headers: [],
  timestampMs: toMillis(timestampMs),
});

/** An encoded batch of records. */
export function batchOf(
  records: readonly NewRecord[],
  seal: Partial<BatchSeal> = {},
  recordBytesMax = batchLimits.recordBytesMax,
): Uint8Array {
  const batch = encodeBatch({ ...plain, ...seal, records }, codecs, { recordBytesMax });
  if (batch.kind === 'refused') throw new Error(batch.error.message);
  return batch.value;
}

/** Waits until something is true; the test's own time-out is the limit. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 2));
}

export const eventOf = (emitter: NodeJS.EventEmitter, name: string): Promise<unknown[]> => once(emitter, name);
