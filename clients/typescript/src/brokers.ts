/**
 * The way to the brokers: whom to ask next, how often to try, and learning from answers where everything is. What is known
 * lies in cluster-view.ts.
 */
import { status } from '@grpc/grpc-js';
import { backoffMs, pause } from './backoff.ts';
import type { BackoffOptions } from './backoff.ts';
import { ClusterView } from './cluster-view.ts';
import { Connection } from './connection.ts';
import type { Environment } from './environment.ts';
import { asBrokerError, BrokerError, closedError, isAway, isSetApartThere } from './errors.ts';
import type { ClientStatus } from './client-status.ts';
import type { LeaderHint } from './errors.ts';
import type { DescribeClusterResponse } from './gen/sluice/v1/cluster.ts';
import type { DescribeTopicResponse } from './gen/sluice/v1/topic.ts';
import { StatusFeed } from './status.ts';
import { methods } from './methods.ts';
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
/** Hints that one call follows without waiting; two brokers that name each other are given time. */
const hintsAtOnceMax = 2;
/** How long what is known of the cluster is believed without asking again. */
const clusterMaxAgeMs = 300_000;
/** Least time between two looks at the cluster, and at one topic, that nobody asked for. */
const clusterIntervalMs = 1_000;
const topicIntervalMs = 500;
/** How long such a look may take. */
const lookMs = 10_000;
/** Topics of which it is remembered when they were looked at; all are forgotten when there are more. */
const looksMax = 10_000;

/** Another broker may be able to say more: this one knows no leader, is about to stop, or does not answer in time. */
const askAnother: ReadonlySet<string> = new Set([
  'LEADER_NOT_AVAILABLE',
  'NOT_LEADER_OR_FOLLOWER',
  'COORDINATOR_LOAD_IN_PROGRESS',
  'REQUEST_TIMED_OUT',
]);

export class Brokers {
  readonly timeouts: Timeouts;
  readonly environment: Environment;
  readonly backoff: Required<BackoffOptions>;
  /** Where the client is; null: it does not say, and reads from leaders. */
  readonly rack: string | null;
  /** What happens to connections. */
  readonly statuses = new StatusFeed<ClientStatus>();
  readonly #view: ClusterView;
  /** Whether each broker answered when it was last asked. Invariant: at most `connectionsMax`. */
  readonly #answers = new Map<string, boolean>();
  /** By address. Invariant: at most `connectionsMax`. */
  readonly #connections = new Map<string, Connection>();
  /** Brokers that were found away and are being connected to. Invariant: at most `connectionsMax`. */
  readonly #reconnecting = new Set<string>();
  /** A broker has answered: from then on a cluster that can not be reached is one that is away for a while. */
  #reachedOne = false;
  readonly #closing = new AbortController();
  /** How many looks at the cluster are under way, when the last one began, and whether something may have changed since. */
  #looks = 0;
  #lookedMs = -Infinity;
  #suspect = true;
  /** When topics were looked at unasked; `looking` while they are. */
  readonly #topicLooks = new Map<string, number | 'looking'>();
  /** Told that partitions may be led elsewhere. */
  readonly #movedListeners = new Set<() => void>();

  constructor(
    addresses: readonly string[],
    timeouts: Timeouts,
    backoff: Required<BackoffOptions>,
    environment: Environment,
    rack: string | null = null,
  ) {
    const bootstrap = addresses.map(checkedAddress);
    if (bootstrap.length === 0) throw new BrokerError('INVALID_REQUEST', 'At least one broker address is needed.');
    this.#view = new ClusterView(bootstrap);
    this.timeouts = timeouts;
    this.backoff = backoff;
    this.rack = rack;
    this.environment = environment;
  }

  /** How long to wait for a connection to one broker, milliseconds: the others get their turn within `connectMs`. */
  get connectAttemptMs(): number {
    return Math.ceil(this.timeouts.connectMs / this.#view.addresses.length);
  }

  /** The broker to ask for a partition: its leader if that is known, else any, which passes the request on. */
  leaderOf(topic: string, partition: number): string {
    return this.knownLeaderOf(topic, partition) ?? this.#view.any(this.#nowMs());
  }

  /**
   * The partition's leader, if it is known and there. Who was found away is waited for by nobody: it is led back to when
   * there is a connection again, which may take a while where its name or its address lead nowhere yet.
   */
  knownLeaderOf(topic: string, partition: number): string | null {
    const leader = this.#view.leaderOf(topic, partition, this.#nowMs());
    if (leader === null || this.#closed || !this.#view.wasAway(leader)) return leader;
    if (this.at(leader).isReady) return leader;
    this.#reconnect(leader);
    return null;
  }

  /** A broker to ask what any can answer. */
  any(): string {
    return this.#view.any(this.#nowMs());
  }

  /** The connection to a broker. Not to be kept: it may be given up for others. */
  at(address: string): Connection {
    if (this.#closed) throw closedError('client');
    const known = this.#connections.get(address);
    if (known !== undefined) return known;
    if (this.#connections.size >= connectionsMax) this.#evict();
    const connection = new Connection(address, this.environment);
    this.#connections.set(address, connection);
    return connection;
  }

  /** The error as it concerns the next attempt: when a broker that goes away will be back says nothing of the others. */
  forOthers(error: BrokerError): BrokerError {
    return isAway(error) && this.#view.hasPresent(this.#nowMs()) ? error.with({ retryAfterMs: undefined }) : error;
  }

  /** Remembers the leader that a refusal named. */
  learnLeader(topic: string, partition: number, hint: LeaderHint): void {
    if (!this.#view.learnLeader(topic, partition, hint)) return;
    this.statuses.publish({ type: 'leader-moved', topic, partition, broker: hint.address });
    this.#moved();
  }

  /** Whoever is at `address` does not lead the partition, and does not say who does. */
  notLeader(topic: string, partition: number, address: string): void {
    this.#view.notLeader(topic, partition, address, this.#nowMs());
    this.#lookAtTopic(topic);
  }

  /** An answer carried this leader epoch: if it is news, somebody else leads by now, and is looked for. */
  noteEpoch(topic: string, partition: number, epoch: number): void {
    if (!this.#view.knowsEpoch(topic, partition, epoch)) this.#lookAtTopic(topic);
  }

  /** `listener` is told when partitions may be led elsewhere than before. Gives back how to stop it. */
  onMoved(listener: () => void): () => void {
    this.#movedListeners.add(listener);
    return () => this.#movedListeners.delete(listener);
  }

  /** It answered. */
  reached(address: string): void {
    this.#reachedOne = true;
    this.#view.reached(address);
    this.#noteAnswer(address, true);
    this.#lookAtCluster();
  }

  /** It could not be reached or the connection broke: others are asked for a while. */
  failed(address: string): void {
    if (this.#closed) return;
    this.#view.failed(address, this.#nowMs());
    this.#noteAnswer(address, false);
    this.#suspect = true;
    if (this.#reachedOne) this.#lookAtCluster();
  }

  /**
   * A unary call with its attempts; rejects with the last attempt's BrokerError. A refusal speaks of its own attempt only:
   * once an attempt may have taken effect, the call may have, whatever came of those after it (design D18).
   */
  async call<Request, Response>(
    method: Method<Request, Response>,
    request: Request,
    options: CallOptions = {},
  ): Promise<Response> {
    const outcome = { isOpen: false };
    try {
      return await this.#attempts(method, request, options, outcome);
    } catch (thrown) {
      const error = asBrokerError(thrown);
      throw outcome.isOpen && !error.indeterminate ? error.with({ indeterminate: true }) : error;
    }
  }

  /** @param outcome told when an attempt ended without a certain answer */
  async #attempts<Request, Response>(
    method: Method<Request, Response>,
    request: Request,
    options: CallOptions,
    outcome: { isOpen: boolean },
  ): Promise<Response> {
    const startedMs = this.#nowMs();
    const totalMs = options.timeoutMs ?? this.timeouts.totalMs;
    /** Whom to ask next; null: anybody. */
    let next: string | null = null;
    let hintsFollowed = 0;
    /** The last reason that a broker gave: it says more than that the time was over. */
    let told: BrokerError | null = null;
    for (let attempt = 0; ; attempt++) {
      if (this.#closed) throw closedError('client');
      const limitMs = this.#reachedOne ? totalMs : Math.min(totalMs, this.timeouts.connectMs);
      const address: string = next ?? this.#view.any(this.#nowMs());
      try {
        const elapsedMs = this.#nowMs() - startedMs;
        const timeoutMs = Math.min(this.timeouts.requestMs, Math.max(1, totalMs - elapsedMs));
        const connectTimeoutMs = Math.min(timeoutMs, Math.max(1, limitMs - elapsedMs), this.connectAttemptMs);
        const limits = { timeoutMs, connectTimeoutMs, signal: options.signal };
        const answer = await this.at(address).unary(method, request, limits);
        this.reached(address);
        return answer;
      } catch (thrown) {
        const error = asBrokerError(thrown);
        if (error.indeterminate) outcome.isOpen = true;
        const unreachable = isUnreachable(error);
        if (isAway(error)) this.failed(address);
        if (!error.retriable || (error.indeterminate && method.effect === 'once')) throw error;
        if (error.grpcStatus !== status.DEADLINE_EXCEEDED) told = error;
        this.#reachedOne ||= !unreachable;
        const hint = error.leaderHint?.address;
        const isHinted = hint !== undefined && hint !== address;
        next = isHinted
          ? hint
          : askAnother.has(error.code) || isSetApartThere(error)
            ? this.#view.after(address, this.#nowMs())
            : null;
        const tryAtOnce = isHinted
          ? hintsFollowed++ < hintsAtOnceMax
          : isAway(error) && this.#view.hasPresent(this.#nowMs());
        const waitMs = tryAtOnce ? 0 : backoffMs(attempt, this.backoff, this.environment, error.retryAfterMs);
        if (this.#nowMs() - startedMs + waitMs >= limitMs) throw told ?? error;
        await pause(waitMs, this.environment, options.signal);
      }
    }
  }

  /** Asks for the cluster, and remembers where its brokers are. */
  async describeCluster(options: CallOptions = {}): Promise<DescribeClusterResponse> {
    this.#looks += 1;
    this.#lookedMs = this.#nowMs();
    this.#suspect = false;
    try {
      const answer = await this.call(methods.describeCluster, {}, options);
      // a broker that is set apart has no catalog, and knows of itself alone
      if (answer.catalogRevision > 0n) this.#view.learnBrokers(answer.brokers);
      return answer;
    } catch (error) {
      this.#suspect = true;
      throw error;
    } finally {
      this.#looks -= 1;
    }
  }

  /** Asks for a topic, and remembers who leads its partitions. */
  async describeTopic(name: string, options: CallOptions = {}): Promise<DescribeTopicResponse> {
    const answer = await this.call(methods.describeTopic, { name }, options);
    const { topic, brokers } = answer;
    if (topic !== undefined && this.#view.learnTopic(name, topic.topicId, topic.partitions, brokers)) this.#moved();
    return answer;
  }

  close(): void {
    this.#closing.abort();
    this.statuses.publish({ type: 'closed' });
    this.statuses.end();
    this.#movedListeners.clear();
    for (const connection of this.#connections.values()) connection.close();
    this.#connections.clear();
  }

  get #closed(): boolean {
    return this.#closing.signal.aborted;
  }

  /** Connects to a broker that was found away. Behind the calls; never rejects. */
  #reconnect(address: string): void {
    if (this.#reconnecting.has(address)) return;
    this.#reconnecting.add(address);
    this.at(address)
      .ready(this.connectAttemptMs)
      .catch(() => this.failed(address))
      .finally(() => this.#reconnecting.delete(address));
  }

  /** Looks who is in the cluster, unless that is known well enough. Behind the answers; never rejects. */
  #lookAtCluster(): void {
    const ageMs = this.#nowMs() - this.#lookedMs;
    if (this.#looks > 0 || this.#closed || ageMs < (this.#suspect ? clusterIntervalMs : clusterMaxAgeMs)) return;
    this.describeCluster({ signal: this.#closing.signal, timeoutMs: lookMs }).catch(() => undefined); // the next one tries
  }

  /** Looks who leads a topic's partitions. Behind the answers; never rejects. */
  #lookAtTopic(name: string): void {
    const last = this.#topicLooks.get(name);
    if (this.#closed || last === 'looking' || this.#nowMs() - (last ?? -Infinity) < topicIntervalMs) return;
    if (this.#topicLooks.size >= looksMax) this.#topicLooks.clear();
    this.#topicLooks.set(name, 'looking');
    const done = (): void => void this.#topicLooks.set(name, this.#nowMs());
    this.describeTopic(name, { signal: this.#closing.signal, timeoutMs: lookMs }).then(done, done);
  }

  #noteAnswer(broker: string, isThere: boolean): void {
    if (this.#answers.get(broker) === isThere) return;
    if (this.#answers.size >= connectionsMax) this.#answers.clear();
    this.#answers.set(broker, isThere);
    this.statuses.publish({ type: isThere ? 'connected' : 'disconnected', broker });
  }

  #moved(): void {
    for (const listener of this.#movedListeners) listener();
  }

  /** Makes room for one connection: at the cost of one that leads to no broker of the cluster, if there is one. */
  #evict(): void {
    const { addresses } = this.#view;
    const all = [...this.#connections.values()];
    const given = all.find((other) => !addresses.includes(other.address)) ?? all[0];
    given?.close();
    if (given !== undefined) this.#connections.delete(given.address);
  }

  #nowMs(): number {
    return this.environment.clock.monotonicMs();
  }
}

/** Whether nothing was sent because there was no connection. */
const isUnreachable = (error: BrokerError): boolean =>
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
