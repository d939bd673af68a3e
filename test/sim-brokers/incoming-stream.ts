/** A stream that a peer has opened: the far side of outgoing-link.ts, with the production handshake (src/raft/grpc-service.ts). */
import type { BrokerId } from '../../src/model/ids.ts';
import type { HandshakeContext } from '../../src/raft/grpc-handshake.ts';
import { ResponderHandshake } from '../../src/raft/grpc-handshake.ts';
import type { Refusal } from '../../src/raft/peer-admission.ts';
import type { PeerIdentity } from '../../src/raft/peer-identity.ts';
import type { PeerLane } from '../../src/raft/peer-observer.ts';
import type { PeerContent, PeerPacket, PeerStream, StreamUser } from './peer-stream.ts';

export interface IncomingOptions {
  readonly handshake: HandshakeContext;
  readonly lane: PeerLane;
  readonly stream: PeerStream;
  /** Streams of peers that have proven who they are. */
  readonly streams: Map<BrokerId, Set<IncomingStream>>;
  refused(refusal: Refusal): void;
  admitted(peer: PeerIdentity): void;
  received(from: PeerIdentity, content: PeerContent, answer: (content: PeerContent) => void): void;
}

export class IncomingStream implements StreamUser {
  readonly #options: IncomingOptions;
  readonly #handshake: ResponderHandshake;
  #phase: 'handshake' | 'remembering' | 'open' | 'ended' = 'handshake';
  #peer: PeerIdentity | null = null;

  constructor(options: IncomingOptions) {
    this.#options = options;
    this.#handshake = new ResponderHandshake(options.handshake, options.lane);
  }

  received(packet: PeerPacket): void {
    if (packet.kind === 'handshake') {
      if (this.#phase === 'handshake') this.#step(packet.bytes);
      return;
    }
    if (this.#phase !== 'open' || this.#peer === null) return;
    const { handshake, stream } = this.#options;
    handshake.memory.noteCommit(this.#peer.incarnation, packet.durableCommit);
    this.#options.received(this.#peer, packet.content, (content) => {
      stream.send({ kind: 'frame', content, durableCommit: handshake.own().durableCommit });
    });
  }

  ended(): void {
    this.#phase = 'ended';
    if (this.#peer !== null) this.#options.streams.get(this.#peer.brokerId)?.delete(this);
  }

  #step(bytes: Buffer): void {
    const step = this.#handshake.receive(bytes);
    switch (step.kind) {
      case 'send':
        this.#options.stream.send({ kind: 'handshake', bytes: step.frame });
        return;
      case 'refused':
        this.#refuse(step.refusal);
        return;
      case 'proven':
        this.#phase = 'remembering';
        void step.remembered.then(() => {
          this.#open(step.peer.identity);
        });
    }
  }

  #open(peer: PeerIdentity): void {
    if (this.#phase !== 'remembering') return;
    this.#phase = 'open';
    this.#peer = peer;
    this.#options.admitted(peer);
    const { streams, stream } = this.#options;
    const others = streams.get(peer.brokerId) ?? new Set<IncomingStream>();
    // a broker that was started again is not to be heard from its former life
    for (const other of others) if (!other.#isOf(peer)) other.#refuse(superseded);
    others.add(this);
    streams.set(peer.brokerId, others);
    stream.send({ kind: 'handshake', bytes: this.#handshake.welcome });
  }

  /** The peer opens another stream, and hears who this broker is now. */
  renew(): void {
    if (this.#phase !== 'open' || this.#options.lane !== 'call') return;
    this.#options.stream.close();
    this.ended();
  }

  #isOf(peer: PeerIdentity): boolean {
    return this.#peer?.processNonce === peer.processNonce && this.#peer.incarnation === peer.incarnation;
  }

  #refuse(refusal: Refusal): void {
    this.#options.refused(refusal);
    this.#options.stream.send({ kind: 'handshake', bytes: this.#handshake.refusal(refusal) });
    this.#options.stream.close();
    this.ended();
  }
}

const superseded: Refusal = { code: 'old-boot', detail: 'a later start of this broker has come' };
