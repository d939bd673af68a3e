/** Group logs on a store, for tests: one group, whatever cache size, and the way to open it again. */
import { GarbageMeter } from '../../src/log/garbage-meter.ts';
import { DurableGroupLogs } from '../../src/log/group-logs.ts';
import type { GroupHeader, GroupKind, GroupLog } from '../../src/log/log.ts';
import type { Store } from '../../src/log/store.ts';
import { TailCacheBudget } from '../../src/log/tail-cache-budget.ts';
import { toGroupNumber, toReplicaId } from '../../src/model/ids.ts';
import { crc32c } from '../../src/runtime/crc32c.ts';

export const mebibyte = 1024 * 1024;

export const headerOf = (group: number, kind: GroupKind = 'data'): GroupHeader => ({
  group: toGroupNumber(group),
  kind,
  clusterId: '00000000-1111-4222-8333-444444444444',
  replicaId: toReplicaId(11),
  genesis: Uint8Array.of(1, 2, 3),
});

/** @param cacheBytesMax 0: everything durable is read from the store */
export const logsOn = (store: Store, cacheBytesMax = mebibyte, garbage = new GarbageMeter()): DurableGroupLogs =>
  new DurableGroupLogs({ store, crc32c, cache: new TailCacheBudget(cacheBytesMax), garbage });

/** Group 7, new. */
export const newLog = (store: Store, kind: GroupKind = 'data', cacheBytesMax = mebibyte): Promise<GroupLog> =>
  logsOn(store, cacheBytesMax).create(headerOf(7, kind));

/** Group 7 as a restart finds it, with an empty cache. */
export const openLog = (store: Store, cacheBytesMax = mebibyte): Promise<GroupLog> =>
  logsOn(store, cacheBytesMax).open(toGroupNumber(7));
