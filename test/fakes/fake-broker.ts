/** A scripted broker for tests of the front door: what is not scripted is a defect, and every call is written down. */
import type { AppendReceipt, BrokerApi, FetchedPartition, RequestContext } from '../../src/broker/requests.ts';
import type { Result } from '../../src/model/errors.ts';
import { ok } from '../../src/model/errors.ts';
import { toBrokerId, toLogIndex, toMillis, toOffset, toTerm } from '../../src/model/ids.ts';

type Methods = { -readonly [Name in keyof BrokerApi]: BrokerApi[Name] };

export interface Call {
  readonly method: keyof BrokerApi;
  readonly args: readonly unknown[];
}

export const topicUuid = '0b6f9c1e-3f57-4c2b-9d5e-1a2b3c4d5e6f';

export const receiptAt = (offset: number): AppendReceipt => ({
  topicId: topicUuid,
  partition: 0,
  baseOffset: toOffset(offset),
  leaderEpoch: toTerm(3),
  appendTimeMs: toMillis(1_700_000_000_000),
  committed: true,
  duplicate: false,
  entry: { index: toLogIndex(offset + 2), term: toTerm(3) },
  durableOn: [toBrokerId(0), toBrokerId(2)],
  leader: null,
  logStart: toOffset(0),
  catalogRevision: 7,
});

/** What a fetch of one partition found: `batches`, and where to go on. */
export const fetchedFrom = (partition: number, batches: readonly Uint8Array[], next: number): FetchedPartition => ({
  topic: 'orders',
  topicId: topicUuid,
  partition,
  error: null,
  highWatermark: toOffset(next),
  logStart: toOffset(0),
  leaderEpoch: toTerm(3),
  batches,
  nextOffset: toOffset(next),
});

export interface FakeBroker extends BrokerApi {
  /** Replace what a test needs. */
  readonly script: Partial<Methods>;
  readonly calls: readonly Call[];
  /** Contexts of all calls that had one, in order. */
  contexts(): readonly RequestContext[];
}

/** @param script methods that answer; all others reject */
export function fakeBroker(script: Partial<Methods> = {}): FakeBroker {
  const calls: Call[] = [];
  const answer = (method: keyof BrokerApi, args: readonly unknown[]): unknown => {
    calls.push({ method, args });
    const scripted = script[method] as ((...given: readonly unknown[]) => unknown) | undefined;
    if (scripted === undefined) throw new Error(`the test does not script ${method}`);
    return scripted(...args);
  };
  const isContext = (arg: unknown): arg is RequestContext =>
    typeof arg === 'object' && arg !== null && 'principal' in arg && 'signal' in arg;
  const own = { script, calls, contexts: () => calls.flatMap(({ args }) => args.filter(isContext)) };
  return new Proxy(own as unknown as FakeBroker, {
    get: (_, name): unknown =>
      name in own ? own[name as keyof typeof own] : (...args: unknown[]) => answer(name as keyof BrokerApi, args),
  });
}

/** Appends that are all accepted, at offsets that count up by one. */
export function acceptingAppends(): Pick<Methods, 'append' | 'choosePartition'> {
  let next = 0;
  return {
    append: (request) => Promise.resolve(ok({ ...receiptAt(next++), partition: request.partition })),
    choosePartition: (_topic, key): Result<number> => ok(key === null ? 0 : (key[0] ?? 0) % 4),
  };
}
