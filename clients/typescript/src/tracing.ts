/**
 * Channels of node:diagnostics_channel, for tracing and metrics. They cost next to nothing while nobody subscribes. Each is
 * a tracing channel: `tracing:sluice:rpc:start`, `:end`, `:asyncStart`, `:asyncEnd` and `:error`, with the context below as
 * the message, to which Node adds `result` or `error`.
 */
import { tracingChannel } from 'node:diagnostics_channel';
import type { TracingChannel } from 'node:diagnostics_channel';
import type { InRecord, OutRecord } from './record.ts';

/** `sluice:produce`: one call of `send`, from the call to the acknowledgement. */
export interface ProduceTrace {
  readonly topic: string;
  /** What is sent. A subscriber of `start` may replace it, for example to add a `traceparent` header. */
  record: OutRecord<unknown, unknown>;
}

/** `sluice:fetch`: one message of a broker, while the client takes it in. */
export interface FetchTrace {
  readonly broker: string;
  readonly partitions: number;
  readonly bytes: number;
}

/** `sluice:process`: one attempt of a handler of `run`. */
export interface ProcessTrace {
  readonly group: string;
  readonly record: InRecord<unknown, unknown>;
  /** From 1. */
  readonly attempt: number;
}

/** `sluice:commit`: one request that commits offsets. */
export interface CommitTrace {
  readonly group: string;
  readonly offsets: readonly { readonly topic: string; readonly partition: number; readonly offset: number }[];
}

/** `sluice:rpc`: one attempt of a unary call. */
export interface RpcTrace {
  readonly broker: string;
  /** For example `/sluice.v1.GroupService/Commit`. */
  readonly method: string;
}

const channel = <Context extends object>(name: string): TracingChannel<string, Context> =>
  tracingChannel<string, Context>(`sluice:${name}`);

export const channels = {
  produce: channel<ProduceTrace>('produce'),
  fetch: channel<FetchTrace>('fetch'),
  process: channel<ProcessTrace>('process'),
  commit: channel<CommitTrace>('commit'),
  rpc: channel<RpcTrace>('rpc'),
} as const;

/** Does the work, traced if somebody listens; the context is made only then. */
export function traced<Context extends object, T>(
  channel: TracingChannel<string, Context>,
  contextOf: () => Context,
  work: () => Promise<T>,
): Promise<T> {
  return channel.hasSubscribers ? channel.tracePromise(work, contextOf()) : work();
}
