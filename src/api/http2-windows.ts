/**
 * What grpc-js does not let a server do: set HTTP/2 receive windows, the size of headers and the number of connections,
 * and cut off a caller that does not take in its answer. With the 64 KiB windows that Node starts with, a stream of 64 KiB messages does a third of what it does with 1 MiB
 * (design D16). This is the only file that touches private state of grpc-js (1.14), and it says so if that changes:
 * `Server.commonServerOptions`, the options of the http2 servers that it makes, `Server.createHttp2Server`, which makes
 * them, and the http2 stream under a call. It goes when grpc-js reads `grpc-node.flow_control_window` on servers too (grpc-node issue 3058).
 */
import { constants } from 'node:http2';
import type { Http2Server, ServerHttp2Session, ServerHttp2Stream, ServerOptions } from 'node:http2';
import type { Server, ServerCredentials } from '@grpc/grpc-js';
import type { ApiLimits } from './limits.ts';

/** What is put into force here; the brokers' port has the same limits under the same names (src/raft/grpc-limits.ts). */
export type Http2Limits = Pick<
  ApiLimits,
  | 'connectionsMax'
  | 'connectionsPerAddressMax'
  | 'headerBytesMax'
  | 'streamWindowBytes'
  | 'connectionWindowBytes'
  | 'receiveWindowBytesMax'
>;

/** What every HTTP/2 connection starts with (RFC 9113, 6.9.2); it can not be made smaller. */
const connectionWindowBytesDefault = 65_535;

interface PrivateServer {
  commonServerOptions?: ServerOptions;
  createHttp2Server?: (credentials: ServerCredentials) => Http2Server;
}

interface PrivateCall {
  readonly call?: { readonly stream?: ServerHttp2Stream };
}

/** The connections of a server and the windows in force. */
export class Http2Sessions {
  readonly #limits: Http2Limits;
  /** Window that each connection was given. Invariant: `windowBytes` is the sum of the values. */
  readonly #windows = new Map<ServerHttp2Session, number>();
  readonly #perAddress = new Map<string, number>();
  #windowBytes = 0;
  #refused = 0;

  constructor(limits: Http2Limits) {
    this.#limits = limits;
  }

  get connections(): number {
    return this.#windows.size;
  }

  /** Receive windows of all connections together. */
  get windowBytes(): number {
    return this.#windowBytes;
  }

  /** Connections that were closed because of `connectionsPerAddressMax` so far. */
  get refusedConnections(): number {
    return this.#refused;
  }

  /** The connection windows in force, as the HTTP/2 library reports them. */
  windowsInForce(): readonly number[] {
    return [...this.#windows.keys()].map((session) => session.state.effectiveLocalWindowSize ?? 0);
  }

  /** Ends all connections and whatever runs on them. grpc-js's own forceShutdown forgets them while channelz is off. */
  destroyAll(): void {
    for (const session of this.#windows.keys()) session.destroy(undefined, constants.NGHTTP2_CANCEL);
  }

  opened(session: ServerHttp2Session): void {
    const address = session.socket.remoteAddress ?? 'unknown';
    const fromAddress = (this.#perAddress.get(address) ?? 0) + 1;
    if (fromAddress > this.#limits.connectionsPerAddressMax) {
      this.#refused += 1;
      session.destroy(undefined, constants.NGHTTP2_ENHANCE_YOUR_CALM);
      return;
    }
    this.#perAddress.set(address, fromAddress);
    this.#giveWindow(session);
    session.once('close', () => this.#closed(session, address));
  }

  #giveWindow(session: ServerHttp2Session): void {
    const { connectionWindowBytes, receiveWindowBytesMax } = this.#limits;
    const affordable = this.#windowBytes + connectionWindowBytes <= receiveWindowBytesMax;
    const window = affordable
      ? Math.max(connectionWindowBytes, connectionWindowBytesDefault)
      : connectionWindowBytesDefault;
    if (window !== connectionWindowBytesDefault) session.setLocalWindowSize(window);
    this.#windows.set(session, window);
    this.#windowBytes += window;
  }

  #closed(session: ServerHttp2Session, address: string): void {
    this.#windowBytes -= this.#windows.get(session) ?? 0;
    this.#windows.delete(session);
    const left = (this.#perAddress.get(address) ?? 1) - 1;
    if (left === 0) this.#perAddress.delete(address);
    else this.#perAddress.set(address, left);
  }
}

/** Puts the limits into force for every port that `server` binds from now on. Throws if grpc-js is not as expected. */
export function tuneHttp2(server: Server, limits: Http2Limits): Http2Sessions {
  const inner = server as unknown as PrivateServer;
  const { commonServerOptions, createHttp2Server } = inner;
  if (typeof commonServerOptions !== 'object' || typeof createHttp2Server !== 'function')
    throw new Error(
      'this version of @grpc/grpc-js has no commonServerOptions or createHttp2Server: see http2-windows.ts',
    );
  commonServerOptions.settings = {
    ...commonServerOptions.settings,
    initialWindowSize: limits.streamWindowBytes,
    maxHeaderListSize: limits.headerBytesMax,
  };
  const sessions = new Http2Sessions(limits);
  inner.createHttp2Server = (credentials) => {
    const http2Server = createHttp2Server.call(server, credentials);
    http2Server.maxConnections = limits.connectionsMax;
    http2Server.on('session', (session) => sessions.opened(session));
    return http2Server;
  };
  return sessions;
}

/**
 * Resets the stream of a call, whatever is still to be written on it; the call then hears that it is cancelled. Other
 * calls of the connection go on. (grpc-js can only end a call behind what it has written.)
 */
export function cutStream(call: object): void {
  const { call: inner } = call as PrivateCall;
  inner?.stream?.close(constants.NGHTTP2_ENHANCE_YOUR_CALM);
}
