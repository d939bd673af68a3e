/**
 * Answers what other brokers hand on (design D15). It goes to the broker here and no further: nothing is forwarded twice.
 * The same checks as for clients apply, for the broker that forwards may be of another version.
 */
import {
  ForwardAppendsReply,
  ForwardAppendsRequest,
  ForwardCallReply,
  ForwardCallRequest,
} from '../gen/sluice/internal/v1/forward.ts';
import type { ForwardedAppend, ForwardedCaller } from '../gen/sluice/internal/v1/forward.ts';
import type { ProduceRequest } from '../gen/sluice/v1/log.ts';
import type { RequestContext } from '../broker/requests.ts';
import type { Refused, Result } from '../model/errors.ts';
import { millisPlus } from '../model/ids.ts';
import type { CallDesk } from './call-desk.ts';
import { describeBroker } from './cluster.ts';
import { deleteRecords } from './delete-records.ts';
import { explain } from './explain.ts';
import { fetch } from './fetch.ts';
import { encodeFetchReply } from './fetch-reply.ts';
import { forwardAppendsMethod } from './forward-appends.ts';
import type { ForwardedMethod } from './forward-calls.ts';
import { forwardedMethods } from './forward-methods.ts';
import type { ForwardPeers } from './forward-port.ts';
import { deleteGroup, describeGroup, listGroups } from './group-operations.ts';
import { commit, fetchCommitted, heartbeat, joinGroup, leaveGroup } from './groups.ts';
import { listOffsets } from './offsets.ts';
import type { ProduceDoor } from './produce.ts';
import { admitProduce, toProduceResponse, withTimeout } from './produce.ts';
import { resolveAppend } from './resolve-append.ts';
import { errorDetail } from './status.ts';
import { describeTopic } from './topics.ts';

/** @param door its broker must be the one here, not one that forwards */
export function serveForwarded(peers: ForwardPeers, desk: CallDesk, door: ProduceDoor): void {
  peers.serve(forwardAppendsMethod, (payload, timeoutMs) =>
    admitted(
      desk,
      payload,
      timeoutMs,
      (contextOf) => appends(desk, door, payload, contextOf),
      (refused) => refusedAppends(payload, refused),
    ),
  );
  const serve = <Request, Answer>(
    method: Pick<ForwardedMethod<Request, unknown>, 'name' | 'request'>,
    handle: (request: Request, context: RequestContext) => Promise<Result<Answer>>,
    encode: (answer: Answer) => Uint8Array,
  ): void => {
    peers.serve(method.name, (payload, timeoutMs) => {
      const run = async (contextOf: ContextOf): Promise<Uint8Array> => {
        const { caller, request } = ForwardCallRequest.decode(payload);
        const answer = await handle(method.request.decode(request), contextOf(caller));
        return answer.kind === 'refused' ? refusedCall(answer) : answered(encode(answer.value));
      };
      return admitted(desk, payload, timeoutMs, run, refusedCall);
    });
  };
  const { broker, codecs } = door;
  const methods = forwardedMethods;
  serve(methods.fetch, (request, context) => fetch(broker, codecs, request, context), encodeFetchReply);
  serve(methods.listOffsets, (request, context) => listOffsets(broker, request, context), encoded(methods.listOffsets));
  serve(
    methods.resolveAppend,
    (request, context) => resolveAppend(broker, desk.clock, request, context),
    encoded(methods.resolveAppend),
  );
  serve(
    methods.deleteRecords,
    (request, context) => deleteRecords(broker, desk.clock, request, context),
    encoded(methods.deleteRecords),
  );
  serve(methods.explain, (request, context) => explain(broker, request, context), encoded(methods.explain));
  serve(methods.joinGroup, (request, context) => joinGroup(broker, request, context), encoded(methods.joinGroup));
  serve(methods.heartbeat, (request, context) => heartbeat(broker, request, context), encoded(methods.heartbeat));
  serve(methods.leaveGroup, (request, context) => leaveGroup(broker, request, context), encoded(methods.leaveGroup));
  serve(methods.commit, (request, context) => commit(broker, request, context), encoded(methods.commit));
  serve(
    methods.fetchCommitted,
    (request, context) => fetchCommitted(broker, request, context),
    encoded(methods.fetchCommitted),
  );
  serve(methods.listGroups, (request, context) => listGroups(broker, request, context), encoded(methods.listGroups));
  serve(
    methods.describeGroup,
    (request, context) => describeGroup(broker, request, context),
    encoded(methods.describeGroup),
  );
  serve(methods.deleteGroup, (request, context) => deleteGroup(broker, request, context), encoded(methods.deleteGroup));
  serve(
    methods.describeTopic,
    (request, context) => describeTopic(broker, request, context),
    encoded(methods.describeTopic),
  );
  serve(
    methods.describeBroker,
    (request, context) => describeBroker(broker, request, context),
    encoded(methods.describeBroker),
  );
}

const encoded =
  <Response>({ response }: Pick<ForwardedMethod<unknown, Response>, 'response'>) =>
  (answer: Response): Uint8Array =>
    response.encode(answer).finish();

/** The context of a call; it ends when the caller has stopped to wait. */
type ContextOf = (caller: ForwardedCaller | undefined) => RequestContext;

/** Lets the call in within the limits of all calls, and out again. */
async function admitted(
  desk: CallDesk,
  payload: Uint8Array,
  timeoutMs: number,
  run: (contextOf: ContextOf) => Promise<Uint8Array>,
  refuseWith: (refused: Refused) => Uint8Array,
): Promise<Uint8Array> {
  const gone = new AbortController();
  const call = { drain: (): void => undefined };
  const refused = desk.requests.full
    ? desk.limitReached('requestBytesInFlightMax', desk.requests.bytesMax)
    : desk.enter(call);
  if (refused !== null) return refuseWith(refused);
  const timer = desk.clock.setTimer(timeoutMs, () => {
    gone.abort('the broker that asked waits no longer');
  });
  desk.requests.take(payload.length);
  try {
    return await run((caller) => ({
      ...desk.context(gone.signal, millisPlus(desk.clock.monotonicMs(), timeoutMs)),
      principal: caller?.principal ?? '',
      tenant: caller?.tenant ?? 0,
    }));
  } finally {
    timer.cancel();
    desk.requests.give(payload.length);
    desk.leave(call);
  }
}

/** Every append is handed to the broker before the first is waited for: that is what keeps their order. */
async function appends(
  desk: CallDesk,
  door: ProduceDoor,
  payload: Uint8Array,
  contextOf: ContextOf,
): Promise<Uint8Array> {
  const { caller, appends: requests } = ForwardAppendsRequest.decode(payload);
  const context = contextOf(caller);
  const results = await Promise.all(requests.map((request) => append(desk, door, request, context)));
  return ForwardAppendsReply.encode({ results }).finish();
}

function append(
  desk: CallDesk,
  door: ProduceDoor,
  request: ProduceRequest,
  context: RequestContext,
): Promise<ForwardedAppend> {
  const admitted = admitProduce(door, request);
  if (admitted.kind === 'refused') return Promise.resolve(refusedAppend(admitted));
  const { append: append_, timeoutMs } = admitted.value;
  return door.broker
    .append(append_, withTimeout(desk.clock, context, timeoutMs))
    .then((answer) =>
      answer.kind === 'refused'
        ? refusedAppend(answer)
        : { result: { $case: 'produced', value: toProduceResponse(answer.value) } },
    );
}

const refusedAppend = ({ error }: Refused): ForwardedAppend => ({
  result: { $case: 'error', value: errorDetail(error) },
});

/** Each append is told: one without an answer of its own would count as unknown. */
const refusedAppends = (payload: Uint8Array, refused: Refused): Uint8Array =>
  ForwardAppendsReply.encode({
    results: ForwardAppendsRequest.decode(payload).appends.map(() => refusedAppend(refused)),
  }).finish();

const refusedCall = ({ error }: Refused): Uint8Array =>
  ForwardCallReply.encode({ result: { $case: 'error', value: errorDetail(error) } }).finish();

const answered = (response: Uint8Array): Uint8Array =>
  ForwardCallReply.encode({ result: { $case: 'response', value: response } }).finish();
