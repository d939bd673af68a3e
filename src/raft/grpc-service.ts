/**
 * The brokers' port: takes the streams that other brokers open, shakes hands with each, and hands on what comes. What is
 * malformed or does not belong there is dropped and counted, one frame at a time (reliability P74).
 */
import { Server, ServerCredentials, status as Status } from '@grpc/grpc-js';
import type { ServerDuplexStream, ServerOptions, ServiceDefinition } from '@grpc/grpc-js';
import type { Clock, Timer } from '../model/clock.ts';
import type { BrokerId, GroupNumber } from '../model/ids.ts';
import { PeerServiceService } from '../gen/sluice/internal/v1/peer.ts';
import type { BeatFrame } from './beat-frame.ts';
import type { Message } from './core/messages.ts';
import { ServedCalls } from './grpc-calls.ts';
import type { ReadFrame } from './grpc-frames.ts';
import { decodeFrame, encodeFrame } from './grpc-frames.ts';
import type { HandshakeContext } from './grpc-handshake.ts';
import { ResponderHandshake } from './grpc-handshake.ts';
import type { PeerLimits } from './grpc-limits.ts';
import type { Refusal } from './peer-admission.ts';
import type { PeerIdentity } from './peer-identity.ts';
import type { PeerLane, PeerObserver } from './peer-observer.ts';
import type { PeerHandler } from './peer-rpc.ts';
import type { NewerEntry } from './transport.ts';

/** The connections of a server, for its end. */
export interface ServerSessions {
  readonly connections: number;
  destroyAll(): void;
}

/** Why the brokers' port can not be served; `message` is one line that says what to do. */
export class PeerBindError extends Error {
  override readonly name = 'PeerBindError';
}

export interface PeerServerOptions {
  readonly handshake: HandshakeContext;
  readonly clock: Clock;
  readonly limits: PeerLimits;
  readonly observer: PeerObserver;
  /** Puts the HTTP/2 limits into force, which grpc-js can not (src/api/http2-windows.ts). */
  readonly tune: (server: Server, limits: PeerLimits) => ServerSessions;
  readonly handlers: ReadonlyMap<string, PeerHandler>;
  /** True: the store has so much to write that bulk is not read for a moment. */
  readonly isCongested: () => boolean;
  message(from: PeerIdentity, group: GroupNumber, message: Message): void;
  newerEntry(from: PeerIdentity, newer: NewerEntry): void;
  beat(from: PeerIdentity, frame: BeatFrame): void;
  /** A peer has proven who it is, on a stream that it opened. */
  admitted(peer: PeerIdentity): void;
  /** A stream of this broker has ended, and none is left that carries its beats. */
  silent(from: BrokerId): void;
  /** A handler of a request rejected: the process must end. */
  defect(error: unknown): void;
}

/** How long bulk is not read before congestion is looked at again, milliseconds. */
const congestedMs = 5;

const same = (bytes: Buffer): Buffer => bytes;
/** Frames are read and written as bytes, so that nothing that a peer sends can throw inside of grpc-js. */
const rawService = Object.fromEntries(
  Object.entries(PeerServiceService).map(([name, method]) => [
    name,
    {
      ...method,
      requestSerialize: same,
      requestDeserialize: same,
      responseSerialize: same,
      responseDeserialize: same,
    },
  ]),
) as unknown as ServiceDefinition;

type Stream = ServerDuplexStream<Buffer, Buffer>;

export class PeerServer {
  readonly #server: Server;
  readonly #sessions: ServerSessions;
  /** Streams of peers that have proven who they are. Bounded by connectionsMax x connectionStreamsMax. */
  readonly #streams = new Map<BrokerId, Set<IncomingStream>>();

  constructor(options: PeerServerOptions) {
    const { limits } = options;
    this.#server = new Server(serverOptions(limits));
    this.#sessions = options.tune(this.#server, limits);
    const accept = (lane: PeerLane) => (stream: Stream) => {
      new IncomingStream(stream, lane, options, this.#streams).start();
    };
    this.#server.addService(rawService, { bulk: accept('bulk'), beat: accept('beat'), call: accept('call') });
  }

  get connections(): number {
    return this.#sessions.connections;
  }

  /** Listens; resolves with the port, which differs from `port` if that is 0. Rejects with PeerBindError. */
  listen(host: string, port: number): Promise<number> {
    const address = `${host.includes(':') ? `[${host}]` : host}:${port}`;
    return new Promise((resolve, reject) => {
      this.#server.bindAsync(address, ServerCredentials.createInsecure(), (error, bound) => {
        if (error === null) resolve(bound);
        else reject(new PeerBindError(bindAdvice(address, error.message), { cause: error }));
      });
    });
  }

  /** This broker is somebody else by now: who opened a stream for calls before opens another one, and hears it. */
  identityChanged(): void {
    for (const stream of [...this.#streams.values()].flatMap((streams) => [...streams])) stream.renew();
  }

  close(): void {
    this.#server.forceShutdown();
    this.#sessions.destroyAll();
  }
}

/** One stream that a peer has opened. */
class IncomingStream {
  readonly #stream: Stream;
  readonly #lane: PeerLane;
  readonly #options: PeerServerOptions;
  readonly #streams: Map<BrokerId, Set<IncomingStream>>;
  readonly #handshake: ResponderHandshake;
  readonly #calls: ServedCalls;
  #phase: 'handshake' | 'remembering' | 'open' | 'ended' = 'handshake';
  #peer: PeerIdentity | null = null;
  #late: Timer | null = null;
  #paused: Timer | null = null;

  constructor(stream: Stream, lane: PeerLane, options: PeerServerOptions, streams: Map<BrokerId, Set<IncomingStream>>) {
    this.#stream = stream;
    this.#lane = lane;
    this.#options = options;
    this.#streams = streams;
    this.#handshake = new ResponderHandshake(options.handshake, lane);
    this.#calls = new ServedCalls(options.handlers, options.limits, (error) => {
      options.defect(error);
    });
  }

  start(): void {
    const { clock, limits } = this.#options;
    this.#late = clock.setTimer(limits.handshakeMs, () => {
      this.#refuse({ code: 'malformed', detail: `no handshake within ${limits.handshakeMs} ms` });
    });
    this.#stream.on('data', (bytes: Buffer) => {
      this.#data(bytes);
    });
    // whatever ends a stream, its peer opens the next one
    const gone = (): void => {
      this.#gone();
    };
    this.#stream.on('end', () => {
      this.#gone();
      this.#stream.end();
    });
    this.#stream.on('cancelled', gone);
    this.#stream.on('error', gone);
  }

  #data(bytes: Buffer): void {
    switch (this.#phase) {
      case 'open':
        this.#frame(bytes);
        return;
      case 'handshake':
        if (bytes.length <= this.#options.limits.handshakeBytesMax) this.#step(bytes);
        else this.#refuse({ code: 'malformed', detail: `a frame of a handshake has ${bytes.length} bytes` });
        return;
      case 'remembering':
        this.#refuse({ code: 'malformed', detail: 'a frame came before the handshake was over' });
        return;
      case 'ended':
    }
  }

  #step(bytes: Buffer): void {
    const step = this.#handshake.receive(bytes);
    switch (step.kind) {
      case 'send':
        this.#stream.write(step.frame);
        return;
      case 'refused':
        this.#refuse(step.refusal);
        return;
      case 'proven':
        this.#phase = 'remembering';
        step.remembered.then(
          (room) => {
            if (!room) this.#refuse({ code: 'limit-reached', detail: 'this broker remembers too many peers already' });
            else this.#open(step.peer.identity);
          },
          // the memory has reported its disk already
          () => {
            this.#refuse({ code: 'limit-reached', detail: 'this broker can not remember the peer' });
          },
        );
    }
  }

  #open(peer: PeerIdentity): void {
    if (this.#phase !== 'remembering') return;
    this.#late?.cancel();
    this.#phase = 'open';
    this.#peer = peer;
    const streams = this.#streams.get(peer.brokerId) ?? new Set();
    // a broker that was started again is not to be heard from its former life
    for (const other of streams) if (!other.isOf(peer)) other.#supersede();
    streams.add(this);
    this.#streams.set(peer.brokerId, streams);
    this.#stream.write(this.#handshake.welcome);
    this.#options.observer.admitted?.(peer.brokerId, this.#lane);
    this.#options.admitted(peer);
  }

  get lane(): PeerLane {
    return this.#lane;
  }

  /** Whether its peer is that very process. */
  isOf(peer: PeerIdentity): boolean {
    return this.#peer?.processNonce === peer.processNonce && this.#peer.incarnation === peer.incarnation;
  }

  /** What is carried out for it now stays without an answer. */
  renew(): void {
    if (this.#phase !== 'open' || this.#lane !== 'call') return;
    this.#gone();
    this.#stream.end();
  }

  #supersede(): void {
    this.#refuse({ code: 'old-boot', detail: 'a later start of this broker has come' });
  }

  #frame(bytes: Buffer): void {
    const { observer, handshake } = this.#options;
    const frame = decodeFrame(bytes);
    if (frame === null || this.#peer === null) {
      observer.dropped?.('malformed');
      return;
    }
    handshake.memory.noteCommit(this.#peer.incarnation, frame.durableCommit);
    this.#take(this.#peer, frame);
    if (this.#lane === 'bulk' && this.#paused === null && this.#options.isCongested()) this.#pause();
  }

  #take(peer: PeerIdentity, { content }: ReadFrame): void {
    const lane = this.#lane;
    if (content.kind === 'message' && lane !== 'call') {
      this.#options.message(peer, content.group, content.message);
    } else if (content.kind === 'messages' && lane !== 'call') {
      for (const { group, message } of content.messages) this.#options.message(peer, group, message);
      for (const newer of content.newer) this.#options.newerEntry(peer, newer);
      for (let n = content.unreadable; n > 0; n--) this.#options.observer.dropped?.('malformed');
    } else if (content.kind === 'beat' && lane === 'beat') {
      this.#options.beat(peer, content.frame);
    } else if (content.kind === 'commit-note' && lane === 'beat') {
      // the number was taken already
    } else if (content.kind === 'request' && lane === 'call') {
      this.#calls.serve(peer, content, (outcome, written) => {
        if (this.#phase !== 'open') return;
        const { durableCommit } = this.#options.handshake.own();
        this.#stream.write(encodeFrame({ kind: 'reply', id: content.id, outcome }, durableCommit), written);
      });
    } else {
      this.#options.observer.dropped?.('malformed');
    }
  }

  #pause(): void {
    this.#stream.pause();
    this.#paused = this.#options.clock.setTimer(congestedMs, () => {
      this.#paused = null;
      if (this.#options.isCongested()) this.#pause();
      else this.#stream.resume();
    });
  }

  /** Says why, and ends the stream. */
  #refuse(refusal: Refusal): void {
    if (this.#phase === 'ended') return;
    this.#options.observer.turnedAway?.(this.#stream.getPeer(), refusal);
    this.#stream.write(this.#handshake.refusal(refusal));
    this.#gone();
    // this is how a grpc-js handler ends a stream with a status
    this.#stream.emit('error', { code: Status.FAILED_PRECONDITION, details: refusal.detail });
  }

  #gone(): void {
    if (this.#phase === 'ended') return;
    this.#phase = 'ended';
    this.#late?.cancel();
    this.#paused?.cancel();
    if (this.#peer === null) return;
    const { brokerId } = this.#peer;
    const streams = this.#streams.get(brokerId);
    streams?.delete(this);
    if (streams?.size === 0) this.#streams.delete(brokerId);
    if (![...(streams ?? [])].some(({ lane }) => lane === 'beat')) this.#options.silent(brokerId);
  }
}

function serverOptions(limits: PeerLimits): ServerOptions {
  return {
    'grpc.enable_channelz': 0,
    'grpc.max_receive_message_length': limits.frameBytesMax,
    'grpc.max_send_message_length': -1,
    'grpc.max_concurrent_streams': limits.connectionStreamsMax,
    'grpc.keepalive_time_ms': limits.keepaliveMs,
    'grpc.keepalive_timeout_ms': limits.keepaliveTimeoutMs,
  };
}

function bindAdvice(address: string, why: string): string {
  if (why.includes('EADDRINUSE'))
    return `${address} is in use: stop what listens there, or choose another port (listen.broker.port)`;
  if (why.includes('EACCES')) return `${address} may not be used: choose a port above 1023 (listen.broker.port)`;
  if (why.includes('EADDRNOTAVAIL')) return `${address} is not an address of this machine (listen.broker.host)`;
  return `can not listen on ${address}: ${why} (listen.broker.host, listen.broker.port)`;
}
