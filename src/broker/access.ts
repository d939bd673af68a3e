/**
 * One call to ask and one to count on every path (design D21), so that ACLs, quotas and metering find their place
 * without a search for it. The default lets everybody do everything and counts nothing.
 */
import type { Refused } from '../model/errors.ts';
import type { RequestContext } from './requests.ts';

export type Operation =
  | 'produce'
  | 'fetch'
  | 'list-offsets'
  | 'delete-records'
  | 'init-producer'
  | 'resolve-append'
  | 'create-topic'
  | 'alter-topic'
  | 'delete-topic'
  | 'move-replicas'
  /** What operators do to brokers, replicas, partitions and the version in force. */
  | 'operate'
  | 'describe-topic'
  | 'explain'
  | 'list-topics'
  | 'describe-cluster'
  | 'describe-broker'
  | 'consume-in-group';

export interface Access {
  /** Null: allowed. `resource` is the name of a topic or group; empty for the cluster. */
  authorize(context: RequestContext, operation: Operation, resource: string): Refused | null;
  /** Bytes of batches that came in from the caller, whatever became of them, or were given out to it. */
  account(context: RequestContext, direction: 'in' | 'out', bytes: number): void;
}

export const openAccess: Access = {
  authorize: () => null,
  account: () => undefined,
};
