/**
 * Reads topics as a member of a group: the group's members share the partitions, and each goes on where the group has
 * committed. At least once: what was processed and not committed when a member dies is delivered again.
 *
 * Invariants:
 * - consumer-1: only partitions that the coordinator assigned are read, handed out and committed.
 * - consumer-2: `processed` <= `delivered`, and only offsets up to `processed` are committed in the background.
 * - consumer-3: what goes wrong in the background rejects the next call of the application; it is never thrown beside it.
 */
import type { BatchCodecs } from '../../../src/model/record-batch.ts';
import { unlessAborted } from './abortable.ts';
import type { Admin, OffsetQuery, TopicPartition } from './admin.ts';
import type { Brokers, CallOptions } from './brokers.ts';
import { ChunkReader, rawRecord } from './chunk-reader.ts';
import type { StoredInChunk } from './chunk-reader.ts';
import { Committer } from './committer.ts';
import type { TopicPartitionOffset } from './committer.ts';
import { consumerSettings, noDeadLetterTopic } from './consumer-options.ts';
import type { ConsumerOptions, ConsumerSettings, DecodeErrorAction } from './consumer-options.ts';
import { inRange } from './producer-options.ts';
import type { ConsumerStatus } from './consumer-status.ts';
import { Doorbell } from './doorbell.ts';
import { abortedError, asBrokerError, BrokerError, closedError } from './errors.ts';
import { Fetcher, partitionKey } from './fetcher.ts';
import type { Cursor } from './fetcher.ts';
import { HandlerRun } from './handler-run.ts';
import type { RunHost, RunWork } from './handler-run.ts';
import { letterHead, letterOf } from './letter.ts';
import { LeaveReason } from './gen/sluice/v1/group.ts';
import type { TopicPartitions } from './gen/sluice/v1/group.ts';
import { Membership } from './membership.ts';
import { iterateOneAtATime } from './one-at-a-time.ts';
import { Producer } from './producer.ts';
import { InRecord } from './record.ts';
import type { RecordBatch } from './record.ts';
import { runSettings } from './run-options.ts';
import type { Handler, RunOptions } from './run-options.ts';
import { serdePairs } from './serde.ts';
import type { Bytes } from './serde.ts';
import { StallWatch } from './stall-watch.ts';
import { offsetsAt, startOffsets } from './start-offsets.ts';
import { StatusFeed } from './status.ts';
import type { StatusOptions } from './status.ts';
import { learnLeaders } from './topic-metadata.ts';

/** A partition that this member reads. */
interface Assigned {
  readonly topic: string;
  readonly topicId: string;
  readonly partition: number;
  readonly cursor: Cursor;
  /** Offset after the last record that was handed out. */
  delivered: number;
  /** Offset after the last record that was processed. Invariant: consumer-2. */
  processed: number;
  /** Offset that is committed, or on its way to be. */
  staged: number;
  leaderEpoch: number | null;
  /** The application's word. */
  paused: boolean;
  /** What a `run` does with it; null: there is none. */
  work: RunWork | null;
}

export interface IterateOptions {
  /** Ends the iteration with ABORTED; the consumer stays a member. */
  readonly signal?: AbortSignal;
}

export interface BatchesOptions extends IterateOptions {
  /** Records in a batch, range 1 to 100,000. Default 10,000. */
  readonly maxRecords?: number;
}

/** How long a partition that is given away waits until the application has finished what it has in hand. */
const inHandMsMax = 20_000;
const drainMsMax = 86_400_000;
const finalCommitMs = 5_000;
/** How long a partition waits until its leader is known; then any broker is asked. */
const leadersMs = 2_000;

export interface CloseOptions {
  /**
   * How long handlers of `run` may take to come to their end, milliseconds, range 0 to 86,400,000. Then their signal fires
   * and the group is left. Default 20,000.
   */
  readonly drainMs?: number;
  /** A consumer with an `instanceId` will not be back: others get its partitions at once. Default false. */
  readonly leave?: boolean;
}

export class Consumer<K = Bytes, V = Bytes> implements AsyncIterable<InRecord<K, V>>, AsyncDisposable {
  readonly #admin: Admin;
  readonly #options: ConsumerOptions<K, V>;
  readonly #settings: ConsumerSettings;
  readonly #topics: readonly string[];
  readonly #loadCodecs: () => Promise<BatchCodecs>;
  readonly #onClosed: () => void;
  readonly #brokers: Brokers;
  readonly #membership: Membership;
  readonly #committer: Committer;
  readonly #fetcher: Fetcher;
  #reader: ChunkReader<K, V> | null = null;
  /** By partition key. */
  readonly #assigned = new Map<string, Assigned>();
  /** Rings when an iteration may find something new. */
  readonly #news = new Doorbell();
  /** Rings when the application has finished what it had in hand. */
  readonly #handed = new Doorbell();
  /** What the application has in hand. */
  #inHand: Assigned | null = null;
  /** The run that is under way, and what writes its letters. */
  #run: HandlerRun<K, V> | null = null;
  #letters: Producer | null = null;
  /** Ends when the application has taken too long over it. */
  #progress: { cancel(): void } | null = null;
  /** The newest assignment that is not put into effect yet. */
  #target: readonly TopicPartitions[] | null = null;
  /** Partitions that are being taken over: where to begin is looked up. */
  #adding: readonly TopicPartitions[] = [];
  #reconciling: Promise<void> | null = null;
  /** Rises when the membership is lost: what was begun for the old one stops. */
  #life = 0;
  /** Rings when the group is left after handlers were waited for. */
  readonly #drained = new Doorbell();
  #starting: Promise<void> | null = null;
  #failure: BrokerError | null = null;
  #closing: Promise<void> | null = null;
  readonly #stopped = new AbortController();
  readonly #statuses = new StatusFeed<ConsumerStatus>();
  readonly #stalls: StallWatch;
  #stallTimer: { cancel(): void } | null = null;
  /** Callbacks of the application that were begun and not awaited: `close` waits for them. */
  readonly #callbacks = new Set<Promise<void>>();

  /** Use `client.consumer()`. */
  constructor(
    brokers: Brokers,
    admin: Admin,
    clientId: string,
    options: ConsumerOptions<K, V>,
    loadCodecs: () => Promise<BatchCodecs>,
    onClosed: () => void,
  ) {
    this.#brokers = brokers;
    this.#admin = admin;
    this.#options = options;
    this.#settings = consumerSettings(options);
    this.#stalls = new StallWatch(this.#settings.stallAfterMs);
    this.#loadCodecs = loadCodecs;
    this.#onClosed = onClosed;
    const topics = options.topics.map((topic) => (typeof topic === 'string' ? topic : topic.name));
    this.#topics = topics;
    const storage = options.resumeToken ?? null;
    this.#membership = new Membership(
      brokers,
      {
        ...{ group: options.group, topics, clientId, storage, instanceId: options.instanceId ?? null },
        assignor: options.assignor ?? null,
      },
      {
        assigned: (target) => this.#retarget(target),
        joined: (state) => this.#statuses.publish({ type: 'joined', ...state }),
        troubled: (error) => this.#statuses.publish({ type: 'heartbeat-failed', error }),
        lost: (error) => this.#lose(error),
        failed: (error) => this.#fail(error),
        owned: () => this.#owned(),
      },
    );
    this.#committer = new Committer(brokers, options.group, this.#membership, this.#settings.commitIntervalMs, {
      topicId: (topic) => [...this.#assigned.values()].find((assigned) => assigned.topic === topic)?.topicId,
      troubled: (error) => this.#statuses.publish({ type: 'commit-failed', error }),
      failed: (error) => this.#fail(error),
    });
    this.#fetcher = new Fetcher(brokers, this.#settings.fetch, {
      available: () => this.#wake(),
      outOfRange: (cursor, error) => void this.#outOfRange(cursor, error),
      failed: (error) => this.#fail(error),
    });
  }

  /** What this member reads now. */
  get assignment(): readonly TopicPartition[] {
    return [...this.#assigned.values()].map(({ topic, partition }) => ({ topic, partition }));
  }

  /** Offset of the next record that will be handed out; null: the partition is not assigned to this member. */
  position({ topic, partition }: TopicPartition): number | null {
    return this.#assigned.get(partitionKey(topic, partition))?.delivered ?? null;
  }

  /**
   * Joins the group and finds out where to begin. Iterating does it by itself; call it to fail early. Rejects with
   * GROUP_MAX_SIZE_REACHED, NO_COMMITTED_OFFSET, UNKNOWN_TOPIC_OR_PARTITION, UNAVAILABLE and others.
   */
  async start(options: CallOptions = {}): Promise<void> {
    this.#check();
    this.#starting ??= this.#start(options.timeoutMs);
    await unlessAborted(this.#starting, options.signal);
    this.#check();
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<InRecord<K, V>, undefined, undefined> {
    return this.records();
  }

  /**
   * The records, one by one; one iteration at a time. Asking for the next one says that the one before is processed. Leaving the loop (`break`,
   * `return`, an exception) closes the consumer; the record in hand then counts as not processed: commit it if it is.
   */
  records(options: IterateOptions = {}): AsyncIterableIterator<InRecord<K, V>, undefined, undefined> {
    return iterateOneAtATime(
      () => this.#nextOf(options.signal, () => this.#takeRecord()),
      () => this.close(),
    );
  }

  /** The same in batches of one partition each, which is faster. A batch is processed as a whole. */
  batches(options: BatchesOptions = {}): AsyncIterableIterator<RecordBatch<K, V>, undefined, undefined> {
    const recordsMax = inRange('maxRecords', options.maxRecords ?? 10_000, 1, 100_000);
    return iterateOneAtATime(
      () => this.#nextOf(options.signal, () => this.#takeBatch(recordsMax)),
      () => this.close(),
    );
  }

  /**
   * Calls `handler` for each record, many at a time if wanted, until the consumer is closed. A record is processed when its
   * handler's promise is fulfilled; whatever the order in which that happens, only what lies before the oldest unfinished
   * record of a partition is committed. Heartbeats do not wait for handlers. Resolves after `close`; rejects with what ended
   * the consumer (HANDLER_FAILED if a handler's last attempt failed and there is no dead-letter topic), or with ABORTED when
   * the signal fires: then the consumer stays a member, and what was not begun is delivered again. In all cases it first
   * waits for the handlers that run, as long as `close` does. One run or iteration at a time.
   */
  async run(handler: Handler<K, V>, options: RunOptions = {}): Promise<void> {
    this.#check();
    const settings = runSettings(options, this.#topics);
    if (this.#run !== null) throw new BrokerError('INVALID_REQUEST', 'The consumer runs a handler already.');
    const { signal } = options;
    if (signal?.aborted === true) throw abortedError(signal);
    this.#finishInHand();
    const limits = { bytesMax: this.#settings.fetch.prefetchBytes, maxProcessingMs: this.#settings.maxProcessingMs };
    const { environment } = this.#brokers;
    const run = new HandlerRun(handler, settings, this.#options.group, limits, environment, this.#runHost());
    this.#run = run;
    for (const assigned of this.#assigned.values()) this.#beginWork(assigned);
    try {
      await this.#running(run, signal);
    } finally {
      this.#endRun(run);
    }
  }

  /**
   * Commits; resolves when it is durable. Without an argument: everything handed out so far, what is in hand included;
   * in a `run`, what lies before the oldest unfinished record of each partition. With a record: it and everything before it in its partition. Rejects with FENCED_MEMBER_EPOCH or PARTITION_NOT_OWNED
   * if somebody else reads the partition by now.
   */
  async commit(what?: InRecord<K, V> | readonly TopicPartitionOffset[], options: CallOptions = {}): Promise<void> {
    this.#check();
    const offsets = this.#offsetsOf(what);
    if (options.signal?.aborted === true) throw abortedError(options.signal);
    await unlessAborted(this.#committer.commit(offsets, options.timeoutMs), options.signal, true);
    for (const offset of offsets) this.#noteCommitted(offset);
  }

  /** Goes on at `to`, also backwards; what was read ahead is given up. */
  async seek(where: TopicPartition, to: OffsetQuery['at'] | number, options: CallOptions = {}): Promise<void> {
    this.#check();
    const { topic, partition } = where;
    const offset = typeof to === 'number' ? to : await this.#find(where, to, options);
    const assigned = this.#assigned.get(partitionKey(topic, partition));
    if (assigned === undefined)
      throw new BrokerError('PARTITION_NOT_OWNED', `${topic}/${partition} is not assigned to this consumer.`, {
        topic,
        partition,
      });
    this.#moveTo(assigned, offset);
  }

  /** Hands out nothing more of these partitions (default: all), nor reads them, until `resume`. The member stays one. */
  pause(partitions: readonly TopicPartition[] = this.assignment): void {
    for (const assigned of this.#these(partitions)) {
      assigned.paused = true;
      this.#fetcher.pause(assigned.cursor, assigned.delivered);
      this.#run?.pause(keyOf(assigned));
    }
  }

  resume(partitions: readonly TopicPartition[] = this.assignment): void {
    for (const assigned of this.#these(partitions)) {
      assigned.paused = false;
      this.#fetcher.resume(assigned.cursor);
      this.#run?.resume(keyOf(assigned));
    }
  }

  /** Records that wait in each assigned partition behind what was processed, by `topic/partition`. */
  async lag(options: CallOptions = {}): Promise<Map<string, number>> {
    this.#check();
    const ends = await offsetsAt(this.#admin, this.assignment, 'latest', options);
    return new Map(
      ends.flatMap(([key, end]) => {
        const assigned = this.#assigned.get(key);
        return assigned === undefined ? [] : [[key, Math.max(0, end - assigned.processed)] as const];
      }),
    );
  }

  /**
   * What happens in the background from now on: rebalances, stalls, failed commits and heartbeats, retries. Any number may
   * listen; who does not keep up is told how many it missed. Ends when the consumer is closed.
   */
  status(options: StatusOptions = {}): ReturnType<StatusFeed<ConsumerStatus>['listen']> {
    return this.#statuses.listen(options);
  }

  /**
   * Ends iterations and runs, commits what is processed (unless `commit: 'manual'`), leaves the group. After it resolves
   * nothing of the application is called any more: it waits for handlers that run, those included that do not heed their
   * signal; so a handler must not await it. Rejects if the last commit failed; the group is left all the same.
   * With an `instanceId` its place is kept for its next life, unless it is told to `leave`.
   */
  close(options: CloseOptions = {}): Promise<void> {
    const drainMs = inRange('drainMs', options.drainMs ?? inHandMsMax, 0, drainMsMax);
    this.#closing ??= this.#close(drainMs, options.leave ?? false);
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Ends at once and says nothing to the group, as if the process had died. */
  abandon(): void {
    this.#closing ??= Promise.resolve();
    this.#run?.stop();
    this.#run?.abortAll(closedError('consumer'));
    this.#letters?.abandon();
    this.#stop();
    this.#end();
  }

  // ---- starting and ending ----

  /** Never rejects. */
  async #start(timeoutMs: number | undefined): Promise<void> {
    const signal = this.#stopped.signal;
    try {
      const codecs = await this.#loadCodecs();
      this.#reader = new ChunkReader(this.#fetcher, codecs, serdePairs(this.#options));
      await this.#membership.join(timeoutMs === undefined ? { signal } : { signal, timeoutMs });
      this.#watchStalls();
    } catch (error) {
      this.#fail(asBrokerError(error));
    }
    await this.#reconciling;
  }

  async #close(drainMs: number, leave: boolean): Promise<void> {
    const run = this.#run;
    run?.stop();
    this.#stopped.abort();
    this.#progress?.cancel();
    this.#news.ring();
    this.#handed.ring();
    this.#fetcher.close();
    await this.#starting;
    await this.#reconciling;
    if (run !== null) await this.#drain(run, drainMs);
    const error = await this.#finalCommit();
    const keepPlace = this.#options.instanceId !== undefined && !leave;
    await this.#membership.leave(LeaveReason.LEAVE_REASON_UNSPECIFIED, keepPlace);
    this.#stop();
    this.#drained.ring();
    await run?.idle();
    await Promise.all(this.#callbacks);
    await this.#letters?.close().catch(() => undefined); // a letter that failed failed its record
    this.#end();
    if (error !== null) throw error;
  }

  async #finalCommit(): Promise<BrokerError | null> {
    if (this.#settings.commit !== 'manual') this.#stageProcessed();
    if (this.#membership.state === null) return null;
    try {
      await this.#committer.flush(finalCommitMs);
      return null;
    } catch (error) {
      return asBrokerError(error);
    }
  }

  #stop(): void {
    this.#stopped.abort();
    this.#progress?.cancel();
    this.#stallTimer?.cancel();
    this.#fetcher.close();
    this.#committer.stop();
    this.#membership.stop();
    this.#assigned.clear();
    this.#news.ring();
    this.#handed.ring();
  }

  #end(): void {
    this.#statuses.publish({ type: 'closed' });
    this.#statuses.end();
    this.#onClosed();
  }

  /** The next call of the application learns of it; the group is left in the meantime. */
  #fail(error: BrokerError): void {
    if (this.#failure !== null || this.#closing !== null) return;
    this.#failure = error;
    this.#statuses.publish({ type: 'failed', error });
    this.#brokers.statuses.publish({ type: 'consumer-failed', group: this.#options.group, error });
    this.#closing = this.#close(inHandMsMax, false);
    this.#closing.catch(() => undefined); // the failure is what the application hears
  }

  #check(): void {
    if (this.#failure !== null) throw this.#failure;
    if (this.#closing !== null) throw closedError('consumer');
  }

  // ---- runs ----

  /** Ends with the run; rejects with why. */
  async #running(run: HandlerRun<K, V>, signal: AbortSignal | undefined): Promise<void> {
    const aborted = await this.#pumping(run, signal);
    if (aborted !== null) throw aborted;
    // the group is left once handlers had their time; what does not heed its signal is waited for by close() alone
    await Promise.race([this.#closing, this.#drained.wait(), run.idle()]).catch(() => undefined);
    if (this.#failure !== null) throw this.#failure;
    await this.#closing;
  }

  /** Until the consumer is closed, which gives null, or the signal fires. */
  async #pumping(run: HandlerRun<K, V>, signal: AbortSignal | undefined): Promise<BrokerError | null> {
    try {
      if (!this.#isClosing()) {
        this.#starting ??= this.#start(undefined);
        await unlessAborted(this.#starting, signal);
      }
      run.pump();
      while (!this.#isClosing()) await this.#news.wait(signal);
      return null;
    } catch (error) {
      if (!this.#isClosing()) await this.#abortRun(run);
      return this.#isClosing() ? null : asBrokerError(error);
    }
  }

  /** It may come to be while something is awaited. */
  #isClosing(): boolean {
    return this.#closing !== null;
  }

  async #abortRun(run: HandlerRun<K, V>): Promise<void> {
    run.stop();
    await this.#drain(run, inHandMsMax);
  }

  /** Waits for handlers that run; then they are told that they work in vain. */
  async #drain(run: HandlerRun<K, V>, drainMs: number): Promise<void> {
    await this.#waitWhile(() => !run.isIdle, drainMs);
    run.abortAll(closedError('consumer'));
  }

  /** What was begun and not finished, or not begun, is delivered again. */
  #endRun(run: HandlerRun<K, V>): void {
    run.stop();
    if (this.#run === run) this.#run = null;
    for (const assigned of this.#assigned.values()) {
      if (assigned.work === null) continue;
      assigned.work = null;
      if (assigned.delivered !== assigned.processed) this.#moveTo(assigned, assigned.processed);
    }
  }

  #beginWork(assigned: Assigned): void {
    if (this.#run === null) return;
    if (assigned.delivered !== assigned.processed) this.#moveTo(assigned, assigned.processed);
    assigned.work = this.#run.begin(keyOf(assigned), assigned.processed, assigned.paused);
  }

  #runHost(): RunHost<K, V> {
    const reader = (): ChunkReader<K, V> => this.#reader ?? fail('A record was asked for before there was a reader.');
    return {
      take: (isWanted) => {
        const taken = this.#reader?.nextStored(({ topic, partition }) => isWanted(partitionKey(topic, partition)));
        if (taken === undefined || taken === null) return null;
        const { cursor } = taken.chunk;
        const assigned = this.#assigned.get(partitionKey(cursor.topic, cursor.partition));
        if (assigned?.cursor !== cursor) return fail('consumer-1: only assigned partitions are handed out');
        assigned.delivered = taken.nextOffset;
        return taken;
      },
      toRecord: (taken) => reader().toRecord(taken),
      unreadable: (error, taken) => this.#decodeAction(error, taken),
      letGo: (key) => {
        const assigned = this.#assigned.get(key);
        if (assigned !== undefined) this.#reader?.letGo(assigned.cursor);
      },
      park: (key, isParked) => {
        const assigned = this.#assigned.get(key);
        if (assigned === undefined || assigned.paused) return;
        if (isParked) this.#fetcher.pause(assigned.cursor, assigned.delivered);
        else this.#fetcher.resume(assigned.cursor);
      },
      done: (work, key, offset, leaderEpoch) => {
        const assigned = this.#assigned.get(key);
        if (assigned?.work !== work || offset <= assigned.processed) return;
        assigned.processed = offset;
        assigned.leaderEpoch = leaderEpoch;
        if (this.#settings.commit !== 'manual') this.#stage(assigned);
      },
      ended: () => this.#handed.ring(),
      stalled: () => void this.#stalled(),
      send: (topic, letter) => this.#letterProducer().send(topic ?? this.#options.deadLetterTopic ?? '', letter),
      troubled: (status) => this.#statuses.publish(status),
      failed: (error) => this.#fail(error),
    };
  }

  /** Its own, so that it outlives those of the application. */
  #letterProducer(): Producer {
    this.#letters ??= new Producer(this.#brokers, {}, this.#loadCodecs, () => undefined);
    return this.#letters;
  }

  /** Something new may be there. */
  #wake(): void {
    this.#news.ring();
    this.#run?.pump();
  }

  // ---- handing out ----

  async #nextOf<T>(signal: AbortSignal | undefined, take: () => T | null): Promise<IteratorResult<T, undefined>> {
    if (this.#run !== null) throw new BrokerError('INVALID_REQUEST', 'A handler runs: it gets the records.');
    this.#finishInHand();
    if (this.#closing === null) {
      this.#starting ??= this.#start(undefined);
      await unlessAborted(this.#starting, signal);
    }
    for (;;) {
      if (this.#failure !== null) throw this.#failure;
      if (this.#closing !== null) return { done: true, value: undefined };
      const taken = this.#tryTake(take);
      if (taken instanceof BrokerError) await this.#passUnreadable(taken);
      else if (taken !== null) return { done: false, value: taken };
      else await this.#news.wait(signal);
    }
  }

  /**
   * What can not be decoded ends the consumer, unless `onDecodeError` knows better: going on would lose it, staying would
   * hand it out for ever.
   * @returns null: there is nothing; the error of a record that a serde can not read and that need not end the consumer
   */
  #tryTake<T>(take: () => T | null): T | BrokerError | null {
    try {
      return take();
    } catch (thrown) {
      const error = asBrokerError(thrown);
      if (error.code === 'SERDE_FAILED' && this.#options.onDecodeError !== undefined) return error;
      this.#fail(error);
      throw error;
    }
  }

  /** What becomes of a record that a serde can not read; null: the application does not say. Throws what it throws. */
  #decodeAction(error: BrokerError, taken: StoredInChunk): DecodeErrorAction | null {
    const { onDecodeError, deadLetterTopic } = this.#options;
    const action = typeof onDecodeError === 'function' ? onDecodeError(error, rawRecord(taken)) : onDecodeError;
    if (action === 'dead-letter' && deadLetterTopic === undefined) throw noDeadLetterTopic();
    return action ?? null;
  }

  /** Passes over the record that comes next, as the application wants it. Rejects with what ends the consumer. */
  async #passUnreadable(error: BrokerError): Promise<void> {
    const taken = this.#reader?.peekStored() ?? null;
    if (taken === null) return; // it was sought elsewhere
    const { topic, partition } = taken.chunk.cursor;
    const at = { partition: { topic, partition }, offset: taken.stored.offset, error };
    try {
      const action = this.#decodeAction(error, taken);
      if (action === 'dead-letter') await this.#sendUnreadable(taken, error);
      else if (action !== 'skip') throw error;
      if (this.#passOver(taken))
        this.#statuses.publish(
          action === 'skip' ? { type: 'skipped', ...at } : { type: 'dead-lettered', attempt: 1, ...at },
        );
    } catch (thrown) {
      const failure = asBrokerError(thrown);
      this.#fail(failure);
      throw failure;
    }
  }

  async #sendUnreadable({ stored, chunk }: StoredInChunk, error: BrokerError): Promise<void> {
    const { deadLetterTopic, group } = this.#options;
    const head = letterHead(stored, placeOf(chunk.cursor));
    const letter = letterOf(stored, { ...head, attempts: head.attempts + 1, notBeforeMs: 0 }, group, error);
    await this.#letterProducer().send(deadLetterTopic ?? '', letter);
  }

  /** The record counts as processed. False: it is not the next one any more. */
  #passOver(taken: StoredInChunk): boolean {
    const passed = this.#reader?.skip(taken) ?? null;
    const assigned = this.#assigned.get(keyOf(taken.chunk.cursor));
    if (passed === null || assigned?.cursor !== taken.chunk.cursor) return false;
    assigned.delivered = passed.nextOffset;
    assigned.processed = passed.nextOffset;
    assigned.leaderEpoch = taken.chunk.leaderEpoch;
    if (this.#settings.commit !== 'manual') this.#stage(assigned);
    return true;
  }

  #takeRecord(): InRecord<K, V> | null {
    const next = this.#reader?.next() ?? null;
    if (next === null) return null;
    this.#hand(next.cursor, next.nextOffset, next.record.leaderEpoch);
    return next.record;
  }

  #takeBatch(recordsMax: number): RecordBatch<K, V> | null {
    const next = this.#reader?.nextBatch(recordsMax) ?? null;
    if (next === null) return null;
    this.#hand(next.cursor, next.batch.nextOffset, next.batch.leaderEpoch);
    return next.batch;
  }

  #hand(cursor: Cursor, nextOffset: number, leaderEpoch: number | null): void {
    const assigned = this.#assigned.get(partitionKey(cursor.topic, cursor.partition));
    if (assigned?.cursor !== cursor)
      throw new BrokerError('INTERNAL', 'consumer-1: only assigned partitions are handed out');
    assigned.delivered = nextOffset;
    assigned.leaderEpoch = leaderEpoch;
    this.#inHand = assigned;
    const { maxProcessingMs } = this.#settings;
    if (maxProcessingMs === null) return;
    this.#progress = this.#brokers.environment.clock.setTimer(maxProcessingMs, () => void this.#stalled());
  }

  /** The application does not come on: others get the partitions. Never rejects. */
  async #stalled(): Promise<void> {
    if (this.#closing !== null) return;
    const ms = this.#settings.maxProcessingMs;
    this.#lose(null);
    await this.#membership.leave(LeaveReason.LEAVE_REASON_PROGRESS_EXPIRED);
    this.#fail(new BrokerError('PROGRESS_EXPIRED', `The application took longer than ${ms} ms over one step.`));
  }

  #finishInHand(): void {
    this.#progress?.cancel();
    this.#progress = null;
    const assigned = this.#inHand;
    if (assigned === null) return;
    this.#inHand = null;
    assigned.processed = assigned.delivered;
    if (this.#settings.commit !== 'manual') this.#stage(assigned);
    this.#handed.ring();
  }

  #stage(assigned: Assigned): void {
    if (assigned.processed === assigned.staged) return;
    assigned.staged = assigned.processed;
    const { topic, partition, processed, leaderEpoch } = assigned;
    this.#committer.stage({ topic, partition, offset: processed, leaderEpoch });
  }

  #stageProcessed(): void {
    for (const assigned of this.#assigned.values()) this.#stage(assigned);
  }

  /** What the application has committed it has processed: no later commit in the background falls behind it. */
  #noteCommitted({ topic, partition, offset }: TopicPartitionOffset): void {
    const assigned = this.#assigned.get(partitionKey(topic, partition));
    if (assigned === undefined || offset > assigned.delivered || offset <= assigned.processed) return;
    assigned.processed = offset;
    assigned.staged = offset;
  }

  #offsetsOf(what: InRecord<K, V> | readonly TopicPartitionOffset[] | undefined): readonly TopicPartitionOffset[] {
    if (what instanceof InRecord) {
      const { topic, partition, offset, leaderEpoch } = what;
      return [{ topic, partition, offset: offset + 1, leaderEpoch }];
    }
    if (what !== undefined) return what;
    return [...this.#assigned.values()].map(({ topic, partition, delivered, processed, work, leaderEpoch }) => {
      return { topic, partition, offset: work === null ? delivered : processed, leaderEpoch };
    });
  }

  // ---- positions ----

  #these(partitions: readonly TopicPartition[]): Assigned[] {
    return partitions.flatMap(({ topic, partition }) => this.#assigned.get(partitionKey(topic, partition)) ?? []);
  }

  /** A deliberate move: from now on this is where the partition is, also for the next commit. */
  #moveTo(assigned: Assigned, offset: number): void {
    if (this.#inHand === assigned) this.#inHand = null;
    assigned.delivered = offset;
    assigned.processed = offset;
    this.#fetcher.seek(assigned.cursor, offset);
    if (assigned.work === null || this.#run === null) return;
    assigned.work = this.#run.begin(keyOf(assigned), offset, assigned.paused);
  }

  async #find({ topic, partition }: TopicPartition, at: OffsetQuery['at'], options: CallOptions): Promise<number> {
    const [found] = await offsetsAt(this.#admin, [{ topic, partition }], at, options);
    if (found !== undefined) return found[1];
    return this.#find({ topic, partition }, 'latest', options); // nothing is as late as that time
  }

  /** Never rejects. */
  async #outOfRange(cursor: Cursor, error: BrokerError): Promise<void> {
    const policy = this.#settings.onOutOfRange;
    if (policy === 'error') {
      this.#fail(error.with({ message: `${error.message} Set onOutOfRange to choose where to go on.` }));
      return;
    }
    try {
      const { topic, partition, generation } = cursor;
      const offset = await this.#find({ topic, partition }, policy, { signal: this.#stopped.signal });
      const assigned = this.#assigned.get(partitionKey(topic, partition));
      if (assigned?.cursor === cursor && cursor.generation === generation) this.#moveTo(assigned, offset);
    } catch (thrown) {
      this.#fail(asBrokerError(thrown));
    }
  }

  // ---- assignment ----

  #retarget(target: readonly TopicPartitions[]): void {
    this.#target = target;
    this.#reconciling ??= this.#reconcile();
  }

  /** Puts the newest assignment into effect. Never rejects. */
  async #reconcile(): Promise<void> {
    try {
      while (this.#target !== null && !this.#stopped.signal.aborted) {
        const target = this.#target;
        this.#target = null;
        this.#adding = target;
        await this.#apply(target);
      }
    } catch (error) {
      if (!this.#stopped.signal.aborted) this.#fail(asBrokerError(error));
    } finally {
      this.#adding = [];
      this.#reconciling = null;
    }
  }

  /**
   * Everything that the member was told to read and has not given up. What it is about to read counts: a report without it
   * would say that it is given up (reliability P111).
   */
  #owned(): TopicPartitions[] {
    const coming = [...this.#adding, ...(this.#target ?? [])].flatMap(({ topic, topicId, partitions }) =>
      partitions.map((partition) => ({ topic, topicId, partition })),
    );
    const all = [...this.#assigned.values(), ...coming];
    return ownedOf(new Map(all.map((each) => [partitionKey(each.topic, each.partition), each])).values());
  }

  async #apply(target: readonly TopicPartitions[]): Promise<void> {
    const life = this.#life;
    const wanted = new Map<string, TopicPartition & { readonly topicId: string }>();
    for (const { topic, topicId, partitions } of target)
      for (const partition of partitions) wanted.set(partitionKey(topic, partition), { topic, topicId, partition });
    const revoked = [...this.#assigned].flatMap(([key, assigned]) => (wanted.has(key) ? [] : [assigned]));
    const added = [...wanted].flatMap(([key, partition]) => (this.#assigned.has(key) ? [] : [partition]));
    if (revoked.length > 0) await this.#revoke(revoked);
    if (life !== this.#life) return;
    if (added.length > 0) await this.#assign(added, life);
    this.#adding = [];
    if (revoked.length > 0 || added.length > 0) void this.#membership.beat();
  }

  /** Gives partitions away: the coordinator hands them on once a heartbeat no longer names them. */
  async #revoke(revoked: readonly Assigned[]): Promise<void> {
    for (const assigned of revoked) {
      this.#run?.end(keyOf(assigned));
      this.#fetcher.remove(assigned.topic, assigned.partition);
    }
    const isInHand = (assigned: Assigned): boolean =>
      (assigned === this.#inHand && !this.#stopped.signal.aborted) || this.#run?.isBusy(keyOf(assigned)) === true;
    await this.#waitWhile(() => revoked.some(isInHand), inHandMsMax);
    if (this.#settings.commit !== 'manual') await this.#commitRevoked(revoked);
    for (const { topic, partition } of revoked) {
      this.#assigned.delete(partitionKey(topic, partition));
      this.#committer.unstage(topic, partition);
      this.#run?.abort(partitionKey(topic, partition), givenAway(topic, partition));
    }
    const partitions = revoked.map(placeOf);
    this.#statuses.publish({ type: 'revoked', partitions });
    await this.#options.onRevoked?.(partitions);
  }

  /** Waits until the application has finished what it has in hand, but not for ever. */
  async #waitWhile(holds: () => boolean, limitMs: number): Promise<void> {
    const over = { yet: false };
    // the timer says when it is over, not the clock: by that it may be a moment early, and nothing would ring again
    const timer = this.#brokers.environment.clock.setTimer(limitMs, () => {
      over.yet = true;
      this.#handed.ring();
    });
    while (!over.yet && holds()) await this.#handed.wait();
    timer.cancel();
  }

  async #commitRevoked(revoked: readonly Assigned[]): Promise<void> {
    for (const assigned of revoked) this.#stage(assigned);
    try {
      await this.#committer.flush(finalCommitMs);
    } catch {
      // the next owner begins at the last commit that succeeded: records may come twice, none is lost
    }
  }

  async #assign(added: readonly (TopicPartition & { readonly topicId: string })[], life: number): Promise<void> {
    const { onNoOffset } = this.#settings;
    const { onAssigned } = this.#options;
    const signal = this.#stopped.signal;
    const topics = added.map(({ topic }) => topic);
    const [offsets] = await Promise.all([
      startOffsets(this.#admin, this.#options.group, added, onNoOffset, { signal }),
      learnLeaders(this.#brokers, topics, { signal, timeoutMs: leadersMs }),
    ]);
    if (life !== this.#life) return;
    const partitions = added.map(placeOf);
    for (const { topic, topicId, partition } of added) {
      const key = partitionKey(topic, partition);
      const offset = offsets.get(key);
      if (offset === undefined) throw new BrokerError('INTERNAL', `No offset was found for ${key}.`);
      const cursor = this.#fetcher.add(topic, topicId === '' ? undefined : topicId, partition, offset);
      const positions = { delivered: offset, processed: offset, staged: offset, leaderEpoch: null };
      const assigned = { topic, topicId, partition, cursor, ...positions, paused: false, work: null };
      this.#assigned.set(key, assigned);
      this.#beginWork(assigned);
      cursor.paused = onAssigned !== undefined; // it may seek
    }
    this.#statuses.publish({ type: 'assigned', partitions });
    await onAssigned?.(partitions);
    if (life !== this.#life || onAssigned === undefined) return;
    for (const { cursor, paused } of this.#these(partitions)) if (!paused) this.#fetcher.resume(cursor);
  }

  /** The membership is gone, and with it every partition. */
  #lose(error: BrokerError | null): void {
    this.#life += 1;
    this.#target = null;
    this.#adding = [];
    const lost = this.assignment;
    for (const { topic, partition } of lost) {
      this.#run?.abort(partitionKey(topic, partition), givenAway(topic, partition));
      this.#fetcher.remove(topic, partition);
    }
    this.#assigned.clear();
    this.#inHand = null;
    this.#committer.unstageAll();
    this.#handed.ring();
    this.#statuses.publish({ type: 'lost', partitions: lost, error });
    if (lost.length > 0) this.#callBack(async () => this.#options.onLost?.(lost));
  }

  /** A callback that nothing waits for but `close`. What it throws ends the consumer. */
  #callBack(callback: () => Promise<void>): void {
    const called = callback().catch((error: unknown) => this.#fail(asBrokerError(error)));
    this.#callbacks.add(called);
    void called.then(() => this.#callbacks.delete(called));
  }

  // ---- stalls ----

  #watchStalls(): void {
    const { stallAfterMs } = this.#settings;
    const everyMs = Math.max(50, stallAfterMs / 4);
    this.#stallTimer = this.#brokers.environment.clock.setTimer(everyMs, () => {
      if (this.#closing !== null) return;
      this.#watchStalls();
      this.#lookForStalls().catch(() => undefined); // no end could be read: the next look tries again
    });
  }

  async #lookForStalls(): Promise<void> {
    const { clock } = this.#brokers.environment;
    const all = [...this.#assigned.values()];
    // what came and was not taken fills the room of the rest
    const isBusy = this.#inHand !== null || all.some(({ cursor }) => cursor.chunks.length > 0);
    const watched = all.map(({ topic, partition, cursor }) => {
      const isWaitedFor = isBusy || cursor.paused || cursor.notBeforeMs === Infinity;
      return { key: partitionKey(topic, partition), position: cursor.position, isWaitedFor };
    });
    const { suspects, recovered } = this.#stalls.look(watched, clock.monotonicMs());
    for (const key of recovered) {
      const assigned = this.#assigned.get(key);
      if (assigned !== undefined) this.#statuses.publish({ type: 'recovered', partition: placeOf(assigned) });
    }
    const asked = suspects.flatMap((key) => this.#assigned.get(key) ?? []);
    const before = new Map(asked.map((assigned) => [keyOf(assigned), assigned.cursor.position]));
    if (asked.length === 0) return;
    const options = { signal: this.#stopped.signal, timeoutMs: stallLookMs };
    for (const [key, end] of await offsetsAt(this.#admin, asked.map(placeOf), 'latest', options)) {
      const assigned = this.#assigned.get(key);
      const position = before.get(key);
      if (assigned === undefined || position !== assigned.cursor.position) continue;
      const forMs = this.#stalls.found(key, position, end, clock.monotonicMs());
      if (forMs !== null) await this.#stalledAt(assigned, end, forMs);
    }
  }

  /** Reads it anew, and tells with what the cluster says of it. */
  async #stalledAt(assigned: Assigned, highWatermark: number, forMs: number): Promise<void> {
    const { cursor } = assigned;
    const { position } = cursor;
    this.#fetcher.seek(cursor, position);
    const options = { signal: this.#stopped.signal, timeoutMs: stallLookMs };
    const stalls = await this.#admin.explain(placeOf(assigned), options).then(
      (explained) => explained.stalls.filter(({ blocksFetch }) => blocksFetch),
      () => [],
    );
    const lag = highWatermark - position;
    const told = { partition: placeOf(assigned), position, highWatermark, lag, forMs, stalls };
    this.#statuses.publish({ type: 'stalled', ...told });
  }
}

/** How long the looks at a partition that may be stalled take at most. */
const stallLookMs = 5_000;

const placeOf = ({ topic, partition }: TopicPartition): TopicPartition => ({ topic, partition });

const keyOf = ({ topic, partition }: TopicPartition): string => partitionKey(topic, partition);

const givenAway = (topic: string, partition: number): BrokerError =>
  new BrokerError('PARTITION_NOT_OWNED', `${topic}/${partition} is not assigned to this consumer any more.`, {
    topic,
    partition,
  });

function fail(message: string): never {
  throw new BrokerError('INTERNAL', message);
}

function ownedOf(assigned: Iterable<TopicPartition & { readonly topicId: string }>): TopicPartitions[] {
  const topics = new Map<string, TopicPartitions>();
  for (const { topic, topicId, partition } of assigned) {
    const known = topics.get(topic);
    if (known === undefined) topics.set(topic, { topic, topicId, partitions: [partition] });
    else known.partitions.push(partition);
  }
  for (const { partitions } of topics.values()) partitions.sort((a, b) => a - b);
  return [...topics.values()];
}
