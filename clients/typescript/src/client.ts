/** The way in: one client per application, from which producers, consumers, readers and the admin calls come. */
import type { BatchCodecs } from '../../../src/model/record-batch.ts';
import { Admin } from './admin.ts';
import { backoffDefaults } from './backoff.ts';
import type { BackoffOptions } from './backoff.ts';
import { Brokers, timeoutDefaults } from './brokers.ts';
import type { Timeouts } from './brokers.ts';
import { Consumer } from './consumer.ts';
import type { ConsumerOptions } from './consumer-options.ts';
import { createCompression } from './compression.ts';
import { crc32c } from './crc32c.ts';
import { systemEnvironment } from './environment.ts';
import type { Environment } from './environment.ts';
import { closedError } from './errors.ts';
import { Groups } from './groups.ts';
import { Producer } from './producer.ts';
import { inRange } from './producer-options.ts';
import type { ProducerOptions } from './producer-options.ts';
import { Reader } from './reader.ts';
import type { ReaderOptions } from './reader.ts';
import type { ClientStatus } from './client-status.ts';
import type { Bytes } from './serde.ts';
import type { StatusFeed, StatusOptions } from './status.ts';

export interface ClientOptions {
  /** Where to find the first broker, "host:port" or several; the port defaults to 9400. The others are learnt. */
  readonly brokers: string | readonly string[];
  /** A name for people, at most 249 characters; brokers show it with the members of groups. Default empty. */
  readonly clientId?: string;
  /**
   * Where this client is, as brokers say it of themselves in `broker.rack`, 1 to 249 characters: partitions are read from
   * an in-sync replica there, if there is one, else from their leader, and members of groups rather get partitions that have
   * one. Default: from the leader.
   */
  readonly rack?: string;
  readonly timeouts?: Partial<Timeouts>;
  /** Waits between attempts, with full jitter. */
  readonly backoff?: BackoffOptions;
  /** Time and chance; for tests. */
  readonly environment?: Environment;
}

/** What ends with the client. */
interface Part {
  close(): Promise<void>;
  /** Ends at once, without waiting for anything. */
  abandon(): void;
}

/** Does no I/O until something is asked of it. */
export class Client implements AsyncDisposable {
  readonly admin: Admin;
  /** Consumer groups, as operators see and change them. */
  readonly groups: Groups;
  /** As given. */
  readonly clientId: string;
  readonly #brokers: Brokers;
  readonly #parts = new Set<Part>();
  #codecs: Promise<BatchCodecs> | null = null;
  #closing: Promise<void> | null = null;

  constructor(options: ClientOptions) {
    const addresses = typeof options.brokers === 'string' ? options.brokers.split(',') : options.brokers;
    const environment = options.environment ?? systemEnvironment;
    this.#brokers = new Brokers(
      addresses,
      checkedTimeouts(options.timeouts),
      checkedBackoff(options.backoff),
      environment,
      checkedRack(options.rack),
    );
    this.clientId = options.clientId ?? '';
    this.admin = new Admin(this.#brokers);
    this.groups = new Groups(this.#brokers, this.admin);
  }

  /** A producer of its own identity. Close it, or the client. */
  producer<K = Bytes, V = Bytes>(options: ProducerOptions<K, V> = {}): Producer<K, V> {
    this.#checkOpen();
    const producer: Producer<K, V> = new Producer(this.#brokers, options, this.#loadCodecs, () =>
      this.#parts.delete(producer),
    );
    this.#parts.add(producer);
    return producer;
  }

  /** A member of a consumer group, from its first iteration (or `start`) on. Close it, or the client. */
  consumer<K = Bytes, V = Bytes>(options: ConsumerOptions<K, V>): Consumer<K, V> {
    this.#checkOpen();
    const onClosed = (): void => void this.#parts.delete(consumer);
    const consumer: Consumer<K, V> = new Consumer(
      this.#brokers,
      this.admin,
      this.clientId,
      options,
      this.#loadCodecs,
      onClosed,
    );
    this.#parts.add(consumer);
    return consumer;
  }

  /** Reads partitions from positions of your own, without a group. Close it, or the client. */
  reader<K = Bytes, V = Bytes>(options: ReaderOptions<K, V>): Reader<K, V> {
    this.#checkOpen();
    const onClosed = (): void => void this.#parts.delete(reader);
    const reader: Reader<K, V> = new Reader(this.#brokers, this.admin, options, this.#loadCodecs, onClosed);
    this.#parts.add(reader);
    return reader;
  }

  /**
   * What happens in the background from now on: brokers that are reached or lost, leaders that move, consumers that end.
   * Any number may listen; who does not keep up is told how many it missed. Ends when the client is closed.
   */
  status(options: StatusOptions = {}): ReturnType<StatusFeed<ClientStatus>['listen']> {
    return this.#brokers.statuses.listen(options);
  }

  /**
   * Closes producers (everything queued is acknowledged first), consumers (they commit and leave) and the connections.
   * Rejects with the first error of theirs, after everything is closed.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    const results = await Promise.allSettled([...this.#parts].map((part) => part.close()));
    this.#brokers.close();
    const failed = results.find((result) => result.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  }

  #checkOpen(): void {
    if (this.#closing !== null) throw closedError('client');
  }

  readonly #loadCodecs = (): Promise<BatchCodecs> => {
    this.#codecs ??= createCompression().then((compression) => ({ compression, crc32c }));
    return this.#codecs;
  };
}

const millisMax = 2 ** 31 - 1;
const rackCharsMax = 249;

function checkedRack(rack: string | undefined): string | null {
  if (rack === undefined) return null;
  inRange('rack.length', rack.length, 1, rackCharsMax);
  return rack;
}

function checkedTimeouts(options: Partial<Timeouts> = {}): Timeouts {
  const timeouts = { ...timeoutDefaults, ...options };
  for (const [name, value] of Object.entries(timeouts)) inRange(`timeouts.${name}`, value, 1, millisMax);
  return timeouts;
}

function checkedBackoff(options: BackoffOptions = {}): Required<BackoffOptions> {
  const backoff = { ...backoffDefaults, ...options };
  for (const [name, value] of Object.entries(backoff)) inRange(`backoff.${name}`, value, 1, 60_000);
  return backoff;
}
