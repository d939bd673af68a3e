/**
 * One stream to one peer, on a connection of its own: connects, shakes hands, writes what waits, and begins again when it
 * breaks. Nothing waits for it and nothing throws: what can not be sent is dropped, and whoever wanted it sent is told.
 *
 * Invariants:
 * - link-1: bytes of what was taken by `send` and is neither written nor dropped: `unsentBytes`, at most
 *   `unsentBytesMax` (one item always finds room).
 * - link-2: nothing but the handshake is written before the peer has proven the secret and is remembered durably.
 */
import { Client, Metadata, credentials } from '@grpc/grpc-js';
import type { ChannelOptions, ClientDuplexStream } from '@grpc/grpc-js';
import type { Clock, Timer } from '../model/clock.ts';
import type { BrokerId } from '../model/ids.ts';
import { PeerServiceService } from '../gen/sluice/internal/v1/peer.ts';
import type { FrameContent, OutgoingFrame, ReadFrame } from './grpc-frames.ts';
import { contentBytes, decodeFrame, outgoingFrame } from './grpc-frames.ts';
import type { HandshakeContext } from './grpc-handshake.ts';
import { InitiatorHandshake } from './grpc-handshake.ts';
import type { PeerLimits } from './grpc-limits.ts';
import type { Refusal } from './peer-admission.ts';
import type { PeerIdentity } from './peer-identity.ts';
import type { PeerDropReason, PeerLane, PeerObserver } from './peer-observer.ts';
import type { PeerTarget } from './peer-rpc.ts';

/** Something to be sent. */
export interface LinkItem {
  readonly content: FrameContent;
  /** About what it takes, see `contentBytes`. */
  readonly bytes: number;
  /** True: nobody wants it sent any more; it is passed over. */
  readonly cancelled?: boolean;
  /** It is about to leave: from now on the peer may have it. */
  leaving?(): void;
  /** It never left and never will. */
  dropped?(reason: PeerDropReason): void;
}

export interface LinkOptions {
  readonly target: PeerTarget;
  readonly lane: PeerLane;
  /** Where the peer may be, the likeliest first; asked anew for every attempt, which takes the next one. Empty: not known. */
  readonly addressesOf: () => readonly string[];
  readonly handshake: HandshakeContext;
  readonly clock: Clock;
  readonly limits: PeerLimits;
  readonly observer: PeerObserver;
  readonly unsentBytesMax: number;
  /**
   * True: what is sent between two attempts waits for the next one, and a connection is made only when something does.
   * False: it is dropped at once, and the connection is made again for ever.
   */
  readonly patient: boolean;
  up?(peer: PeerIdentity): void;
  /** A broker that has proven the cluster secret refused this very process. */
  refused?(by: BrokerId, refusal: Refusal): void;
  received?(frame: ReadFrame): void;
  /** A connection that was up is gone; what had left may have arrived. */
  down?(why: string): void;
}

type State =
  | { readonly kind: 'idle' }
  | { readonly kind: 'connecting'; readonly attempt: Attempt }
  | { readonly kind: 'up'; readonly attempt: Attempt; readonly peer: PeerIdentity; readonly sinceMs: number }
  | { readonly kind: 'resting'; readonly timer: Timer }
  | { readonly kind: 'closed' };

export class PeerLink {
  readonly #options: LinkOptions;
  #state: State = { kind: 'idle' };
  #queue: LinkItem[] = [];
  /** Invariant: link-1. */
  #unsentBytes = 0;
  /** Part of it that was handed to gRPC. */
  #aheadBytes = 0;
  /** The queue is looked at soon. */
  #pumping = false;
  /** The newest durable commit number that was written on the present connection; 0: none was. */
  #toldCommit = 0;
  /** Attempts that failed since a connection last held. */
  #failures = 0;

  constructor(options: LinkOptions) {
    this.#options = options;
  }

  get unsentBytes(): number {
    return this.#unsentBytes;
  }

  /** Who is at the other end; null: nobody just now. */
  get peer(): PeerIdentity | null {
    return this.#state.kind === 'up' ? this.#state.peer : null;
  }

  send(item: LinkItem): void {
    const state = this.#state.kind;
    if (state === 'closed' || (state === 'resting' && !this.#options.patient)) {
      item.dropped?.('disconnected');
      return;
    }
    if (this.#unsentBytes > 0 && this.#unsentBytes + item.bytes > this.#options.unsentBytesMax) {
      item.dropped?.('queue-full');
      return;
    }
    this.#queue.push(item);
    this.#unsentBytes += item.bytes;
    if (state === 'idle') this.#connect();
    else this.#pumpSoon();
  }

  /** Tells the durable commit number if the peer has not been told it and there is a connection. */
  tellCommit(): void {
    if (this.#state.kind !== 'up' || this.#options.handshake.own().durableCommit <= this.#toldCommit) return;
    const content: FrameContent = { kind: 'commit-note' };
    this.send({ content, bytes: contentBytes(content) });
  }

  /** Connects although nothing is to be sent yet. */
  open(): void {
    if (this.#state.kind === 'idle') this.#connect();
  }

  /** Ends the present connection, if there is one, and makes the next one when it is wanted. */
  restart(why: string): void {
    if (this.#state.kind === 'connecting' || this.#state.kind === 'up') this.#ended(this.#state.attempt, why);
  }

  /**
   * The peer has just proven, on a connection that it made itself, that it is there: what was going on with an earlier
   * process of it, or elsewhere, ends now.
   */
  spoke(peer: PeerIdentity): void {
    const state = this.#state;
    const [address] = this.#options.addressesOf();
    const isOver =
      (state.kind === 'up' && state.peer.processNonce !== peer.processNonce) ||
      (state.kind === 'connecting' && state.attempt.address !== address);
    if (isOver) this.#ended(state.attempt, 'the peer was started again');
    if (this.#state.kind !== 'resting') return;
    this.#state.timer.cancel();
    this.#failures = 0;
    this.#rested();
  }

  close(): void {
    const state = this.#state;
    this.#state = { kind: 'closed' };
    if (state.kind === 'resting') state.timer.cancel();
    if (state.kind === 'connecting' || state.kind === 'up') state.attempt.end();
    this.#dropAll('disconnected');
    if (state.kind === 'up') this.#options.down?.('this broker closes its connections');
  }

  #connect(): void {
    const { addressesOf, target, handshake, lane, limits, clock } = this.#options;
    const addresses = addressesOf();
    const address = addresses[this.#failures % addresses.length];
    if (address === undefined) {
      this.#state = { kind: 'idle' };
      this.#dropAll('unknown-peer');
      return;
    }
    const sought = target.kind === 'broker' ? target.broker : null;
    const attempt: Attempt = new Attempt(
      address,
      new InitiatorHandshake(handshake, lane, sought),
      lane,
      limits,
      clock,
      {
        proven: (peer) => {
          this.#proven(attempt, peer);
        },
        received: (bytes) => {
          this.#received(bytes);
        },
        refusedWithProof: (by, refusal) => this.#options.refused?.(by, refusal),
        refused: (by, refusal) => this.#options.observer.refused?.(target, by, refusal),
        ended: (why) => {
          this.#ended(attempt, why);
        },
      },
    );
    this.#state = { kind: 'connecting', attempt };
    attempt.start();
  }

  #proven(attempt: Attempt, peer: PeerIdentity): void {
    if (this.#state.kind !== 'connecting' || this.#state.attempt !== attempt) return;
    const { clock, observer, target, lane } = this.#options;
    this.#state = { kind: 'up', attempt, peer, sinceMs: clock.monotonicMs() };
    this.#toldCommit = 0;
    observer.connected?.(target, lane, peer.brokerId);
    this.#options.up?.(peer);
    this.#pump();
  }

  #received(bytes: Uint8Array): void {
    const frame = decodeFrame(bytes);
    if (frame === null) this.#options.observer.dropped?.('malformed');
    else this.#options.received?.(frame);
  }

  /** When the present piece of work is done: what all groups say in one turn shares frames, which are what costs. */
  #pumpSoon(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    queueMicrotask(() => {
      this.#pumping = false;
      this.#pump();
    });
  }

  #pump(): void {
    const { limits, handshake } = this.#options;
    while (this.#state.kind === 'up' && this.#aheadBytes < limits.writeAheadBytes) {
      const items = this.#takeItems();
      if (items.length === 0) return;
      const wanted = items.filter((item) => item.cancelled !== true);
      const bytes = items.reduce((sum, item) => sum + item.bytes, 0);
      const content = sharedContent(wanted);
      const { durableCommit } = handshake.own();
      const frame = content === null ? null : outgoingFrame(content, durableCommit);
      if (frame === null || frame.length > limits.frameBytesMax) {
        this.#unsentBytes -= bytes;
        if (frame !== null) for (const item of wanted) item.dropped?.('too-large');
        continue;
      }
      this.#aheadBytes += bytes;
      this.#toldCommit = durableCommit;
      for (const item of wanted) item.leaving?.();
      this.#write(this.#state.attempt, frame, bytes);
    }
  }

  /** The next item; behind a message that may share its frame, all that may too. */
  #takeItems(): readonly LinkItem[] {
    const { sharedFrameBytesMax } = this.#options.limits;
    let count = 0;
    let sum = 0;
    for (const item of this.#queue) {
      if (count > 0 && (!mayShareFrame(item) || sum + item.bytes > sharedFrameBytesMax)) break;
      sum += item.bytes;
      count++;
      if (!mayShareFrame(item)) break;
    }
    return this.#queue.splice(0, count);
  }

  #write(attempt: Attempt, frame: OutgoingFrame, bytes: number): void {
    attempt.write(frame, () => {
      // what a connection that is gone did not write was given up with it
      if (this.#state.kind !== 'up' || this.#state.attempt !== attempt) return;
      this.#aheadBytes -= bytes;
      this.#unsentBytes -= bytes;
      this.#pump();
    });
  }

  #ended(attempt: Attempt, why: string): void {
    const state = this.#state;
    if ((state.kind !== 'connecting' && state.kind !== 'up') || state.attempt !== attempt) return;
    const { clock, limits, observer, target, lane } = this.#options;
    attempt.end();
    const held = state.kind === 'up' && clock.monotonicMs() - state.sinceMs >= limits.backoffMaxMs;
    this.#failures = held ? 0 : this.#failures + 1;
    const timer = clock.setTimer(this.#pauseMs(), () => {
      this.#rested();
    });
    this.#state = { kind: 'resting', timer };
    this.#dropAll('disconnected');
    observer.disconnected?.(target, lane, why);
    if (state.kind === 'up') this.#options.down?.(why);
  }

  #rested(): void {
    this.#state = { kind: 'idle' };
    if (!this.#options.patient || this.#queue.length > 0) this.#connect();
  }

  #pauseMs(): number {
    const { limits, handshake, patient } = this.#options;
    const maxMs = patient ? limits.callBackoffMaxMs : limits.backoffMaxMs;
    const longest = Math.min(maxMs, limits.backoffMinMs * 2 ** Math.min(this.#failures, 16));
    return longest - handshake.random.below(Math.floor(longest / 2) + 1);
  }

  #dropAll(reason: PeerDropReason): void {
    const queue = this.#queue;
    this.#queue = [];
    this.#unsentBytes = 0;
    this.#aheadBytes = 0;
    for (const item of queue) if (item.cancelled !== true) item.dropped?.(reason);
  }
}

/** Payloads travel alone: they are written without a copy, and who keeps one keeps its whole frame (P37). */
function mayShareFrame({ content }: LinkItem): boolean {
  if (content.kind !== 'message') return false;
  const { message } = content;
  if (message.kind === 'append-request') return message.entries.every(({ payload }) => payload.length === 0);
  return message.kind !== 'snapshot-chunk';
}

/** What one frame says for all of them; null: nothing. */
function sharedContent(items: readonly LinkItem[]): FrameContent | null {
  const [first] = items;
  if (first === undefined || items.length === 1) return first?.content ?? null;
  const messages = items.flatMap(({ content }) => (content.kind === 'message' ? [content] : []));
  return { kind: 'messages', messages, unreadable: 0, newer: [] };
}

interface AttemptEvents {
  proven(peer: PeerIdentity): void;
  received(bytes: Uint8Array): void;
  refused(by: 'us' | 'peer', refusal: Refusal): void;
  /** A broker that has proven the secret refused this very process; `refused` follows. */
  refusedWithProof(by: BrokerId, refusal: Refusal): void;
  /** Called once; not after `end`. */
  ended(why: string): void;
}

const same = (bytes: Buffer): Buffer => bytes;
/** For grpc-js a frame is a Buffer: see AppendFrame. */
const asMessage = (frame: OutgoingFrame): Buffer => frame as Buffer;

function channelOptions(limits: PeerLimits): ChannelOptions {
  return {
    // a connection of its own: bulk and beats of one peer must not share one (P51, P76)
    'grpc.use_local_subchannel_pool': 1,
    'grpc.enable_channelz': 0,
    'grpc.enable_http_proxy': 0,
    'grpc.service_config_disable_resolution': 1,
    'grpc.enable_retries': 0,
    // up to this many bytes grpc-js calls a message written although it only kept it for a retry
    'grpc.per_rpc_retry_buffer_size': 64 * 1024,
    'grpc.max_receive_message_length': limits.frameBytesMax,
    'grpc.max_send_message_length': -1,
    'grpc.keepalive_time_ms': limits.keepaliveMs,
    'grpc.keepalive_timeout_ms': limits.keepaliveTimeoutMs,
    'grpc-node.flow_control_window': limits.streamWindowBytes,
  };
}

/** One connection from its beginning to its end. */
class Attempt {
  readonly address: string;
  readonly #handshake: InitiatorHandshake;
  readonly #events: AttemptEvents;
  readonly #client: Client;
  readonly #stream: ClientDuplexStream<OutgoingFrame, Buffer>;
  readonly #late: Timer;
  #phase: 'handshake' | 'remembering' | 'open' | 'ended' = 'handshake';

  constructor(
    address: string,
    handshake: InitiatorHandshake,
    lane: PeerLane,
    limits: PeerLimits,
    clock: Clock,
    events: AttemptEvents,
  ) {
    this.address = address;
    this.#handshake = handshake;
    this.#events = events;
    this.#client = new Client(address, credentials.createInsecure(), channelOptions(limits));
    const { path } = PeerServiceService[lane];
    this.#stream = this.#client.makeBidiStreamRequest<OutgoingFrame, Buffer>(path, asMessage, same, new Metadata());
    this.#late = clock.setTimer(limits.handshakeMs, () => {
      this.#over(`no answer within ${limits.handshakeMs} ms`);
    });
  }

  /** Begins to speak. Apart from the constructor, so that no event finds its owner without it. */
  start(): void {
    this.#stream.on('data', (bytes: Buffer) => {
      this.#data(bytes);
    });
    this.#stream.on('error', (error: Error) => {
      this.#over(error.message);
    });
    this.#stream.on('end', () => {
      this.#over('the peer ended the stream');
    });
    this.write(this.#handshake.opening, () => undefined);
  }

  write(frame: OutgoingFrame, written: () => void): void {
    this.#stream.write(frame, written);
  }

  end(): void {
    if (this.#phase === 'ended') return;
    this.#phase = 'ended';
    this.#late.cancel();
    this.#stream.cancel();
    this.#client.close();
  }

  #data(bytes: Buffer): void {
    if (this.#phase === 'open') this.#events.received(bytes);
    else if (this.#phase === 'handshake') this.#step(bytes);
  }

  #step(bytes: Buffer): void {
    const step = this.#handshake.receive(bytes);
    switch (step.kind) {
      case 'send':
        this.write(step.frame, () => undefined);
        return;
      case 'refused':
        if (step.provenBy !== null) this.#events.refusedWithProof(step.provenBy, step.refusal);
        this.#refused(step.by, step.refusal);
        return;
      case 'proven':
        this.#phase = 'remembering';
        step.remembered.then(
          (room) => {
            this.#remembered(step.peer.identity, room);
          },
          // the memory has reported its disk already; here there is just no connection
          () => {
            this.#over('this broker can not remember the peer');
          },
        );
    }
  }

  #remembered(peer: PeerIdentity, room: boolean): void {
    if (this.#phase !== 'remembering') return;
    if (!room) {
      this.#refused('us', { code: 'limit-reached', detail: 'this broker remembers too many peers already' });
      return;
    }
    this.#phase = 'open';
    this.#late.cancel();
    this.#events.proven(peer);
  }

  #refused(by: 'us' | 'peer', refusal: Refusal): void {
    this.#events.refused(by, refusal);
    // the stream is cancelled at once, so the peer learns of it only if this frame is faster; it is no more than a courtesy
    if (by === 'us') this.write(this.#handshake.refusal(refusal), () => undefined);
    this.#over(`refused by ${by === 'us' ? 'this broker' : 'the peer'}: ${refusal.code}, ${refusal.detail}`);
  }

  #over(why: string): void {
    if (this.#phase === 'ended') return;
    this.end();
    this.#events.ended(why);
  }
}
