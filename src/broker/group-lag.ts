/** How far a consumer group is behind: records and seconds between what it committed and what is there to be read. */
import type { Millis } from '../model/ids.ts';
import type { RaftGroup } from '../raft/group.ts';
import { LogCorruption } from '../log/reader.ts';
import type { CatalogState } from './catalog-state.ts';
import type { GroupView } from './group/group.ts';
import type { CommittedOffset } from './group/committed-offsets.ts';
import type { LocalGroups } from './local-groups.ts';

/** One partition that a group has committed an offset of. */
export interface PartitionLag {
  readonly topic: string;
  readonly partition: number;
  readonly records: number;
  /** Age of the oldest record that is not committed; 0: there is none; null: not looked up. */
  readonly seconds: number | null;
}

interface LagDeps {
  readonly state: CatalogState;
  readonly localGroups: LocalGroups;
  readonly wallMs: Millis;
  readonly reads: LagReads;
}

/** Looks into logs that one sample may still take: each finds one entry by halving, and may go to the disk. */
export class LagReads {
  #left: number;

  constructor(readsMax: number) {
    this.#left = readsMax;
  }

  take(): boolean {
    if (this.#left === 0) return false;
    this.#left -= 1;
    return true;
  }
}

/**
 * Of every partition with a committed offset that has a replica on this broker: its end is the one that is known here. The
 * others are left out.
 */
export async function lagsOf(group: GroupView, deps: LagDeps): Promise<readonly PartitionLag[]> {
  const lags: PartitionLag[] = [];
  for (const [topicId, { topic, partitions }] of group.offsets.topics) {
    const places = deps.state.topics.get(topicId)?.partitions ?? [];
    for (const [partition, committed] of partitions) {
      const place = places[partition];
      const raft = place === undefined ? null : deps.localGroups.running(place.group);
      if (raft === null || raft.quarantine !== null) continue;
      const records = Math.max(0, raft.highWatermark - Math.max(committed.offset, raft.log.logStart));
      lags.push({ topic, partition, records, seconds: records === 0 ? 0 : await ageSeconds(raft, committed, deps) });
    }
  }
  return lags;
}

async function ageSeconds(
  raft: RaftGroup,
  { offset }: CommittedOffset,
  { wallMs, reads }: LagDeps,
): Promise<number | null> {
  if (!reads.take()) return null;
  try {
    const oldest = await raft.log.firstEntry(raft.appliedIndex, ({ endOffset }) => endOffset > offset);
    return oldest === null ? null : Math.max(0, wallMs - oldest.appendTimeMs) / 1_000;
  } catch (error) {
    // whoever reads the records finds the same, and sets the replica apart
    if (error instanceof LogCorruption) return null;
    throw error;
  }
}
