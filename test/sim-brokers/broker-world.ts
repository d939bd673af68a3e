/** Everything of one run: machines with brokers, the network, what is committed, what clients saw, and the invariants. */
import type { Broker } from '../../src/broker/broker.ts';
import type { BrokerApi, RequestContext } from '../../src/broker/requests.ts';
import type { Result } from '../../src/model/errors.ts';
import type { BrokerEntry, CatalogCommand } from '../../src/broker/catalog-commands.ts';
import type { GroupNumber, ReplicaId } from '../../src/model/ids.ts';
import { catalogGroup, toMillis } from '../../src/model/ids.ts';
import type { Configuration } from '../../src/raft/core/configuration.ts';
import { decodeConfiguration } from '../../src/raft/core/configuration.ts';
import type { GroupImage } from '../sim/group-image.ts';
import { SimViolation } from '../sim/invariant.ts';
import type { Keep } from '../sim/sim-disk.ts';
import { SimDiskFault } from '../sim/sim-disk.ts';
import { SimNetwork } from '../sim/sim-network.ts';
import type { SimRandom } from '../sim/sim-random.ts';
import { SimScheduler } from '../sim/sim-scheduler.ts';
import { Trace } from '../sim/trace.ts';
import type { BrokerShape } from './broker-shape.ts';
import { CatalogHistory } from './catalog-history.ts';
import { CommittedLogs } from './committed-logs.ts';
import type { CounterName } from './counters.ts';
import { noCounts } from './counters.ts';
import { History } from './history.ts';
import type { BrokerInvariant } from './invariant.ts';
import type { MemberClient } from './member-client.ts';
import type { PeerWire, StreamPair } from './peer-stream.ts';
import type { DirectoryCopy, ExitReason, Settings } from './sim-broker.ts';
import { SimBroker } from './sim-broker.ts';

type Watch = {
  [Name in keyof BrokerInvariant as Name extends `on${string}` ? Name : never]-?: Extract<
    BrokerInvariant[Name],
    (...args: never[]) => void
  >;
};

/** What a client hears of a call. */
export type Reply<T> =
  | { readonly kind: 'answered'; readonly result: Result<T> }
  /** Nobody listened: certainly not carried out. */
  | { readonly kind: 'not-sent' }
  /** It left, and no answer came. */
  | { readonly kind: 'no-answer' };

const restartMsMean = 1_000;

const isWrittenOff = ({ isLost, isGivenUp }: SimBroker): boolean => isLost || isGivenUp;

export class BrokerWorld {
  readonly scheduler = new SimScheduler();
  readonly network: SimNetwork;
  readonly trace = new Trace(this.scheduler);
  readonly counters = noCounts();
  readonly history = new History();
  readonly committed = new CommittedLogs();
  readonly catalog: CatalogHistory;
  readonly invariants: BrokerInvariant[] = [];
  readonly shape: BrokerShape;
  readonly brokers: readonly SimBroker[];
  /** Machines that are started again by themselves when their process has ended. */
  readonly returning = new Set<SimBroker>();
  /** What each lost replica had durably at the moment of the loss: what it acknowledged before may still be counted. */
  readonly lostImages = new Map<ReplicaId, GroupImage>();
  violation: SimViolation | null = null;
  /** Clients that read as members of groups. */
  readonly members: MemberClient[] = [];
  /** At some moment half of the brokers or more had a wrong clock: then nobody can tell which is right (design D23). */
  hadNoClock = false;
  /** Probability that a call of a client, or its answer, gets lost. */
  clientLoss = 0;
  readonly #random: SimRandom;
  readonly #clientRandom: SimRandom;
  readonly #watches = new Map<keyof Watch, readonly ((...args: never[]) => void)[]>();
  /** Configurations that were committed, the newest of each group. */
  readonly #configurations = new Map<GroupNumber, { readonly index: number; readonly configuration: Configuration }>();

  constructor(shape: BrokerShape, random: SimRandom) {
    this.shape = shape;
    this.#random = random.split('world events');
    this.#clientRandom = random.split('clients');
    this.network = new SimNetwork(this.scheduler, random.split('network'));
    this.catalog = new CatalogHistory(this.committed, () => this.scheduler.now);
    this.committed.onCommitted.push((group, entry) => {
      if (entry.kind !== 'configuration') return;
      this.#configurations.set(group, { index: entry.index, configuration: decodeConfiguration(entry.payload) });
    });
    this.catalog.onCommand.push((command) => {
      this.trace.say(0, catalogGroup, 'committed', JSON.stringify(command));
      if (command.kind === 'placement-reached') this.count('movesFinished');
      if (command.kind === 'put-broker' && command.broker.joined) this.count('brokersJoined');
      if (command.kind === 'put-broker') this.#cameWith(command.broker);
      if (command.kind === 'delete-topic') this.count('topicsDeleted');
      this.#countOrder(command);
      if (command.kind === 'replace-broker' || command.kind === 'remove-broker') this.#givenUp(command.brokerId);
      if (command.kind !== 'create-topic' || command.topic.internal) return;
      const { name } = command.topic;
      const isFirst = [...this.catalog.topics.values()].filter((topic) => topic.name === name).length === 1;
      this.count(isFirst ? 'topicsCreated' : 'topicsRecreated');
    });
    const streams = new Set<StreamPair>();
    const brokers: SimBroker[] = [];
    const wire: PeerWire = {
      scheduler: this.scheduler,
      network: this.network,
      random: random.split('streams'),
      listenerAt: (address) => brokers.find((one) => one.peerAddress === address)?.listener ?? null,
      machineAt: (address) => brokers.find((one) => one.peerAddress === address)?.number ?? null,
      streams,
    };
    const count = shape.founders + shape.joiners;
    for (let number = 1; number <= count; number++) brokers.push(this.#make(number, wire, random));
    this.brokers = brokers;
  }

  count(name: CounterName): void {
    this.counters[name]++;
  }

  /** Brokers whose disk lost nothing, and was not given up. */
  get healthy(): readonly SimBroker[] {
    return this.brokers.filter((broker) => !broker.isLost && !broker.isGivenUp);
  }

  broker(number: number): SimBroker {
    const broker = this.brokers[number - 1];
    if (broker === undefined) throw new RangeError(`broker ${number}`);
    return broker;
  }

  start(broker: SimBroker): void {
    this.trace.say(broker.number, null, 'start', broker.isLost ? 'on a lost disk' : '');
    this.returning.add(broker);
    broker.start();
  }

  crash(broker: SimBroker, keep: Keep): void {
    this.trace.say(broker.number, null, 'crash', keep);
    this.count('crashes');
    broker.crash(keep);
  }

  /** Starts it after a while, unless it is to stay down by then. */
  startLater(broker: SimBroker, delayMs: number): void {
    this.scheduler.after(delayMs, () => {
      if (this.returning.has(broker) && !broker.alive) this.start(broker);
    });
  }

  /** An orderly stop, as of a rolling restart. */
  stop(broker: SimBroker, then: () => void): void {
    const { process } = broker;
    if (process === null || broker.api === null) return;
    this.trace.say(broker.number, null, 'stop', '');
    process.enter('input', () => {
      broker.stop().then(
        () => {
          if (broker.process !== process) return;
          this.trace.say(broker.number, null, 'stopped', '');
          this.count('brokersStopped');
          broker.crash('all');
          then();
        },
        (error: unknown) => {
          if (broker.process === process) this.#onExit(broker, { kind: 'fault', error });
        },
      );
    });
  }

  /** The machine, which must be down, gets an empty disk (P61). */
  wipe(broker: SimBroker): void {
    this.trace.say(broker.number, null, 'wipe', '');
    this.count('wiped');
    this.#lose(broker);
    broker.wipe();
  }

  /** The machine, which must be down, gets an old copy of its disk (P87). */
  rollBack(broker: SimBroker, copy: DirectoryCopy): void {
    this.trace.say(broker.number, null, 'roll-back', '');
    this.count('rolledBack');
    this.#lose(broker);
    broker.rollBack(copy);
  }

  /** The machine, of a lost disk, does not come back before the cluster has given that disk up. */
  keepDown(broker: SimBroker): void {
    if (broker.alive) this.crash(broker, 'all');
    this.returning.delete(broker);
  }

  /** The machine comes back under another address, as a container does that is scheduled elsewhere. */
  moveToNewAddress(broker: SimBroker): void {
    // operators found a cluster before they move its brokers
    const isFounded = this.brokers.every((one) => this.catalog.state.brokers.get(one.brokerId)?.joined === true);
    if (!broker.alive || !isFounded) return;
    this.crash(broker, this.#random.pick(['none', 'prefix', 'per-group', 'all']));
    broker.changeAddress();
    this.trace.say(broker.number, null, 'address', broker.peerAddress);
    this.count('addressesChanged');
    this.startLater(broker, this.#random.exponential(restartMsMean));
  }

  /** A wall clock shows another time now. */
  clockJumped(): void {
    this.count('clockJumps');
    const wrong = this.brokers.filter((broker) => (broker.process?.clock.wallOffsetMs ?? 0) !== 0);
    const joined = [...this.catalog.state.brokers.values()].filter((broker) => broker.joined);
    if (wrong.length * 2 >= joined.length) this.hadNoClock = true;
  }

  /** What the replica has durably, or had when it was lost. */
  imageOf(group: GroupNumber, replica: ReplicaId): GroupImage | null {
    const lost = this.lostImages.get(replica);
    if (lost !== undefined) return lost;
    for (const { disk } of this.brokers) {
      const image = disk.synced.get(group);
      if (image?.header.replicaId === replica) return image;
    }
    return null;
  }

  /** Every configuration that may be in force in a log of the group that can still win. */
  configurations(group: GroupNumber): readonly Pick<Configuration, 'voters' | 'outgoing'>[] {
    const committed = this.#configurations.get(group);
    const found: Pick<Configuration, 'voters' | 'outgoing'>[] =
      committed === undefined ? [] : [committed.configuration];
    for (const { disk } of this.brokers) {
      const image = disk.cached.get(group);
      if (image === undefined) continue;
      const genesis = committed === undefined ? decodeConfiguration(image.header.genesis) : null;
      if (genesis !== null && genesis.voters.length > 0) found.push(genesis);
      for (const { index, payload } of image.configurations)
        if (index > (committed?.index ?? 0)) found.push(decodeConfiguration(payload));
    }
    if (found.length > 0) return found;
    const place = this.catalog.state.placeOf(group);
    return place === null ? [] : [{ voters: place.genesis, outgoing: [] }];
  }

  /** The newest committed configuration; null: there is none yet beside the founding one. */
  committedConfiguration(group: GroupNumber): Configuration | null {
    return this.#configurations.get(group)?.configuration ?? null;
  }

  /** Whether the group can elect a leader without the disks of these brokers and of all that are lost. */
  canElectWithout(group: GroupNumber, without: readonly SimBroker[] = []): boolean {
    const isThere = (replica: ReplicaId): boolean => {
      const broker = this.#holderOf(group, replica);
      return broker !== null && !broker.isLost && !without.includes(broker);
    };
    return this.configurations(group).every(({ voters, outgoing }) =>
      [voters, outgoing].every((half) => half.length === 0 || half.filter(isThere).length * 2 > half.length),
    );
  }

  /**
   * Whether an old copy of a disk is found before it votes, whatever else fails: nowhere do the broker and those who can
   * not tell it from the newest decide by themselves that it may. Where they do, nobody could find it, so design D4 does
   * not promise it.
   */
  isFound(broker: SimBroker, { store, files }: DirectoryCopy): boolean {
    const cannotTell = this.brokers.filter((other) => {
      const remembered = other.files.content.peers.get(files.incarnation ?? '');
      const knowsMore =
        remembered !== undefined &&
        (store.starts.length + 1 <= remembered.bootNumber || store.commit < remembered.durableCommit);
      return other === broker || !knowsMore;
    });
    const isStranger = (group: GroupNumber, replica: ReplicaId): boolean => {
      const holder = this.#holderOf(group, replica);
      return holder === null || cannotTell.includes(holder);
    };
    const hasMajority = (group: GroupNumber, half: readonly ReplicaId[]): boolean =>
      half.length === 0 || half.filter((replica) => isStranger(group, replica)).length * 2 > half.length;
    return this.groups.every((group) => {
      const own = store.groups.get(group);
      const inCopy = own === undefined ? [] : [own.configurations.at(-1)?.payload ?? own.header.genesis];
      const all = [...this.configurations(group), ...inCopy.map(decodeConfiguration)];
      return !all.some(({ voters, outgoing }) => [voters, outgoing].every((half) => hasMajority(group, half)));
    });
  }

  /** An old copy runs, or will, and is not set apart yet: what would let it go unfound must not happen meanwhile. */
  get hasOldCopy(): boolean {
    return this.brokers.some(({ isOldCopy, files }) => isOldCopy && !files.content.lost);
  }

  /** A group of the catalog or of a topic that exists. */
  get groups(): readonly GroupNumber[] {
    const places = [...this.catalog.state.topics.values()].flatMap(({ partitions }) => partitions);
    return [catalogGroup, ...places.map(({ group }) => group)];
  }

  /** Asks a broker as a client does, over a network of its own that loses calls and answers. */
  ask<T>(
    broker: SimBroker,
    timeoutMs: number,
    call: (api: BrokerApi, context: RequestContext, broker: Broker) => Promise<Result<T>>,
  ): Promise<Reply<T>> {
    const random = this.#clientRandom;
    const delay = (): number => 0.3 + random.exponential(1.5);
    return new Promise((resolve) => {
      let done = false;
      const settle = (reply: Reply<T>): void => {
        if (done) return;
        done = true;
        resolve(reply);
      };
      this.scheduler.after(timeoutMs, () => {
        settle({ kind: 'no-answer' });
      });
      if (random.chance(this.clientLoss)) return;
      this.scheduler.after(delay(), () => {
        const { process } = broker;
        if (process === null || broker.api === null) {
          settle({ kind: 'not-sent' });
          return;
        }
        process.enter('input', () => {
          const { api, broker: served } = broker;
          if (api === null || served === null) return;
          const deadlineMs = toMillis(process.clock.monotonicMs() + timeoutMs);
          const context = { principal: 'client', tenant: 0, deadlineMs, signal: new AbortController().signal };
          call(api, context, served).then(
            (result) => {
              if (random.chance(this.clientLoss)) return;
              this.scheduler.after(delay(), () => {
                settle({ kind: 'answered', result });
              });
            },
            (error: unknown) => {
              if (broker.process === process) this.fail(error);
            },
          );
        });
      });
    });
  }

  /** Resolves when this much virtual time has passed. */
  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.scheduler.after(ms, resolve);
    });
  }

  /** Tells every invariant that wants to know. The first violation ends the run. */
  tell<Name extends keyof Watch>(name: Name, ...args: Parameters<Watch[Name]>): void {
    const watches = this.#watches.get(name) ?? this.#watchesOf(name);
    try {
      for (const watch of watches) (watch as (...args: unknown[]) => void)(...args);
    } catch (error) {
      this.fail(error);
    }
  }

  fail(error: unknown): void {
    this.violation ??=
      error instanceof SimViolation ? error : new SimViolation('sim-bug', String((error as Error).stack));
  }

  afterEvent(): void {
    if (this.violation !== null) throw this.violation;
  }

  #watchesOf(name: keyof Watch): readonly ((...args: never[]) => void)[] {
    const watches = this.invariants.flatMap((invariant) => {
      const watch = Reflect.get(invariant, name) as ((...args: never[]) => void) | undefined;
      return watch === undefined ? [] : [watch.bind(invariant)];
    });
    this.#watches.set(name, watches);
    return watches;
  }

  #lose(broker: SimBroker): void {
    broker.isLost = true;
    for (const image of broker.disk.synced.values()) this.lostImages.set(image.header.replicaId, image.clone());
  }

  #holderOf(group: GroupNumber, replica: ReplicaId): SimBroker | null {
    const found = this.brokers.find(({ disk }) => disk.cached.get(group)?.header.replicaId === replica);
    if (found !== undefined) return found;
    if (this.lostImages.has(replica)) return null;
    const { state } = this.catalog;
    const at = state.brokerOf(replica);
    if (at === null) return null;
    const place = state.placeOf(group);
    const bound = [...(place?.replicas ?? []), ...(place?.leaving ?? [])].find((one) => one.replicaId === replica);
    const incarnation = bound?.incarnation ?? state.brokers.get(at)?.incarnation ?? '';
    return this.broker(at).formerIncarnations.has(incarnation) ? null : this.broker(at);
  }

  /** The cluster does without the disk from now on: the machine gets an empty one, and comes to join. */
  #givenUp(number: number): void {
    const broker = this.broker(number);
    broker.isGivenUp = true;
    this.#renewLater(broker);
  }

  /** A wiped disk, or one that never held anything, is as good as an empty one, and may come before it is exchanged. */
  #cameWith({ brokerId, incarnation }: BrokerEntry): void {
    const broker = this.broker(brokerId);
    if (!broker.isGivenUp || broker.isOldCopy || broker.incarnation !== incarnation) return;
    broker.isLost = false;
    this.#countRenewal(broker);
  }

  #countRenewal(broker: SimBroker): void {
    broker.isGivenUp = false;
    broker.renewals++;
    this.count('renewed');
  }

  #renewLater(broker: SimBroker): void {
    this.scheduler.after(this.#random.exponential(restartMsMean), () => {
      if (!broker.isGivenUp) return;
      // a removed broker's disk may still be one of most of the catalog's own voters
      if (!broker.isLost && !this.groups.every((group) => this.canElectWithout(group, [broker]))) {
        this.count('removedStillNeeded');
        this.#renewLater(broker);
        return;
      }
      if (broker.alive) this.crash(broker, 'all');
      this.trace.say(broker.number, null, 'renewed', '');
      if (!broker.isLost) this.#lose(broker);
      broker.wipe();
      broker.isLost = false;
      this.#countRenewal(broker);
      const others = this.brokers.map((one) => one.number).filter((one) => one !== broker.number);
      broker.settings = { ...broker.settings, founders: [], seeds: others };
      this.start(broker);
    });
  }

  #countOrder(command: CatalogCommand): void {
    switch (command.kind) {
      case 'set-duty':
        this.count(command.duty === null ? 'undrained' : command.duty === 'draining' ? 'drained' : 'decommissioned');
        return;
      case 'remove-broker':
        this.count('brokersRemoved');
        return;
      case 'replace-broker':
        this.count('disksGivenUp');
        return;
      case 'add-partitions':
        this.count('partitionsAdded');
        return;
      case 'alter-topic':
        this.count('topicsAltered');
        return;
      case 'place-replicas':
        if (command.factors.length > 0) this.count('factorsChanged');
        if (command.leadNow) this.count('transfers');
        return;
      default:
    }
  }

  #make(number: number, wire: PeerWire, random: SimRandom): SimBroker {
    const { shape } = this;
    const founders = Array.from({ length: shape.founders }, (_, at) => at + 1);
    const isFounder = number <= shape.founders;
    const others = Array.from({ length: shape.founders + shape.joiners }, (_, at) => at + 1);
    const settings: Settings = {
      founders: isFounder ? founders : [],
      // whoever joins is told of all, for any of them may be lost by then
      seeds: isFounder ? [] : others.filter((one) => one !== number),
      rack: shape.racks === 0 ? null : `rack-${number % shape.racks}`,
    };
    return new SimBroker(number, settings, {
      wire,
      random,
      raftLimits: shape.raftLimits,
      driverLimits: shape.driverLimits,
      limits: shape.limits,
      groupSettings: shape.groupSettings,
      peerAddressOf: (machine) => this.broker(machine).peerAddress,
      hostEvents: (broker) => ({
        creating: (group, replica) => {
          this.tell('onCreating', broker, group, replica);
        },
        applied: (group, entry) => {
          this.trace.applied(broker.number, group, entry);
          try {
            this.committed.applied(broker.number, group, entry);
          } catch (error) {
            this.fail(error);
          }
          this.tell('onApplied', broker, group, entry);
        },
        installed: (group) => {
          this.trace.say(broker.number, group, 'installed', '');
          this.count('statesInstalled');
          this.tell('onInstalled', broker, group);
        },
        committed: (group, highWatermark) => {
          this.tell('onVisible', broker, group, highWatermark);
        },
        role: (group, role) => {
          const isNew = role.role === 'leader' && role.serving;
          if (isNew) this.count(group === catalogGroup ? 'catalogLeaders' : 'partitionLeaders');
          this.trace.say(broker.number, group, role.role, role.serving ? `t${role.term} serving` : `t${role.term}`);
          this.tell('onRole', broker, group, role);
        },
        quarantined: (group, reason) => {
          this.trace.say(broker.number, group, 'quarantined', reason);
          if (!isWrittenOff(broker))
            this.fail(new SimViolation('sim-quarantine', `b${broker.number} g${group} ${reason}`));
        },
        removing: (group) => {
          this.trace.say(broker.number, group, 'remove', '');
          this.count('groupsRemoved');
          this.tell('onRemoving', broker, group);
        },
      }),
      spy: (broker) => ({
        message: (to, group, message) => {
          this.tell('onSend', broker, to, group, message);
          this.trace.message({ from: broker.number, to, group, message });
        },
        beat: (to, frame) => {
          this.trace.beat({ from: broker.number, to, frame });
        },
        call: (to, method) => {
          if (method === 'forward-appends') this.count('forwarded');
          this.trace.say(broker.number, null, 'call', `${to.kind === 'broker' ? to.broker : to.address} ${method}`);
        },
        refused: ({ code, detail }) => {
          this.trace.say(broker.number, null, 'refuses', `${code}: ${detail}`);
        },
        defect: (error) => {
          this.fail(error);
        },
      }),
      watch: (broker, served) => this.#watched(broker, served),
      onReady: (broker) => {
        this.trace.say(broker.number, null, 'ready', '');
      },
      onExit: (broker, reason) => {
        this.#onExit(broker, reason);
      },
      onCondemned: (broker, { by, code, detail }) => {
        this.trace.say(broker.number, null, 'condemned', `by ${by}, ${code}: ${detail}`);
        this.count('condemned');
        if (!isWrittenOff(broker)) this.fail(new SimViolation('inv-P87', `b${broker.number} lost nothing: ${detail}`));
      },
      onMissing: (broker, group) => {
        this.trace.say(broker.number, group, 'missing', '');
        if (!isWrittenOff(broker)) this.fail(new SimViolation('inv-D5', `b${broker.number} lacks group ${group}`));
      },
      onWaiting: (broker, why) => {
        this.trace.say(broker.number, null, 'waits', why);
      },
    });
  }

  #onExit(broker: SimBroker, reason: ExitReason): void {
    if (reason.kind === 'refused') {
      this.trace.say(broker.number, null, 'refused', reason.why);
      this.count('startsRefused');
      if (!isWrittenOff(broker))
        this.fail(new SimViolation('sim-start', `b${broker.number} does not start: ${reason.why}`));
    } else if (isWrittenOff(broker)) {
      // its catalog was set apart with everything else, and no broker goes on without one (design D7)
      this.trace.say(broker.number, null, 'process ends', String(reason.error));
    } else if (reason.error instanceof SimDiskFault) {
      this.trace.say(broker.number, null, 'process ends', reason.error.message);
      this.count('failedWrites');
    } else {
      const { error } = reason;
      const detail = error instanceof Error ? (error.stack ?? error.message) : String(error);
      this.fail(new SimViolation('sim-fatal', `b${broker.number} ${detail}`));
    }
    this.crash(broker, this.#random.pick(['none', 'prefix', 'per-group', 'all']));
    this.startLater(broker, 500 + this.#random.exponential(restartMsMean));
  }

  /** The broker itself, as clients and other brokers ask it. */
  #watched(broker: SimBroker, served: Broker): BrokerApi {
    const append: BrokerApi['append'] = async (request, context) => {
      const result = await served.append(request, context);
      if (result.kind === 'ok') this.tell('onReceipt', broker, request, result.value);
      return result;
    };
    const fetch: BrokerApi['fetch'] = async (request, context) => {
      const result = await served.fetch(request, context);
      if (result.kind === 'ok') for (const fetched of result.value.partitions) this.tell('onFetched', broker, fetched);
      return result;
    };
    const watched: Partial<BrokerApi> = { append, fetch };
    return new Proxy<BrokerApi>(served, {
      get: (_, name): unknown => {
        const own = Reflect.get(watched, name) as unknown;
        const part = own ?? (Reflect.get(served, name) as unknown);
        return typeof part === 'function' ? (part as (...args: unknown[]) => unknown).bind(served) : part;
      },
    });
  }
}
