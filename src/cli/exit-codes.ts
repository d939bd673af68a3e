/** How `sluice` ends. docs/CLI.md and `sluice --help` show this table; a test keeps them equal. */
import type { ErrorCode } from '../../clients/typescript/src/index.ts';

export const exitCodes = {
  ok: 0,
  generic: 1,
  usage: 2,
  notFound: 3,
  conflict: 4,
  forbidden: 5,
  unavailable: 6,
  partial: 7,
  unhealthy: 8,
  interrupted: 130,
} as const;

export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

export interface ExitCodeMeaning {
  readonly code: ExitCode;
  /** For `--help`. */
  readonly name: string;
  /** For docs/CLI.md. */
  readonly meaning: string;
}

export const exitCodeMeanings: readonly ExitCodeMeaning[] = [
  { code: exitCodes.ok, name: 'done', meaning: 'done; also when the reader of the output went away' },
  { code: exitCodes.generic, name: 'failed', meaning: 'failed for a reason that is not below' },
  { code: exitCodes.usage, name: 'usage', meaning: 'a flag, an argument or a value makes no sense' },
  {
    code: exitCodes.notFound,
    name: 'not found',
    meaning: 'the topic, the partition, the group or the broker does not exist',
  },
  {
    code: exitCodes.conflict,
    name: 'conflict',
    meaning: 'it exists already, somebody else has it, or it would lose a majority',
  },
  { code: exitCodes.forbidden, name: 'forbidden', meaning: 'not authenticated, or not allowed' },
  { code: exitCodes.unavailable, name: 'unavailable', meaning: 'no broker answered in time, or it refused for now' },
  { code: exitCodes.partial, name: 'partly done', meaning: 'some records were written and others not' },
  {
    code: exitCodes.unhealthy,
    name: 'unhealthy',
    meaning: 'what was looked at is not healthy, or its data is damaged',
  },
  { code: exitCodes.interrupted, name: 'interrupted', meaning: 'Ctrl-C or SIGTERM, after an orderly end' },
];

/** What is not here is `unavailable` if it is retriable, else `generic`. */
const byErrorCode: Readonly<Partial<Record<ErrorCode, ExitCode>>> = {
  UNKNOWN_TOPIC_OR_PARTITION: exitCodes.notFound,
  UNKNOWN_TOPIC_ID: exitCodes.notFound,
  GROUP_ID_NOT_FOUND: exitCodes.notFound,
  BROKER_ID_NOT_REGISTERED: exitCodes.notFound,
  TOPIC_ALREADY_EXISTS: exitCodes.conflict,
  NON_EMPTY_GROUP: exitCodes.conflict,
  UNSAFE_OPERATION: exitCodes.conflict,
  REASSIGNMENT_IN_PROGRESS: exitCodes.conflict,
  INCONSISTENT_TOPIC_ID: exitCodes.conflict,
  GROUP_MAX_SIZE_REACHED: exitCodes.conflict,
  FENCED_MEMBER_EPOCH: exitCodes.conflict,
  FENCED_INSTANCE_ID: exitCodes.conflict,
  UNAUTHENTICATED: exitCodes.forbidden,
  FORBIDDEN: exitCodes.forbidden,
  UNAVAILABLE: exitCodes.unavailable,
  REQUEST_TIMED_OUT: exitCodes.unavailable,
  DELIVERY_TIMEOUT: exitCodes.unavailable,
  INVALID_TOPIC: exitCodes.usage,
  INVALID_PARTITIONS: exitCodes.usage,
  INVALID_REPLICATION_FACTOR: exitCodes.usage,
  INVALID_GROUP_ID: exitCodes.usage,
  INVALID_REQUEST: exitCodes.usage,
  OFFSET_OUT_OF_RANGE: exitCodes.usage,
};

export function exitCodeOf(code: ErrorCode, retriable: boolean): ExitCode {
  return byErrorCode[code] ?? (retriable ? exitCodes.unavailable : exitCodes.generic);
}
