/** The calls that the scripts make, and what is expected of each: the thresholds. */
import type { ProfileName, ScriptName } from './names.ts';

/** Service of each method. */
export const services = {
  CreateTopic: 'TopicService',
  DescribeTopic: 'TopicService',
  DeleteTopic: 'TopicService',
  Produce: 'LogService',
  Fetch: 'LogService',
  ListOffsets: 'LogService',
  JoinGroup: 'GroupService',
  Heartbeat: 'GroupService',
  LeaveGroup: 'GroupService',
  Membership: 'GroupService',
  Commit: 'GroupService',
  FetchCommitted: 'GroupService',
  DescribeGroup: 'GroupService',
} as const;
export type MethodName = keyof typeof services;

/** As k6 wants it. */
export const pathOf = (method: MethodName): string => `sluice.v1.${services[method]}/${method}`;

/** Methods that are streams: how long one lasts says nothing. */
export const streams: readonly MethodName[] = ['Membership'];

const topics: readonly MethodName[] = ['CreateTopic', 'DescribeTopic', 'DeleteTopic'];
const group: readonly MethodName[] = [
  ...(['JoinGroup', 'Heartbeat', 'LeaveGroup', 'Membership'] as const),
  ...(['Commit', 'FetchCommitted', 'DescribeGroup'] as const),
];

/** What each script calls. A test compares it with the scripts. */
export const methodsOf: Readonly<Record<ScriptName, readonly MethodName[]>> = {
  produce: [...topics, 'Produce'],
  fetch: [...topics, 'Produce', 'ListOffsets', 'Fetch'],
  'end-to-end': [...topics, 'Produce', 'Fetch', 'ListOffsets', ...group],
  'group-churn': [...topics, ...group],
};

/** How long a consumer of `end-to-end` lets a fetch wait for records, milliseconds: part of what its fetches take. */
export const fetchWaitMs = 250;

/** p99 of a call, milliseconds. */
interface Latency {
  readonly smoke: number;
  /** The service levels of design and operations: 50 ms for a produce to all, 250 ms from fetch to delivery. */
  readonly baseline: number;
  readonly spike: number;
}

const quick: Latency = { smoke: 2_000, baseline: 50, spike: 1_000 };
const replicated: Latency = { smoke: 2_000, baseline: 100, spike: 1_000 };
const catalog: Latency = { smoke: 10_000, baseline: 5_000, spike: 5_000 };
const waiting: Latency = { smoke: 2_000 + fetchWaitMs, baseline: 250 + fetchWaitMs, spike: 1_000 + fetchWaitMs };

const latencies: Readonly<Record<Exclude<MethodName, 'Membership'>, Latency>> = {
  CreateTopic: catalog,
  DescribeTopic: catalog,
  DeleteTopic: catalog,
  Produce: quick,
  Fetch: quick,
  ListOffsets: quick,
  JoinGroup: replicated,
  Heartbeat: replicated,
  LeaveGroup: replicated,
  Commit: replicated,
  FetchCommitted: quick,
  DescribeGroup: quick,
};

/** k6's name of the part of a metric that one method makes up. */
export const ofMethod = (metric: string, method: MethodName): string => `${metric}{method:${method}}`;

export type Thresholds = Record<string, string[]>;

/** Thresholds of every method that the script calls. */
export function methodThresholds(script: ScriptName, profile: ProfileName): Thresholds {
  const thresholds: Thresholds = {};
  for (const method of methodsOf[script]) {
    if (method === 'Membership') {
      thresholds[ofMethod('grpc_streams', method)] = ['count>0'];
      continue;
    }
    const { [profile]: p99Ms } = script === 'end-to-end' && method === 'Fetch' ? waiting : latencies[method];
    thresholds[ofMethod('grpc_req_duration', method)] = [`p(99)<${p99Ms}`];
    thresholds[ofMethod('calls_failed', method)] = ['rate==0'];
  }
  return thresholds;
}
