/** Brokers that talk over real sockets on loopback, and a proxy between them that can be cut. */
import { createConnection, createServer } from 'node:net';
import type { AddressInfo, Server as NetServer, Socket } from 'node:net';
import { tuneHttp2 } from '../../src/api/http2-windows.ts';
import type { BrokerId, GroupNumber, ReplicaId } from '../../src/model/ids.ts';
import { toBrokerId } from '../../src/model/ids.ts';
import { randomUuid } from '../../src/model/random.ts';
import type { BeatFrame } from '../../src/raft/beat-frame.ts';
import type { Message } from '../../src/raft/core/messages.ts';
import type { PeerLimits } from '../../src/raft/grpc-limits.ts';
import { peerLimitsDefault } from '../../src/raft/grpc-limits.ts';
import { GrpcPeers } from '../../src/raft/grpc-transport.ts';
import type { NewerEntry } from '../../src/raft/transport.ts';
import type { Refusal } from '../../src/raft/peer-admission.ts';
import type { PeerIdentity } from '../../src/raft/peer-identity.ts';
import type { PeerMemory, RememberedPeer } from '../../src/raft/peer-memory.ts';
import type { PeerDropReason, PeerLane } from '../../src/raft/peer-observer.ts';
import { realClock } from '../../src/runtime/real-clock.ts';
import { systemRandom } from '../../src/runtime/system-random.ts';

export const clusterId = 'f0000000-0000-4000-8000-00000000000f';
export const loopback = '127.0.0.1';

/** As durable as the test's process. */
export class VolatilePeerMemory implements PeerMemory {
  readonly peers = new Map<string, RememberedPeer>();

  remembered(incarnation: string): RememberedPeer | null {
    return this.peers.get(incarnation) ?? null;
  }

  remember(peer: RememberedPeer): Promise<boolean> {
    const durableCommit = Math.max(peer.durableCommit, this.peers.get(peer.incarnation)?.durableCommit ?? 0);
    this.peers.set(peer.incarnation, { ...peer, durableCommit });
    return Promise.resolve(true);
  }

  noteCommit(incarnation: string, durableCommit: number): void {
    const known = this.peers.get(incarnation);
    if (known !== undefined && durableCommit > known.durableCommit)
      this.peers.set(incarnation, { ...known, durableCommit });
  }
}

/** What all brokers of a test know of each other. */
export class AddressBook {
  /** One or several, with spaces between them, the likeliest first. */
  readonly addresses = new Map<BrokerId, string>();
  readonly incarnations = new Map<BrokerId, string>();
  readonly replicas = new Map<ReplicaId, BrokerId>();
}

export interface PeerRigOptions {
  readonly broker: number;
  readonly book: AddressBook;
  readonly identity?: Partial<PeerIdentity>;
  readonly secret?: string;
  readonly memory?: PeerMemory;
  readonly limits?: Partial<PeerLimits>;
  readonly isCongested?: () => boolean;
}

export const incarnationOf = (broker: number): string => `00000000-0000-4000-8000-00000000000${broker}`;

export class PeerRig {
  readonly broker: BrokerId;
  readonly peers: GrpcPeers;
  readonly memory: PeerMemory;
  identity: PeerIdentity;
  durableCommit = 0;
  port = 0;
  readonly messages: { readonly group: GroupNumber; readonly message: Message }[] = [];
  readonly newer: NewerEntry[] = [];
  readonly beats: { readonly from: BrokerId; readonly frame: BeatFrame }[] = [];
  readonly unreachable: { readonly group: GroupNumber; readonly replica: ReplicaId }[] = [];
  readonly connected: PeerLane[] = [];
  readonly disconnected: string[] = [];
  readonly refused: { readonly by: 'us' | 'peer'; readonly refusal: Refusal }[] = [];
  readonly turnedAway: Refusal[] = [];
  readonly drops: PeerDropReason[] = [];
  readonly defects: unknown[] = [];
  /** What other brokers said of themselves. */
  readonly heard = new Map<BrokerId, PeerIdentity>();

  constructor({ broker, book, identity, secret, memory, limits, isCongested }: PeerRigOptions) {
    this.broker = toBrokerId(broker);
    this.memory = memory ?? new VolatilePeerMemory();
    this.identity = {
      brokerId: this.broker,
      clusterId,
      incarnation: incarnationOf(broker),
      bootNumber: 1,
      processNonce: randomUuid(systemRandom),
      recoveredCommit: 0,
      earlierStarts: [],
      peerAddress: null,
      ...identity,
    };
    this.peers = new GrpcPeers({
      handshake: {
        own: () => ({ identity: this.identity, durableCommit: this.durableCommit }),
        secret: secret ?? 'a secret of the cluster',
        addresses: {
          addressesOf: (other) => {
            const all = [this.heard.get(other)?.peerAddress, ...(book.addresses.get(other)?.split(' ') ?? [])];
            return all.filter((address) => typeof address === 'string');
          },
          incarnationOf: (other) => book.incarnations.get(other) ?? null,
          heard: (peer) => {
            const isNew = this.heard.get(peer.brokerId)?.processNonce !== peer.processNonce;
            this.heard.set(peer.brokerId, peer);
            return isNew;
          },
        },
        memory: this.memory,
        random: systemRandom,
      },
      directory: { brokerOf: (replica) => book.replicas.get(replica) ?? null, incarnationOf: () => null },
      clock: realClock,
      limits: { ...peerLimitsDefault, ...limits },
      observer: {
        connected: (_to, lane) => this.connected.push(lane),
        disconnected: (_to, _lane, why) => this.disconnected.push(why),
        refused: (_to, by, refusal) => this.refused.push({ by, refusal }),
        turnedAway: (_from, refusal) => this.turnedAway.push(refusal),
        dropped: (reason) => this.drops.push(reason),
      },
      tune: tuneHttp2,
      isCongested: isCongested ?? (() => false),
      onDefect: (error) => this.defects.push(error),
    });
    this.peers.onMessage((group, message) => this.messages.push({ group, message }));
    this.peers.onNewerEntry((newer) => this.newer.push(newer));
    this.peers.onBeat((from, frame) => this.beats.push({ from, frame }));
    this.peers.onUnreachable((group, replica) => this.unreachable.push({ group, replica }));
  }

  /** Listens on a free port and writes it into the book. */
  async listen(book: AddressBook): Promise<this> {
    this.port = await this.peers.listen(loopback, 0);
    book.addresses.set(this.broker, `${loopback}:${this.port}`);
    return this;
  }
}

/** Waits until `check` holds; the test's own time limit ends it otherwise. */
export async function until(check: () => boolean): Promise<void> {
  while (!check()) await new Promise((resolve) => setTimeout(resolve, 5));
}

/** A TCP proxy to a port: passes bytes on, swallows them, or resets. */
export class CuttableProxy {
  readonly #server: NetServer;
  readonly #sockets = new Set<Socket>();
  /** True: bytes of both directions wait, as on a network that drops every packet. */
  #blackhole = false;
  accepted = 0;

  private constructor(server: NetServer) {
    this.#server = server;
  }

  static async to(port: number): Promise<CuttableProxy> {
    const server = createServer();
    const proxy = new CuttableProxy(server);
    server.on('connection', (near) => {
      proxy.accepted += 1;
      const far = createConnection(port, loopback);
      for (const [from, into] of [
        [near, far],
        [far, near],
      ] as const) {
        proxy.#sockets.add(from);
        from.pipe(into);
        from.on('error', () => into.destroy());
        from.on('close', () => {
          proxy.#sockets.delete(from);
          into.destroy();
        });
        if (proxy.#blackhole) from.pause();
      }
    });
    await new Promise<void>((resolve) => server.listen(0, loopback, resolve));
    return proxy;
  }

  get address(): string {
    return `${loopback}:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Lets nothing through; connections stay. */
  swallow(): void {
    this.#blackhole = true;
    for (const socket of this.#sockets) {
      socket.unpipe();
      socket.pause();
    }
  }

  /** Resets every connection; new ones get through. */
  reset(): void {
    this.#blackhole = false;
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
