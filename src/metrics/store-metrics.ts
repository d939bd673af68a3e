/** What the store reports: how long a write and its fsync take, and how much shares one (group commit). */
import type { Registry } from 'prom-client';
import { Histogram } from 'prom-client';
import type { StoreObserver } from '../log/observer.ts';
import { diskBuckets, groupBuckets, groupBytesBuckets } from './buckets.ts';
import type { RecentSyncs } from './recent-syncs.ts';

/** @param moment now, seconds on a clock that never goes back */
export function storeMetrics(registry: Registry, moment: () => number, syncs: RecentSyncs): StoreObserver {
  const histogram = (name: string, help: string, buckets: readonly number[]): Histogram =>
    new Histogram({ name, help, buckets: [...buckets], registers: [registry] });
  const writes = histogram(
    'sluice_storage_write_seconds',
    'Time for the engine to hand one group commit to the operating system.',
    diskBuckets,
  );
  const fsyncs = histogram(
    'sluice_storage_fsync_seconds',
    'Time to make one group commit durable (fdatasync of the write-ahead files).',
    diskBuckets,
  );
  const groupWrites = histogram(
    'sluice_storage_group_writes',
    'Writes of different Raft groups and calls that shared one fsync.',
    groupBuckets,
  );
  const groupBytes = histogram('sluice_storage_group_bytes', 'Bytes that shared one fsync.', groupBytesBuckets);
  let began = 0;
  let written = 0;
  return {
    began: () => {
      began = moment();
    },
    written: () => {
      written = moment();
      writes.observe(written - began);
    },
    synced: () => {
      const end = moment();
      fsyncs.observe(end - written);
      syncs.add(end, end - written);
    },
    committed: (count, bytes) => {
      groupWrites.observe(count);
      groupBytes.observe(bytes);
    },
  };
}
