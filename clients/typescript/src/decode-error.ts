/** From what gRPC reports to a BrokerError. The typed detail decides; the text is only for people. */
import { Metadata, status } from '@grpc/grpc-js';
import { errorTraits } from '../../../src/model/errors.ts';
import { BrokerError } from './errors.ts';
import type { BrokerErrorDetails, ErrorCode } from './errors.ts';
import { Status } from './gen/google/rpc/status.ts';
import { ErrorDetail, ErrorCode as WireCode } from './gen/sluice/v1/error.ts';
import { toNumber } from './int64.ts';

const detailTrailer = 'grpc-status-details-bin';
const detailTypeUrl = 'type.googleapis.com/sluice.v1.ErrorDetail';

/** Wire number to the model's name: the enum's names are `ERROR_CODE_` and the model's. */
const codeByNumber: ReadonlyMap<number, ErrorCode> = new Map(
  Object.entries(WireCode).flatMap(([name, number]) => {
    const code = name.replace('ERROR_CODE_', '');
    return isModelCode(code) ? [[number, code] as const] : [];
  }),
);

function isModelCode(code: string): code is keyof typeof errorTraits {
  return Object.hasOwn(errorTraits, code);
}

/** Where an error belongs, as far as the caller knows. */
export interface ErrorPlace {
  readonly broker?: string;
  readonly topic?: string;
  readonly partition?: number;
}

/** The error that a reply on a stream, or one partition of an answer, carries. */
export function fromDetail(detail: ErrorDetail, place: ErrorPlace, more: BrokerErrorDetails = {}): BrokerError {
  const unspecified = detail.code === WireCode.ERROR_CODE_UNSPECIFIED;
  const hint = detail.leaderHint;
  return new BrokerError(codeByNumber.get(detail.code) ?? 'UNKNOWN_ERROR', detail.message || 'No reason given.', {
    retriable: detail.retriable && !unspecified,
    indeterminate: detail.indeterminate || unspecified,
    retryAfterMs: detail.retryAfterMs === undefined ? undefined : toNumber(detail.retryAfterMs),
    leaderHint: hint === undefined || hint.address === '' ? undefined : hint,
    kafkaCode: detail.kafkaCode,
    fields: Object.fromEntries(Object.entries(detail.fields)),
    ...place,
    ...more,
  });
}

interface Conclusion {
  readonly code: ErrorCode;
  readonly retriable: boolean;
}

const brokenOff: Conclusion = { code: 'UNAVAILABLE', retriable: true };

/** What a bare status allows to conclude. Whether it took effect is unknown for all of them. */
const byStatus: Readonly<Partial<Record<number, Conclusion>>> = {
  [status.CANCELLED]: brokenOff,
  [status.UNKNOWN]: brokenOff,
  [status.INTERNAL]: brokenOff,
  [status.UNAVAILABLE]: brokenOff,
  [status.INVALID_ARGUMENT]: { code: 'INVALID_REQUEST', retriable: false },
  [status.DEADLINE_EXCEEDED]: { code: 'REQUEST_TIMED_OUT', retriable: true },
  [status.PERMISSION_DENIED]: { code: 'FORBIDDEN', retriable: false },
  [status.UNAUTHENTICATED]: { code: 'UNAUTHENTICATED', retriable: false },
  [status.RESOURCE_EXHAUSTED]: { code: 'MESSAGE_TOO_LARGE', retriable: false },
  [status.UNIMPLEMENTED]: { code: 'UNSUPPORTED_VERSION', retriable: false },
};

/**
 * The error of a call that ended with a status.
 * @param mutates false for a call without effect, whose outcome can not be unknown
 */
export function fromStatus(error: unknown, place: ErrorPlace, mutates: boolean): BrokerError {
  const { code, details, metadata } = readStatus(error);
  const found = metadata === null ? null : detailOf(metadata);
  const more: BrokerErrorDetails = { cause: error, grpcStatus: code };
  if (found !== null) {
    const typed = fromDetail(found, place, more);
    return mutates ? typed : typed.with({ indeterminate: false });
  }
  const conclusion = byStatus[code] ?? { code: 'UNKNOWN_ERROR', retriable: false };
  return new BrokerError(conclusion.code, `${details} (${place.broker ?? 'broker'})`, {
    ...more,
    ...place,
    retriable: conclusion.retriable,
    indeterminate: mutates,
  });
}

interface CallStatus {
  readonly code: number;
  readonly details: string;
  readonly metadata: Metadata | null;
}

/** grpc-js errors by shape, so that a second copy of the package in the process does no harm. */
function readStatus(error: unknown): CallStatus {
  if (typeof error !== 'object' || error === null)
    return { code: status.UNKNOWN, details: String(error), metadata: null };
  const code = 'code' in error && typeof error.code === 'number' ? error.code : status.UNKNOWN;
  const text = 'details' in error && typeof error.details === 'string' ? error.details : '';
  const metadata = 'metadata' in error && error.metadata instanceof Metadata ? error.metadata : null;
  return { code, details: text || (error instanceof Error ? error.message : 'no details'), metadata };
}

function detailOf(metadata: Metadata): ErrorDetail | null {
  const [packed] = metadata.get(detailTrailer);
  if (packed === undefined || typeof packed === 'string') return null;
  try {
    const any = Status.decode(packed).details.find((detail) => detail.typeUrl === detailTypeUrl);
    return any === undefined ? null : ErrorDetail.decode(any.value);
  } catch {
    return null; // a detail that can not be read is as good as none: the outcome stays unknown
  }
}
