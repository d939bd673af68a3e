/** One channel to one broker. Connects when it is first used and again, by itself, after it broke. */
import { Client, connectivityState, credentials, Metadata } from '@grpc/grpc-js';
import type { ChannelOptions, ClientDuplexStream } from '@grpc/grpc-js';
import { fromStatus } from './decode-error.ts';
import type { Environment } from './environment.ts';
import { abortedError, BrokerError, closedError } from './errors.ts';
import type { Method } from './methods.ts';
import { channels, traced } from './tracing.ts';
import type { RpcTrace } from './tracing.ts';

/** HTTP/2 window of a connection and of each of its streams. grpc-js starts at 64 KiB, which caps a stream. */
const windowBytes = 4 * 1024 * 1024;
/** The broker answers at most this much at once (design D12: the cluster's fixed maximum is 8 MiB). */
const messageBytesMax = 8 * 1024 * 1024 + 64 * 1024;
/** How long a broken channel may take to try again before the next broker is asked. */
const reconnectMs = 1_000;

const channelOptions: ChannelOptions = {
  'grpc-node.flow_control_window': windowBytes,
  'grpc.max_receive_message_length': messageBytesMax,
  'grpc.max_send_message_length': messageBytesMax,
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.min_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': reconnectMs,
  // A pod that comes back has its name and another address. grpc-js would go on with the old one for half a minute.
  'grpc.dns_min_time_between_resolutions_ms': reconnectMs,
  'grpc.keepalive_time_ms': 10_000,
  'grpc.keepalive_timeout_ms': 5_000,
  // Retries are decided above, where it is known which calls may be repeated.
  'grpc.enable_retries': 0,
  // A broker is no web site: http_proxy in the environment is not meant for it.
  'grpc.enable_http_proxy': 0,
  'grpc.enable_channelz': 0,
  'grpc.use_local_subchannel_pool': 1,
};

/** Limits of one attempt. */
export interface AttemptOptions {
  /** How long to wait for the answer, connecting included, milliseconds. */
  readonly timeoutMs: number;
  /** How long to wait for a connection, milliseconds, at most `timeoutMs`. */
  readonly connectTimeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

export class Connection {
  /** "host:port". */
  readonly address: string;
  readonly #client: Client;
  readonly #environment: Environment;
  readonly #metadata = new Metadata();
  #closed = false;

  constructor(address: string, environment: Environment) {
    this.address = address;
    this.#environment = environment;
    this.#client = new Client(address, credentials.createInsecure(), channelOptions);
  }

  /** Whether a call made now would leave at once. */
  get isReady(): boolean {
    return !this.#closed && this.#client.getChannel().getConnectivityState(false) === connectivityState.READY;
  }

  /**
   * Waits until the broker is connected. A failure is certain: nothing was sent. That is why calls wait for it rather
   * than let gRPC queue them.
   */
  async ready(timeoutMs: number): Promise<void> {
    if (this.isReady) return;
    if (this.#closed) throw closedError('client');
    const deadline = this.#environment.clock.monotonicMs() + timeoutMs;
    const channel = this.#client.getChannel();
    let waitedWhileBroken = false;
    for (;;) {
      const state = channel.getConnectivityState(true);
      if (state === connectivityState.READY) return;
      if (state === connectivityState.SHUTDOWN) throw closedError('client');
      if (state === connectivityState.TRANSIENT_FAILURE && waitedWhileBroken) throw await this.#unreachable();
      const left = deadline - this.#environment.clock.monotonicMs();
      if (left <= 0) throw await this.#unreachable();
      const broken = state === connectivityState.TRANSIENT_FAILURE;
      await this.#stateAfter(state, broken ? Math.min(left, reconnectMs) : left);
      waitedWhileBroken = true;
    }
  }

  /** One attempt of a unary call. Rejects with a BrokerError. */
  async unary<Request, Response>(
    method: Method<Request, Response>,
    request: Request,
    options: AttemptOptions,
  ): Promise<Response> {
    const { signal } = options;
    if (signal?.aborted === true) throw abortedError(signal);
    const startedMs = this.#environment.clock.monotonicMs();
    if (!this.isReady) await this.ready(options.connectTimeoutMs);
    const leftMs = options.timeoutMs - (this.#environment.clock.monotonicMs() - startedMs);
    const contextOf = (): RpcTrace => ({ broker: this.address, method: method.path });
    return traced(channels.rpc, contextOf, () => this.#send(method, request, Math.max(1, leftMs), signal));
  }

  /** Opens a stream. The caller waits for `ready` first and handles its 'error'. */
  duplex<Request, Response>(method: Method<Request, Response>): ClientDuplexStream<Request, Response> {
    if (this.#closed) throw closedError('client');
    return this.#client.makeBidiStreamRequest(method.path, method.serialize, method.deserialize, this.#metadata);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#client.close();
  }

  #send<Request, Response>(
    method: Method<Request, Response>,
    request: Request,
    timeoutMs: number,
    signal: AbortSignal | undefined,
  ): Promise<Response> {
    const mutates = method.effect !== 'none';
    return new Promise((resolve, reject) => {
      if (this.#closed) {
        reject(closedError('client'));
        return;
      }
      const deadline = this.#environment.clock.wallMs() + timeoutMs;
      const { path, serialize, deserialize } = method;
      const call = this.#client.makeUnaryRequest(
        path,
        serialize,
        deserialize,
        request,
        this.#metadata,
        { deadline },
        (error, response) => {
          signal?.removeEventListener('abort', onAbort);
          if (signal?.aborted === true && error !== null) reject(abortedError(signal, mutates));
          else if (error !== null) reject(fromStatus(error, { broker: this.address }, mutates));
          else if (response === undefined) reject(new BrokerError('INTERNAL', `${path} was answered with nothing.`));
          else resolve(response);
        },
      );
      const onAbort = (): void => call.cancel();
      signal?.addEventListener('abort', onAbort, { once: true });
    });
  }

  #stateAfter(state: connectivityState, waitMs: number): Promise<void> {
    return new Promise((resolve) => {
      this.#client.getChannel().watchConnectivityState(state, Date.now() + waitMs, () => resolve());
    });
  }

  /** Says why, in gRPC's words: a harmless call on a channel that is not connected fails at once with the reason. */
  async #unreachable(): Promise<BrokerError> {
    const reason = await new Promise<string>((resolve) => {
      const empty = Buffer.alloc(0);
      this.#client.makeUnaryRequest(
        '/grpc.health.v1.Health/Check',
        () => empty,
        () => '',
        null,
        this.#metadata,
        { deadline: this.#environment.clock.wallMs() + 100 },
        (error) => resolve(error?.details ?? 'it came back a moment later'),
      );
    });
    return new BrokerError('UNAVAILABLE', `No connection to ${this.address}: ${plainReason(reason)}.`, {
      retriable: true,
      broker: this.address,
    });
  }
}

/** Cuts gRPC's frame around the system's own words. */
function plainReason(details: string): string {
  const last = /Last error: (?:Error: )?(.+?)(?: \(\d{4}-\d\d-\d\dT[^)]*\))?(?:\. Resolution note:.*)?$/.exec(details);
  return (last?.[1] ?? details).replace(/\.$/, '');
}
