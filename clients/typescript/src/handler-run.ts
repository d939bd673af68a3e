/**
 * One `run` of a consumer: takes records as handlers become free, begins them in the order that was asked for, tries again
 * what failed, and tells how far each partition is done. partition-work.ts decides which record may begin; the consumer
 * owns assignment and commits.
 *
 * Bounds: at most `concurrency` handlers run; a record is taken only if none that was taken may begin, so that no more are
 * held than it takes to find work; their bytes are at most `bytesMax` and one record of each partition.
 */
import { setMaxListeners } from 'node:events';
import { recordContentBytes } from '../../../src/model/record.ts';
import { backoffMs } from './backoff.ts';
import type { StoredInChunk } from './chunk-reader.ts';
import type { DecodeErrorAction } from './consumer-options.ts';
import type { ConsumerStatus, HandlerTrouble } from './consumer-status.ts';
import type { Environment } from './environment.ts';
import { asBrokerError, BrokerError } from './errors.ts';
import { partitionKey } from './fetcher.ts';
import { letterHead, letterOf } from './letter.ts';
import type { LetterHead } from './letter.ts';
import { PartitionWork } from './partition-work.ts';
import type { Work } from './partition-work.ts';
import type { InRecord, OutRecord } from './record.ts';
import type { Handler, HandlerContext, RunSettings } from './run-options.ts';
import type { Bytes } from './serde.ts';
import { channels, traced } from './tracing.ts';

export type HandlerStatus = Extract<ConsumerStatus, HandlerTrouble | { readonly type: 'skipped' }>;

/** What a run needs of its consumer. Partitions are named by their key. */
export interface RunHost<K, V> {
  /** The next record of a partition that is wanted; null: there is none. A partition that is not wanted is held back. */
  take(isWanted: (partition: string) => boolean): StoredInChunk | null;
  toRecord(taken: StoredInChunk): InRecord<K, V>;
  /** What becomes of a record that a serde can not read; null: what the run does with what failed for good. */
  unreadable(error: BrokerError, taken: StoredInChunk): DecodeErrorAction | null;
  /** Reads a partition on that was held back. */
  letGo(partition: string): void;
  /** Reads nothing of the partition for a while, so that it takes no room from others; or again. */
  park(partition: string, isParked: boolean): void;
  /** All before `offset` is done, as far as this run goes. */
  done(work: RunWork, partition: string, offset: number, leaderEpoch: number | null): void;
  /** A handler, or a letter, has come to its end. */
  ended(): void;
  /** A handler has run for longer than it may. */
  stalled(): void;
  /** Writes to a retry or dead-letter topic (null: the consumer's own); resolves when it is durable. */
  send(topic: string | null, letter: OutRecord<Bytes, Bytes>): Promise<unknown>;
  /** A handler failed, and the record is tried again or went to the dead-letter topic. */
  troubled(status: HandlerStatus): void;
  /** The run can not go on. */
  failed(error: BrokerError): void;
}

/** A record that was taken. */
interface Job {
  readonly taken: StoredInChunk;
  readonly head: LetterHead;
  readonly part: Part;
  /** How often it was begun here. */
  attempts: number;
  /** Of the wait for the next attempt. */
  timer: { cancel(): void } | null;
}

export type RunWork = PartitionWork<Job>;

/** A partition as long as it is read from one place on. */
interface Part {
  readonly key: string;
  readonly work: RunWork;
  /** Jobs that wait for their next attempt. */
  readonly waiting: Set<Work<Job>>;
  /** Made when a handler asks for its signal. */
  controller: AbortController | null;
  /** Why the work is in vain; null: it is not. */
  vain: BrokerError | null;
  paused: boolean;
  /** Since when it is held back, monotonic milliseconds; null: it is not. */
  heldBackMs: number | null;
  parked: boolean;
  /** Of what was taken and is not done. */
  bytes: number;
}

/** A partition that is held back and takes the room of others is parked after this long. */
const parkAfterMs = 1_000;
/** Records that are done in one turn of the event loop: then timers and sockets have theirs. */
const turnRecordsMax = 1_000;
/** What a record takes beside its bytes, about. */
const recordOverheadBytes = 200;

export class HandlerRun<K, V> {
  readonly #handler: Handler<K, V>;
  readonly #settings: RunSettings;
  readonly #group: string;
  readonly #bytesMax: number;
  readonly #maxProcessingMs: number | null;
  readonly #environment: Environment;
  readonly #host: RunHost<K, V>;
  /** By key: the newest of each partition. */
  readonly #parts = new Map<string, Part>();
  /** May have a record to begin; each gets one in its turn. */
  readonly #ready = new Set<Part>();
  readonly #heldBack = new Set<Part>();
  /** To be tried again now. */
  #due: Work<Job>[] = [];
  /** Handlers that run, and letters on their way. */
  #active = 0;
  #letters = 0;
  #bytes = 0;
  #stopped = false;
  #pumping = false;
  #doneInTurn = 0;
  /** Handlers are free, and what there is belongs to partitions that are held back. */
  #starved: { cancel(): void } | null = null;
  readonly #idleWaiters: (() => void)[] = [];
  readonly #isWanted = (key: string): boolean => {
    const part = this.#parts.get(key);
    if (part === undefined) return false;
    if (this.#wants(part)) return true;
    part.heldBackMs ??= this.#environment.clock.monotonicMs();
    this.#heldBack.add(part);
    return false;
  };

  /**
   * @param bytesMax bytes of records that are taken and not done
   * @param maxProcessingMs how long one attempt may take; null: for ever
   */
  constructor(
    handler: Handler<K, V>,
    settings: RunSettings,
    group: string,
    limits: { readonly bytesMax: number; readonly maxProcessingMs: number | null },
    environment: Environment,
    host: RunHost<K, V>,
  ) {
    this.#handler = handler;
    this.#settings = settings;
    this.#group = group;
    this.#bytesMax = limits.bytesMax;
    this.#maxProcessingMs = limits.maxProcessingMs;
    this.#environment = environment;
    this.#host = host;
  }

  /** Neither a handler runs nor a letter is on its way. */
  get isIdle(): boolean {
    return this.#active === 0 && this.#letters === 0;
  }

  /** Resolves when it is idle; only of use once it is stopped. */
  idle(): Promise<void> {
    if (this.isIdle) return Promise.resolve();
    return new Promise((resolve) => this.#idleWaiters.push(resolve));
  }

  /** Whether something of the partition is being worked on. */
  isBusy(key: string): boolean {
    return this.#parts.get(key)?.work.isBusy ?? false;
  }

  /** The partition's records are taken, from `offset` on; also after a seek. */
  begin(key: string, offset: number, isPaused: boolean): RunWork {
    const before = this.#parts.get(key);
    if (before !== undefined) this.#leave(before);
    const predecessor = before?.work.isBusy === true ? before.work : null;
    const work: RunWork = new PartitionWork(offset, this.#settings.window, predecessor);
    const state = { controller: null, vain: null, paused: isPaused, heldBackMs: null, parked: false, bytes: 0 };
    this.#parts.set(key, { key, work, waiting: new Set(), ...state });
    return work;
  }

  /** Nothing more of the partition begins; what runs may come to its end. */
  end(key: string): void {
    const part = this.#parts.get(key);
    if (part !== undefined) this.#leave(part);
  }

  /** What runs of the partition is in vain. */
  abort(key: string, why: BrokerError): void {
    const part = this.#parts.get(key);
    if (part === undefined) return;
    this.#leave(part);
    part.vain ??= why;
    part.controller?.abort(why);
  }

  abortAll(why: BrokerError): void {
    for (const key of this.#parts.keys()) this.abort(key, why);
  }

  pause(key: string): void {
    const part = this.#parts.get(key);
    if (part === undefined) return;
    part.paused = true;
    this.#bytes -= part.bytes; // what waits for the application's word does not count against the others
    part.bytes = 0;
  }

  resume(key: string): void {
    const part = this.#parts.get(key);
    if (part === undefined) return;
    part.paused = false;
    part.parked = false;
    this.#ready.add(part);
    this.#letGo(part);
    this.pump();
  }

  /** Nothing more begins. */
  stop(): void {
    this.#stopped = true;
    this.#starved?.cancel();
    this.#starved = null;
    for (const part of this.#parts.values()) this.#leave(part);
    this.#due = [];
  }

  /** Begins what can begin. Something may have come. */
  pump(): void {
    if (this.#pumping || this.#stopped) return;
    this.#pumping = true;
    try {
      while (this.#active < this.#settings.concurrency && !this.#isStopped()) {
        const work = this.#next();
        if (work === null) break;
        this.#active += 1;
        void this.#attempt(work);
      }
    } catch (error) {
      this.#fail(asBrokerError(error));
    } finally {
      this.#pumping = false;
    }
  }

  /** A handler may have stopped it meanwhile. */
  #isStopped(): boolean {
    return this.#stopped;
  }

  #next(): Work<Job> | null {
    const due = this.#due.findIndex((work) => !work.item.part.paused);
    if (due !== -1) return this.#due.splice(due, 1)[0] ?? null;
    for (;;) {
      for (const part of this.#ready) {
        this.#ready.delete(part);
        const work = part.paused ? null : part.work.take();
        if (work === null) continue;
        this.#ready.add(part);
        this.#letGo(part); // one less is queued
        return work;
      }
      if (!this.#fill()) return null;
    }
  }

  /** Takes one more record. False: there is none that is wanted. */
  #fill(): boolean {
    const taken = this.#host.take(this.#isWanted);
    if (taken === null) {
      this.#noteStarved();
      return false;
    }
    this.#starved?.cancel();
    this.#starved = null;
    const { stored, chunk } = taken;
    const { topic, partition } = chunk.cursor;
    const part = this.#parts.get(partitionKey(topic, partition));
    if (part === undefined) throw new BrokerError('INTERNAL', `${topic}/${partition} was taken and is not read.`);
    const bytes = recordContentBytes(stored) + recordOverheadBytes;
    const head = letterHead(stored, { topic, partition });
    part.work.add({ taken, head, part, attempts: 0, timer: null }, taken.nextOffset, bytes, this.#laneOf(stored.key));
    part.bytes += bytes;
    this.#bytes += bytes;
    this.#ready.add(part);
    return true;
  }

  #laneOf(key: Uint8Array | null): string | null {
    const { orderBy } = this.#settings;
    if (orderBy === 'partition') return '';
    return orderBy === 'none' || key === null ? null : Buffer.from(key).toString('latin1');
  }

  #wants({ work, paused }: Part): boolean {
    if (work.isClosed || paused) return false;
    if (work.isEmpty) return true;
    if (this.#settings.orderBy === 'partition' && work.queued > 0) return false;
    return !work.isFull && this.#bytes < this.#bytesMax;
  }

  /** Reads a partition on, if it is held back and wanted again. */
  #letGo(part: Part): void {
    if ((part.heldBackMs === null && !part.parked) || this.#parts.get(part.key) !== part || !this.#wants(part)) return;
    this.#heldBack.delete(part);
    part.heldBackMs = null;
    this.#host.letGo(part.key);
    if (!part.parked) return;
    part.parked = false;
    this.#host.park(part.key, false);
  }

  /** Those that are held back may fill the room in which others would come. */
  #noteStarved(): void {
    if (this.#starved !== null || this.#heldBack.size === 0 || this.#heldBack.size === this.#parts.size) return;
    this.#starved = this.#environment.clock.setTimer(parkAfterMs, () => {
      this.#starved = null;
      this.#park(this.#environment.clock.monotonicMs());
      this.#noteStarved();
    });
  }

  #park(nowMs: number): void {
    for (const part of [...this.#heldBack]) {
      if (part.paused || nowMs - (part.heldBackMs ?? nowMs) < parkAfterMs) continue;
      part.parked = true;
      part.heldBackMs = null;
      this.#heldBack.delete(part);
      this.#host.park(part.key, true);
      this.#host.letGo(part.key);
    }
  }

  async #attempt(work: Work<Job>): Promise<void> {
    const job = work.item;
    const nowMs = this.#environment.clock.wallMs();
    if (job.attempts === 0 && job.head.notBeforeMs > nowMs) {
      this.#active -= 1;
      this.#tryAgain(work, Math.min(job.head.notBeforeMs - nowMs, this.#settings.retryBackoff.maxMs));
      return;
    }
    job.attempts += 1;
    const limitMs = this.#maxProcessingMs;
    const timer = limitMs === null ? null : this.#environment.clock.setTimer(limitMs, () => this.#host.stalled());
    let failure: { readonly thrown: unknown } | null = null;
    try {
      const record = this.#host.toRecord(job.taken);
      const context = contextOf(job);
      const handled = channels.process.hasSubscribers
        ? traced(
            channels.process,
            () => ({ group: this.#group, record, attempt: context.attempt }),
            async () => this.#handler(record, context),
          )
        : this.#handler(record, context);
      await handled;
    } catch (thrown) {
      failure = { thrown };
    }
    timer?.cancel();
    this.#active -= 1;
    if (failure === null) this.#done(work);
    else this.#failed(work, failure.thrown);
    this.#cameToEnd();
  }

  #cameToEnd(): void {
    if (this.isIdle) for (const resolve of this.#idleWaiters.splice(0)) resolve();
    this.#host.ended();
    if (++this.#doneInTurn < turnRecordsMax) {
      this.pump();
      return;
    }
    if (this.#doneInTurn > turnRecordsMax) return; // the next turn is on its way
    setImmediate(() => {
      this.#doneInTurn = 0;
      this.pump();
    });
  }

  #done(work: Work<Job>): void {
    const { part, taken } = work.item;
    const moved = part.work.finish(work);
    this.#freed(part, work.bytes);
    if (moved) this.#host.done(part.work, part.key, part.work.processed, taken.chunk.leaderEpoch);
  }

  /** Never throws. */
  #failed(work: Work<Job>, thrown: unknown): void {
    const { part, head, attempts, taken } = work.item;
    if (part.work.isClosed) {
      this.#giveUp(work); // it is delivered again, here or elsewhere
      return;
    }
    const action = BrokerError.is(thrown, 'SERDE_FAILED') ? this.#unreadable(thrown, taken) : null;
    if (action === 'skip' && BrokerError.is(thrown)) {
      const { topic, partition } = taken.chunk.cursor;
      this.#host.troubled({
        type: 'skipped',
        partition: { topic, partition },
        offset: taken.stored.offset,
        error: thrown,
      });
      this.#done(work);
      return;
    }
    if (action === 'dead-letter') {
      void this.#send(work, null, 0, thrown);
      return;
    }
    const { maxAttempts, retryTopic, deadLetterTopic } = this.#settings;
    const tried = head.attempts + attempts;
    const isTriedAgain = action === null && tried < maxAttempts && this.#mayPass(thrown);
    if (this.#isStopped()) this.#giveUp(work);
    else if (isTriedAgain) {
      const waitMs = backoffMs(tried - 1, this.#settings.retryBackoff, this.#environment);
      this.#host.troubled({ type: 'retrying', waitMs, ...troubleOf(work.item, thrown) });
      if (retryTopic === null) this.#tryAgain(work, waitMs);
      else void this.#send(work, retryTopic, this.#environment.clock.wallMs() + waitMs, thrown);
    } else if (deadLetterTopic !== null && action === null) {
      void this.#send(work, deadLetterTopic, 0, thrown);
    } else {
      const { topic, partition } = taken.chunk.cursor;
      const text = thrown instanceof Error ? thrown.message : String(thrown);
      const message = `The handler failed at ${topic}/${partition}, offset ${taken.stored.offset}: ${text}`;
      this.#fail(
        BrokerError.is(thrown, 'SERDE_FAILED')
          ? thrown
          : new BrokerError('HANDLER_FAILED', message, { cause: thrown, topic, partition }),
      );
      this.#giveUp(work);
    }
  }

  #fail(error: BrokerError): void {
    this.stop();
    this.#host.failed(error);
  }

  #unreadable(error: BrokerError, taken: StoredInChunk): DecodeErrorAction | null {
    try {
      return this.#host.unreadable(error, taken);
    } catch (thrown) {
      this.#fail(asBrokerError(thrown));
      return 'fail';
    }
  }

  #mayPass(thrown: unknown): boolean {
    try {
      return this.#settings.retryIf(thrown);
    } catch (error) {
      this.#fail(asBrokerError(error));
      return false;
    }
  }

  /** The record keeps its place and its lane while it waits, and no handler. */
  #tryAgain(work: Work<Job>, waitMs: number): void {
    const { part } = work.item;
    part.waiting.add(work);
    work.item.timer = this.#environment.clock.setTimer(waitMs, () => {
      part.waiting.delete(work);
      this.#due.push(work);
      this.pump();
    });
  }

  /** The record goes on in another topic; here it is done. */
  async #send(work: Work<Job>, topic: string | null, notBeforeMs: number, thrown: unknown): Promise<void> {
    const { part, head, attempts, taken } = work.item;
    this.#letters += 1;
    try {
      const tried = { ...head, attempts: head.attempts + attempts, notBeforeMs };
      await this.#host.send(topic, letterOf(taken.stored, tried, this.#group, thrown));
      this.#letters -= 1;
      if (topic === null || topic === this.#settings.deadLetterTopic)
        this.#host.troubled({ type: 'dead-lettered', ...troubleOf(work.item, thrown) });
      this.#done(work);
    } catch (error) {
      this.#letters -= 1;
      if (!part.work.isClosed) this.#fail(asBrokerError(error));
      this.#giveUp(work);
    }
    this.#cameToEnd();
  }

  #giveUp(work: Work<Job>): void {
    work.item.part.work.giveUp(work);
    this.#freed(work.item.part, 0);
  }

  /** There is room, and whatever waited for this partition's work may go on. */
  #freed(part: Part, bytes: number): void {
    const wasFull = this.#bytes >= this.#bytesMax;
    const counted = Math.min(bytes, part.bytes);
    part.bytes -= counted;
    this.#bytes -= counted;
    const current = this.#parts.get(part.key);
    if (current !== undefined) this.#ready.add(current); // it may have been held up by what ended now
    this.#letGo(part);
    if (wasFull && this.#bytes < this.#bytesMax) for (const other of [...this.#heldBack]) this.#letGo(other);
    if (part.work.isClosed && current === part && !part.work.isBusy) this.#parts.delete(part.key);
  }

  /** Begins nothing more of it. */
  #leave(part: Part): void {
    if (part.work.isClosed) return;
    part.work.close();
    this.#ready.delete(part);
    this.#heldBack.delete(part);
    if (part.heldBackMs !== null) this.#host.letGo(part.key); // so that what lies aside is given back
    this.#bytes -= part.bytes;
    part.bytes = 0;
    this.#due = this.#due.filter((work) => {
      if (work.item.part === part) part.work.giveUp(work);
      return work.item.part !== part;
    });
    for (const work of part.waiting) {
      work.item.timer?.cancel();
      part.work.giveUp(work);
    }
    part.waiting.clear();
    if (!part.work.isBusy && this.#parts.get(part.key) === part) this.#parts.delete(part.key);
  }
}

function troubleOf({ taken, head, attempts }: Job, error: unknown): HandlerTrouble {
  const { topic, partition } = taken.chunk.cursor;
  return { partition: { topic, partition }, offset: taken.stored.offset, attempt: head.attempts + attempts, error };
}

/** Made for each attempt: the signal only if it is asked for. */
function contextOf({ part, head, attempts }: Job): HandlerContext {
  return {
    attempt: head.attempts + attempts,
    origin: head.origin,
    get signal() {
      if (part.controller === null) {
        part.controller = new AbortController();
        setMaxListeners(0, part.controller.signal); // handlers of one partition share it
        if (part.vain !== null) part.controller.abort(part.vain);
      }
      return part.controller.signal;
    },
  };
}
