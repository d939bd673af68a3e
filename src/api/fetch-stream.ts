/**
 * LogService.FetchStream: reads on and on, within the credit that the client grants.
 *
 * Invariants:
 * - fetch-stream-1: a message leaves only if the credit covers it; if everything that was sent before has been granted
 *   again, one message may exceed it, so that a client with little credit still gets its next batch. Credit then falls
 *   below zero and must be granted back first.
 * - fetch-stream-2: something is read only while what is written and has not left is below `fetchStreamUnsentBytesMax` and
 *   below this stream's share of what all calls may hold; what is being read counts as held. So a client that does not read
 *   has its share and one message held, and leaves room for those that do. A client that takes in nothing of it for
 *   `replyStallMsMax` is cut off. Not counted is one batch that was read and waits for credit.
 * - fetch-stream-3: a partition that was answered with an error, or with another place to be read at, is not read on.
 * - fetch-stream-4: why nothing comes is told only while nothing is written and has not left, so that it adds nothing to
 *   what a client that does not read has the broker hold.
 */
import type { handleBidiStreamingCall, ServerDuplexStream } from '@grpc/grpc-js';
import type { FetchStreamRequest, FetchStreamStart, PartitionStalls } from '../gen/sluice/v1/log.ts';
import type { Stall } from '../broker/explain.ts';
import type { BrokerApi, FetchAnswer, FetchCursor, FetchPartitionRequest, ReadRoom } from '../broker/requests.ts';
import type { Timer } from '../model/clock.ts';
import type { Offset } from '../model/ids.ts';
import type { Refused, Result } from '../model/errors.ts';
import { refuse } from '../model/errors.ts';
import type { BatchCodecs } from '../model/record-batch.ts';
import type { ByteBudget } from './byte-budget.ts';
import type { CallDesk, Drainable } from './call-desk.ts';
import { callOver, shuttingDown } from './call-desk.ts';
import { FieldChecks } from './convert.ts';
import type { ReadForm } from './fetch.ts';
import { asBatches, bytesMaxRange, fetchPartitions, partitionKey, readForm, toRecordsPart } from './fetch.ts';
import type { FetchPart, FetchStreamReply } from './fetch-reply.ts';
import { fetchReplyBytes } from './fetch-reply.ts';
import { cutStream } from './http2-windows.ts';
import type { Incoming } from './incoming.ts';
import { readOneAhead } from './read-ahead.ts';
import { SilenceTimer } from './silence-timer.ts';
import { explainMsRange, StallTeller } from './stall-teller.ts';
import { statusObject } from './status.ts';
import { unpack } from './unpack.ts';

type Call = ServerDuplexStream<Incoming<FetchStreamRequest>, FetchStreamReply>;

const mebibyte = 1024 * 1024;
const grantRange = { from: 1, through: 64 * mebibyte, unit: 'bytes' };
const grantDefault = 4 * mebibyte;
const messageBytesMaxDefault = mebibyte;

/** What the first message asks for. */
interface Start {
  readonly partitions: readonly FetchPartitionRequest[];
  readonly form: ReadForm;
  readonly grantBytes: number;
  readonly bytesMax: number;
  /** Null: it is never told why nothing comes. */
  readonly explainAfterMs: number | null;
}

function readStart(start: FetchStreamStart): Result<Start> {
  const checks = new FieldChecks();
  return checks.finish({
    partitions: fetchPartitions(checks, start.partitions),
    form: readForm(checks, start.format),
    grantBytes: checks.integerOr('grant_bytes', start.grantBytes, grantRange, grantDefault),
    bytesMax: checks.integerOr('max_bytes', start.maxBytes, bytesMaxRange, messageBytesMaxDefault),
    explainAfterMs:
      start.explainAfterMs === undefined
        ? null
        : checks.integer('explain_after_ms', start.explainAfterMs, explainMsRange),
  });
}

class FetchStream implements Drainable {
  readonly #desk: CallDesk;
  readonly #broker: BrokerApi;
  readonly #codecs: BatchCodecs;
  readonly #call: Call;
  readonly #gone = new AbortController();
  /** Null: the first message has not come. */
  #start: Start | null = null;
  /** Bytes that may be sent. */
  #credit = 0;
  #unsentBytes = 0;
  /** Taken of what all calls may hold, for what is being read. */
  #readingBytes = 0;
  /** Runs while something is unsent: a client must take in what it granted. */
  #stall: Timer | null = null;
  /** True: no more grants will come. */
  #halfClosed = false;
  #over = false;
  #wakes: (() => void)[] = [];
  readonly #resume = (): void => this.#changed();
  readonly #room: ReadRoom = {
    take: (bytes) => this.#takeRoom(bytes),
    giveBack: (bytes) => this.#giveRoom(bytes),
  };
  /** Where each partition is read on, for the records form. */
  readonly #positions = new Map<string, Offset>();
  readonly #stopped = new Set<string>();
  readonly #stalls: StallTeller;
  /** Partitions that are not read on (fetch-stream-3), of a stream that tells why nothing comes. */
  readonly #ended = new Set<string>();
  #silence: SilenceTimer | null = null;
  /** The partition that is looked at first when it is told why nothing comes. */
  #turn = 0;
  #catalogRevision = 0;

  constructor(desk: CallDesk, broker: BrokerApi, codecs: BatchCodecs, call: Call) {
    this.#desk = desk;
    this.#broker = broker;
    this.#codecs = codecs;
    this.#call = call;
    this.#stalls = new StallTeller(broker);
  }

  open(): void {
    const refused = this.#desk.enter(this);
    this.#call.on('cancelled', () => this.#closed());
    if (refused !== null) {
      this.#fail(refused);
      return;
    }
    readOneAhead(this.#call);
    this.#call.on('data', (incoming: Incoming<FetchStreamRequest>) => this.#receive(incoming));
    this.#call.on('end', () => this.#closeHalf());
  }

  drain(): void {
    this.#fail(shuttingDown());
  }

  #receive(incoming: Incoming<FetchStreamRequest>): void {
    if (this.#over) return;
    const refused =
      incoming.kind === 'malformed'
        ? { kind: 'refused' as const, error: incoming.error }
        : this.#obey(incoming.message.action);
    if (refused !== null) this.#fail(refused);
  }

  #obey(action: FetchStreamRequest['action']): Refused | null {
    switch (action?.$case) {
      case undefined:
        return refuse('INVALID_REQUEST', 'action must be start or grant_bytes; it is absent.');
      case 'start':
        return this.#begin(action.value);
      case 'grantBytes':
        return this.#grant(action.value);
    }
  }

  #begin(message: FetchStreamStart): Refused | null {
    if (this.#start !== null) return refuse('INVALID_REQUEST', 'start must be the first message and only that.');
    const start = readStart(message);
    if (start.kind === 'refused') return start;
    const { partitions, grantBytes } = start.value;
    const cursor = this.#broker.openCursor(partitions, this.#desk.context(this.#gone.signal, null));
    if (cursor.kind === 'refused') return cursor;
    this.#start = start.value;
    this.#credit = grantBytes;
    if (start.value.explainAfterMs !== null)
      this.#silence = new SilenceTimer(this.#desk.clock, start.value.explainAfterMs, () => this.#explain(partitions));
    for (const each of partitions) this.#positions.set(partitionKey(each), each.fetchOffset);
    this.#pump(start.value, cursor.value).catch((defect: unknown) => {
      this.#fail(refuse('INTERNAL', 'A defect of Sluice; the broker’s log tells more.'));
      this.#desk.onDefect(defect);
    });
    return null;
  }

  #grant(bytes: number): Refused | null {
    if (this.#start === null) return refuse('INVALID_REQUEST', 'start must be the first message.');
    const checks = new FieldChecks();
    checks.integer('grant_bytes', bytes, grantRange);
    if (this.#credit + bytes > grantRange.through)
      checks.complain('grant_bytes', `must not raise the credit above ${grantRange.through} bytes`, String(bytes));
    const checked = checks.finish(null);
    if (checked.kind === 'refused') return checked;
    this.#credit += bytes;
    this.#changed();
    return null;
  }

  /** The one loop of the stream: read, wait for credit, write, wait until it leaves. */
  async #pump(start: Start, cursor: FetchCursor): Promise<void> {
    try {
      while (await this.#until(() => this.#credit > 0 || this.#halfClosed)) {
        if (this.#credit <= 0) break;
        const answer = await cursor.next(Math.min(this.#credit, start.bytesMax), this.#room);
        if (answer === null) break;
        this.#note(answer);
        const sent = await this.#sendAll(start, answer);
        this.#giveRoom(this.#readingBytes);
        if (!sent) break;
      }
    } finally {
      this.#giveRoom(this.#readingBytes);
      cursor.close();
    }
    this.#finish();
  }

  /** Waits until something may be read (fetch-stream-2). */
  async #takeRoom(bytes: number): Promise<number | null> {
    const { limits, replies } = this.#desk;
    // half of a share at least, so that what is read is worth it; with nothing unsent one batch, however small the share is
    const mayRead = (): boolean =>
      !replies.full &&
      this.#unsentBytes < limits.fetchStreamUnsentBytesMax &&
      (this.#unsentBytes === 0 || 2 * this.#unsentBytes <= replies.share);
    if (!(await this.#until(mayRead))) return null;
    const taken = Math.max(1, Math.min(bytes, replies.share - this.#unsentBytes));
    this.#readingBytes += taken;
    replies.take(taken);
    return taken;
  }

  #giveRoom(bytes: number): void {
    const given = Math.min(bytes, this.#readingBytes);
    this.#readingBytes -= given;
    if (given > 0) this.#desk.replies.give(given);
  }

  /** What an answer says of the stream itself. */
  #note({ partitions, catalogRevision }: FetchAnswer): void {
    this.#catalogRevision = catalogRevision;
    if (this.#silence === null) return;
    for (const each of partitions) {
      this.#stalls.forget(each);
      if (each.error !== null || each.preferred !== undefined) this.#ended.add(partitionKey(each));
    }
  }

  /** Nothing came for a while: says why, of the partitions that are next in turn. */
  async #explain(partitions: readonly FetchPartitionRequest[]): Promise<void> {
    const { limits, replies } = this.#desk;
    const context = this.#desk.context(this.#gone.signal, null);
    const told: PartitionStalls[] = [];
    const count = Math.min(partitions.length, limits.explainedPartitionsMax);
    try {
      for (let n = 0; n < count && !this.#over && this.#unsentBytes === 0; n++) {
        const each = partitions[this.#turn++ % partitions.length];
        if (each === undefined || this.#ended.has(partitionKey(each)) || this.#stopped.has(partitionKey(each)))
          continue;
        const news = await this.#stalls.news(each, context, replies.full ? [repliesFull(replies)] : []);
        if (news !== null) told.push(news);
      }
    } catch (defect) {
      this.#desk.onDefect(defect);
    }
    if (told.length === 0 || this.#over) return;
    this.#call.write({ parts: [], usedBytes: 0, catalogRevision: this.#catalogRevision, stalls: told });
  }

  /** An answer as messages: one, or in the records form as many as its records need. */
  *#replies(start: Start, answer: FetchAnswer): Generator<FetchStreamReply> {
    if (start.form === 'batches') {
      yield withUsedBytes(asBatches(answer).parts, answer.catalogRevision);
      return;
    }
    for (const fetched of answer.partitions) {
      const key = partitionKey(fetched);
      const from = this.#positions.get(key);
      if (from === undefined || this.#stopped.has(key)) continue;
      if (fetched.batches.length === 0)
        yield withUsedBytes(asBatches({ ...answer, partitions: [fetched] }).parts, answer.catalogRevision);
      for (const portion of unpack(fetched, from, this.#codecs, () => start.bytesMax)) {
        if (portion.kind === 'failed') this.#stopped.add(key);
        else this.#positions.set(key, portion.next);
        yield withUsedBytes([toRecordsPart(fetched, portion)], answer.catalogRevision);
      }
    }
  }

  /** False: the stream is over, or no more credit will come; nothing behind a message may be sent without it. */
  async #sendAll(start: Start, answer: FetchAnswer): Promise<boolean> {
    for (const reply of this.#replies(start, answer)) if (!(await this.#sendWithin(start, reply))) return false;
    return true;
  }

  async #sendWithin(start: Start, reply: FetchStreamReply): Promise<boolean> {
    const { limits } = this.#desk;
    const covered = (): boolean => this.#credit >= Math.min(reply.usedBytes, start.grantBytes);
    const room = (): boolean => this.#unsentBytes < limits.fetchStreamUnsentBytesMax;
    const hopeless = (): boolean => this.#halfClosed && !covered();
    if (!covered()) this.#giveRoom(this.#readingBytes);
    if (!(await this.#until(() => (covered() && room()) || hopeless())) || hopeless()) return false;
    this.#credit -= reply.usedBytes;
    this.#desk.observer.answered('FetchStream', 'OK', null);
    this.#silence?.heard();
    this.#leaving(reply.usedBytes);
    this.#call.write(reply, () => this.#left(reply.usedBytes));
    return true;
  }

  #leaving(bytes: number): void {
    this.#unsentBytes += bytes;
    this.#desk.replies.take(bytes);
    this.#watchStall();
  }

  /** Not called for what is under way when the stream breaks: `#closed` gives that back. */
  #left(bytes: number): void {
    const given = Math.min(bytes, this.#unsentBytes);
    this.#unsentBytes -= given;
    this.#desk.replies.give(given);
    this.#watchStall();
    this.#changed();
  }

  #closed(): void {
    this.#leave();
    this.#left(this.#unsentBytes);
  }

  #watchStall(): void {
    this.#stall?.cancel();
    const { clock, limits } = this.#desk;
    this.#stall = this.#unsentBytes === 0 ? null : clock.setTimer(limits.replyStallMsMax, () => cutStream(this.#call));
  }

  /** Waits for a condition; false: the stream is over. */
  async #until(ready: () => boolean): Promise<boolean> {
    while (!this.#over && !ready())
      await new Promise<void>((resolve) => {
        if (this.#desk.replies.full) this.#desk.replies.whenNotFull(this.#resume);
        this.#wakes.push(resolve);
      });
    return !this.#over;
  }

  #changed(): void {
    const wakes = this.#wakes;
    this.#wakes = [];
    for (const wake of wakes) wake();
  }

  #closeHalf(): void {
    this.#halfClosed = true;
    if (this.#start === null) this.#fail(refuse('INVALID_REQUEST', 'start must be the first message; none came.'));
    this.#changed();
  }

  #finish(): void {
    if (this.#over) return;
    this.#leave();
    this.#call.end();
  }

  #fail(refused: Refused): void {
    if (this.#over) return;
    this.#desk.observer.answered('FetchStream', refused.error.code, null);
    this.#leave();
    this.#call.emit('error', statusObject(refused.error));
  }

  #leave(): void {
    if (this.#over) return;
    this.#over = true;
    this.#silence?.stop();
    this.#gone.abort(callOver);
    this.#desk.leave(this);
    this.#desk.replies.forget(this.#resume);
    this.#changed();
  }
}

/** All of these streams wait until callers take in what was written for them. */
const repliesFull = ({ bytes, bytesMax }: ByteBudget): Stall => ({
  ...{ reason: 'throttled', message: 'as many bytes of replies as may be unsent on the broker that was asked' },
  ...{ blocksProduce: false, blocksFetch: true, missing: [], progress: { done: bytes, total: bytesMax } },
});

function withUsedBytes(parts: readonly FetchPart[], catalogRevision: number): FetchStreamReply {
  return { parts, usedBytes: fetchReplyBytes({ parts, catalogRevision }), catalogRevision };
}

/** The handler of FetchStream. */
export function fetchStream(
  desk: CallDesk,
  door: { readonly broker: BrokerApi; readonly codecs: BatchCodecs },
): handleBidiStreamingCall<Incoming<FetchStreamRequest>, FetchStreamReply> {
  return (call) => new FetchStream(desk, door.broker, door.codecs, call).open();
}
