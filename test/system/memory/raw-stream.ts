/**
 * A gRPC stream on a connection of its own, by hand over HTTP/2: what an abuser does that no gRPC library lets it do, such
 * as never reading, at a fraction of the memory and time of a library.
 */
import { connect as connectHttp2, type ClientHttp2Session, type ClientHttp2Stream } from 'node:http2';
import { connect as connectTcp } from 'node:net';

const frameHeaderBytes = 5;

export interface RawStreamOptions {
  readonly port: number;
  /** Where it comes from: an address of this machine, so that no limit of one address is met. */
  readonly from: string;
  readonly path: string;
  /** Told of each message; absent: nothing is ever read. */
  readonly onMessage?: (bytes: Buffer) => void;
  readonly onEnd: () => void;
}

export class RawStream {
  readonly #session: ClientHttp2Session;
  readonly #stream: ClientHttp2Stream;
  #ended = false;

  constructor({ port, from, path, onMessage, onEnd }: RawStreamOptions) {
    const end = (): void => {
      if (this.#ended) return;
      this.#ended = true;
      this.#session.destroy();
      onEnd();
    };
    const createConnection = (): ReturnType<typeof connectTcp> =>
      connectTcp({ port, host: '127.0.0.1', localAddress: from });
    this.#session = connectHttp2(`http://127.0.0.1:${port}`, { createConnection });
    for (const event of ['error', 'close', 'goaway']) this.#session.on(event, end);
    const headers = { ':method': 'POST', ':path': path, 'content-type': 'application/grpc', te: 'trailers' };
    this.#stream = this.#session.request(headers, { endStream: false });
    for (const event of ['error', 'close']) this.#stream.on(event, end);
    if (onMessage !== undefined) this.#stream.on('data', messagesOf(onMessage));
  }

  /** Bytes that were written and have not left. */
  get unsentBytes(): number {
    return this.#stream.writableLength;
  }

  write(frame: Buffer): void {
    if (!this.#ended) this.#stream.write(frame);
  }

  close(): void {
    this.#session.destroy();
  }
}

/** A message as it goes over the wire. */
export function framed(message: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(frameHeaderBytes + message.length);
  frame.writeUInt8(0, 0);
  frame.writeUInt32BE(message.length, 1);
  frame.set(message, frameHeaderBytes);
  return frame;
}

function messagesOf(take: (bytes: Buffer) => void): (chunk: Buffer) => void {
  let rest: Buffer = Buffer.alloc(0);
  return (chunk) => {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    while (rest.length >= frameHeaderBytes) {
      const end = frameHeaderBytes + rest.readUInt32BE(1);
      if (rest.length < end) return;
      take(rest.subarray(frameHeaderBytes, end));
      rest = rest.subarray(end);
    }
  };
}
