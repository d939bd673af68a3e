/**
 * How a BrokerError leaves the process: one exhaustive table from code to gRPC status, and the typed detail that travels
 * with it (design D18). docs/ERRORS.md shows the same table; a test compares them.
 */
import { Metadata, status as Status } from '@grpc/grpc-js';
import type { ServiceError, StatusObject } from '@grpc/grpc-js';
import type { BrokerError, ErrorCode } from '../model/errors.ts';
import { errorTraits } from '../model/errors.ts';
import { Status as RpcStatus } from '../gen/google/rpc/status.ts';
import { ErrorCode as WireCode, ErrorDetail } from '../gen/sluice/v1/error.ts';
import { toInt32 } from './convert.ts';

/**
 * The gRPC status of every code. Rules, which test/api/status.test.ts holds the table to:
 * - UNAVAILABLE is for refusals that are retriable and certainly had no effect: proxies resend such calls.
 * - What is indeterminate is ABORTED or DEADLINE_EXCEEDED, which nobody resends unasked. INTERNAL (a defect of ours) is
 *   indeterminate too and keeps its own status, which nobody resends either.
 * - DATA_LOSS speaks of our disk only; bytes that a producer damaged are INVALID_ARGUMENT.
 */
export const grpcStatusOf = {
  OFFSET_OUT_OF_RANGE: Status.OUT_OF_RANGE,
  CORRUPT_MESSAGE: Status.INVALID_ARGUMENT,
  UNKNOWN_TOPIC_OR_PARTITION: Status.NOT_FOUND,
  NOT_LEADER_OR_FOLLOWER: Status.UNAVAILABLE,
  REQUEST_TIMED_OUT: Status.DEADLINE_EXCEEDED,
  MESSAGE_TOO_LARGE: Status.INVALID_ARGUMENT,
  OFFSET_METADATA_TOO_LARGE: Status.INVALID_ARGUMENT,
  COORDINATOR_LOAD_IN_PROGRESS: Status.UNAVAILABLE,
  INVALID_TOPIC: Status.INVALID_ARGUMENT,
  NOT_ENOUGH_REPLICAS: Status.UNAVAILABLE,
  NOT_ENOUGH_REPLICAS_AFTER_APPEND: Status.ABORTED,
  INVALID_REQUIRED_ACKS: Status.INVALID_ARGUMENT,
  INCONSISTENT_GROUP_PROTOCOL: Status.FAILED_PRECONDITION,
  INVALID_GROUP_ID: Status.INVALID_ARGUMENT,
  UNKNOWN_MEMBER_ID: Status.FAILED_PRECONDITION,
  INVALID_TIMESTAMP: Status.INVALID_ARGUMENT,
  TOPIC_ALREADY_EXISTS: Status.ALREADY_EXISTS,
  INVALID_PARTITIONS: Status.INVALID_ARGUMENT,
  INVALID_REPLICATION_FACTOR: Status.INVALID_ARGUMENT,
  INVALID_CONFIG: Status.INVALID_ARGUMENT,
  INVALID_REQUEST: Status.INVALID_ARGUMENT,
  OUT_OF_ORDER_SEQUENCE_NUMBER: Status.FAILED_PRECONDITION,
  INVALID_PRODUCER_EPOCH: Status.FAILED_PRECONDITION,
  UNKNOWN_PRODUCER_ID: Status.FAILED_PRECONDITION,
  NON_EMPTY_GROUP: Status.FAILED_PRECONDITION,
  GROUP_ID_NOT_FOUND: Status.NOT_FOUND,
  FENCED_LEADER_EPOCH: Status.FAILED_PRECONDITION,
  UNKNOWN_LEADER_EPOCH: Status.UNAVAILABLE,
  UNSUPPORTED_COMPRESSION_TYPE: Status.INVALID_ARGUMENT,
  OFFSET_NOT_AVAILABLE: Status.UNAVAILABLE,
  GROUP_MAX_SIZE_REACHED: Status.RESOURCE_EXHAUSTED,
  FENCED_INSTANCE_ID: Status.FAILED_PRECONDITION,
  INVALID_RECORD: Status.INVALID_ARGUMENT,
  REASSIGNMENT_IN_PROGRESS: Status.RESOURCE_EXHAUSTED,
  BROKER_ID_NOT_REGISTERED: Status.NOT_FOUND,
  UNKNOWN_TOPIC_ID: Status.NOT_FOUND,
  INCONSISTENT_TOPIC_ID: Status.FAILED_PRECONDITION,
  FENCED_MEMBER_EPOCH: Status.FAILED_PRECONDITION,
  UNRELEASED_INSTANCE_ID: Status.FAILED_PRECONDITION,
  UNSUPPORTED_ASSIGNOR: Status.INVALID_ARGUMENT,
  STALE_MEMBER_EPOCH: Status.FAILED_PRECONDITION,
  UNSUPPORTED_VERSION: Status.UNIMPLEMENTED,
  LEADER_NOT_AVAILABLE: Status.UNAVAILABLE,
  STORAGE_CORRUPTION: Status.DATA_LOSS,
  LIMIT_REACHED: Status.RESOURCE_EXHAUSTED,
  DISK_RESERVE_REACHED: Status.RESOURCE_EXHAUSTED,
  LEADERSHIP_LOST: Status.ABORTED,
  BROKER_SHUTTING_DOWN: Status.UNAVAILABLE,
  APPEND_INTERRUPTED: Status.ABORTED,
  UNSAFE_OPERATION: Status.FAILED_PRECONDITION,
  UNEXPECTED_END_OFFSET: Status.FAILED_PRECONDITION,
  QUARANTINED: Status.UNAVAILABLE,
  INVALID_PRODUCER_SECRET: Status.PERMISSION_DENIED,
  INVALID_RESUME_TOKEN: Status.FAILED_PRECONDITION,
  PARTITION_NOT_OWNED: Status.FAILED_PRECONDITION,
  INTERNAL: Status.INTERNAL,
} as const satisfies Record<ErrorCode, Status>;

/** Names the type inside google.protobuf.Any. */
export const errorDetailTypeUrl = 'type.googleapis.com/sluice.v1.ErrorDetail';
/** The trailer in which gRPC implementations look for typed details. */
export const detailsTrailer = 'grpc-status-details-bin';

/** Trailers are HTTP headers: what we send in them stays far below the 64 KiB that clients accept. */
const messageCharsMax = 1_000;
const fieldsMax = 16;
const fieldCharsMax = 300;
const retryAfterMsMax = 60_000;

/** Cuts, and replaces half characters: grpc-js percent-encodes the text and throws on a lone surrogate. */
function clip(text: string, charsMax: number): string {
  return Buffer.from(text.slice(0, charsMax), 'utf8').toString('utf8');
}

function clippedFields(fields: Readonly<Record<string, string>> = {}): Record<string, string> {
  return Object.fromEntries(
    Object.entries(fields)
      .slice(0, fieldsMax)
      .map(([name, value]) => [clip(name, fieldCharsMax), clip(value, fieldCharsMax)]),
  );
}

/** The detail that a client decides on. */
export function errorDetail(error: BrokerError): ErrorDetail {
  const traits = errorTraits[error.code];
  const hint = error.leaderHint;
  return {
    code: WireCode[`ERROR_CODE_${error.code}`],
    kafkaCode: traits.kafkaCode ?? undefined,
    retriable: traits.retriable,
    indeterminate: traits.indeterminate,
    leaderHint:
      hint === undefined
        ? undefined
        : { brokerId: hint.brokerId, address: hint.address, leaderEpoch: toInt32(hint.leaderEpoch) },
    retryAfterMs:
      error.retryAfterMs === undefined
        ? undefined
        : BigInt(Math.min(retryAfterMsMax, Math.max(0, Math.ceil(error.retryAfterMs)))),
    message: clip(error.message, messageCharsMax),
    fields: clippedFields(error.fields),
  };
}

/** The status object that ends a call with a refusal; its trailer carries google.rpc.Status with the detail. */
export function statusObject(error: BrokerError): StatusObject {
  const code = grpcStatusOf[error.code];
  const detail = errorDetail(error);
  const envelope = RpcStatus.encode({
    code,
    message: detail.message,
    details: [{ typeUrl: errorDetailTypeUrl, value: ErrorDetail.encode(detail).finish() }],
  }).finish();
  const metadata = new Metadata();
  metadata.set(detailsTrailer, Buffer.from(envelope.buffer, envelope.byteOffset, envelope.byteLength));
  return { code, details: `${error.code}: ${detail.message}`, metadata };
}

/** The same in the form that grpc-js takes from a stream that fails. */
export function serviceError(error: BrokerError): ServiceError {
  const { code, details, metadata } = statusObject(error);
  return Object.assign(new Error(details), { code, details, metadata });
}
