/**
 * A simulated broker's way to the others: what GrpcPeers is in production (src/raft/grpc-transport.ts), over simulated
 * streams. Handshake, admission, memory and standing are production's own.
 */
import { assert } from '../../src/model/assert.ts';
import type { BrokerId, GroupNumber, ReplicaId } from '../../src/model/ids.ts';
import type { BeatFrame } from '../../src/raft/beat-frame.ts';
import type { Message } from '../../src/raft/core/messages.ts';
import type { HandshakeContext } from '../../src/raft/grpc-handshake.ts';
import type { Refusal } from '../../src/raft/peer-admission.ts';
import type { PeerIdentity } from '../../src/raft/peer-identity.ts';
import type { PeerLane } from '../../src/raft/peer-observer.ts';
import type { PeerHandler, PeerReply, PeerRpc, PeerTarget } from '../../src/raft/peer-rpc.ts';
import { condemnationOf, StandingRecord } from '../../src/raft/standing.ts';
import type { PeerDirectory, PeerTransport } from '../../src/raft/transport.ts';
import { channelOf } from '../../src/raft/transport.ts';
import { IncomingStream } from './incoming-stream.ts';
import type { OutgoingOptions } from './outgoing-link.ts';
import { OutgoingLink } from './outgoing-link.ts';
import type { CallOutcome, PeerContent, PeerStream, PeerWire, StreamUser } from './peer-stream.ts';
import type { SimProcess } from './sim-process.ts';

export interface PeerSpy {
  /** A message of Raft is about to leave. */
  message(to: BrokerId, group: GroupNumber, message: Message): void;
  beat(to: BrokerId, frame: BeatFrame): void;
  call(to: PeerTarget, method: string): void;
  refused(refusal: Refusal): void;
  /** A handler rejected. */
  defect(error: unknown): void;
}

export interface SimPeersOptions {
  readonly wire: PeerWire;
  readonly process: SimProcess;
  readonly handshake: HandshakeContext;
  readonly directory: PeerDirectory;
  readonly spy: PeerSpy;
}

export class SimPeers implements PeerTransport, PeerDirectory, PeerRpc {
  readonly process: SimProcess;
  readonly standing = new StandingRecord((broker) => {
    if (broker !== this.#self) this.#link(broker, 'beat').open();
  });
  readonly #options: SimPeersOptions;
  readonly #links = new Map<string, OutgoingLink>();
  readonly #calls = new Map<string, Calls>();
  readonly #handlers = new Map<string, PeerHandler>();
  readonly #streams = new Map<BrokerId, Set<IncomingStream>>();
  /** Where replicas are that the directory does not know yet. */
  readonly #learned = new Map<ReplicaId, BrokerId>();
  #receive: (group: GroupNumber, message: Message) => void = () => undefined;
  #receiveBeat: (from: BrokerId, frame: BeatFrame) => void = () => undefined;

  constructor(options: SimPeersOptions) {
    this.#options = options;
    this.process = options.process;
  }

  accept(lane: PeerLane, stream: PeerStream): StreamUser {
    const { handshake, spy } = this.#options;
    return new IncomingStream({
      handshake,
      lane,
      stream,
      streams: this.#streams,
      refused: (refusal) => {
        spy.refused(refusal);
      },
      admitted: (peer) => {
        handshake.addresses.heard(peer);
      },
      received: (from, content, answer) => {
        this.#received(from, content, answer);
      },
    });
  }

  /** This broker has joined a cluster: connections that it opened before that say otherwise. */
  identityChanged(): void {
    for (const calls of this.#calls.values()) calls.restart('this broker has joined a cluster');
    for (const stream of [...this.#streams.values()].flatMap((streams) => [...streams])) stream.renew();
  }

  onMessage(receive: (group: GroupNumber, message: Message) => void): void {
    this.#receive = receive;
  }

  onBeat(receive: (from: BrokerId, frame: BeatFrame) => void): void {
    this.#receiveBeat = receive;
  }

  send(group: GroupNumber, message: Message): void {
    const broker = this.brokerOf(message.to);
    if (broker === null || broker === this.#self) return;
    this.#options.spy.message(broker, group, message);
    this.#link(broker, channelOf(message)).send({ content: { kind: 'message', group, message } });
  }

  sendBeat(to: BrokerId, frame: BeatFrame): void {
    this.#options.spy.beat(to, frame);
    this.#link(to, 'beat').send({ content: { kind: 'beat', frame } });
  }

  brokerOf(replica: ReplicaId): BrokerId | null {
    return this.#options.directory.brokerOf(replica) ?? this.learnedBroker(replica);
  }

  incarnationOf(replica: ReplicaId): string | null {
    return this.#options.directory.incarnationOf(replica);
  }

  learnedBroker(replica: ReplicaId): BrokerId | null {
    return this.#learned.get(replica) ?? null;
  }

  call(to: PeerTarget, method: string, payload: Uint8Array, timeoutMs: number): Promise<PeerReply> {
    this.#options.spy.call(to, method);
    const key = to.kind === 'broker' ? `broker ${to.broker}` : to.address;
    const calls = this.#calls.get(key) ?? new Calls(this.process, this.#linkOptions(to, 'call'));
    this.#calls.set(key, calls);
    return calls.call(method, payload.slice(), timeoutMs);
  }

  serve(method: string, handler: PeerHandler): void {
    assert(!this.#handlers.has(method), 'rpc-1: a method has one handler', method);
    this.#handlers.set(method, handler);
  }

  get #self(): BrokerId {
    return this.#options.handshake.own().identity.brokerId;
  }

  #link(broker: BrokerId, lane: 'bulk' | 'beat'): OutgoingLink {
    const key = `${lane} ${broker}`;
    const known = this.#links.get(key);
    if (known !== undefined) return known;
    const link = new OutgoingLink({
      ...this.#linkOptions({ kind: 'broker', broker }, lane),
      up: (peer) => {
        this.standing.welcomed(broker, peer.incarnation);
        this.#options.handshake.addresses.heard(peer);
      },
      refused: (by, refusal) => {
        const condemnation = condemnationOf(by, refusal);
        if (condemnation !== null) this.standing.condemned(condemnation);
      },
    });
    this.#links.set(key, link);
    return link;
  }

  #linkOptions(target: PeerTarget, lane: PeerLane): OutgoingOptions {
    const { wire, process, handshake } = this.#options;
    const addressesOf = (): readonly string[] =>
      target.kind === 'address' ? [target.address] : handshake.addresses.addressesOf(target.broker);
    const up = (peer: PeerIdentity): void => void handshake.addresses.heard(peer);
    return { wire, process, handshake, target, lane, patient: lane === 'call', addressesOf, up };
  }

  #received(from: PeerIdentity, content: PeerContent, answer: (content: PeerContent) => void): void {
    switch (content.kind) {
      case 'message':
        if (this.#holds(from.brokerId, content.message.from)) this.#receive(content.group, content.message);
        return;
      case 'beat':
        this.#receiveBeat(from.brokerId, content.frame);
        return;
      case 'request': {
        const { id } = content;
        void this.#carryOut(from, content).then((outcome) => {
          answer({ kind: 'reply', id, outcome });
        });
        return;
      }
      case 'reply':
    }
  }

  async #carryOut(
    from: PeerIdentity,
    { method, payload, timeoutMs }: Extract<PeerContent, { kind: 'request' }>,
  ): Promise<CallOutcome> {
    const handler = this.#handlers.get(method);
    if (handler === undefined) return { kind: 'not-done', why: `no method ${method} here` };
    try {
      return { kind: 'payload', payload: (await handler(from, payload, timeoutMs)).slice() };
    } catch (error) {
      this.#options.spy.defect(error);
      return { kind: 'failed', why: 'the peer met a defect' };
    }
  }

  /** Whether a replica may be the broker's: as GrpcPeers judges it. */
  #holds(broker: BrokerId, replica: ReplicaId): boolean {
    const known = this.#options.directory.brokerOf(replica);
    if (known !== null) {
      this.#learned.delete(replica);
      return known === broker;
    }
    const learned = this.#learned.get(replica);
    if (learned === undefined) this.#learned.set(replica, broker);
    return learned === undefined || learned === broker;
  }
}

interface Pending {
  readonly content: PeerContent;
  cancelled: boolean;
  left: boolean;
  leaving(): void;
  dropped(why: string): void;
  settle(reply: PeerReply): void;
}

/** All requests to one target: as CallLane does it (src/raft/grpc-calls.ts). */
class Calls {
  readonly #process: SimProcess;
  readonly #link: OutgoingLink;
  readonly #pending = new Map<number, Pending>();
  #nextId = 1;

  constructor(process: SimProcess, options: OutgoingOptions) {
    this.#process = process;
    this.#link = new OutgoingLink({
      ...options,
      received: (content, from) => {
        if (content.kind === 'reply') this.#pending.get(content.id)?.settle(replyOf(content.outcome, from));
      },
      down: (why) => {
        for (const call of [...this.#pending.values()]) if (call.left) call.settle({ kind: 'unknown', why });
      },
    });
  }

  restart(why: string): void {
    this.#link.restart(why);
  }

  call(method: string, payload: Uint8Array, timeoutMs: number): Promise<PeerReply> {
    const id = this.#nextId++;
    return new Promise((resolve) => {
      const timer = this.#process.clock.setTimer(timeoutMs, () => {
        call.settle({ kind: call.left ? 'unknown' : 'not-sent', why: `no answer within ${timeoutMs} ms` });
      });
      const call: Pending = {
        content: { kind: 'request', id, method, timeoutMs, payload },
        cancelled: false,
        left: false,
        leaving: () => {
          call.left = true;
        },
        dropped: (why) => {
          call.settle({ kind: 'not-sent', why });
        },
        settle: (reply) => {
          if (!this.#pending.delete(id)) return;
          timer.cancel();
          call.cancelled = true;
          resolve(reply);
        },
      };
      this.#pending.set(id, call);
      this.#link.send(call);
    });
  }
}

function replyOf(outcome: CallOutcome, from: PeerIdentity): PeerReply {
  switch (outcome.kind) {
    case 'payload':
      return { kind: 'answered', payload: outcome.payload, from };
    case 'not-done':
      return { kind: 'not-sent', why: outcome.why };
    case 'failed':
      return { kind: 'unknown', why: outcome.why };
  }
}
