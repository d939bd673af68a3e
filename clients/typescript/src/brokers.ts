/** The brokers that the client knows: whom to ask next, who leads what, and how often to try. */
import { backoffMs, pause } from './backoff.ts';
import type { BackoffOptions } from './backoff.ts';
import { Connection } from './connection.ts';
import type { Environment } from './environment.ts';
import { asBrokerError, BrokerError, closedError } from './errors.ts';
import type { LeaderHint } from './errors.ts';
import type { Method } from './methods.ts';

/** Limits of time. Milliseconds, range 1 to 2^31-1. */
export interface Timeouts {
  /** How long an operation looks for a first broker that answers before it fails. Default 10,000. */
  readonly connectMs: number;
  /** How long one attempt waits for its answer. Default 30,000. */
  readonly requestMs: number;
  /** How long an operation goes on with further attempts. Default 60,000. */
  readonly totalMs: number;
}

export const timeoutDefaults: Timeouts = { connectMs: 10_000, requestMs: 30_000, totalMs: 60_000 };

/** What every asynchronous call accepts. */
export interface CallOptions {
  /** Aborting rejects the call with ABORTED; `indeterminate` says whether it may have taken effect. */
  readonly signal?: AbortSignal;
  /** Replaces `timeouts.totalMs`, milliseconds. */
  readonly timeoutMs?: number;
}

/** Channels at a time, so that no answer can make the client open any number of them. */
const connectionsMax = 256;
/** Partitions whose leader is remembered. */
const leadersMax = 100_000;

const leaderKey = (topic: string, partition: number): string => `${topic}/${partition}`;

export class Brokers {
  readonly timeouts: Timeouts;
  readonly environment: Environment;
  readonly backoff: Required<BackoffOptions>;
  readonly #bootstrap: readonly string[];
  /** By address. Invariant: at most `connectionsMax`. */
  readonly #connections = new Map<string, Connection>();
  /** Address of the leader by topic and partition, as hints told. Invariant: at most `leadersMax`. */
  readonly #leaders = new Map<string, { readonly address: string; readonly epoch: number }>();
  /** Which bootstrap address is asked next; moves on when it fails. */
  #turn = 0;
  /** A broker has answered: from then on a cluster that can not be reached is one that is away for a while. */
  #reachedOne = false;
  #closed = false;

  constructor(
    addresses: readonly string[],
    timeouts: Timeouts,
    backoff: Required<BackoffOptions>,
    environment: Environment,
  ) {
    this.#bootstrap = addresses.map(checkedAddress);
    if (this.#bootstrap.length === 0)
      throw new BrokerError('INVALID_REQUEST', 'At least one broker address is needed.');
    this.timeouts = timeouts;
    this.backoff = backoff;
    this.environment = environment;
  }

  /** The broker to ask for anything. */
  any(): Connection {
    return this.#to(this.#bootstrap[this.#turn % this.#bootstrap.length] ?? '');
  }

  /** The broker to ask for a partition: its leader if a hint named it, else any. */
  leaderOf(topic: string, partition: number): Connection {
    const known = this.#leaders.get(leaderKey(topic, partition));
    return known === undefined ? this.any() : this.#to(known.address);
  }

  /** Remembers the leader that a refusal named; an older epoch teaches nothing. */
  learnLeader(topic: string, partition: number, hint: LeaderHint): void {
    const key = leaderKey(topic, partition);
    const known = this.#leaders.get(key);
    if (known !== undefined && known.epoch > hint.leaderEpoch) return;
    if (known === undefined && this.#leaders.size >= leadersMax) this.#leaders.clear();
    this.#leaders.set(key, { address: hint.address, epoch: hint.leaderEpoch });
  }

  /** After a failure at `address`: the next call goes elsewhere if there is an elsewhere. */
  failed(address: string): void {
    if (this.#closed) return;
    if (this.any().address === address) this.#turn += 1;
    for (const [key, leader] of this.#leaders) if (leader.address === address) this.#leaders.delete(key);
  }

  /** A unary call with its attempts; rejects with the last attempt's BrokerError. */
  async call<Request, Response>(
    method: Method<Request, Response>,
    request: Request,
    options: CallOptions = {},
  ): Promise<Response> {
    const now = (): number => this.environment.clock.monotonicMs();
    const startedMs = now();
    const totalMs = options.timeoutMs ?? this.timeouts.totalMs;
    for (let attempt = 0; ; attempt++) {
      if (this.#closed) throw closedError('client');
      const limitMs = this.#reachedOne ? totalMs : Math.min(totalMs, this.timeouts.connectMs);
      const connection = this.any();
      try {
        const elapsedMs = now() - startedMs;
        const timeoutMs = Math.min(this.timeouts.requestMs, Math.max(1, totalMs - elapsedMs));
        const connectTimeoutMs = Math.min(timeoutMs, Math.max(1, limitMs - elapsedMs));
        const answer = await connection.unary(method, request, { timeoutMs, connectTimeoutMs, signal: options.signal });
        this.#reachedOne = true;
        return answer;
      } catch (thrown) {
        const error = asBrokerError(thrown);
        if (!error.retriable || (error.indeterminate && method.effect === 'once')) throw error;
        const unreachable = isUnreachable(error);
        if (error.code === 'UNAVAILABLE') this.failed(connection.address);
        this.#reachedOne ||= !unreachable;
        const tryAtOnce = unreachable && (attempt + 1) % this.#bootstrap.length !== 0;
        const waitMs = tryAtOnce ? 0 : backoffMs(attempt, this.backoff, this.environment, error.retryAfterMs);
        if (now() - startedMs + waitMs >= limitMs) throw error;
        await pause(waitMs, this.environment, options.signal);
      }
    }
  }

  close(): void {
    this.#closed = true;
    for (const connection of this.#connections.values()) connection.close();
    this.#connections.clear();
  }

  #to(address: string): Connection {
    if (this.#closed) throw closedError('client');
    const known = this.#connections.get(address);
    if (known !== undefined) return known;
    if (this.#connections.size >= connectionsMax) return this.#evictFor(address);
    return this.#open(address);
  }

  #open(address: string): Connection {
    const connection = new Connection(address, this.environment);
    this.#connections.set(address, connection);
    return connection;
  }

  #evictFor(address: string): Connection {
    const idle = [...this.#connections.values()].find((other) => !this.#bootstrap.includes(other.address));
    idle?.close();
    if (idle !== undefined) this.#connections.delete(idle.address);
    return this.#open(address);
  }
}

/** Whether nothing was sent because there was no connection. */
export const isUnreachable = (error: BrokerError): boolean =>
  error.code === 'UNAVAILABLE' && !error.indeterminate && error.grpcStatus === undefined;

const defaultPort = 9400;

/** "host", "host:port", "[v6]:port" or "dns:///name:port", with the default port put in. */
function checkedAddress(address: string): string {
  const bare = address.trim();
  const match = /^(?:dns:\/{2,3}(?:[^/]*\/)?)?(\[[0-9a-fA-F:.]+\]|[^\s:/[\]]+)(?::(\d{1,5}))?$/.exec(bare);
  const port = match?.[2] === undefined ? defaultPort : Number(match[2]);
  if (match === null || port < 1 || port > 65_535)
    throw new BrokerError('INVALID_REQUEST', `"${address}" is no broker address; write host:port.`);
  return match[2] === undefined ? `${bare}:${defaultPort}` : bare;
}
