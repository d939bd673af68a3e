/** One ProduceStream to one broker: matches replies with attempts, and notices when it is dead. */
import type { ClientDuplexStream } from '@grpc/grpc-js';
import { headroomBytes } from './batch-buffers.ts';
import type { Connection } from './connection.ts';
import { fromDetail, fromStatus } from './decode-error.ts';
import { asBrokerError, BrokerError } from './errors.ts';
import type { ProduceRequest, ProduceStreamResponse } from './gen/sluice/v1/log.ts';
import { toNumberOrNull } from './int64.ts';
import { methods } from './methods.ts';
import type { Outcome, PartitionLane } from './partition-lane.ts';
import type { ProduceBatch } from './produce-batch.ts';
import type { RoomyProduceRequest } from './produce-frame.ts';

/** How much longer than the broker's own limit the client waits for an answer before it gives the stream up. */
const answerGraceMs = 5_000;

export interface SenderEvents {
  /** Gives the connection to open a stream on. */
  readonly connection: () => Connection;
  /** The stream can take batches (again). */
  readonly writable: () => void;
  readonly answered: (lane: PartitionLane, batch: ProduceBatch, outcome: Outcome) => void;
  /** An error for a batch that nobody waits for: `acks: 'none'`. */
  readonly strayError: (error: BrokerError) => void;
  /** The stream broke with these lanes' batches unanswered. */
  readonly lost: (lanes: ReadonlySet<PartitionLane>, error: BrokerError) => void;
  /** There was no connection: nothing was sent. */
  readonly unreachable: (error: BrokerError) => void;
}

interface Attempt {
  readonly lane: PartitionLane;
  readonly batch: ProduceBatch;
  readonly giveUpMs: number;
}

type Stream = ClientDuplexStream<RoomyProduceRequest, ProduceStreamResponse>;

export class ProduceSender {
  /** "host:port". */
  readonly address: string;
  readonly #events: SenderEvents;
  #stream: Stream | null = null;
  #connecting = false;
  #needsDrain = false;
  #nextCorrelation = 0;
  /** Attempts without an answer by correlation id, oldest first. Invariant: empty while there is no stream. */
  readonly #attempts = new Map<number, Attempt>();

  constructor(address: string, events: SenderEvents) {
    this.address = address;
    this.#events = events;
  }

  get isWritable(): boolean {
    return this.#stream !== null && !this.#needsDrain;
  }

  /** Opens the stream unless it is open; `writable` or `unreachable` follows. */
  connect(timeoutMs: number): void {
    if (this.#stream !== null || this.#connecting) return;
    this.#connecting = true;
    const connection = this.#events.connection();
    connection.ready(timeoutMs).then(
      () => {
        this.#connecting = false;
        this.#open(connection);
        this.#events.writable();
      },
      (error: unknown) => {
        this.#connecting = false;
        this.#events.unreachable(asBrokerError(error));
      },
    );
  }

  /**
   * Sends one attempt. Only while `isWritable`.
   * @param answered false with `acks: 'none'`: no answer is waited for
   */
  send(lane: PartitionLane, batch: ProduceBatch, request: ProduceRequest, nowMs: number, answered: boolean): void {
    if (this.#stream === null) throw new BrokerError('INTERNAL', 'A batch was sent on a stream that is not open.');
    const correlation = this.#nextCorrelation++;
    if (answered) {
      const giveUpMs = nowMs + (request.timeoutMs ?? 0) + answerGraceMs;
      this.#attempts.set(correlation, { lane, batch, giveUpMs });
    }
    this.#needsDrain = !this.#stream.write({ correlationId: BigInt(correlation), produce: request, headroomBytes });
  }

  /** Gives the stream up if its oldest attempt has waited too long. */
  tick(nowMs: number): void {
    const [oldest] = this.#attempts.values();
    if (oldest === undefined || oldest.giveUpMs > nowMs) return;
    const text = `No answer from ${this.address} in time; the connection is given up.`;
    this.#lost(
      new BrokerError('REQUEST_TIMED_OUT', text, { retriable: true, indeterminate: true, broker: this.address }),
    );
  }

  /** Ends the stream. What is still unanswered is not waited for. */
  end(): void {
    const stream = this.#stream;
    this.#stream = null;
    stream?.end();
  }

  /** Drops the stream. */
  cancel(): void {
    const stream = this.#stream;
    this.#stream = null;
    stream?.cancel();
  }

  #open(connection: Connection): void {
    const stream = connection.duplex(methods.produceStream);
    this.#stream = stream;
    this.#needsDrain = false;
    stream.on('data', (reply: ProduceStreamResponse) => {
      if (this.#stream === stream) this.#receive(reply);
    });
    stream.on('drain', () => {
      if (this.#stream !== stream) return;
      this.#needsDrain = false;
      this.#events.writable();
    });
    stream.on('error', (error: unknown) => {
      if (this.#stream === stream) this.#lost(fromStatus(error, { broker: this.address }, true));
    });
    stream.on('end', () => {
      if (this.#stream !== stream) return;
      this.#lost(
        new BrokerError('UNAVAILABLE', `${this.address} ended the stream.`, { retriable: true, indeterminate: true }),
      );
    });
  }

  /** What a reply breaks ends the stream, never the process. */
  #receive(reply: ProduceStreamResponse): void {
    try {
      this.#reply(reply);
    } catch (error) {
      this.#lost(asBrokerError(error));
    }
  }

  #reply(reply: ProduceStreamResponse): void {
    // never asked for: stalls are asked for with Explain
    if (reply.result?.$case === 'waiting') return;
    const correlation = Number(reply.correlationId);
    const attempt = this.#attempts.get(correlation);
    const place = { broker: this.address };
    if (attempt === undefined) {
      if (reply.result?.$case === 'error') this.#events.strayError(fromDetail(reply.result.value, place));
      return;
    }
    this.#attempts.delete(correlation);
    this.#events.answered(attempt.lane, attempt.batch, outcomeOf(reply, attempt.lane, this.address));
  }

  #lost(error: BrokerError): void {
    const lanes = new Set<PartitionLane>();
    for (const attempt of this.#attempts.values()) lanes.add(attempt.lane);
    this.#attempts.clear();
    this.cancel();
    this.#events.lost(lanes, error);
  }
}

function outcomeOf(reply: ProduceStreamResponse, lane: PartitionLane, broker: string): Outcome {
  const { topic, partition } = lane;
  switch (reply.result?.$case) {
    case 'produced': {
      const { baseOffset, leaderEpoch, duplicate, committed, durableOn, entryIndex, entryTerm } = reply.result.value;
      const { leader: named } = reply.result.value;
      const leader = named === undefined || named.address === '' ? undefined : named;
      const index = toNumberOrNull(entryIndex);
      const entry = index === null || entryTerm === undefined ? null : { index, term: entryTerm };
      const told = { leaderEpoch, duplicate, committed, entry, durableOn };
      return { kind: 'produced', receipt: { baseOffset: toNumberOrNull(baseOffset), ...told }, leader };
    }
    case 'error':
      return { kind: 'refused', error: fromDetail(reply.result.value, { broker, topic, partition }) };
    case 'waiting':
    case undefined: {
      const text = 'The broker answered neither with success nor with an error.';
      return { kind: 'refused', error: new BrokerError('UNKNOWN_ERROR', text, { indeterminate: true, broker }) };
    }
  }
}
