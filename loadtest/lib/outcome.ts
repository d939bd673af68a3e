/** What came of a call: k6's response, read. */
import type { ErrorDetail } from './messages.ts';

/** The status of a call that was answered. */
const statusOk = 0;
const statusUnavailable = 14;
const statusDeadlineExceeded = 4;

export interface Refusal {
  readonly kind: 'refused';
  /** As docs/ERRORS.md names it; `GRPC_14` and the like if the broker said nothing. */
  readonly code: string;
  /** It may have happened all the same. */
  readonly indeterminate: boolean;
  readonly retriable: boolean;
  /** Where to ask instead; null: not known. */
  readonly leaderAddress: string | null;
  readonly text: string;
}

export type Outcome<Message> = { readonly kind: 'answered'; readonly message: Message } | Refusal;

/** What k6 gives back, as far as it is read. */
export interface K6Response {
  /** An object of Go that k6 wraps: it equals no number, but can be turned into one. */
  readonly status: number | object;
  readonly message: unknown;
  readonly error: unknown;
}

/** The message is what the contract says: the broker made it, and the descriptor decoded it. */
export function outcomeOf<Message>(response: K6Response): Outcome<Message> {
  const status = Number(response.status);
  if (status === statusOk) return { kind: 'answered', message: response.message as Message };
  const { details = [], message = '' } = (response.error ?? {}) as { details?: readonly object[]; message?: string };
  const detail = details.find((each): each is ErrorDetail => 'code' in each && 'indeterminate' in each);
  if (detail !== undefined) return refusalOf(detail);
  // without a word from the broker nobody knows how far the call came (design D18)
  const unknown = status === statusUnavailable || status === statusDeadlineExceeded;
  return {
    kind: 'refused',
    code: `GRPC_${status}`,
    indeterminate: unknown,
    retriable: unknown,
    leaderAddress: null,
    text: message,
  };
}

export function refusalOf({ code, indeterminate, retriable, leaderHint, message }: ErrorDetail): Refusal {
  return {
    kind: 'refused',
    code: code.replace(/^ERROR_CODE_/, ''),
    indeterminate,
    retriable,
    leaderAddress: leaderHint?.address ?? null,
    text: message,
  };
}

/** k6 throws where it has no connection, or a request does not fit the contract: nothing has left. */
export function notSent(error: unknown): Refusal {
  return {
    kind: 'refused',
    code: 'NOT_SENT',
    indeterminate: false,
    retriable: true,
    leaderAddress: null,
    text: error instanceof Error ? error.message : String(error),
  };
}
