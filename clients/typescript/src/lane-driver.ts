/** Moves the batches of a producer's lanes: streams, timers, identities. What may be sent when is the lanes' business. */
import type { BatchCodecs } from '../../../src/model/record-batch.ts';
import { backoffMs } from './backoff.ts';
import { BatchBuffers } from './batch-buffers.ts';
import type { Brokers } from './brokers.ts';
import { asBrokerError, isAway, knowsNoLeader } from './errors.ts';
import type { BrokerError } from './errors.ts';
import { Acks } from './gen/sluice/v1/log.ts';
import { Compression } from './gen/sluice/v1/record.ts';
import { IdentityKeeper } from './identity-keeper.ts';
import { PartitionLane } from './partition-lane.ts';
import type { LaneRules, Outcome } from './partition-lane.ts';
import type { ProduceBatch } from './produce-batch.ts';
import { ProduceSender } from './produce-sender.ts';
import { resolveAppend } from './resolve-append.ts';
import type { ProducerSettings } from './producer-options.ts';

/** Batches of a partition that are sent and unresolved. The broker remembers five of a producer (semantics I1). */
const inflightMax = 5;
/** How often deadlines are looked at. */
const tickMs = 100;
/** Range of a produce request's own time limit. */
const ackTimeoutMsMax = 120_000;
const wireAcks = { all: Acks.ACKS_ALL, leader: Acks.ACKS_LEADER, none: Acks.ACKS_NONE } as const;

/** With `acks: 'none'` nothing is heard of a batch. */
const sentOnly = {
  ...{ baseOffset: null, leaderEpoch: null, duplicate: false, committed: false },
  ...{ entry: null, durableOn: [] },
};

export interface DriverEvents {
  /** A batch left its lane. */
  readonly settled: (batch: ProduceBatch) => void;
  /** Records were rejected. */
  readonly failed: (error: BrokerError) => void;
  /** Called every 100 ms while anything is on its way. */
  readonly tick: (nowMs: number) => void;
}

export class LaneDriver {
  readonly #brokers: Brokers;
  readonly #settings: ProducerSettings;
  readonly #events: DriverEvents;
  readonly #rules: LaneRules;
  readonly #identities: IdentityKeeper;
  /** For the batches of every lane. */
  readonly buffers: BatchBuffers;
  /** By address. */
  readonly #senders = new Map<string, ProduceSender>();
  /** Where a lane's outstanding batches are; it goes elsewhere only when none is. */
  readonly #senderOf = new Map<PartitionLane, ProduceSender>();
  /** Lanes that wait for their stream to take more. */
  readonly #blocked = new Map<ProduceSender, Set<PartitionLane>>();
  /** Lanes with anything unsettled. */
  readonly #active = new Set<PartitionLane>();
  /** Lanes that may have something to send now. */
  readonly #ready = new Set<PartitionLane>();
  #pumpScheduled = false;
  #wakeMs = Infinity;
  #wakeTimer: { cancel(): void } | null = null;
  #tickTimer: { cancel(): void } | null = null;
  /** With true nothing waits for its linger time. */
  hurry = false;
  #stopped = false;

  constructor(brokers: Brokers, settings: ProducerSettings, codecs: BatchCodecs, events: DriverEvents) {
    this.#brokers = brokers;
    this.#settings = settings;
    this.#events = events;
    this.buffers = new BatchBuffers(settings.batchBytesMax, settings.queuedBytesMax);
    this.#rules = {
      idempotent: settings.idempotent,
      inflightMax: settings.idempotent || settings.acks === 'none' ? inflightMax : 1,
      compression: settings.compression,
      codecs,
      resolveMs: settings.resolveTimeoutMs,
      backoffMs: (attempt, retryAfterMs) => backoffMs(attempt, brokers.backoff, brokers.environment, retryAfterMs),
      settled: (batch) => this.#settled(batch),
      failed: events.failed,
    };
    this.#identities = new IdentityKeeper(brokers, {
      changed: () => this.wakeAll(),
      delayed: (error) => this.#delayAll(error),
      refused: (error) => this.#abortAll(error),
    });
  }

  newLane(topic: string, topicId: string, partition: number): PartitionLane {
    return new PartitionLane(topic, topicId, partition, this.#rules);
  }

  /** Serial of the oldest unsettled record; Infinity if there is none. */
  get oldestSerial(): number {
    let oldest = Infinity;
    for (const lane of this.#active) oldest = Math.min(oldest, lane.oldestSerial);
    return oldest;
  }

  /** A record was added to the lane. */
  touch(lane: PartitionLane): void {
    this.#active.add(lane);
    this.#ready.add(lane);
    this.#schedulePump();
    if (this.#tickTimer === null) this.#startTicking();
  }

  wakeAll(): void {
    for (const lane of this.#active) this.#ready.add(lane);
    this.#schedulePump();
  }

  /** Rejects what is left and lets the streams go. */
  stop(error: BrokerError | null): void {
    if (error !== null) this.#abortAll(error);
    this.#stopped = true;
    this.buffers.letGo();
    this.#identities.stop();
    this.#wakeTimer?.cancel();
    this.#tickTimer?.cancel();
    for (const sender of this.#senders.values()) {
      if (error === null) sender.end();
      else sender.cancel();
    }
  }

  #schedulePump(): void {
    if (this.#pumpScheduled || this.#stopped) return;
    this.#pumpScheduled = true;
    // The end of this turn of the event loop: what the turn still brings goes into the same batches.
    setImmediate(() => this.#guarded(() => this.#pump()));
  }

  #pump(): void {
    this.#pumpScheduled = false;
    const nowMs = this.#nowMs();
    for (const lane of this.#ready) {
      this.#ready.delete(lane);
      this.#drive(lane, nowMs);
    }
  }

  #drive(lane: PartitionLane, nowMs: number): void {
    if (this.#forget(lane)) return;
    if (this.#settings.idempotent) this.#identities.need(lane.outlivedIdentity);
    const doubtful = lane.takeDoubt();
    if (doubtful !== null) void this.#resolve(lane, doubtful);
    if (lane.notBeforeMs > nowMs) {
      this.#wakeAt(lane.notBeforeMs);
      return;
    }
    const sender = this.#senderFor(lane);
    if (this.#mustMove(lane, sender)) return;
    while (sender.isWritable) {
      const batch = lane.next(nowMs, this.#identities.current, this.#mayLeave(lane, nowMs));
      if (batch === null) break;
      this.#send(sender, lane, batch, nowMs);
    }
    if (!sender.isWritable) this.#block(sender, lane);
    if (this.#settings.lingerMs > 0 && lane.open !== null) this.#wakeAt(lane.open.openedMs + this.#settings.lingerMs);
  }

  /** Asks what became of a batch; never rejects. */
  async #resolve(lane: PartitionLane, batch: ProduceBatch): Promise<void> {
    try {
      const resolution = await resolveAppend(this.#brokers, lane, batch, this.#nowMs());
      lane.resolved(batch, resolution, this.#nowMs());
    } catch (thrown) {
      const error = asBrokerError(thrown);
      if (error.retriable || error.indeterminate) {
        lane.unanswered(batch);
        this.#guarded(() => this.#wakeAt(this.#nowMs() + tickMs));
        return;
      }
      // who will never answer has answered: nobody knows
      lane.resolved(batch, { kind: 'expired' }, this.#nowMs());
    }
    this.#guarded(() => this.#again(lane));
  }

  #mayLeave(lane: PartitionLane, nowMs: number): boolean {
    const { lingerMs } = this.#settings;
    return lingerMs === 0 || this.hurry || (lane.open !== null && nowMs - lane.open.openedMs >= lingerMs);
  }

  #send(sender: ProduceSender, lane: PartitionLane, batch: ProduceBatch, nowMs: number): void {
    const { acks } = this.#settings;
    const leftMs = Math.max(1, Math.ceil(batch.deadlineMs - nowMs));
    const request = {
      topic: lane.topic,
      topicId: lane.topicId,
      partition: lane.partition,
      payload: { $case: 'recordBatch' as const, value: batch.bytes ?? new Uint8Array() },
      acks: wireAcks[acks],
      compression: Compression.COMPRESSION_UNSPECIFIED,
      timeoutMs: Math.min(this.#brokers.timeouts.requestMs, leftMs, ackTimeoutMsMax),
      expectedEndOffset: batch.expectedEndOffset === null ? undefined : BigInt(batch.expectedEndOffset),
    };
    sender.send(lane, batch, request, nowMs, acks !== 'none');
    if (acks !== 'none') return;
    lane.answered(batch, { kind: 'produced', receipt: sentOnly }, nowMs);
  }

  #senderFor(lane: PartitionLane): ProduceSender {
    const pinned = this.#senderOf.get(lane);
    if (pinned !== undefined && lane.hasOutstanding) return pinned;
    const address = this.#brokers.leaderOf(lane.topic, lane.partition);
    let sender = this.#senders.get(address);
    if (sender === undefined) {
      sender = this.#newSender(address);
      this.#senders.set(address, sender);
    }
    this.#senderOf.set(lane, sender);
    return sender;
  }

  /** It is led elsewhere by now: it goes there when what is on its way here is answered, for the sake of the order. */
  #mustMove(lane: PartitionLane, { address }: ProduceSender): boolean {
    if (!lane.hasOutstanding) return false;
    const leader = this.#brokers.knownLeaderOf(lane.topic, lane.partition);
    return leader !== null && leader !== address;
  }

  #newSender(address: string): ProduceSender {
    const sender: ProduceSender = new ProduceSender(address, {
      connection: () => this.#brokers.at(address),
      writable: () => this.#unblock(sender),
      answered: (lane, batch, outcome) => this.#answered(sender, lane, batch, outcome),
      strayError: (error) => this.#events.failed(error),
      lost: (lanes, error) => this.#lost(sender, lanes, error),
      unreachable: (error) => {
        this.#brokers.failed(address);
        for (const blocked of this.#unblock(sender)) blocked.unreachable(this.#brokers.forOthers(error), this.#nowMs());
      },
    });
    return sender;
  }

  #answered(sender: ProduceSender, lane: PartitionLane, batch: ProduceBatch, outcome: Outcome): void {
    if (batch.state === 'settled') return; // it was aborted in the meantime
    this.#learn(sender, lane, outcome);
    const heeded =
      outcome.kind === 'refused' ? { kind: outcome.kind, error: this.#brokers.forOthers(outcome.error) } : outcome;
    lane.answered(batch, heeded, this.#nowMs());
    this.#again(lane);
  }

  #settled(batch: ProduceBatch): void {
    // sent once and answered: all of it has left (buffers-1)
    const hasLeft = batch.acknowledged && batch.attempts === 1 && this.#settings.acks !== 'none';
    if (hasLeft && batch.bytes !== null) this.buffers.giveBack(batch.bytes);
    batch.bytes = null;
    this.#events.settled(batch);
  }

  /** Every answer may tell where the lane's batches go next. */
  #learn(sender: ProduceSender, { topic, partition }: PartitionLane, outcome: Outcome): void {
    const { address } = sender;
    if (outcome.kind === 'produced') {
      this.#brokers.reached(address);
      const { leaderEpoch } = outcome.receipt;
      if (outcome.leader !== undefined) this.#brokers.learnLeader(topic, partition, outcome.leader);
      else if (leaderEpoch !== null) this.#brokers.noteEpoch(topic, partition, leaderEpoch);
      return;
    }
    const { error } = outcome;
    if (error.leaderHint !== undefined) this.#brokers.learnLeader(topic, partition, error.leaderHint);
    else if (isAway(error)) this.#brokers.failed(address);
    else if (knowsNoLeader(error)) this.#brokers.notLeader(topic, partition, address);
  }

  #lost(sender: ProduceSender, lanes: ReadonlySet<PartitionLane>, error: BrokerError): void {
    this.#brokers.failed(sender.address);
    for (const lane of lanes) {
      lane.lost(this.#brokers.forOthers(error), this.#nowMs());
      this.#again(lane);
    }
    this.#unblock(sender);
  }

  #again(lane: PartitionLane): void {
    if (this.#forget(lane)) return;
    this.#ready.add(lane);
    this.#schedulePump();
  }

  #block(sender: ProduceSender, lane: PartitionLane): void {
    const waiting = this.#blocked.get(sender);
    if (waiting === undefined) this.#blocked.set(sender, new Set([lane]));
    else waiting.add(lane);
    sender.connect(this.#brokers.connectAttemptMs);
  }

  #unblock(sender: ProduceSender): ReadonlySet<PartitionLane> {
    const waiting = this.#blocked.get(sender) ?? new Set();
    this.#blocked.delete(sender);
    for (const lane of waiting) this.#again(lane);
    return waiting;
  }

  /** Drops a lane that has nothing left to do from the books. */
  #forget(lane: PartitionLane): boolean {
    if (!lane.isEmpty) return false;
    this.#active.delete(lane);
    this.#ready.delete(lane);
    this.#senderOf.delete(lane);
    return true;
  }

  #delayAll(error: BrokerError): void {
    for (const lane of this.#active) lane.unreachable(error, this.#nowMs());
  }

  #abortAll(error: BrokerError): void {
    for (const lane of this.#active) lane.abort(error);
    this.#active.clear();
    this.#ready.clear();
    this.#blocked.clear();
  }

  #startTicking(): void {
    this.#tickTimer = this.#brokers.environment.clock.setTimer(tickMs, () => {
      this.#tickTimer = null;
      this.#guarded(() => this.#tick());
    });
  }

  /** A defect ends what this producer has on its way, and says so to those who wait; it never ends the process. */
  #guarded(work: () => void): void {
    if (this.#stopped) return;
    try {
      work();
    } catch (error) {
      this.#abortAll(asBrokerError(error));
    }
  }

  #tick(): void {
    const nowMs = this.#nowMs();
    for (const sender of this.#senders.values()) sender.tick(nowMs);
    for (const lane of this.#active) {
      if (lane.expire(nowMs)) this.#again(lane);
    }
    this.#events.tick(nowMs);
    if (this.#active.size > 0) this.#startTicking();
    else this.buffers.letGo();
  }

  #wakeAt(atMs: number): void {
    if (atMs >= this.#wakeMs) return;
    this.#wakeTimer?.cancel();
    this.#wakeMs = atMs;
    this.#wakeTimer = this.#brokers.environment.clock.setTimer(Math.max(1, atMs - this.#nowMs()), () => {
      this.#wakeMs = Infinity;
      this.#wakeTimer = null;
      this.wakeAll();
    });
  }

  #nowMs(): number {
    return this.#brokers.environment.clock.monotonicMs();
  }
}
