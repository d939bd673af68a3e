/**
 * How one life of a node speaks with the others: two streams to each, as gRPC carries them in production
 * (grpc-transport.ts, grpc-link.ts, grpc-service.ts), with the production handshake, admission and memory of peers. A
 * stream belongs to two processes: what arrives on one that its receiver does not know is answered with a reset.
 */
import type { BrokerId, GroupNumber, ReplicaId } from '../../src/model/ids.ts';
import { toBrokerId } from '../../src/model/ids.ts';
import type { BeatFrame } from '../../src/raft/beat-frame.ts';
import type { Message } from '../../src/raft/core/messages.ts';
import type { HandshakeContext } from '../../src/raft/grpc-handshake.ts';
import { ResponderHandshake } from '../../src/raft/grpc-handshake.ts';
import type { Refusal } from '../../src/raft/peer-admission.ts';
import type { PeerIdentity } from '../../src/raft/peer-identity.ts';
import { condemnationOf, StandingRecord } from '../../src/raft/standing.ts';
import type { Channel, PeerDirectory, PeerTransport } from '../../src/raft/transport.ts';
import { channelOf } from '../../src/raft/transport.ts';
import type { SimClock } from './sim-clock.ts';
import { SimLink } from './sim-link.ts';
import type { BeatDelivery, Delivery, Link, NodeNumber } from './sim-network.ts';
import type { SimRandom } from './sim-random.ts';
import type { StreamBody, StreamFrame } from './sim-stream.ts';

export interface SimPeersOptions {
  readonly number: NodeNumber;
  readonly handshake: HandshakeContext;
  readonly clock: SimClock;
  /** Of the pauses between attempts to connect. */
  readonly random: SimRandom;
  readonly nodeOf: (replica: ReplicaId) => NodeNumber | undefined;
  /** UUID of the data directory that the replica is bound to. */
  readonly diskOf: (replica: ReplicaId) => string | undefined;
  readonly newStream: () => number;
  readonly carry: (frame: StreamFrame) => void;
  /** In a later turn of the process. */
  later(run: () => void): void;
  /** See what is handed over to be sent. */
  readonly onMessage: (delivery: Delivery) => void;
  readonly onBeat: (delivery: BeatDelivery) => void;
  /** A stream of that node was turned away here. */
  readonly onTurnedAway: (refusal: Refusal) => void;
  /** The memory of peers refuses to remember, because of a defect or because its disk has failed. */
  readonly unremembered: (error: unknown) => void;
}

/** A stream that another node has opened. */
interface Incoming extends Link {
  readonly handshake: ResponderHandshake;
  phase: 'handshake' | 'remembering' | 'open';
  peer: PeerIdentity | null;
}

interface Links extends Readonly<Record<Channel, SimLink>> {
  /** Groups whose replica there was sent a part of the log on the present stream. */
  readonly fed: Map<GroupNumber, ReplicaId>;
}

export class SimPeers implements PeerTransport, PeerDirectory {
  readonly standing = new StandingRecord((broker) => {
    if (broker !== this.#options.number) this.#linksTo(broker).beat.open();
  });
  readonly #options: SimPeersOptions;
  readonly #links = new Map<NodeNumber, Links>();
  readonly #incoming = new Map<number, Incoming>();
  /** The process as which each node spoke last. */
  readonly #heard = new Map<NodeNumber, string>();
  #receive: (group: GroupNumber, message: Message) => void = () => undefined;
  #receiveBeat: (from: BrokerId, frame: BeatFrame) => void = () => undefined;
  #unreachable: (group: GroupNumber, replica: ReplicaId) => void = () => undefined;
  #silent: (from: BrokerId) => void = () => undefined;
  #isOpen = true;

  constructor(options: SimPeersOptions) {
    this.#options = options;
  }

  onMessage(receive: (group: GroupNumber, message: Message) => void): void {
    this.#receive = receive;
  }

  onBeat(receive: (from: BrokerId, frame: BeatFrame) => void): void {
    this.#receiveBeat = receive;
  }

  onUnreachable(receive: (group: GroupNumber, replica: ReplicaId) => void): void {
    this.#unreachable = receive;
  }

  onSilent(receive: (from: BrokerId) => void): void {
    this.#silent = receive;
  }

  send(group: GroupNumber, message: Message): void {
    const to = this.#options.nodeOf(message.to);
    if (!this.#isOpen || to === undefined || to === this.#options.number) return;
    // what it promises is judged now: it may wait for its connection until the group is gone from here
    this.#options.onMessage({ from: this.#options.number, to, group, message });
    const links = this.#linksTo(to);
    const carriesLog = message.kind === 'append-request' || message.kind === 'snapshot-chunk';
    if (carriesLog) links.fed.set(group, message.to);
    const dropped = (): void => {
      if (carriesLog) this.#lost(group, message.to);
    };
    links[channelOf(message)].send({ content: { kind: 'message', group, message }, dropped });
  }

  sendBeat(to: BrokerId, frame: BeatFrame): void {
    if (!this.#isOpen) return;
    this.#options.onBeat({ from: this.#options.number, to, frame });
    this.#linksTo(to).beat.send({ content: { kind: 'beat', frame }, dropped: () => undefined });
  }

  brokerOf(replica: ReplicaId): BrokerId | null {
    const node = this.#options.nodeOf(replica);
    return node === undefined ? null : toBrokerId(node);
  }

  incarnationOf(replica: ReplicaId): string | null {
    return this.#options.diskOf(replica) ?? null;
  }

  /** Something has arrived. */
  take(frame: StreamFrame): void {
    if (!this.#isOpen) return;
    const { stream, opener, from, channel, body } = frame;
    if (opener === this.#options.number) {
      const own = this.#links.get(from)?.[channel];
      if (own?.stream === stream) own.take(body);
      return;
    }
    const incoming = this.#incoming.get(stream);
    if (body.kind === 'reset') this.#end(stream);
    else if (body.kind === 'handshake') this.#step(incoming ?? this.#accept(frame), stream, body.bytes);
    else if (incoming?.phase === 'open') this.#content(incoming, body);
    else this.#answer(frame, stream, { kind: 'reset' });
  }

  /** The connections to and from that node break, and are made again. */
  breakStreams(node: NodeNumber): void {
    const links = this.#links.get(node);
    links?.bulk.take({ kind: 'reset' });
    links?.beat.take({ kind: 'reset' });
    for (const [stream, { from }] of this.#incoming) if (from === node) this.#end(stream);
  }

  /** The node died: nothing leaves and nothing arrives any more. */
  close(): void {
    this.#isOpen = false;
    for (const { bulk, beat } of this.#links.values()) {
      bulk.close();
      beat.close();
    }
  }

  #linksTo(node: NodeNumber): Links {
    const known = this.#links.get(node);
    if (known !== undefined) return known;
    const fed = new Map<GroupNumber, ReplicaId>();
    const lostAll = (): void => {
      for (const [group, replica] of fed) this.#lost(group, replica);
      fed.clear();
    };
    const links = { fed, bulk: this.#link(node, 'bulk', lostAll), beat: this.#link(node, 'beat', () => undefined) };
    this.#links.set(node, links);
    return links;
  }

  #link(to: NodeNumber, channel: Channel, down: () => void): SimLink {
    const { number: from, handshake, clock, random, carry, newStream } = this.#options;
    const link: Link = { from, to, channel };
    return new SimLink({
      ...{ link, handshake, clock, random, newStream, carry, down },
      up: (peer) => {
        this.standing.welcomed(toBrokerId(to), peer.incarnation);
        this.#hear(to, peer);
      },
      refused: (refusal) => {
        const condemnation = condemnationOf(toBrokerId(to), refusal);
        if (condemnation !== null) this.standing.condemned(condemnation);
      },
      turnedAway: (refusal) => {
        this.#options.onTurnedAway(refusal);
      },
      unremembered: (error) => {
        this.#options.unremembered(error);
      },
    });
  }

  /** In a later turn: the core is told while it is not sending. */
  #lost(group: GroupNumber, replica: ReplicaId): void {
    this.#options.later(() => {
      if (this.#isOpen) this.#unreachable(group, replica);
    });
  }

  #accept({ stream, from, to, channel }: StreamFrame): Incoming {
    // its caller has given up the one before
    for (const [known, other] of this.#incoming) {
      if (other.from === from && other.channel === channel && known < stream) this.#end(known);
    }
    const handshake = new ResponderHandshake(this.#options.handshake, channel);
    const incoming: Incoming = { from, to, channel, handshake, phase: 'handshake', peer: null };
    this.#incoming.set(stream, incoming);
    return incoming;
  }

  /** Told of, once no stream is left on which beats of its node come. */
  #end(stream: number): void {
    const ended = this.#incoming.get(stream);
    this.#incoming.delete(stream);
    if (ended?.phase !== 'open') return;
    const carriesBeats = ({ from, channel, phase }: Incoming): boolean =>
      from === ended.from && channel === 'beat' && phase === 'open';
    if (![...this.#incoming.values()].some(carriesBeats)) this.#silent(toBrokerId(ended.from));
  }

  #step(incoming: Incoming, stream: number, bytes: Buffer): void {
    if (incoming.phase !== 'handshake') return;
    const step = incoming.handshake.receive(bytes);
    switch (step.kind) {
      case 'send':
        this.#answer(incoming, stream, { kind: 'handshake', bytes: step.frame });
        return;
      case 'refused':
        this.#refuse(incoming, stream, step.refusal);
        return;
      case 'proven':
        incoming.phase = 'remembering';
        step.remembered.then(
          () => {
            if (this.#isOpen && this.#incoming.get(stream) === incoming)
              this.#open(incoming, stream, step.peer.identity);
          },
          (error: unknown) => {
            this.#options.unremembered(error);
          },
        );
    }
  }

  #refuse(incoming: Incoming, stream: number, refusal: Refusal): void {
    this.#incoming.delete(stream);
    this.#options.onTurnedAway(refusal);
    this.#answer(incoming, stream, { kind: 'handshake', bytes: incoming.handshake.refusal(refusal) });
  }

  #open(incoming: Incoming, stream: number, peer: PeerIdentity): void {
    incoming.phase = 'open';
    incoming.peer = peer;
    // a node that was started again is not to be heard from its former life
    for (const [known, other] of this.#incoming) {
      if (other.from === incoming.from && other.peer !== null && other.peer.processNonce !== peer.processNonce)
        this.#end(known);
    }
    this.#answer(incoming, stream, { kind: 'handshake', bytes: incoming.handshake.welcome });
    this.#hear(incoming.from, peer);
  }

  /** It is there as this process: streams to a former life of it begin anew (as grpc-transport.ts has it). */
  #hear(node: NodeNumber, peer: PeerIdentity): void {
    if (this.#heard.get(node) === peer.processNonce) return;
    this.#heard.set(node, peer.processNonce);
    const links = this.#links.get(node);
    links?.bulk.spoke(peer);
    links?.beat.spoke(peer);
  }

  #content({ from, peer }: Incoming, body: Extract<StreamBody, { kind: 'content' }>): void {
    if (peer === null) return;
    this.#options.handshake.memory.noteCommit(peer.incarnation, body.durableCommit);
    const { content } = body;
    if (content.kind === 'beat') this.#receiveBeat(toBrokerId(from), content.frame);
    else this.#receive(content.group, content.message);
  }

  #answer({ from, channel }: Link, stream: number, body: StreamBody): void {
    this.#options.carry({ from: this.#options.number, to: from, channel, opener: from, stream, body });
  }
}
