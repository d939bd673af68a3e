import type { ServerDuplexStream } from '@grpc/grpc-js';

interface ReadableState {
  highWaterMark?: number;
}

/**
 * Lets a stream read at most one message ahead of its handler. grpc-js opens its streams with Node's default of 16
 * messages, which a paused stream still fills: 64 MiB of requests that no limit of ours would see. Node has no public way
 * to change it afterwards; where this one is gone the stream is as grpc-js made it, and test/api/produce-stream.test.ts
 * says so.
 */
export function readOneAhead(call: ServerDuplexStream<unknown, unknown>): void {
  const { _readableState: state } = call as unknown as { readonly _readableState?: ReadableState };
  if (typeof state?.highWaterMark === 'number') state.highWaterMark = 1;
}
