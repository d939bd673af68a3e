/** Connections to the brokers. Each virtual user has its own, one to each broker that it talks to. */
import grpc from 'k6/net/grpc';
import { pathOf } from '../plans/methods.ts';
import type { MethodName } from '../plans/methods.ts';
import type { Calls, UnaryName } from './messages.ts';
import { callsFailed, failures, outcomesUnknown } from './metrics.ts';
import type { Outcome, Refusal } from './outcome.ts';
import { notSent, outcomeOf } from './outcome.ts';
import { settings } from './settings.ts';

/** A fetch answers with up to 3 MiB by default; grpc-go's own limit of 4 MiB is near. */
const receiveBytesMax = 8 * 1024 * 1024;
const connectTimeout = '10s';
const callTimeout = '30s';

const clients = settings.brokers.map(() => {
  const client = new grpc.Client();
  client.loadProtoset('../../proto/sluice.binpb');
  return client;
});
const connected = new Set<number>();

/** The place of an address in the list of brokers; null: it is not in it. */
export function brokerAt(address: string): number | null {
  const index = settings.brokers.indexOf(address);
  return index === -1 ? null : index;
}

/** The client of a broker, connected. Throws if it can not be reached. */
export function clientOf(broker: number): grpc.Client {
  const { [broker]: client } = clients;
  const { [broker]: address } = settings.brokers;
  if (client === undefined || address === undefined) throw new Error(`there is no broker ${broker}`);
  if (!connected.has(broker)) {
    client.connect(address, { plaintext: true, maxReceiveSize: receiveBytesMax, timeout: connectTimeout });
    connected.add(broker);
  }
  return client;
}

export interface CallOptions {
  readonly tags?: Readonly<Record<string, string>>;
  /** Codes of refusals that are no failures here. */
  readonly expected?: readonly string[];
}

/** Calls a broker and waits without letting anything else of this virtual user run. */
export function callNow<M extends UnaryName>(
  broker: number,
  method: M,
  request: Calls[M]['request'],
  options: CallOptions = {},
): Outcome<Calls[M]['reply']> {
  const params = { timeout: callTimeout, tags: { ...options.tags } };
  try {
    return count(method, outcomeOf(clientOf(broker).invoke(pathOf(method), request, params)), options);
  } catch (error) {
    return count(method, notSent(error), options);
  }
}

/** Calls a broker. Never rejects. */
export async function call<M extends UnaryName>(
  broker: number,
  method: M,
  request: Calls[M]['request'],
  options: CallOptions = {},
): Promise<Outcome<Calls[M]['reply']>> {
  const params = { timeout: callTimeout, tags: { ...options.tags } };
  try {
    return count(method, outcomeOf(await clientOf(broker).asyncInvoke(pathOf(method), request, params)), options);
  } catch (error) {
    return count(method, notSent(error), options);
  }
}

function count<Reply>(method: MethodName, outcome: Outcome<Reply>, options: CallOptions): Outcome<Reply> {
  const failed = outcome.kind === 'refused' && options.expected?.includes(outcome.code) !== true;
  callsFailed.add(failed, { method, ...options.tags });
  if (failed) countFailure(method, outcome);
  return outcome;
}

/** A refusal that came inside of an answer, for one of its partitions. */
export function countPartialFailure(method: MethodName, refusal: Refusal): void {
  callsFailed.add(true, { method });
  countFailure(method, refusal);
}

function countFailure(method: MethodName, { code, indeterminate, text }: Refusal): void {
  failures.add(1, { method, code });
  if (indeterminate) outcomesUnknown.add(1, { method });
  console.warn(`${method}: ${code}${indeterminate ? ' (outcome unknown)' : ''}: ${text}`);
}
