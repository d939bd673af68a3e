/** One call of the public contract, handed to another broker, and its answer. */
import { ForwardCallReply, ForwardCallRequest } from '../gen/sluice/internal/v1/forward.ts';
import type { RequestContext } from '../broker/requests.ts';
import type { Clock } from '../model/clock.ts';
import type { Result } from '../model/errors.ts';
import { ok, refuse } from '../model/errors.ts';
import type { BrokerId } from '../model/ids.ts';
import { fromErrorDetail } from './forward-answers.ts';
import { notReached } from './forward-appends.ts';
import type { ForwardLimits } from './forward-limits.ts';
import type { ForwardPeers } from './forward-port.ts';

/** How a message of the contract is written and read; the generated codecs are such. */
export interface Codec<Message> {
  encode(message: Message): { finish(): Uint8Array };
  decode(bytes: Uint8Array): Message;
}

/** A method that can be forwarded. */
export interface ForwardedMethod<Request, Response> {
  /** On the port between brokers. */
  readonly name: string;
  readonly request: Codec<Request>;
  readonly response: Codec<Response>;
  /** Whether asking may change something, so that an answer that never came leaves an open question. */
  readonly changes: boolean;
}

interface CallDeps {
  readonly peers: ForwardPeers;
  readonly clock: Clock;
  readonly limits: ForwardLimits;
}

/** Asks the broker `to`, once. */
export async function forwardCall<Request, Response>(
  { peers, clock, limits }: CallDeps,
  to: BrokerId,
  method: ForwardedMethod<Request, Response>,
  request: Request,
  context: RequestContext,
): Promise<Result<Response>> {
  const payload = ForwardCallRequest.encode({
    caller: { principal: context.principal, tenant: context.tenant },
    request: method.request.encode(request).finish(),
  }).finish();
  const leftMs = Math.max(1, Math.min(callMsMax, Math.ceil(context.deadlineMs - clock.monotonicMs())));
  const reply = await peers.call(to, method.name, payload, leftMs + limits.graceMs);
  switch (reply.kind) {
    case 'not-sent':
      return notReached(to, reply.why, limits);
    case 'unknown':
      if (!method.changes) return notReached(to, reply.why, limits);
      return refuse(
        'REQUEST_TIMED_OUT',
        `broker ${to} was asked and did not answer (${reply.why}): it may take effect`,
      );
    case 'answered':
      return resultOf(method, ForwardCallReply.decode(reply.payload));
  }
}

/** Longest time that a call waits for another broker, milliseconds. */
const callMsMax = 180_000;

function resultOf<Request, Response>(
  { response }: ForwardedMethod<Request, Response>,
  { result }: ForwardCallReply,
): Result<Response> {
  switch (result?.$case) {
    case 'response':
      return ok(response.decode(result.value));
    case 'error':
      return { kind: 'refused', error: fromErrorDetail(result.value) };
    case undefined:
      return refuse('INTERNAL', 'another broker answered with nothing');
  }
}
