/** The front door: binds the services to a port, with every limit set, and closes it again in an orderly way. */
import { Server, ServerCredentials } from '@grpc/grpc-js';
import type { ServerOptions } from '@grpc/grpc-js';
import type { PackageDefinition } from '@grpc/proto-loader';
import { loadFileDescriptorSetFromBuffer } from '@grpc/proto-loader';
import { ReflectionService } from '@grpc/reflection';
import { HealthImplementation, service as healthService } from 'grpc-health-check';
import { ClusterServiceService } from '../gen/sluice/v1/cluster.ts';
import { GroupServiceService } from '../gen/sluice/v1/group.ts';
import { TopicServiceService } from '../gen/sluice/v1/topic.ts';
import type { BrokerApi } from '../broker/requests.ts';
import type { Clock } from '../model/clock.ts';
import type { BatchCodecs } from '../model/record-batch.ts';
import { CallDesk } from './call-desk.ts';
import { clusterHandlers } from './cluster.ts';
import { groupHandlers } from './group-handlers.ts';
import type { ForwardPeers, Routes } from './forward-port.ts';
import { serveForwarded } from './forward-service.ts';
import { forwardingBroker } from './forwarding-broker.ts';
import type { Http2Sessions } from './http2-windows.ts';
import { tuneHttp2 } from './http2-windows.ts';
import type { ApiLimits } from './limits.ts';
import type { ApiObserver } from './observer.ts';
import { addLogService } from './log-service.ts';
import type { ProduceDoor } from './produce.ts';
import { startingBroker } from './refusing-broker.ts';
import { tuneService } from './service.ts';
import { topicHandlers } from './topics.ts';

export interface ApiServerOptions {
  readonly codecs: BatchCodecs;
  readonly clock: Clock;
  readonly limits: ApiLimits;
  /** The contract as a FileDescriptorSet (proto/sluice.binpb), for reflection. */
  readonly descriptors: Uint8Array;
  /** A handler met a defect: the process must end. */
  readonly onDefect: (defect: unknown) => void;
  readonly observer?: ApiObserver;
}

/** Why a port can not be served; `message` is one line that says what to do. */
export class BindError extends Error {
  override readonly name = 'BindError';
}

/** What is under way. */
export interface Load {
  readonly calls: number;
  readonly requestBytes: number;
  readonly unsentBytes: number;
  readonly connections: number;
}

/**
 * Names of the health service. `liveness`: the process turns. `startup`: recovery is over. `readiness` and the empty name:
 * it takes requests; never made to depend on single partitions, or a lost quorum would remove every endpoint.
 */
const healthNames = { live: ['liveness'], started: ['startup'], ready: ['', 'readiness'] } as const;

export class ApiServer {
  readonly #options: ApiServerOptions;
  readonly #server: Server;
  readonly #desk: CallDesk;
  readonly #sessions: Http2Sessions;
  readonly #health = new HealthImplementation();
  /** Why it takes no requests; null: it does. */
  #unreadyWhy: string | null = 'it starts: its disk recovers, or it looks for its cluster';
  #broker: BrokerApi;

  constructor(options: ApiServerOptions) {
    const { limits, clock, onDefect, observer } = options;
    this.#options = options;
    this.#broker = startingBroker(limits.retryAfterMs);
    this.#desk = new CallDesk({ limits, clock, onDefect, ...(observer === undefined ? {} : { observer }) });
    this.#server = new Server(serverOptions(limits));
    this.#sessions = tuneHttp2(this.#server, limits);
    this.#setHealth('live', true);
    this.#setHealth('started', false);
    this.#setHealth('ready', false);
    this.#addServices(options);
  }

  /** What is under way, for tests and metrics. */
  get load(): Load {
    return {
      calls: this.#desk.openCalls,
      requestBytes: this.#desk.requests.bytes,
      unsentBytes: this.#desk.replies.bytes,
      connections: this.#sessions.connections,
    };
  }

  /** Whether it takes requests of everybody; `why` is one line for people. */
  get readiness(): { readonly ready: boolean; readonly why: string } {
    return { ready: this.#unreadyWhy === null, why: this.#unreadyWhy ?? 'ready' };
  }

  /** HTTP/2 receive windows: of each connection as the library reports them, and what all of them may take. */
  get windows(): { readonly inForce: readonly number[]; readonly budgetedBytes: number } {
    return { inForce: this.#sessions.windowsInForce(), budgetedBytes: this.#sessions.windowBytes };
  }

  /** Listens; resolves with the port, which differs from `port` if that is 0. Rejects with BindError. */
  listen(host: string, port: number): Promise<number> {
    const address = `${host.includes(':') ? `[${host}]` : host}:${port}`;
    return new Promise((resolve, reject) => {
      this.#server.bindAsync(address, ServerCredentials.createInsecure(), (error, bound) => {
        if (error === null) resolve(bound);
        else reject(new BindError(bindAdvice(address, error.message), { cause: error }));
      });
    });
  }

  /**
   * Recovery is over: hands calls to `broker` from now on. Until then they are refused as retriable.
   * @param ready whether it takes requests, or only says what is wrong with it
   */
  serve(broker: BrokerApi, { ready }: { readonly ready: boolean }): void {
    this.#broker = broker;
    this.#setHealth('started', true);
    if (ready) this.ready();
    else this.unready('it answers, but can not serve yet what others can');
  }

  /**
   * Like `serve`, for a broker among others: what belongs elsewhere is handed on, and what others hand on is done here
   * (design D15). Once. It counts as ready when `ready` is called.
   */
  serveInCluster(broker: BrokerApi, routes: Routes, peers: ForwardPeers): void {
    const { clock, codecs } = this.#options;
    serveForwarded(peers, this.#desk, { broker, clock, codecs });
    this.serve(forwardingBroker({ broker, routes, peers, clock }), { ready: false });
    this.unready('it catches up with the catalog');
  }

  /** It takes requests of everybody. */
  ready(): void {
    this.#unreadyWhy = null;
    this.#setHealth('ready', true);
  }

  /** Whoever spreads requests shall send them elsewhere; what comes all the same is served. `why`: one line for people. */
  unready(why = 'it stops'): void {
    this.#unreadyWhy = why;
    this.#setHealth('ready', false);
  }

  /** Refuses what comes from now on, ends what only waits. What is being appended is still answered. */
  drain(): void {
    this.unready();
    this.#desk.drain();
  }

  /** Waits until every call is answered and every connection closed, at most `graceMs`; then cuts them. */
  async close(graceMs: number): Promise<void> {
    const closed = new Promise<void>((resolve) => {
      this.#server.tryShutdown(() => resolve());
    });
    const late = new Promise<void>((resolve) => {
      const timer = this.#desk.clock.setTimer(graceMs, resolve);
      void closed.then(() => timer.cancel());
    });
    await Promise.race([closed, late]);
    this.#server.forceShutdown();
    this.#sessions.destroyAll();
  }

  #setHealth(kind: keyof typeof healthNames, serving: boolean): void {
    for (const name of healthNames[kind]) this.#health.setStatus(name, serving ? 'SERVING' : 'NOT_SERVING');
  }

  #addServices({ codecs, clock, limits, descriptors }: ApiServerOptions): void {
    const desk = this.#desk;
    const broker = (): BrokerApi => this.#broker;
    const door: ProduceDoor = {
      codecs,
      clock,
      get broker() {
        return broker();
      },
    };
    addLogService(this.#server, desk, door);
    this.#server.addService(tuneService(GroupServiceService, limits), { ...groupHandlers(desk, broker) });
    this.#server.addService(tuneService(TopicServiceService, limits), { ...topicHandlers(desk, broker) });
    this.#server.addService(tuneService(ClusterServiceService, limits), { ...clusterHandlers(desk, broker) });
    this.#health.addToServer(this.#server);
    const contract = loadFileDescriptorSetFromBuffer(Buffer.from(descriptors));
    new ReflectionService({ ...contract, ...healthPackage }).addToServer(this.#server);
  }
}

/**
 * The health service as reflection learns of it: any message brings the descriptor of its file. The cast bridges two
 * copies of proto-loader's types, of which grpc-health-check carries its own.
 */
const healthPackage = Object.fromEntries(
  Object.values(healthService).map(({ path, requestType }) => [path, requestType]),
) as unknown as PackageDefinition;

function serverOptions(limits: ApiLimits): ServerOptions {
  return {
    // per call bookkeeping that nobody reads here (operations 4.5)
    'grpc.enable_channelz': 0,
    'grpc.max_receive_message_length': limits.receiveBytesMax,
    'grpc.max_concurrent_streams': limits.connectionStreamsMax,
    'grpc.max_connection_idle_ms': limits.connectionIdleMsMax,
    'grpc.max_connection_age_ms': limits.connectionAgeMsMax,
    'grpc.max_connection_age_grace_ms': limits.connectionGraceMsMax,
    'grpc.keepalive_time_ms': limits.keepaliveMs,
    'grpc.keepalive_timeout_ms': limits.keepaliveTimeoutMs,
  };
}

function bindAdvice(address: string, why: string): string {
  if (why.includes('EADDRINUSE'))
    return `${address} is in use: stop what listens there, or choose another port (listen.client.port)`;
  if (why.includes('EACCES')) return `${address} may not be used: choose a port above 1023 (listen.client.port)`;
  if (why.includes('EADDRNOTAVAIL')) return `${address} is not an address of this machine (listen.client.host)`;
  return `can not listen on ${address}: ${why} (listen.client.host, listen.client.port)`;
}
