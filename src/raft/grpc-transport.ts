/**
 * The way to the other brokers over gRPC: three streams to each, on a connection of its own each, for what carries the
 * log, for what keeps leaders alive, and for requests. Nothing of Raft waits here and nothing throws: best effort.
 */
import type { Server } from '@grpc/grpc-js';
import { assert } from '../model/assert.ts';
import type { Clock, Timer } from '../model/clock.ts';
import type { BrokerId, GroupNumber, ReplicaId } from '../model/ids.ts';
import type { BeatFrame } from './beat-frame.ts';
import type { Message } from './core/messages.ts';
import { CallLane } from './grpc-calls.ts';
import { contentBytes } from './grpc-frames.ts';
import type { FrameContent } from './grpc-frames.ts';
import type { HandshakeContext } from './grpc-handshake.ts';
import type { LinkOptions } from './grpc-link.ts';
import { PeerLink } from './grpc-link.ts';
import type { PeerLimits } from './grpc-limits.ts';
import type { ServerSessions } from './grpc-service.ts';
import { PeerServer } from './grpc-service.ts';
import type { Refusal } from './peer-admission.ts';
import type { PeerIdentity } from './peer-identity.ts';
import type { PeerDropReason, PeerObserver } from './peer-observer.ts';
import type { PeerHandler, PeerReply, PeerRpc, PeerTarget } from './peer-rpc.ts';
import { condemnationOf, StandingRecord } from './standing.ts';
import type { Channel, NewerEntry, PeerDirectory, PeerTransport } from './transport.ts';
import { channelOf } from './transport.ts';

export interface GrpcPeersOptions {
  readonly handshake: HandshakeContext;
  /** Who holds which replica, as far as the catalog says. */
  readonly directory: PeerDirectory;
  readonly clock: Clock;
  readonly limits: PeerLimits;
  readonly observer: PeerObserver;
  /** Puts HTTP/2 limits into force: `tuneHttp2` of src/api/http2-windows.ts. */
  readonly tune: (server: Server, limits: PeerLimits) => ServerSessions;
  /** True: the store has so much to write that bulk from peers is not read for a moment. */
  readonly isCongested: () => boolean;
  /** A handler met a defect: the process must end. */
  readonly onDefect: (error: unknown) => void;
}

/** The streams to one broker that carry Raft. */
interface PeerLinks {
  readonly bulk: PeerLink;
  readonly beat: PeerLink;
  /**
   * Groups to whose replica there a part of the log was sent on the present connection: whatever ends it may have lost
   * something of each. Bounded by the number of groups.
   */
  readonly fed: Map<GroupNumber, ReplicaId>;
}

const nobody = (): void => undefined;

export class GrpcPeers implements PeerTransport, PeerDirectory, PeerRpc {
  readonly #options: GrpcPeersOptions;
  readonly #server: PeerServer;
  readonly #links = new Map<BrokerId, PeerLinks>();
  readonly #calls = new Map<BrokerId, CallLane>();
  /** Bounded by addressesMax. */
  readonly #addressCalls = new Map<string, CallLane>();
  readonly #handlers = new Map<string, PeerHandler>();
  /** Where replicas are that the directory does not know yet; bounded by learnedReplicasMax. */
  readonly #learned = new Map<ReplicaId, BrokerId>();
  #telling: Timer;
  readonly standing = new StandingRecord((broker) => {
    this.#meet(broker);
  });
  #receive: (group: GroupNumber, message: Message) => void = nobody;
  #newerEntry: (newer: NewerEntry) => void = nobody;
  #receiveBeat: (from: BrokerId, frame: BeatFrame) => void = nobody;
  #silent: (from: BrokerId) => void = nobody;
  #unreachable: (group: GroupNumber, replica: ReplicaId) => void = nobody;

  constructor(options: GrpcPeersOptions) {
    this.#options = options;
    this.#telling = this.#tellCommitLater();
    this.#server = new PeerServer({
      ...options,
      handlers: this.#handlers,
      message: (from, group, message) => {
        this.#received(from, group, message);
      },
      newerEntry: (from, newer) => {
        if (this.#holds(from.brokerId, newer.from)) this.#newerEntry(newer);
        else this.#dropped('wrong-source');
      },
      beat: (from, frame) => {
        this.#receiveBeat(from.brokerId, frame);
      },
      admitted: (peer) => {
        this.#heard(peer);
      },
      silent: (from) => {
        this.#silent(from);
      },
      defect: (error) => {
        options.onDefect(error);
      },
    });
  }

  /** Resolves with the port. Rejects with PeerBindError. */
  listen(host: string, port: number): Promise<number> {
    return this.#server.listen(host, port);
  }

  /** Connections that peers have opened. */
  get connections(): number {
    return this.#server.connections;
  }

  /** This broker has joined a cluster: connections that were opened before that, by it or by others, say otherwise. */
  identityChanged(): void {
    const lanes = [...this.#calls.values(), ...this.#addressCalls.values()];
    for (const lane of lanes) lane.restart('this broker has joined a cluster');
    this.#server.identityChanged();
  }

  close(): void {
    this.#telling.cancel();
    for (const { bulk, beat } of this.#links.values()) {
      bulk.close();
      beat.close();
    }
    for (const lane of [...this.#calls.values(), ...this.#addressCalls.values()]) lane.close();
    this.#server.close();
  }

  onMessage(receive: (group: GroupNumber, message: Message) => void): void {
    this.#receive = receive;
  }

  onNewerEntry(receive: (newer: NewerEntry) => void): void {
    this.#newerEntry = receive;
  }

  onBeat(receive: (from: BrokerId, frame: BeatFrame) => void): void {
    this.#receiveBeat = receive;
  }

  onSilent(receive: (from: BrokerId) => void): void {
    this.#silent = receive;
  }

  onUnreachable(receive: (group: GroupNumber, replica: ReplicaId) => void): void {
    this.#unreachable = receive;
  }

  send(group: GroupNumber, message: Message): void {
    const broker = this.brokerOf(message.to);
    if (broker === null || broker === this.#options.handshake.own().identity.brokerId) {
      this.#dropped('unknown-peer');
      return;
    }
    const links = this.#linksTo(broker);
    const carriesLog = message.kind === 'append-request' || message.kind === 'snapshot-chunk';
    if (carriesLog) links.fed.set(group, message.to);
    const dropped = (reason: PeerDropReason): void => {
      this.#dropped(reason);
      if (carriesLog) this.#lost(group, message.to);
    };
    this.#enqueue(links[channelOf(message)], { kind: 'message', group, message }, dropped);
  }

  sendBeat(to: BrokerId, frame: BeatFrame): void {
    this.#enqueue(this.#linksTo(to).beat, { kind: 'beat', frame }, (reason) => {
      this.#dropped(reason);
    });
  }

  brokerOf(replica: ReplicaId): BrokerId | null {
    return this.#options.directory.brokerOf(replica) ?? this.#learned.get(replica) ?? null;
  }

  incarnationOf(replica: ReplicaId): string | null {
    return this.#options.directory.incarnationOf(replica);
  }

  /** Who spoke for a replica that the directory did not know; null: nobody did. */
  learnedBroker(replica: ReplicaId): BrokerId | null {
    return this.#learned.get(replica) ?? null;
  }

  /**
   * Only requests: they are what somebody waits for. The other two streams are left to their keep-alive, for where the
   * peer is merely slow their end would cost it its followers, and what is on its way of the log would be sent again.
   */
  giveUp(broker: BrokerId): void {
    this.#calls.get(broker)?.restart('it is silent although it should be heard');
  }

  /** How the way to another broker is. */
  wayTo(broker: BrokerId): { readonly connected: boolean; readonly unsentBytes: number } {
    const links = this.#links.get(broker);
    if (links === undefined) return { connected: false, unsentBytes: 0 };
    const { bulk, beat } = links;
    return { connected: beat.peer !== null, unsentBytes: bulk.unsentBytes + beat.unsentBytes };
  }

  call(to: PeerTarget, method: string, payload: Uint8Array, timeoutMs: number): Promise<PeerReply> {
    const lane = this.#callLane(to);
    if (lane === null) return Promise.resolve({ kind: 'not-sent', why: 'too many addresses are called already' });
    return lane.call(method, payload, timeoutMs);
  }

  serve(method: string, handler: PeerHandler): void {
    assert(!this.#handlers.has(method), 'rpc-1: a method has one handler', method);
    this.#handlers.set(method, handler);
  }

  /** One frame a broker at most, and none if what was sent meanwhile has told it. */
  #tellCommitLater(): Timer {
    const { clock, limits } = this.#options;
    return clock.setTimer(limits.tellCommitMs, () => {
      for (const { beat } of this.#links.values()) beat.tellCommit();
      this.#telling = this.#tellCommitLater();
    });
  }

  #enqueue(link: PeerLink, content: FrameContent, dropped: (reason: PeerDropReason) => void): void {
    link.send({ content, bytes: contentBytes(content), dropped });
  }

  #dropped(reason: PeerDropReason): void {
    this.#options.observer.dropped?.(reason);
  }

  /** In a later turn: the core is told while it is not sending. */
  #lost(group: GroupNumber, replica: ReplicaId): void {
    setImmediate(() => {
      this.#unreachable(group, replica);
    });
  }

  #linksTo(broker: BrokerId): PeerLinks {
    const known = this.#links.get(broker);
    if (known !== undefined) return known;
    const { limits } = this.#options;
    const fed = new Map<GroupNumber, ReplicaId>();
    const links: PeerLinks = {
      fed,
      bulk: this.#link(broker, 'bulk', limits.bulkUnsentBytesMax, () => {
        for (const [group, replica] of fed) this.#lost(group, replica);
        fed.clear();
      }),
      beat: this.#link(broker, 'beat', limits.beatUnsentBytesMax, nobody),
    };
    this.#links.set(broker, links);
    return links;
  }

  #meet(broker: BrokerId): void {
    if (broker !== this.#options.handshake.own().identity.brokerId) this.#linksTo(broker).beat.open();
  }

  #link(broker: BrokerId, lane: Channel, unsentBytesMax: number, down: () => void): PeerLink {
    const target: PeerTarget = { kind: 'broker', broker };
    const up = (peer: PeerIdentity): void => {
      this.standing.welcomed(broker, peer.incarnation);
      this.#heard(peer);
    };
    const refused = (by: BrokerId, refusal: Refusal): void => {
      const condemnation = condemnationOf(by, refusal);
      if (condemnation !== null) this.standing.condemned(condemnation);
    };
    return new PeerLink({ ...this.#wiring(target), lane, unsentBytesMax, patient: false, up, refused, down });
  }

  #wiring(
    target: PeerTarget,
  ): Pick<LinkOptions, 'target' | 'addressesOf' | 'handshake' | 'clock' | 'limits' | 'observer'> {
    const { handshake, clock, limits, observer } = this.#options;
    const addressesOf = (): readonly string[] =>
      target.kind === 'address' ? [target.address] : handshake.addresses.addressesOf(target.broker);
    return { target, addressesOf, handshake, clock, limits, observer };
  }

  #callWiring(target: PeerTarget): ConstructorParameters<typeof CallLane>[0] {
    const up = (peer: PeerIdentity): void => {
      this.#heard(peer);
    };
    return { ...this.#wiring(target), up };
  }

  /** It is there, as this very process: links to it that wait for another attempt, or hang on a former life, begin anew. */
  #heard(peer: PeerIdentity): void {
    if (!this.#options.handshake.addresses.heard(peer)) return;
    const { brokerId } = peer;
    const links = this.#links.get(brokerId);
    links?.bulk.spoke(peer);
    links?.beat.spoke(peer);
    this.#calls.get(brokerId)?.spoke(peer);
  }

  #callLane(to: PeerTarget): CallLane | null {
    if (to.kind === 'broker') {
      const known = this.#calls.get(to.broker) ?? new CallLane(this.#callWiring(to));
      this.#calls.set(to.broker, known);
      return known;
    }
    const known = this.#addressCalls.get(to.address);
    if (known !== undefined) return known;
    if (this.#addressCalls.size >= this.#options.limits.addressesMax && !this.#forgetAddress()) return null;
    const lane = new CallLane(this.#callWiring(to));
    this.#addressCalls.set(to.address, lane);
    return lane;
  }

  /** Makes room for another address; false: all are in use. */
  #forgetAddress(): boolean {
    for (const [address, lane] of this.#addressCalls) {
      if (!lane.isIdle) continue;
      lane.close();
      this.#addressCalls.delete(address);
      return true;
    }
    return false;
  }

  #received({ brokerId }: PeerIdentity, group: GroupNumber, message: Message): void {
    if (!this.#holds(brokerId, message.from)) {
      this.#dropped('wrong-source');
      return;
    }
    this.#receive(group, message);
  }

  /** Whether a replica may be the broker's. What the directory does not know is learned; it overrules what was learned. */
  #holds(broker: BrokerId, replica: ReplicaId): boolean {
    const known = this.#options.directory.brokerOf(replica);
    if (known !== null) {
      this.#learned.delete(replica);
      return known === broker;
    }
    const learned = this.#learned.get(replica);
    if (learned === undefined && this.#learned.size < this.#options.limits.learnedReplicasMax)
      this.#learned.set(replica, broker);
    return learned === undefined || learned === broker;
  }
}
