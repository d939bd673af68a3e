/**
 * LogService.ProduceStream: many appends over one stream, pipelined.
 *
 * Invariants:
 * - produce-stream-1: requests take effect in the order in which they arrive; replies keep it within a partition.
 * - produce-stream-2: what was read and not replied to stays within `produceStreamRequestsMax` and `produceStreamBytesMax`,
 *   give or take one message: beyond it the stream is not read, and HTTP/2 holds the client back.
 * - produce-stream-3: every request that was read gets its own reply (with ACKS_NONE only if it failed) while the stream
 *   lives; one that was not read had no effect.
 * - produce-stream-4: why a request waits is told before its reply only, and only to who asked for it with that request.
 */
import type { handleBidiStreamingCall, ServerDuplexStream, StatusObject } from '@grpc/grpc-js';
import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';
import type { PartitionStalls, ProduceStreamResponse } from '../gen/sluice/v1/log.ts';
import { ProduceRequest, ProduceStreamResponse as ProduceStreamResponseCodec } from '../gen/sluice/v1/log.ts';
import type { AckLevel, AppendReceipt, PartitionRef } from '../broker/requests.ts';
import type { BrokerError, Result } from '../model/errors.ts';
import { refuse } from '../model/errors.ts';
import { AppendStalls } from './append-stalls.ts';
import type { CallDesk, Drainable } from './call-desk.ts';
import { callOver, shuttingDown } from './call-desk.ts';
import { FieldChecks } from './convert.ts';
import type { Incoming } from './incoming.ts';
import { parseIncoming } from './incoming.ts';
import type { ApiLimits } from './limits.ts';
import type { Admitted, ProduceDoor } from './produce.ts';
import { admitProduce, produceNodes, toProduceResponse, withTimeout } from './produce.ts';
import { readOneAhead } from './read-ahead.ts';
import { ReplyOrder } from './reply-order.ts';
import type { AnswerCode } from './observer.ts';
import { explainMsRange, StallTeller } from './stall-teller.ts';
import { errorDetail, statusObject } from './status.ts';

/** A message of the stream. Its two levels are parsed apart: a bad append can be answered, a bad frame can not. */
export interface StreamedProduce {
  readonly correlationId: bigint;
  readonly explainAfterMs: number | undefined;
  readonly produce: Incoming<ProduceRequest>;
}

type Call = ServerDuplexStream<Incoming<StreamedProduce>, ProduceStreamResponse>;

/** What a request holds until its reply has left. */
interface Ticket {
  readonly bytes: number;
  /** When the request came, on the observer's clock. */
  readonly began: number;
  /** When its outcome was known, on the same clock; null: it is not yet. */
  known: number | null;
}

/** A reply on its way; null: there is nothing to say. */
interface Outgoing {
  readonly ticket: Ticket;
  readonly reply: ProduceStreamResponse | null;
}

/** Parses a ProduceStreamRequest. */
export function parseStreamedProduce(bytes: Buffer, limits: ApiLimits): Incoming<StreamedProduce> {
  const frame = parseIncoming(bytes, readFrame, {}, limits);
  if (frame.kind === 'malformed') return frame;
  const { append, ...rest } = frame.message;
  const produce = parseIncoming(append, (part) => ProduceRequest.decode(part), produceNodes, limits);
  return { kind: 'message', message: { ...rest, produce }, bytes: bytes.length };
}

interface Frame {
  readonly correlationId: bigint;
  readonly append: Uint8Array;
  readonly explainAfterMs: number | undefined;
}

function readFrame(bytes: Uint8Array): Frame {
  const reader = new BinaryReader(bytes);
  let correlationId = 0n;
  let append: Uint8Array = new Uint8Array();
  let explainAfterMs: number | undefined;
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (field === 1 && wireType === WireType.Varint) correlationId = BigInt(reader.int64());
    else if (field === 2 && wireType === WireType.LengthDelimited) append = reader.bytes();
    else if (field === 3 && wireType === WireType.Varint) explainAfterMs = reader.int32();
    else reader.skip(wireType, field);
  }
  return { correlationId, append, explainAfterMs };
}

/** Replies are small; `finish` makes a buffer of its own, which needs no second copy. */
export function serializeProduceReply(reply: ProduceStreamResponse): Buffer {
  const bytes = ProduceStreamResponseCodec.encode(reply).finish();
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

class ProduceStream implements Drainable {
  readonly #desk: CallDesk;
  readonly #door: ProduceDoor;
  readonly #call: Call;
  readonly #gone = new AbortController();
  readonly #order = new ReplyOrder<Outgoing>((outgoing) => this.#send(outgoing));
  readonly #writing = new Set<Ticket>();
  readonly #resume = (): void => this.#readOn();
  readonly #stalls: AppendStalls;
  #requests = 0;
  #bytes = 0;
  /** How the stream ends once everything is replied to; null: it goes on. */
  #ending: 'ok' | StatusObject | null = null;
  #over = false;

  constructor(desk: CallDesk, door: ProduceDoor, call: Call) {
    this.#desk = desk;
    this.#door = door;
    this.#call = call;
    const teller = new StallTeller(door.broker);
    this.#stalls = new AppendStalls({
      clock: desk.clock,
      news: (ref) => this.#news(teller, ref),
      forget: (ref) => teller.forget(ref),
      tell: (correlationId, value) => {
        if (!this.#over) call.write({ correlationId, result: { $case: 'waiting', value } });
      },
    });
  }

  async #news(teller: StallTeller, ref: PartitionRef): Promise<PartitionStalls | null> {
    try {
      return await teller.news(ref, this.#desk.context(this.#gone.signal, null));
    } catch (defect) {
      this.#desk.onDefect(defect);
      return null;
    }
  }

  open(): void {
    const refused = this.#desk.enter(this);
    this.#call.on('cancelled', () => this.#leave());
    if (refused !== null) {
      this.#end(statusObject(refused.error));
      return;
    }
    readOneAhead(this.#call);
    this.#call.on('data', (incoming: Incoming<StreamedProduce>) => this.#receive(incoming));
    this.#call.on('end', () => this.#endAfterReplies('ok'));
  }

  drain(): void {
    this.#endAfterReplies(statusObject(shuttingDown().error));
  }

  #receive(incoming: Incoming<StreamedProduce>): void {
    if (this.#ending !== null) return;
    if (incoming.kind === 'malformed') {
      this.#endAfterReplies(statusObject(incoming.error));
      return;
    }
    const ticket: Ticket = { bytes: incoming.bytes, began: this.#desk.observer.moment(), known: null };
    this.#take(ticket);
    this.#append(incoming.message, ticket);
  }

  /** Synchronous up to and including `broker.append`: that is what keeps produce-stream-1. */
  #append({ correlationId, explainAfterMs, produce }: StreamedProduce, ticket: Ticket): void {
    const lane = produce.kind === 'message' ? laneOf(produce.message.topic, produce.message.partition) : null;
    const refuseWith = (error: BrokerError): void => {
      this.#tell(error.code, ticket);
      const outgoing = { ticket, reply: errorReply(correlationId, error) };
      if (lane === null) this.#send(outgoing);
      else this.#order.open(lane)(outgoing);
    };
    const admitted = this.#admit(correlationId, explainAfterMs, produce);
    if (admitted.kind === 'refused') refuseWith(admitted.error);
    else this.#propose(correlationId, admitted.value, ticket, explainAfterMs);
  }

  #admit(
    correlationId: bigint,
    explainAfterMs: number | undefined,
    produce: Incoming<ProduceRequest>,
  ): Result<Admitted> {
    if (produce.kind === 'malformed') return { kind: 'refused', error: produce.error };
    const checks = new FieldChecks();
    checks.int64('correlation_id', correlationId);
    if (explainAfterMs !== undefined) checks.integer('explain_after_ms', explainAfterMs, explainMsRange);
    const checked = checks.finish(null);
    return checked.kind === 'refused' ? checked : admitProduce(this.#door, produce.message);
  }

  #propose(
    correlationId: bigint,
    { append, timeoutMs }: Admitted,
    ticket: Ticket,
    explainAfterMs: number | undefined,
  ): void {
    const lane = laneOf(append.topic, append.partition);
    const settle = this.#order.open(lane);
    const { topic, topicId, partition } = append;
    const settled =
      explainAfterMs === undefined
        ? null
        : this.#stalls.open(lane, { correlationId, ref: { topic, topicId, partition }, explainAfterMs });
    const context = withTimeout(this.#desk.clock, this.#desk.context(this.#gone.signal, null, ticket.began), timeoutMs);
    this.#door.broker.append(append, context).then(
      (answer) => {
        settled?.();
        this.#tell(answer.kind === 'ok' ? 'OK' : answer.error.code, ticket);
        settle({ ticket, reply: replyTo(correlationId, append.acks, answer) });
      },
      (defect: unknown) => {
        const { error } = refuse('INTERNAL', 'A defect of Sluice; the broker’s log tells more.');
        this.#tell(error.code, ticket);
        settle({ ticket, reply: errorReply(correlationId, error) });
        this.#desk.onDefect(defect);
      },
    );
  }

  #tell(code: AnswerCode, ticket: Ticket): void {
    ticket.known = this.#desk.observer.moment();
    this.#desk.observer.answered('ProduceStream', code, ticket.began);
  }

  /** A request counts until its reply has left, so a client that does not read its replies is held back too. */
  #send({ ticket, reply }: Outgoing): void {
    if (reply === null || this.#over) {
      this.#release(ticket);
      return;
    }
    this.#writing.add(ticket);
    this.#call.write(reply, () => {
      if (ticket.known !== null) this.#desk.observer.replied('ProduceStream', ticket.known);
      if (this.#writing.delete(ticket)) this.#release(ticket);
    });
  }

  #take(ticket: Ticket): void {
    this.#requests += 1;
    this.#bytes += ticket.bytes;
    this.#desk.requests.take(ticket.bytes);
    if (this.#mayRead()) return;
    this.#call.pause();
    this.#waitForRoom();
  }

  #release(ticket: Ticket): void {
    this.#requests -= 1;
    this.#bytes -= ticket.bytes;
    this.#desk.requests.give(ticket.bytes);
    this.#readOn();
    if (this.#requests === 0 && this.#ending !== null) this.#end(this.#ending);
  }

  #mayRead(): boolean {
    const { produceStreamRequestsMax, produceStreamBytesMax } = this.#desk.limits;
    return (
      this.#requests < produceStreamRequestsMax && this.#bytes < produceStreamBytesMax && !this.#desk.requests.full
    );
  }

  #readOn(): void {
    if (this.#over || this.#ending !== null || !this.#call.isPaused()) return;
    if (this.#mayRead()) this.#call.resume();
    else this.#waitForRoom();
  }

  /** Our own limits call us when replies leave; the limit of all calls must be asked to. */
  #waitForRoom(): void {
    if (this.#desk.requests.full) this.#desk.requests.whenNotFull(this.#resume);
  }

  #endAfterReplies(ending: 'ok' | StatusObject): void {
    this.#ending ??= ending;
    if (this.#ending !== 'ok') this.#call.pause();
    if (this.#requests === 0) this.#end(this.#ending);
  }

  #end(ending: 'ok' | StatusObject): void {
    if (this.#over) return;
    this.#leave();
    if (ending === 'ok') this.#call.end();
    else this.#call.emit('error', ending);
    this.#call.resume(); // what comes still is dropped unread; kept back, it would keep the connection open
  }

  /** Nothing can be written any more; what the broker still holds is released when it answers. */
  #leave(): void {
    if (this.#over) return;
    this.#over = true;
    this.#stalls.stop();
    this.#gone.abort(callOver);
    this.#desk.requests.forget(this.#resume);
    this.#desk.leave(this);
    for (const ticket of [...this.#writing]) if (this.#writing.delete(ticket)) this.#release(ticket);
  }
}

function laneOf(topic: string, partition: number): string;
function laneOf(topic: string, partition: number | undefined): string | null;
function laneOf(topic: string, partition: number | undefined): string | null {
  return partition === undefined ? null : `${topic}/${partition}`;
}

const errorReply = (correlationId: bigint, error: BrokerError): ProduceStreamResponse => ({
  correlationId,
  result: { $case: 'error', value: errorDetail(error) },
});

/** Null: with ACKS_NONE success is silent. */
function replyTo(correlationId: bigint, acks: AckLevel, answer: Result<AppendReceipt>): ProduceStreamResponse | null {
  if (answer.kind === 'refused') return errorReply(correlationId, answer.error);
  if (acks === 'none') return null;
  return { correlationId, result: { $case: 'produced', value: toProduceResponse(answer.value) } };
}

/** The handler of ProduceStream. */
export function produceStream(
  desk: CallDesk,
  door: ProduceDoor,
): handleBidiStreamingCall<Incoming<StreamedProduce>, ProduceStreamResponse> {
  return (call) => new ProduceStream(desk, door, call).open();
}
