/** How far a consumer group is behind: records and seconds between what it committed and what is there to be read. */
import type { BrokerId, GroupNumber, Millis, Offset } from '../model/ids.ts';
import type { RaftGroup } from '../raft/group.ts';
import { LogCorruption } from '../log/reader.ts';
import type { CatalogState } from './catalog-state.ts';
import type { GroupView } from './group/group.ts';
import type { LocalGroups } from './local-groups.ts';

/** One partition that a group has committed an offset of. */
export interface PartitionLag {
  readonly topic: string;
  readonly partition: number;
  readonly records: number;
  /** Age of the oldest record that is not committed; 0: there is none; null: not looked up. */
  readonly seconds: number | null;
}

/** Of one partition, where somebody has a replica of it. */
export type Lag = Pick<PartitionLag, 'records' | 'seconds'>;

/** Where a consumer group is in a partition. */
export interface LagQuestion {
  /** Of the partition. */
  readonly group: GroupNumber;
  readonly committed: Offset;
  /** Brokers with a replica, in the order in which they are asked. */
  readonly brokers: readonly BrokerId[];
}

/** A partition that has no replica here that could tell. */
export interface LagElsewhere {
  readonly topic: string;
  readonly partition: number;
  readonly question: LagQuestion;
}

interface LagDeps extends AgeDeps {
  readonly state: CatalogState;
  readonly localGroups: LocalGroups;
}

interface AgeDeps {
  readonly wallMs: Millis;
  readonly reads: LagReads;
}

/** Logs that one sample looks into for the age of what groups have not read. */
export const lagReadsMax = 256;

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
 * Of every partition with a committed offset: how far the group is behind where a replica is here, whose end is the one
 * that is known here; of the others, whom to ask.
 */
export async function lagsOf(
  group: GroupView,
  deps: LagDeps,
): Promise<{ readonly lags: readonly PartitionLag[]; readonly elsewhere: readonly LagElsewhere[] }> {
  const lags: PartitionLag[] = [];
  const elsewhere: LagElsewhere[] = [];
  for (const [topicId, { topic, partitions }] of group.offsets.topics) {
    const places = deps.state.topics.get(topicId)?.partitions ?? [];
    for (const [partition, { offset: committed }] of partitions) {
      const place = places[partition];
      if (place === undefined) continue;
      const raft = deps.localGroups.running(place.group);
      if (raft !== null && raft.quarantine === null) {
        lags.push({ topic, partition, ...(await lagAt(raft, committed, deps)) });
      } else {
        const brokers = place.replicas.map(({ brokerId }) => brokerId);
        elsewhere.push({ topic, partition, question: { group: place.group, committed, brokers } });
      }
    }
  }
  return { lags, elsewhere };
}

/** How far a group is behind that has committed this offset of a partition with a replica here. */
export async function lagAt(raft: RaftGroup, committed: Offset, deps: AgeDeps): Promise<Lag> {
  const records = Math.max(0, raft.highWatermark - Math.max(committed, raft.log.logStart));
  return { records, seconds: records === 0 ? 0 : await ageSeconds(raft, committed, deps) };
}

async function ageSeconds(raft: RaftGroup, committed: Offset, { wallMs, reads }: AgeDeps): Promise<number | null> {
  if (!reads.take()) return null;
  try {
    const oldest = await raft.log.firstEntry(raft.appliedIndex, ({ endOffset }) => endOffset > committed);
    return oldest === null ? null : Math.max(0, wallMs - oldest.appendTimeMs) / 1_000;
  } catch (error) {
    // whoever reads the records finds the same, and sets the replica apart
    if (error instanceof LogCorruption) return null;
    throw error;
  }
}
