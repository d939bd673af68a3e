/**
 * A member's stream to its coordinator: it tells when to send a heartbeat because the assignment changes, and its end tells
 * the coordinator at once that the member may be gone. Everything else goes by heartbeats, so that a member lives on where
 * no stream can be had.
 */
import { status } from '@grpc/grpc-js';
import type { ClientDuplexStream } from '@grpc/grpc-js';
import { backoffMs } from './backoff.ts';
import type { Brokers } from './brokers.ts';
import { fromStatus } from './decode-error.ts';
import { asBrokerError, BrokerError } from './errors.ts';
import type { MembershipRequest, MembershipResponse } from './gen/sluice/v1/group.ts';
import { methods } from './methods.ts';

/** Brokers that are asked one after the other, as each names the next, before it is waited. */
const hintsAtOnceMax = 3;

export interface WatchedMember {
  readonly memberId: string;
  readonly memberEpoch: number;
}

export class MembershipWatch {
  readonly #brokers: Brokers;
  readonly #group: string;
  /** Null: not a member now. */
  readonly #member: () => WatchedMember | null;
  readonly #heartbeatNow: () => void;
  #stream: ClientDuplexStream<MembershipRequest, MembershipResponse> | null = null;
  #timer: { cancel(): void } | null = null;
  #failures = 0;
  #hintsFollowed = 0;
  #stopped = false;
  /** Rises with each attempt: what an older one still tells is not heard. */
  #attempt = 0;

  constructor(brokers: Brokers, group: string, member: () => WatchedMember | null, heartbeatNow: () => void) {
    this.#brokers = brokers;
    this.#group = group;
    this.#member = member;
    this.#heartbeatNow = heartbeatNow;
  }

  /** Follows the member from now on: it joined, or came back. */
  start(): void {
    this.#failures = 0;
    this.#open(this.#brokers.any());
  }

  stop(): void {
    this.#stopped = true;
    this.#drop();
  }

  #drop(): void {
    this.#attempt += 1;
    this.#timer?.cancel();
    this.#timer = null;
    const stream = this.#stream;
    this.#stream = null;
    stream?.cancel();
  }

  #open(address: string): void {
    this.#drop();
    if (this.#stopped || this.#member() === null) return;
    const attempt = this.#attempt;
    const isOver = (): boolean => attempt !== this.#attempt;
    this.#connect(address, isOver).catch((thrown: unknown) => {
      if (!isOver()) this.#failed(asBrokerError(thrown));
    });
  }

  async #connect(address: string, isOver: () => boolean): Promise<void> {
    const connection = this.#brokers.at(address);
    await connection.ready(this.#brokers.connectAttemptMs);
    const member = this.#member();
    if (isOver() || member === null) return;
    const stream = connection.duplex(methods.membership);
    this.#stream = stream;
    stream.on('data', ({ heartbeatNow }: MembershipResponse) => {
      if (isOver()) return;
      this.#failures = 0;
      this.#hintsFollowed = 0;
      if (heartbeatNow) this.#heartbeatNow();
    });
    stream.on('error', (error: unknown) => {
      if (!isOver()) this.#failed(fromStatus(error, { broker: address }, false));
    });
    stream.on('end', () => {
      if (!isOver()) this.#failed(new BrokerError('UNAVAILABLE', `${address} ended the stream.`, { retriable: true }));
    });
    stream.write({ group: this.#group, ...member });
  }

  #failed(error: BrokerError): void {
    this.#drop();
    if (this.#stopped || error.grpcStatus === status.UNIMPLEMENTED) return;
    const hint = error.leaderHint?.address;
    if (hint !== undefined && this.#hintsFollowed++ < hintsAtOnceMax) {
      this.#open(hint);
      return;
    }
    this.#hintsFollowed = 0;
    // a heartbeat finds the coordinator, and learns whether the member is still one
    if (!error.retriable) this.#heartbeatNow();
    const { backoff, environment } = this.#brokers;
    const waitMs = backoffMs(this.#failures++, backoff, environment, error.retryAfterMs);
    this.#timer = environment.clock.setTimer(waitMs, () => this.#open(hint ?? this.#brokers.any()));
  }
}
