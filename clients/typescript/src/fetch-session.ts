/** One FetchStream to one broker, with a fixed set of partitions. What happens to it becomes an event; it never retries. */
import type { ClientDuplexStream } from '@grpc/grpc-js';
import type { Connection } from './connection.ts';
import { fromStatus } from './decode-error.ts';
import { asBrokerError, BrokerError } from './errors.ts';
import { FetchFormat } from './gen/sluice/v1/log.ts';
import type { FetchPartition, FetchStreamRequest, FetchStreamResponse } from './gen/sluice/v1/log.ts';
import { methods } from './methods.ts';
import { channels } from './tracing.ts';

export interface SessionEvents {
  readonly received: (message: FetchStreamResponse) => void;
  /** The stream is gone; nothing follows. */
  readonly lost: (error: BrokerError) => void;
}

export interface SessionStart {
  readonly partitions: readonly FetchPartition[];
  readonly grantBytes: number;
  readonly messageBytesMax: number;
}

type Stream = ClientDuplexStream<FetchStreamRequest, FetchStreamResponse>;

export class FetchSession {
  readonly #connection: Connection;
  readonly #events: SessionEvents;
  #stream: Stream | null = null;
  #closed = false;
  /** Bytes given back and not told the broker yet. */
  #ungranted = 0;

  constructor(connection: Connection, events: SessionEvents) {
    this.#connection = connection;
    this.#events = events;
  }

  get address(): string {
    return this.#connection.address;
  }

  /** Connects and starts to read. */
  open(start: SessionStart, connectTimeoutMs: number): void {
    this.#connection.ready(connectTimeoutMs).then(
      () => this.#start(start),
      (error: unknown) => this.#lose(asBrokerError(error)),
    );
  }

  /** Lets the broker send `bytes` more, told once `atLeast` bytes have gathered. */
  grant(bytes: number, atLeast: number): void {
    this.#ungranted += bytes;
    if (this.#stream === null || this.#ungranted < Math.max(1, atLeast)) return;
    this.#stream.write({ action: { $case: 'grantBytes', value: this.#ungranted } });
    this.#ungranted = 0;
  }

  close(): void {
    this.#closed = true;
    const stream = this.#stream;
    this.#stream = null;
    stream?.cancel();
  }

  #start(start: SessionStart): void {
    if (this.#closed) return;
    const stream = this.#connection.duplex(methods.fetchStream);
    this.#stream = stream;
    stream.on('data', (message: FetchStreamResponse) => this.#receive(message));
    stream.on('error', (error: unknown) => this.#lose(fromStatus(error, { broker: this.address }, false)));
    stream.on('end', () => {
      this.#lose(new BrokerError('UNAVAILABLE', `${this.address} ended the stream.`, { retriable: true }));
    });
    stream.write({
      action: {
        $case: 'start',
        value: {
          partitions: [...start.partitions],
          format: FetchFormat.FETCH_FORMAT_RECORD_BATCHES,
          grantBytes: start.grantBytes,
          maxBytes: start.messageBytesMax,
        },
      },
    });
    this.grant(0, 1); // what was given back while it connected
  }

  /** What a message breaks ends the session, never the process. */
  #receive(message: FetchStreamResponse): void {
    if (this.#closed) return;
    try {
      if (!channels.fetch.hasSubscribers) this.#events.received(message);
      else
        channels.fetch.traceSync(() => this.#events.received(message), {
          broker: this.address,
          partitions: message.partitions.length,
          bytes: message.usedBytes,
        });
    } catch (error) {
      this.#lose(asBrokerError(error));
    }
  }

  #lose(error: BrokerError): void {
    if (this.#closed) return;
    this.close();
    this.#events.lost(error);
  }
}
