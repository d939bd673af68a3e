/**
 * Hosts all groups of a broker: one turn queue, one timer, one way to the peers (design D3). Nothing is done per group
 * while nothing happens in it.
 */
import { InvariantViolation, assert } from '../model/assert.ts';
import type { Clock } from '../model/clock.ts';
import type { Crc32c } from '../model/crc32c.ts';
import type { BrokerId, GroupNumber, ReplicaId } from '../model/ids.ts';
import type { Random } from '../model/random.ts';
import type { GroupLog, GroupLogs } from '../log/log.ts';
import { LogCorruption } from '../log/reader.ts';
import type { RaftLimits } from './core/limits.ts';
import { RaftNode } from './core/raft-node.ts';
import type { DriverLimits } from './driver-limits.ts';
import type { DriverPort } from './driver.ts';
import { GroupDriver } from './driver.ts';
import { Hosted } from './beat-state.ts';
import { Beats } from './beats.ts';
import { BrokenGroup } from './broken-group.ts';
import type { GroupSpec, LocalReplica, RaftGroup, RaftHost, StateMachine } from './group.ts';
import type { RaftObserver } from './observer.ts';
import type { PeerClocks } from './peer-clocks.ts';
import { genesisOf, recover } from './recover.ts';
import { SnapshotSlots } from './snapshot-slots.ts';
import { TimerWheel } from './timer-wheel.ts';
import type { NewerEntry, PeerDirectory, PeerTransport } from './transport.ts';
import type { Condemnation } from './standing.ts';
import { VoteGate } from './vote-gate.ts';
import type { Schedule } from './turns.ts';
import { TurnQueue } from './turns.ts';

export interface HostOptions {
  readonly logs: GroupLogs;
  /** UUID of the cluster. */
  readonly clusterId: string;
  /**
   * False if the disk lost what it had acknowledged (design D10): every group that has a log here is set apart, so that
   * this broker neither votes nor leads nor acknowledges until it is replaced.
   */
  readonly mayVote: boolean;
  readonly clock: Clock;
  /** Bounds the stamps of entries by the clocks of other brokers (D23). Absent: stamps are what the wall clock shows. */
  readonly clocks?: PeerClocks;
  /** Election time-outs. */
  readonly random: Random;
  readonly crc32c: Crc32c;
  readonly raftLimits: RaftLimits;
  readonly driverLimits: DriverLimits;
  readonly transport: PeerTransport;
  /** Which broker a frame for a replica goes to. */
  readonly directory: PeerDirectory;
  /** `endOfTurn` in production. */
  readonly schedule: Schedule;
  readonly observer: RaftObserver;
  /**
   * Another broker has found that this disk is an old copy (design D4). All groups are set apart already; the store is to
   * remember it, so that the next start knows too (`RocksdbStore.markLost`). Called at most once.
   */
  condemned?(condemnation: Condemnation): void;
  /** The store failed, or a defect reaches beyond one group: the process must end. */
  fatal(error: unknown): void;
}

export class MultiRaftHost implements RaftHost {
  readonly #options: HostOptions;
  readonly #port: DriverPort;
  readonly #turns: TurnQueue;
  readonly #timers: TimerWheel;
  readonly #beats: Beats;
  readonly #gate: VoteGate;
  readonly #hosted = new Map<GroupNumber, Hosted>();
  /** Groups between the call of `start` and its end. */
  readonly #starting = new Set<GroupNumber>();
  #onDisk: Promise<Map<GroupNumber, ReplicaId>> | null = null;
  /** Why no group takes part any more; null: they do. */
  #apart: string | null;
  #closed = false;

  constructor(options: HostOptions) {
    this.#options = options;
    this.#apart = options.mayVote
      ? null
      : 'this broker lost writes that it had acknowledged; replace it (see DATA LOSS in the log)';
    this.#turns = new TurnQueue(options.schedule);
    this.#timers = new TimerWheel(options.clock, options.schedule);
    this.#port = {
      clock: options.clock,
      stampMs: () => options.clocks?.stampMs() ?? options.clock.wallMs(),
      limits: options.driverLimits,
      observer: options.observer,
      sendSlots: new SnapshotSlots(options.driverLimits.snapshotsSentMax),
      takeSlots: new SnapshotSlots(options.driverLimits.snapshotsTakenMax),
      wake: (driver) => {
        this.#turns.add(driver);
      },
      rearm: (driver) => {
        const hosted = this.#hosted.get(driver.group);
        if (hosted?.driver !== driver) return;
        this.#timers.rearm(hosted);
        this.#beats.changed(hosted);
      },
      catchUp: (driver) => {
        const hosted = this.#hosted.get(driver.group);
        if (hosted?.driver === driver) this.#beats.catchUp(hosted);
      },
      send: (group, message) => {
        options.transport.send(group, message);
      },
      fatal: (error) => {
        options.fatal(error);
      },
    };
    const { clock, random, transport, directory, observer } = options;
    this.#beats = new Beats({
      ...{ clock, random, transport, directory, observer, timers: this.#timers, turns: this.#turns },
      heartbeatMs: options.raftLimits.heartbeatMs,
      // whoever follows it has elected another leader by then
      silentMsMax: 3 * options.raftLimits.electionTimeoutMs,
      clocks: options.clocks ?? null,
      hosted: (group) => this.#hosted.get(group),
    });
    this.#gate = new VoteGate({
      standing: transport.standing ?? null,
      directory,
      opened: (group) => {
        group.putOffMs = -Infinity;
        this.#timers.rearm(group);
      },
    });
    transport.standing?.onChange(() => {
      this.#standingChanged();
    });
    this.#heedStanding();
    // a message for a group that is not here is dropped; never does one create a voter (P79)
    options.transport.onMessage((group, message) => {
      const hosted = this.#hosted.get(group);
      if (hosted === undefined) {
        options.observer.dropped?.(group, 'unknown-group');
        return;
      }
      const request = message.kind === 'vote-request' ? message : null;
      const isVoting = request !== null || message.kind === 'timeout-now';
      if (isVoting && !this.#gate.passes(hosted, request)) {
        options.observer.dropped?.(group, 'not-known-healthy');
        return;
      }
      // a candidate is judged by when the leader was heard last
      if (message.kind === 'vote-request') this.#beats.catchUp(hosted);
      hosted.driver.feed({ kind: 'message', message });
    });
    options.transport.onNewerEntry?.((newer) => {
      this.#newerEntry(newer);
    });
    options.transport.onSilent?.((broker) => {
      this.#silent(broker);
    });
    options.transport.onUnreachable?.((group, replica) => {
      this.#hosted.get(group)?.driver.feed({ kind: 'peer-unreachable', to: replica });
    });
  }

  /** How long ago another broker was heard for a group that it shares with this one, milliseconds; null: never. */
  heardAgoMs(broker: BrokerId): number | null {
    const heardMs = this.#beats.heardMs(broker);
    return heardMs === -Infinity ? null : this.#options.clock.monotonicMs() - heardMs;
  }

  get apart(): string | null {
    return this.#apart;
  }

  async existing(): Promise<readonly LocalReplica[]> {
    const onDisk = [...(await this.#groupsOnDisk())].map(([group, replicaId]) => ({ group, replicaId }));
    return onDisk.sort((a, b) => a.group - b.group);
  }

  async create(spec: GroupSpec, kind: StateMachine['kind']): Promise<void> {
    const { group, replicaId } = spec;
    assert(!this.#closed, 'host-1: a closed host starts nothing', `group ${group}`);
    const onDisk = await this.#groupsOnDisk();
    assert(!onDisk.has(group), 'host-6: a group is created once', `group ${group}`);
    await this.#create(spec, kind);
    onDisk.set(group, replicaId);
  }

  async start(spec: GroupSpec, machine: StateMachine): Promise<RaftGroup> {
    const { group } = spec;
    assert(!this.#closed, 'host-1: a closed host starts nothing', `group ${group}`);
    assert(!this.#hosted.has(group) && !this.#starting.has(group), 'host-2: a group runs once', `group ${group}`);
    this.#starting.add(group);
    try {
      return await this.#open(spec, machine);
    } catch (error) {
      if (!(error instanceof LogCorruption) && !(error instanceof InvariantViolation)) throw error;
      machine.quarantined(error.message);
      this.#options.observer.quarantined?.(group, error.message);
      return new BrokenGroup(group, error.message, this.#options.clock.wallMs());
    } finally {
      this.#starting.delete(group);
    }
  }

  async stop(group: GroupNumber): Promise<void> {
    await this.#end(group, true);
  }

  async remove(group: GroupNumber): Promise<void> {
    await this.#end(group, false);
    (await this.#groupsOnDisk()).delete(group);
    await this.#options.logs.remove(group);
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#hosted.keys()].map((group) => this.stop(group)));
    this.#timers.close();
  }

  async #open(spec: GroupSpec, machine: StateMachine): Promise<RaftGroup> {
    const log = await this.#logOf(spec, machine);
    const { clock, driverLimits } = this.#options;
    const recovered = await recover(log, machine, driverLimits.recentBytesMax);
    const core = new RaftNode({
      id: log.header.replicaId,
      recovered: recovered.state,
      limits: this.#options.raftLimits,
      random: this.#options.random,
      crc32c: this.#options.crc32c,
      now: clock.monotonicMs(),
      framesSent: () => this.#beats.framesSent,
      eager: true,
    });
    assert(!this.#closed, 'host-1: a closed host starts nothing', `group ${spec.group}`);
    const { appliedIndex: applied } = recovered.state;
    const driver = new GroupDriver({ log, machine, core, applied, appliedOffset: recovered.appliedOffset }, this.#port);
    const hosted = new Hosted(driver, () => {
      this.#deadlinePassed(hosted);
    });
    this.#hosted.set(spec.group, hosted);
    if (this.#apart !== null) {
      driver.setApart(this.#apart);
      return driver;
    }
    this.#gate.add(hosted);
    // nobody else's word is needed for a sole voter
    if (this.#gate.passes(hosted, null)) driver.feed({ kind: 'tick' });
    else this.#turns.add(driver);
    return driver;
  }

  /** Read once: from then on only this host creates and removes groups. */
  #groupsOnDisk(): Promise<Map<GroupNumber, ReplicaId>> {
    const read = async (): Promise<Map<GroupNumber, ReplicaId>> =>
      new Map((await this.#options.logs.list()).map(({ group, replicaId }) => [group, replicaId]));
    this.#onDisk ??= read();
    return this.#onDisk;
  }

  #create(spec: GroupSpec, kind: StateMachine['kind']): Promise<GroupLog> {
    const { logs, clusterId } = this.#options;
    const { group, replicaId } = spec;
    return logs.create({ group, kind, clusterId, replicaId, genesis: genesisOf(spec) });
  }

  async #logOf(spec: GroupSpec, machine: StateMachine): Promise<GroupLog> {
    const { logs, clusterId } = this.#options;
    const { group, replicaId } = spec;
    const kind = machine.kind;
    const onDisk = await this.#groupsOnDisk();
    if (!onDisk.has(group)) {
      onDisk.set(group, replicaId);
      return await this.#create(spec, kind);
    }
    const log = await logs.open(group);
    assert(log.header.kind === kind, 'host-3: a group keeps its kind', `group ${group}`);
    assert(log.header.clusterId === clusterId, 'host-4: a log belongs to one cluster', `group ${group}`);
    assert(log.header.replicaId === replicaId, 'host-5: a log belongs to one replica', `group ${group}`);
    return log;
  }

  #deadlinePassed(hosted: Hosted): void {
    this.#beats.catchUp(hosted);
    const now = this.#options.clock.monotonicMs();
    if (hosted.nextDeadline > now) return;
    if (this.#gate.passes(hosted, null)) hosted.driver.feed({ kind: 'tick' });
    // asked again then, since it may have become known where the voters are; a welcome is heard of at once
    else hosted.putOffMs = now + this.#options.raftLimits.electionTimeoutMs;
  }

  /**
   * The replica can neither follow that leader nor say that it has what it was sent, and would stay behind without a word
   * for ever. What an older leader sent may never be committed.
   */
  #newerEntry({ group, to, term, what }: NewerEntry): void {
    const driver = this.#hosted.get(group)?.driver;
    if (driver?.replicaId !== to) this.#options.observer.dropped?.(group, 'unknown-group');
    else if (term < driver.role.term) this.#options.observer.dropped?.(group, 'stale-term');
    else driver.setApart(what);
  }

  /** A broker that leads groups here may have died: they need not wait for their whole time-out. */
  #silent(broker: BrokerId): void {
    this.#beats.cutOff(broker);
    for (const hosted of this.#hosted.values()) {
      const { leader: from } = hosted.driver;
      if (from === null || from === hosted.driver.replicaId) continue;
      if (this.#options.directory.brokerOf(from) !== broker) continue;
      // what was heard of it until now counts as heard before
      this.#beats.catchUp(hosted);
      hosted.driver.feed({ kind: 'leader-cut-off', from });
    }
  }

  #standingChanged(): void {
    this.#heedStanding();
    if (this.#apart === null) this.#gate.changed();
  }

  /**
   * One broker's word is enough to set everything apart. It is a fact that this broker once told it, over a connection
   * that proved the secret, and that it has kept durably since; that others do not know of it says nothing, so they can
   * not outvote it. Brokers of a cluster trust each other's word about terms and logs no less: one that lies could set
   * a group apart by sending a log that diverges, too. A mere outage, or a peer that forgot, never leads here.
   * Where two processes run on copies of one directory, the one that started later is remembered, and goes on.
   */
  #heedStanding(): void {
    const condemnation = this.#options.transport.standing?.condemnation ?? null;
    if (condemnation === null || this.#apart !== null) return;
    const { by, code, detail } = condemnation;
    this.#apart = `broker ${by} refuses this one as ${code}: ${detail}`;
    for (const { driver } of this.#hosted.values()) driver.setApart(this.#apart);
    this.#options.condemned?.(condemnation);
  }

  async #end(group: GroupNumber, keep: boolean): Promise<void> {
    const hosted = this.#hosted.get(group);
    if (hosted === undefined) return;
    this.#hosted.delete(group);
    this.#timers.forget(hosted);
    this.#beats.forget(hosted);
    this.#gate.forget(hosted);
    await hosted.driver.stop(keep);
  }
}
