/**
 * One machine with a disk, and the broker process on it: composed as src/main.ts composes the real one, up to the port that
 * clients talk to. Only clock, chance, disk, network and the streams between brokers are simulated.
 */
import { CallDesk } from '../../src/api/call-desk.ts';
import { serveForwarded } from '../../src/api/forward-service.ts';
import { forwardingBroker } from '../../src/api/forwarding-broker.ts';
import { defaultApiLimits } from '../../src/api/limits.ts';
import { Broker } from '../../src/broker/broker.ts';
import type { BrokerIdentity } from '../../src/broker/broker-identity.ts';
import { BrokerStartError } from '../../src/broker/broker-identity.ts';
import { findCluster, takeReplica } from '../../src/broker/cluster-entrance.ts';
import type { GroupSettings } from '../../src/broker/group-settings.ts';
import type { BrokerLimits } from '../../src/broker/limits.ts';
import { silentBrokerObserver } from '../../src/broker/observer.ts';
import { PeerBook } from '../../src/broker/peer-book.ts';
import { ReplicaDirectory } from '../../src/broker/replica-directory.ts';
import type { BrokerApi } from '../../src/broker/requests.ts';
import type { BrokerId, GroupNumber } from '../../src/model/ids.ts';
import { catalogGroup, toBrokerId } from '../../src/model/ids.ts';
import { randomUuid } from '../../src/model/random.ts';
import type { BatchCodecs } from '../../src/model/record-batch.ts';
import type { RaftLimits } from '../../src/raft/core/limits.ts';
import type { DriverLimits } from '../../src/raft/driver-limits.ts';
import type { RaftGroup } from '../../src/raft/group.ts';
import { MultiRaftHost } from '../../src/raft/host.ts';
import { PeerClocks } from '../../src/raft/peer-clocks.ts';
import type { Condemnation } from '../../src/raft/standing.ts';
import { createCompression } from '../../src/runtime/compression.ts';
import { crc32c } from '../../src/runtime/crc32c.ts';
import type { DiskCopy, Keep } from '../sim/sim-disk.ts';
import { SimDisk } from '../sim/sim-disk.ts';
import type { SimRandom } from '../sim/sim-random.ts';
import type { Acceptor, PeerWire } from './peer-stream.ts';
import type { DiskFiles } from './sim-files.ts';
import { SimFiles } from './sim-files.ts';
import { SimPeerMemory } from './sim-peer-memory.ts';
import type { PeerSpy } from './sim-peers.ts';
import { SimPeers } from './sim-peers.ts';
import { SimProcess } from './sim-process.ts';
import type { HostEvents } from './watched-host.ts';
import { WatchedHost } from './watched-host.ts';

export const codecs: BatchCodecs = { compression: await createCompression(), crc32c };

/** How far two clocks may be apart that agree, ms: the default of clock.strayMaxMs. */
export const clockStrayMsMax = 10_000;

/** Why a process ended. */
export type ExitReason =
  /** It refuses to start on this disk, or in this cluster. */
  { readonly kind: 'refused'; readonly why: string } | { readonly kind: 'fault'; readonly error: unknown };

export interface BrokerEnvironment {
  readonly wire: PeerWire;
  readonly random: SimRandom;
  readonly raftLimits: RaftLimits;
  readonly driverLimits: DriverLimits;
  readonly limits: Partial<BrokerLimits>;
  readonly groupSettings: GroupSettings;
  /** Where other brokers reach the machine now. */
  peerAddressOf(machine: number): string;
  hostEvents(broker: SimBroker): HostEvents;
  spy(broker: SimBroker): PeerSpy;
  /** What clients and other brokers ask of this broker alone passes through here. */
  watch(broker: SimBroker, api: Broker): BrokerApi;
  onReady(broker: SimBroker): void;
  onExit(broker: SimBroker, reason: ExitReason): void;
  onCondemned(broker: SimBroker, condemnation: Condemnation): void;
  onMissing(broker: SimBroker, group: GroupNumber): void;
  onWaiting(broker: SimBroker, why: string): void;
}

/** A copy of a whole data directory. */
export interface DirectoryCopy {
  readonly store: DiskCopy;
  readonly files: DiskFiles;
}

/** How a machine's settings tell it to come into its cluster. */
export interface Settings {
  readonly founders: readonly number[];
  readonly seeds: readonly number[];
  readonly rack: string | null;
}

export class SimBroker {
  readonly number: number;
  readonly brokerId: BrokerId;
  readonly disk: SimDisk;
  readonly files: SimFiles;
  settings: Settings;
  /** Null: no process runs. */
  process: SimProcess | null = null;
  /** The broker in the process, once there is one. */
  broker: Broker | null = null;
  /** What clients talk to; null: nobody listens, or it is not ready. */
  api: BrokerApi | null = null;
  /** Its disk lost something: it was wiped, or is an old copy. It is not expected to come back by itself. */
  isLost = false;
  /** Its disk is an old copy of itself. */
  isOldCopy = false;
  /** The cluster was told by an operator that this disk never comes back, and agreed, or removed the broker. */
  isGivenUp = false;
  /** Disks given up whose place another one took. */
  renewals = 0;
  /** Disks that this machine had before. */
  readonly formerIncarnations = new Set<string>();
  lives = 0;
  /** How often the machine got another address. */
  #addresses = 0;
  #peers: SimPeers | null = null;
  #host: WatchedHost | null = null;
  #desk: CallDesk | null = null;
  readonly #environment: BrokerEnvironment;
  readonly #random: SimRandom;

  constructor(number: number, settings: Settings, environment: BrokerEnvironment) {
    this.number = number;
    this.brokerId = toBrokerId(number);
    this.settings = settings;
    this.#environment = environment;
    this.#random = environment.random.split(`broker ${number}`);
    const { scheduler } = environment.wire;
    this.files = new SimFiles(scheduler, this.#random.split('files'));
    this.disk = new SimDisk({
      scheduler,
      random: this.#random.split('disk'),
      crc32c,
      enter: (complete) => this.process?.enter('input', complete),
      onTruncate: () => undefined,
    });
  }

  get alive(): boolean {
    return this.process !== null;
  }

  /** Where other brokers reach it. */
  get peerAddress(): string {
    return `${this.#hostName}:9401`;
  }

  get #hostName(): string {
    return this.#addresses === 0 ? `host-${this.number}` : `host-${this.number}-${this.#addresses}`;
  }

  /** It must be down. */
  changeAddress(): void {
    this.#addresses++;
  }

  /** Groups that run. */
  get groups(): ReadonlyMap<GroupNumber, RaftGroup> {
    return this.#host?.groups ?? new Map<GroupNumber, RaftGroup>();
  }

  get listener(): Acceptor | null {
    return this.#peers;
  }

  /** Null: the disk was never started. */
  get incarnation(): string | null {
    return this.files.content.incarnation;
  }

  start(): void {
    const rate = 0.95 + this.#random.below(101) / 1000;
    const process = new SimProcess(this.number, this.#environment.wire.scheduler, rate);
    this.process = process;
    this.lives++;
    this.#run(process).catch((error: unknown) => {
      if (this.process !== process) return;
      const isRefusal = error instanceof BrokerStartError;
      this.#environment.onExit(this, isRefusal ? { kind: 'refused', why: error.message } : { kind: 'fault', error });
    });
  }

  /** SIGKILL or a power cut: memory is gone, the disk keeps what `keep` says of what was not synced. */
  crash(keep: Keep): void {
    const { process } = this;
    this.process = null;
    this.broker = null;
    this.api = null;
    this.#peers = null;
    this.#host = null;
    this.#desk = null;
    this.disk.crash(keep);
    this.files.crash();
    if (process === null) return;
    process.end();
    for (const stream of [...this.#environment.wire.streams]) stream.died(process);
  }

  /** An orderly stop, as on SIGTERM; resolves when the process may end. */
  async stop(): Promise<void> {
    const { broker } = this;
    await broker?.handOver();
    this.#desk?.drain();
    this.api = null;
    await broker?.close();
  }

  copy(): DirectoryCopy {
    return { store: this.disk.copy(), files: this.files.content };
  }

  /** The disk, which must be crashed, is an old copy of itself from now on. */
  rollBack({ store, files }: DirectoryCopy): void {
    this.isOldCopy = true;
    this.disk.rollBack(store, false);
    this.files.replace(files);
  }

  /** Everything is gone, as after `rm -rf`; the disk must be crashed. */
  wipe(): void {
    if (this.incarnation !== null) this.formerIncarnations.add(this.incarnation);
    this.isOldCopy = false;
    this.disk.wipe();
    this.files.replace();
  }

  async #run(process: SimProcess): Promise<void> {
    const environment = this.#environment;
    const { wire, raftLimits, driverLimits, limits, groupSettings } = environment;
    const { clock } = process;
    const random = this.#random.split(`life ${this.lives}`);
    const fault = (error: unknown): void => {
      if (this.process === process) environment.onExit(this, { kind: 'fault', error });
    };
    const { files, disk, brokerId } = this;
    // design D4 makes a founding unanimous among those that are listed: one that is listed alone has nobody to ask whether
    // there is a cluster, so its operator allows it to found once, as docs/SETTINGS.md says of storage.mayFound
    const foundsAlone = this.settings.founders.length === 1;
    if (foundsAlone && this.isLost && files.content.incarnation === null) {
      throw new BrokerStartError('its data directory is empty (storage.mayFound=false)');
    }
    const incarnation = files.content.incarnation ?? randomUuid(random);
    const processNonce = randomUuid(random);
    const start = disk.open(processNonce);
    await files.write(process, { incarnation });
    // set apart: it says so to clients, and takes part in nothing
    if (files.content.lost) return;

    const founders = this.settings.founders.map((one) => ({
      brokerId: toBrokerId(one),
      peerAddress: environment.peerAddressOf(one),
    }));
    const { peerAddress } = this;
    const book = new PeerBook(founders);
    const directory = new ReplicaDirectory();
    const peers = new SimPeers({
      wire,
      process,
      handshake: {
        own: () => {
          const { clusterId } = files.content;
          const identity = { brokerId, clusterId, incarnation, peerAddress, ...start };
          return { identity, durableCommit: disk.durableCommit };
        },
        secret: 'a secret',
        addresses: book,
        memory: new SimPeerMemory(files, process),
        random: random.split('handshakes'),
      },
      directory,
      spy: environment.spy(this),
    });
    directory.learnFrom((replica) => peers.learnedBroker(replica));
    this.#peers = peers;

    const logs = disk.mount();
    const { settings } = this;
    const self = {
      brokerId,
      incarnation,
      address: `${this.#hostName}:9400`,
      peerAddress,
      rack: settings.rack,
      version: '0.1.0',
    };
    const genesis = {
      read: () => Promise.resolve(files.content.genesis),
      write: (held: DiskFiles['genesis']) => files.write(process, { genesis: held }),
    };
    const entrance = await findCluster({
      self,
      founders,
      seeds: settings.seeds.map((one) => environment.peerAddressOf(one)),
      wishedClusterId: null,
      clusterId: () => files.content.clusterId,
      hasReplica: async () => (await logs.list()).some(({ group }) => group === catalogGroup),
      genesis,
      rpc: peers,
      clock,
      random,
      waiting: (why) => {
        environment.onWaiting(this, why);
      },
      signal: new AbortController().signal,
    });
    const { clusterId } = entrance;
    await files.write(process, { clusterId });
    peers.identityChanged();
    if (entrance.kind === 'founds') book.foundedBy(entrance.genesis.founders);
    const identity: BrokerIdentity = { ...self, clusterId };

    const clocks = new PeerClocks(clock, clockStrayMsMax);
    const host = new WatchedHost(
      new MultiRaftHost({
        logs,
        clocks,
        clusterId,
        mayVote: true,
        clock,
        random: random.split('raft'),
        crc32c,
        raftLimits,
        driverLimits,
        transport: peers,
        directory: peers,
        schedule: (run) => {
          process.soon(run);
        },
        observer: {},
        condemned: (verdict) => {
          environment.onCondemned(this, verdict);
          void files.write(process, { lost: true });
        },
        fatal: fault,
      }),
      environment.hostEvents(this),
    );
    this.#host = host;
    const admitted = await takeReplica(host, entrance, { self, genesis });
    for (const founder of admitted.founders) directory.teach(founder.catalogReplica, founder.brokerId);
    const others = [...settings.seeds, ...settings.founders.filter((one) => one !== this.number)];
    const broker = new Broker({
      identity,
      host,
      clock,
      clocks,
      random: random.split('broker'),
      compression: codecs.compression,
      disk: { admit: () => disk.mood.space === 'ample' },
      onFault: fault,
      limits,
      groupSettings,
      observer: {
        ...silentBrokerObserver,
        groupMissing: (group) => {
          environment.onMissing(this, group);
        },
      },
      cluster: {
        ...admitted,
        seeds: others.map((one) => environment.peerAddressOf(one)),
        rpc: peers,
        processOf: (id) => book.processOf(id),
        directory,
      },
    });
    this.broker = broker;
    book.follow((id) => broker.peerOf(id));
    await broker.start();
    const watched = environment.watch(this, broker);
    const desk = new CallDesk({ clock, limits: defaultApiLimits, onDefect: fault });
    this.#desk = desk;
    const peerCalls = {
      call: (to: BrokerId, method: string, payload: Uint8Array, timeoutMs: number) =>
        peers.call({ kind: 'broker', broker: to }, method, payload, timeoutMs),
      serve: (method: string, handler: (payload: Uint8Array, timeoutMs: number) => Promise<Uint8Array>) => {
        peers.serve(method, (_from, payload, timeoutMs) => handler(payload, timeoutMs));
      },
    };
    serveForwarded(peerCalls, desk, { broker: watched, clock, codecs });
    this.api = forwardingBroker({ broker: watched, routes: broker.routes, peers: peerCalls, clock });
    environment.onReady(this);
  }
}
