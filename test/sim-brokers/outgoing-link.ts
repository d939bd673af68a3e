/**
 * One stream to one peer that begins again when it breaks: what PeerLink does over gRPC (src/raft/grpc-link.ts), with the
 * production handshake, over simulated streams.
 */
import type { Timer } from '../../src/model/clock.ts';
import type { BrokerId } from '../../src/model/ids.ts';
import type { HandshakeContext } from '../../src/raft/grpc-handshake.ts';
import { InitiatorHandshake } from '../../src/raft/grpc-handshake.ts';
import { peerLimitsDefault as limits } from '../../src/raft/grpc-limits.ts';
import type { Refusal } from '../../src/raft/peer-admission.ts';
import type { PeerIdentity } from '../../src/raft/peer-identity.ts';
import type { PeerLane } from '../../src/raft/peer-observer.ts';
import type { PeerTarget } from '../../src/raft/peer-rpc.ts';
import type { PeerContent, PeerPacket, PeerStream, PeerWire } from './peer-stream.ts';
import { openStream } from './peer-stream.ts';
import type { SimProcess } from './sim-process.ts';

export interface LinkItem {
  readonly content: PeerContent;
  readonly cancelled?: boolean;
  leaving?(): void;
  dropped?(why: string): void;
}

export interface OutgoingOptions {
  readonly wire: PeerWire;
  readonly process: SimProcess;
  readonly handshake: HandshakeContext;
  readonly target: PeerTarget;
  readonly lane: PeerLane;
  /** True: what is sent between two attempts waits for the next one. False: it is dropped, and connecting goes on for ever. */
  readonly patient: boolean;
  /** Each attempt takes the next one. */
  readonly addressesOf: () => readonly string[];
  up?(peer: PeerIdentity): void;
  refused?(by: BrokerId, refusal: Refusal): void;
  received?(content: PeerContent, from: PeerIdentity): void;
  down?(why: string): void;
}

type State =
  | { readonly kind: 'idle' }
  | { readonly kind: 'connecting'; readonly attempt: Attempt }
  | { readonly kind: 'up'; readonly attempt: Attempt; readonly peer: PeerIdentity; readonly sinceMs: number }
  | { readonly kind: 'resting' };

export class OutgoingLink {
  readonly #options: OutgoingOptions;
  #state: State = { kind: 'idle' };
  readonly #queue: LinkItem[] = [];
  #failures = 0;

  constructor(options: OutgoingOptions) {
    this.#options = options;
  }

  send(item: LinkItem): void {
    if (this.#state.kind === 'resting' && !this.#options.patient) {
      item.dropped?.('disconnected');
      return;
    }
    this.#queue.push(item);
    if (this.#state.kind === 'idle') this.#connect();
    else this.#pump();
  }

  open(): void {
    if (this.#state.kind === 'idle') this.#connect();
  }

  restart(why: string): void {
    if (this.#state.kind === 'connecting' || this.#state.kind === 'up') this.#ended(this.#state.attempt, why);
  }

  #connect(): void {
    const addresses = this.#options.addressesOf();
    const address = addresses[this.#failures % addresses.length];
    if (address === undefined) {
      this.#dropAll('unknown peer');
      return;
    }
    const attempt: Attempt = new Attempt(this.#options, address, {
      proven: (peer) => {
        this.#proven(attempt, peer);
      },
      ended: (why) => {
        this.#ended(attempt, why);
      },
    });
    this.#state = { kind: 'connecting', attempt };
    attempt.start();
  }

  #proven(attempt: Attempt, peer: PeerIdentity): void {
    if (this.#state.kind !== 'connecting' || this.#state.attempt !== attempt) return;
    this.#state = { kind: 'up', attempt, peer, sinceMs: this.#options.process.clock.monotonicMs() };
    this.#options.up?.(peer);
    this.#pump();
  }

  #pump(): void {
    while (this.#state.kind === 'up') {
      const item = this.#queue.shift();
      if (item === undefined) return;
      if (item.cancelled === true) continue;
      item.leaving?.();
      this.#state.attempt.send(item.content);
    }
  }

  #ended(attempt: Attempt, why: string): void {
    const state = this.#state;
    if ((state.kind !== 'connecting' && state.kind !== 'up') || state.attempt !== attempt) return;
    attempt.end();
    const { clock } = this.#options.process;
    const held = state.kind === 'up' && clock.monotonicMs() - state.sinceMs >= limits.backoffMaxMs;
    this.#failures = held ? 0 : this.#failures + 1;
    this.#state = { kind: 'resting' };
    clock.setTimer(this.#pauseMs(), () => {
      this.#state = { kind: 'idle' };
      if (!this.#options.patient || this.#queue.length > 0) this.#connect();
    });
    this.#dropAll('disconnected');
    if (state.kind === 'up') this.#options.down?.(why);
  }

  #pauseMs(): number {
    const longest = Math.min(limits.backoffMaxMs, limits.backoffMinMs * 2 ** Math.min(this.#failures, 16));
    return longest - this.#options.handshake.random.below(Math.floor(longest / 2) + 1);
  }

  #dropAll(why: string): void {
    for (const item of this.#queue.splice(0)) if (item.cancelled !== true) item.dropped?.(why);
  }
}

interface AttemptEvents {
  proven(peer: PeerIdentity): void;
  ended(why: string): void;
}

/** One connection from its beginning to its end. */
class Attempt {
  readonly #options: OutgoingOptions;
  readonly #handshake: InitiatorHandshake;
  readonly #events: AttemptEvents;
  readonly #stream: PeerStream;
  readonly #late: Timer;
  #phase: 'handshake' | 'remembering' | 'open' | 'ended' = 'handshake';
  #peer: PeerIdentity | null = null;

  constructor(options: OutgoingOptions, address: string, events: AttemptEvents) {
    const { wire, lane, process, target, handshake } = options;
    this.#options = options;
    this.#events = events;
    this.#handshake = new InitiatorHandshake(handshake, lane, target.kind === 'broker' ? target.broker : null);
    this.#stream = openStream(wire, lane, process, address, {
      received: (packet) => {
        this.#received(packet);
      },
      ended: (why) => {
        this.#over(why);
      },
    });
    this.#late = process.clock.setTimer(limits.handshakeMs, () => {
      this.#over('no answer to the handshake');
    });
  }

  start(): void {
    this.#stream.send({ kind: 'handshake', bytes: this.#handshake.opening });
  }

  send(content: PeerContent): void {
    this.#stream.send({ kind: 'frame', content, durableCommit: this.#options.handshake.own().durableCommit });
  }

  end(): void {
    if (this.#phase === 'ended') return;
    this.#phase = 'ended';
    this.#late.cancel();
    this.#stream.close();
  }

  #received(packet: PeerPacket): void {
    if (packet.kind === 'frame') {
      if (this.#phase === 'open' && this.#peer !== null) this.#options.received?.(packet.content, this.#peer);
      return;
    }
    // a peer that has let this broker in may still refuse it later
    if (this.#phase === 'handshake' || this.#phase === 'open') this.#step(packet.bytes);
  }

  #step(bytes: Buffer): void {
    const step = this.#handshake.receive(bytes);
    switch (step.kind) {
      case 'send':
        this.#stream.send({ kind: 'handshake', bytes: step.frame });
        return;
      case 'refused':
        if (step.provenBy !== null) this.#options.refused?.(step.provenBy, step.refusal);
        if (step.by === 'us') this.#stream.send({ kind: 'handshake', bytes: this.#handshake.refusal(step.refusal) });
        this.#over(`refused by ${step.by}: ${step.refusal.code}`);
        return;
      case 'proven':
        this.#phase = 'remembering';
        void step.remembered.then(() => {
          if (this.#phase !== 'remembering') return;
          this.#phase = 'open';
          this.#late.cancel();
          this.#peer = step.peer.identity;
          this.#events.proven(step.peer.identity);
        });
    }
  }

  #over(why: string): void {
    if (this.#phase === 'ended') return;
    this.end();
    this.#events.ended(why);
  }
}
