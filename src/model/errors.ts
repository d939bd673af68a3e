/**
 * The closed union of public errors (design D18). A refusal is a returned value of this type; docs/ERRORS.md lists
 * the same codes, which a test compares.
 */
import type { BrokerId, Term } from './ids.ts';

interface ErrorTraits {
  /** Number of the same condition in the Kafka protocol; null where Kafka has none. */
  readonly kafkaCode: number | null;
  /** The same request may succeed later, unchanged. */
  readonly retriable: boolean;
  /** The request may have taken effect or may still do so. */
  readonly indeterminate: boolean;
}

const certain = { retriable: false, indeterminate: false } as const;
const later = { retriable: true, indeterminate: false } as const;
const unknown = { retriable: true, indeterminate: true } as const;

/** Every code with what a client may conclude from it. */
export const errorTraits = {
  OFFSET_OUT_OF_RANGE: { kafkaCode: 1, ...certain },
  CORRUPT_MESSAGE: { kafkaCode: 2, ...certain },
  UNKNOWN_TOPIC_OR_PARTITION: { kafkaCode: 3, ...certain },
  NOT_LEADER_OR_FOLLOWER: { kafkaCode: 6, ...later },
  REQUEST_TIMED_OUT: { kafkaCode: 7, ...unknown },
  MESSAGE_TOO_LARGE: { kafkaCode: 10, ...certain },
  OFFSET_METADATA_TOO_LARGE: { kafkaCode: 12, ...certain },
  COORDINATOR_LOAD_IN_PROGRESS: { kafkaCode: 14, ...later },
  INVALID_TOPIC: { kafkaCode: 17, ...certain },
  NOT_ENOUGH_REPLICAS: { kafkaCode: 19, ...later },
  NOT_ENOUGH_REPLICAS_AFTER_APPEND: { kafkaCode: 20, ...unknown },
  INVALID_REQUIRED_ACKS: { kafkaCode: 21, ...certain },
  INCONSISTENT_GROUP_PROTOCOL: { kafkaCode: 23, ...certain },
  INVALID_GROUP_ID: { kafkaCode: 24, ...certain },
  UNKNOWN_MEMBER_ID: { kafkaCode: 25, ...certain },
  INVALID_TIMESTAMP: { kafkaCode: 32, ...certain },
  TOPIC_ALREADY_EXISTS: { kafkaCode: 36, ...certain },
  INVALID_PARTITIONS: { kafkaCode: 37, ...certain },
  INVALID_REPLICATION_FACTOR: { kafkaCode: 38, ...certain },
  INVALID_CONFIG: { kafkaCode: 40, ...certain },
  INVALID_REQUEST: { kafkaCode: 42, ...certain },
  OUT_OF_ORDER_SEQUENCE_NUMBER: { kafkaCode: 45, ...certain },
  INVALID_PRODUCER_EPOCH: { kafkaCode: 47, ...certain },
  UNKNOWN_PRODUCER_ID: { kafkaCode: 59, ...certain },
  NON_EMPTY_GROUP: { kafkaCode: 68, ...certain },
  GROUP_ID_NOT_FOUND: { kafkaCode: 69, ...certain },
  FENCED_LEADER_EPOCH: { kafkaCode: 74, ...later },
  UNKNOWN_LEADER_EPOCH: { kafkaCode: 75, ...later },
  UNSUPPORTED_COMPRESSION_TYPE: { kafkaCode: 76, ...certain },
  OFFSET_NOT_AVAILABLE: { kafkaCode: 78, ...later },
  GROUP_MAX_SIZE_REACHED: { kafkaCode: 81, ...certain },
  FENCED_INSTANCE_ID: { kafkaCode: 82, ...certain },
  INVALID_RECORD: { kafkaCode: 87, ...certain },
  REASSIGNMENT_IN_PROGRESS: { kafkaCode: 60, ...later },
  BROKER_ID_NOT_REGISTERED: { kafkaCode: 102, ...certain },
  UNKNOWN_TOPIC_ID: { kafkaCode: 100, ...certain },
  INCONSISTENT_TOPIC_ID: { kafkaCode: 103, ...certain },
  FENCED_MEMBER_EPOCH: { kafkaCode: 110, ...certain },
  UNRELEASED_INSTANCE_ID: { kafkaCode: 111, ...later },
  UNSUPPORTED_ASSIGNOR: { kafkaCode: 112, ...certain },
  STALE_MEMBER_EPOCH: { kafkaCode: 113, ...certain },
  UNSUPPORTED_VERSION: { kafkaCode: 35, ...certain },
  LEADER_NOT_AVAILABLE: { kafkaCode: 5, ...later },
  STORAGE_CORRUPTION: { kafkaCode: 56, ...certain },
  LIMIT_REACHED: { kafkaCode: null, ...later },
  DISK_RESERVE_REACHED: { kafkaCode: null, ...later },
  LEADERSHIP_LOST: { kafkaCode: 6, ...unknown },
  BROKER_SHUTTING_DOWN: { kafkaCode: null, ...later },
  APPEND_INTERRUPTED: { kafkaCode: null, ...unknown },
  UNSAFE_OPERATION: { kafkaCode: null, ...certain },
  UNEXPECTED_END_OFFSET: { kafkaCode: null, ...certain },
  QUARANTINED: { kafkaCode: null, ...later },
  INVALID_PRODUCER_SECRET: { kafkaCode: null, ...certain },
  INVALID_RESUME_TOKEN: { kafkaCode: null, ...certain },
  PARTITION_NOT_OWNED: { kafkaCode: null, ...certain },
  INTERNAL: { kafkaCode: -1, ...unknown },
} as const satisfies Record<string, ErrorTraits>;

export type ErrorCode = keyof typeof errorTraits;

/** Where the leader is, for a client that came to the wrong broker. */
export interface LeaderHint {
  readonly brokerId: BrokerId;
  readonly address: string;
  readonly leaderEpoch: Term;
}

/** A refusal, or an unknown outcome if `errorTraits[code].indeterminate`. Not an Error: it is returned, never thrown. */
export interface BrokerError {
  readonly code: ErrorCode;
  /** One sentence for people: what is wrong and what to do. */
  readonly message: string;
  readonly leaderHint?: LeaderHint;
  readonly retryAfterMs?: number;
  /** Facts by name, for example `limit` and `actual`. */
  readonly fields?: Readonly<Record<string, string>>;
}

export type Refused = { readonly kind: 'refused'; readonly error: BrokerError };
/** What calls answer: a value, or a refusal. */
export type Result<T> = { readonly kind: 'ok'; readonly value: T } | Refused;

export const ok = <T>(value: T): Result<T> => ({ kind: 'ok', value });

export function refuse(code: ErrorCode, message: string, more: Omit<BrokerError, 'code' | 'message'> = {}): Refused {
  return { kind: 'refused', error: { code, message, ...more } };
}

/** What a QUARANTINED says in its fields: all of the broker, or only what was asked for. Clients ask others accordingly. */
export const setApart = (scope: 'broker' | 'partition' | 'group' | 'catalog'): Pick<BrokerError, 'fields'> => ({
  fields: { scope },
});
