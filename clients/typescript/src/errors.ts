/**
 * The one error class of the client (design D18). Decide on `code`, `retriable` and `indeterminate`, never on the text.
 */
import type { ErrorCode as ModelErrorCode } from '../../../src/model/errors.ts';

/** What only a client can say; every other code comes from the broker and is explained in docs/ERRORS.md. */
export const clientErrorCodes = [
  /** No broker could be reached, or the connection broke before an answer came. */
  'UNAVAILABLE',
  /** The caller's AbortSignal fired; `cause` is its reason. */
  'ABORTED',
  /** The client, producer or consumer is closed. */
  'CLOSED',
  /** The producer's queue holds as much as it may. */
  'QUEUE_FULL',
  /** A record was not acknowledged within `deliveryTimeoutMs`; `indeterminate` says whether it may be in the log. */
  'DELIVERY_TIMEOUT',
  /** An earlier batch of the partition ended unresolved, so this one, already sent behind it, can not be resolved. */
  'OUTCOME_UNKNOWN',
  /** The group has no committed offset for a partition and no `onNoOffset` policy was chosen. */
  'NO_COMMITTED_OFFSET',
  /** The caller's resume token storage threw; `cause` is what it threw. */
  'RESUME_TOKEN_STORAGE_FAILED',
  /** A serializer or deserializer threw; `cause` is what it threw. */
  'SERDE_FAILED',
  /** A handler of `run` threw, for good; `cause` is what it threw. */
  'HANDLER_FAILED',
  /** The application took longer than `maxProcessingMs` over what it had in hand: its partitions went to others. */
  'PROGRESS_EXPIRED',
  /** The broker wants credentials. */
  'UNAUTHENTICATED',
  /** The credentials do not allow it. */
  'FORBIDDEN',
  /** A code that this client does not know: the broker is newer. */
  'UNKNOWN_ERROR',
] as const;

export type ClientErrorCode = (typeof clientErrorCodes)[number];
/** Every code that a `BrokerError` can carry. */
export type ErrorCode = ModelErrorCode | ClientErrorCode;

/** Where a partition's leader or a group's coordinator is. */
export interface LeaderHint {
  readonly brokerId: number;
  /** "host:port". */
  readonly address: string;
  readonly leaderEpoch: number;
}

/** Everything that is known about an error besides its code and text. */
export interface BrokerErrorDetails {
  /** The same call may succeed later without being changed. Default false. */
  readonly retriable?: boolean;
  /** The call may have taken effect or may still do so. Default false: it did not and never will. */
  readonly indeterminate?: boolean;
  readonly cause?: unknown;
  /** How long to wait before trying again, milliseconds. */
  readonly retryAfterMs?: number | undefined;
  readonly leaderHint?: LeaderHint | undefined;
  /** Number of the same condition in the Kafka protocol. */
  readonly kafkaCode?: number | undefined;
  /** gRPC status code, 0 to 16. */
  readonly grpcStatus?: number | undefined;
  /** Address of the broker that answered or should have. */
  readonly broker?: string | undefined;
  readonly topic?: string | undefined;
  readonly partition?: number | undefined;
  /** Facts by name, for example `limit` and `actual`. */
  readonly fields?: Readonly<Record<string, string>> | undefined;
}

/** A refusal, a failure on the way, or an unknown outcome. The only error that the client throws or rejects with. */
export class BrokerError extends Error {
  override readonly name = 'BrokerError';
  readonly code: ErrorCode;
  /** The same call may succeed later without being changed. */
  readonly retriable: boolean;
  /** The call may have taken effect or may still do so; false means that it did not and never will. */
  readonly indeterminate: boolean;
  readonly retryAfterMs: number | undefined;
  readonly leaderHint: LeaderHint | undefined;
  readonly kafkaCode: number | undefined;
  readonly grpcStatus: number | undefined;
  readonly broker: string | undefined;
  readonly topic: string | undefined;
  readonly partition: number | undefined;
  readonly fields: Readonly<Record<string, string>>;

  constructor(code: ErrorCode, message: string, details: BrokerErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.retriable = details.retriable ?? false;
    this.indeterminate = details.indeterminate ?? false;
    this.retryAfterMs = details.retryAfterMs;
    this.leaderHint = details.leaderHint;
    this.kafkaCode = details.kafkaCode;
    this.grpcStatus = details.grpcStatus;
    this.broker = details.broker;
    this.topic = details.topic;
    this.partition = details.partition;
    this.fields = details.fields ?? {};
  }

  /** Whether `error` is a BrokerError, and of this code if one is given. */
  static is(error: unknown, code?: ErrorCode): error is BrokerError {
    return error instanceof BrokerError && (code === undefined || error.code === code);
  }

  /** The same error with some details replaced. */
  with(details: BrokerErrorDetails & { readonly message?: string }): BrokerError {
    const { retriable, indeterminate, cause, retryAfterMs, leaderHint } = this;
    const { kafkaCode, grpcStatus, broker, topic, partition, fields } = this;
    const mine = { retriable, indeterminate, cause, retryAfterMs, leaderHint, kafkaCode, grpcStatus, broker };
    return new BrokerError(this.code, details.message ?? this.message, {
      ...mine,
      topic,
      partition,
      fields,
      ...details,
    });
  }
}

/** What a call on a closed client, producer or consumer gets. */
export const closedError = (what: string): BrokerError => new BrokerError('CLOSED', `The ${what} is closed.`);

/** What a call gets whose signal fired. */
export const abortedError = (signal: AbortSignal, indeterminate = false): BrokerError =>
  new BrokerError('ABORTED', 'The caller aborted the call.', { cause: signal.reason, indeterminate });

/** Whether what was asked for (one partition, one group, the catalog) is set apart at that broker, and nothing else of it. */
export const isSetApartThere = ({ code, fields }: BrokerError): boolean =>
  code === 'QUARANTINED' && fields['scope'] !== undefined && fields['scope'] !== 'broker';

const leaderless: ReadonlySet<string> = new Set(['LEADER_NOT_AVAILABLE', 'NOT_LEADER_OR_FOLLOWER']);
/** Whether the broker that was asked does not know who leads the partition: another one may. */
export const knowsNoLeader = (error: BrokerError): boolean => leaderless.has(error.code) || isSetApartThere(error);

const away: ReadonlySet<string> = new Set(['UNAVAILABLE', 'BROKER_SHUTTING_DOWN', 'QUARANTINED']);
/**
 * Whether the broker that was asked is not there (any more) for anybody. One that is set apart answers, and even tells
 * about itself when it is asked for the cluster, but does nothing for anybody until its disk is replaced.
 */
export const isAway = (error: BrokerError): boolean => away.has(error.code) && !isSetApartThere(error);

/** Whether it says no more than that another broker leads, or will in a moment. */
export const isSeekingLeader = (error: BrokerError): boolean =>
  knowsNoLeader(error) || error.code === 'LEADERSHIP_LOST' || isAway(error);

/** Makes a BrokerError of anything that was thrown. */
export function asBrokerError(error: unknown): BrokerError {
  if (error instanceof BrokerError) return error;
  const text = error instanceof Error ? error.message : String(error);
  return new BrokerError('INTERNAL', `Unexpected: ${text}`, { cause: error, indeterminate: true });
}
