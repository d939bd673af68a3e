/** Consumer groups, as operators see and change them. */
import type { Admin, OffsetQuery, TopicPartition } from './admin.ts';
import type { Brokers, CallOptions } from './brokers.ts';
import type { TopicPartitionOffset } from './committer.ts';
import { fromDetail } from './decode-error.ts';
import { asBrokerError, BrokerError } from './errors.ts';
import { partitionKey } from './fetcher.ts';
import { GroupState, MemberState } from './gen/sluice/v1/group.ts';
import type { MemberDescription as WireMember, TopicPartitions } from './gen/sluice/v1/group.ts';
import { FetchFormat } from './gen/sluice/v1/log.ts';
import { toInt64, toNumber, toNumberOrNull } from './int64.ts';
import { methods } from './methods.ts';

/** `reconciling`: partitions are on their way from one member to another. `unknown`: the broker is newer. */
export type GroupPhase = 'empty' | 'reconciling' | 'stable' | 'unknown';

export interface GroupSummary {
  readonly group: string;
  readonly state: GroupPhase;
  readonly memberCount: number;
  /** Committed offsets. */
  readonly offsetCount: number;
  /** Broker id. */
  readonly coordinator: number;
}

export interface GroupList {
  /** By name. */
  readonly groups: readonly GroupSummary[];
  /** Brokers that did not answer: groups that they coordinate may be missing. */
  readonly silentBrokerIds: readonly number[];
}

export interface GroupMember {
  readonly memberId: string;
  readonly clientId: string;
  readonly topics: readonly string[];
  readonly memberEpoch: number;
  /** `revoking`: has yet to give up partitions. `waiting`: for what others have yet to give up. */
  readonly state: 'stable' | 'revoking' | 'waiting' | 'unknown';
  readonly assigned: readonly TopicPartition[];
  readonly revoking: readonly TopicPartition[];
  readonly awaited: readonly TopicPartition[];
  /** It has no stream that would tell that it lives. */
  readonly suspect: boolean;
  /** Milliseconds until it is out unless it is heard of; null: not known. */
  readonly sessionRemainingMs: number | null;
  /** Null: not a static member. */
  readonly instanceId: string | null;
  /** A static member that has gone and will be back: its partitions wait for it. */
  readonly away: boolean;
  /** Null: not told. */
  readonly rack: string | null;
}

export interface Rebalance {
  /** Milliseconds since 1970. */
  readonly atMs: number;
  /** As the broker says it: joined, session-expired and others. */
  readonly reason: string;
  /** Null: nobody joined or went, topics or partitions did. */
  readonly memberId: string | null;
  readonly clientId: string;
  readonly memberCount: number;
  /** Members whose partitions changed. */
  readonly membersAffected: number;
}

export interface GroupDetails extends GroupSummary {
  readonly assignor: string;
  readonly epoch: number;
  /** Milliseconds since 1970; null: it has members. */
  readonly emptySinceMs: number | null;
  readonly members: readonly GroupMember[];
  /** Why partitions moved lately, the newest last. */
  readonly rebalances: readonly Rebalance[];
}

export interface PartitionLag extends TopicPartition {
  /** Offset of the next record to read. */
  readonly committedOffset: number;
  readonly logStartOffset: number;
  readonly highWatermark: number;
  /** Records that wait and are still there. */
  readonly lag: number;
  /** Age of the oldest record that waits, milliseconds; 0: none waits; null: it could not be read. */
  readonly lagMs: number | null;
  /** Records that retention took before they were read. */
  readonly lostRecords: number;
  /** Milliseconds until retention by age takes the oldest record that waits, from 0; null: none waits, or age takes none. */
  readonly losesDataInMs: number | null;
}

const pageSize = 1_000;
/** Oldest records that are looked up at the same time. */
const looksMax = 8;
/** Offsets in one commit (the contract's limit). */
const offsetsMax = 10_000;

const groupStates: Readonly<Record<number, GroupPhase>> = {
  [GroupState.GROUP_STATE_EMPTY]: 'empty',
  [GroupState.GROUP_STATE_RECONCILING]: 'reconciling',
  [GroupState.GROUP_STATE_STABLE]: 'stable',
};

const memberStates: Readonly<Record<number, GroupMember['state']>> = {
  [MemberState.MEMBER_STATE_STABLE]: 'stable',
  [MemberState.MEMBER_STATE_REVOKING]: 'revoking',
  [MemberState.MEMBER_STATE_WAITING]: 'waiting',
};

/** Use `client.groups`. Every call rejects with a BrokerError. */
export class Groups {
  readonly #brokers: Brokers;
  readonly #admin: Admin;

  constructor(brokers: Brokers, admin: Admin) {
    this.#brokers = brokers;
    this.#admin = admin;
  }

  /** All groups. */
  async list(options: CallOptions = {}): Promise<GroupList> {
    const groups: GroupSummary[] = [];
    const silent = new Set<number>();
    let pageToken = '';
    do {
      const page = await this.#brokers.call(methods.listGroups, { pageSize, pageToken }, options);
      for (const { group, state, memberCount, offsetCount, coordinator } of page.groups)
        groups.push({ group, state: groupStates[state] ?? 'unknown', memberCount, offsetCount, coordinator });
      for (const brokerId of page.silentBrokerIds) silent.add(brokerId);
      pageToken = page.nextPageToken;
    } while (pageToken !== '');
    return { groups, silentBrokerIds: [...silent].sort((a, b) => a - b) };
  }

  /** Rejects with GROUP_ID_NOT_FOUND. */
  async describe(group: string, options: CallOptions = {}): Promise<GroupDetails> {
    const found = await this.#brokers.call(methods.describeGroup, { group }, options);
    return {
      group: found.group,
      state: groupStates[found.state] ?? 'unknown',
      memberCount: found.members.length,
      offsetCount: found.offsetCount,
      coordinator: found.coordinator,
      assignor: found.assignor,
      epoch: found.epoch,
      emptySinceMs: toNumberOrNull(found.emptySinceMs),
      members: found.members.map(memberOf),
      rebalances: found.rebalances.map((rebalance) => ({
        atMs: toNumber(rebalance.atMs),
        reason: rebalance.reason,
        memberId: rebalance.memberId ?? null,
        clientId: rebalance.clientId,
        memberCount: rebalance.memberCount,
        membersAffected: rebalance.membersAffected,
      })),
    };
  }

  /** Deletes a group with its offsets. Rejects with NON_EMPTY_GROUP while it has members, GROUP_ID_NOT_FOUND. */
  async delete(group: string, options: CallOptions = {}): Promise<void> {
    await this.#brokers.call(methods.deleteGroup, { group }, options);
  }

  /** Sets committed offsets, also backwards. Rejects with NON_EMPTY_GROUP while it has members; makes the group if needed. */
  async commit(group: string, offsets: readonly TopicPartitionOffset[], options: CallOptions = {}): Promise<void> {
    for (let from = 0; from < offsets.length; from += offsetsMax) {
      const wire = offsets.slice(from, from + offsetsMax).map((each) => ({
        topic: each.topic,
        topicId: undefined,
        partition: each.partition,
        offset: toInt64(each.offset, 'offset'),
        leaderEpoch: each.leaderEpoch ?? undefined,
        metadata: each.metadata ?? '',
      }));
      const answer = await this.#brokers.call(methods.commit, { group, offsets: wire }, options);
      for (const { error, topic, partition } of answer.partitions)
        if (error !== undefined) throw fromDetail(error, { topic, partition });
    }
  }

  /** How far the group is behind in every partition that it has committed. */
  async lag(group: string, options: CallOptions = {}): Promise<PartitionLag[]> {
    const committed = (await this.#admin.fetchCommitted(group, [], options)).flatMap(({ topic, partition, offset }) =>
      offset === null ? [] : [{ topic, partition, offset }],
    );
    const [starts, ends] = await Promise.all([
      this.#offsetsAt(committed, 'earliest', options),
      this.#offsetsAt(committed, 'latest', options),
    ]);
    const topics = [...new Set(committed.map(({ topic }) => topic))];
    const described = await Promise.all(topics.map((topic) => this.#admin.describeTopic(topic, options)));
    const retention = new Map(described.map(({ name, config }) => [name, config.retentionMs]));
    const lags: PartitionLag[] = [];
    for (let from = 0; from < committed.length; from += looksMax) {
      const some = committed.slice(from, from + looksMax).map(({ topic, partition, offset: committedOffset }) => {
        const key = partitionKey(topic, partition);
        const place = { topic, partition, committedOffset };
        const range = { logStartOffset: starts.get(key) ?? 0, highWatermark: ends.get(key) ?? 0 };
        return this.#lagOf({ ...place, ...range }, retention.get(topic) ?? null, options);
      });
      lags.push(...(await Promise.all(some)));
    }
    return lags;
  }

  async #lagOf(
    place: Pick<PartitionLag, 'topic' | 'partition' | 'committedOffset' | 'logStartOffset' | 'highWatermark'>,
    retentionMs: number | null,
    options: CallOptions,
  ): Promise<PartitionLag> {
    const { committedOffset, logStartOffset, highWatermark } = place;
    const from = Math.max(committedOffset, logStartOffset);
    const lag = Math.max(0, highWatermark - from);
    const lostRecords = Math.max(0, Math.min(logStartOffset, highWatermark) - committedOffset);
    if (lag === 0) return { ...place, lag, lagMs: 0, lostRecords, losesDataInMs: null };
    const writtenMs = await this.#timeOf(place, from, options);
    const nowMs = this.#brokers.environment.clock.wallMs();
    const lagMs = writtenMs === null ? null : Math.max(0, nowMs - writtenMs);
    const losesDataInMs = lagMs === null || retentionMs === null ? null : Math.max(0, retentionMs - lagMs);
    return { ...place, lag, lagMs, lostRecords, losesDataInMs };
  }

  /** The time of the first record at or after an offset; null: it can not be read now. */
  async #timeOf({ topic, partition }: TopicPartition, offset: number, options: CallOptions): Promise<number | null> {
    const wanted = { topic, topicId: undefined, partition, fetchOffset: toInt64(offset, 'offset') };
    const request = {
      ...{ partitions: [wanted], maxWaitMs: 0, minBytes: 0, maxBytes: 1 },
      format: FetchFormat.FETCH_FORMAT_RECORDS,
    };
    try {
      const { partitions } = await this.#brokers.call(methods.fetch, request, options);
      const payload = partitions[0]?.payload;
      const records = payload?.$case === 'records' ? payload.value.records : [];
      const first = records.find((record) => record.offset !== undefined && toNumber(record.offset) >= offset);
      return toNumberOrNull(first?.timestampMs);
    } catch (thrown) {
      const error = asBrokerError(thrown);
      if (error.retriable || error.code === 'OFFSET_OUT_OF_RANGE') return null; // it moved on meanwhile
      throw error;
    }
  }

  async #offsetsAt(
    partitions: readonly TopicPartition[],
    at: OffsetQuery['at'],
    options: CallOptions,
  ): Promise<Map<string, number>> {
    const queries = partitions.map(({ topic, partition }) => ({ topic, partition, at }));
    const found = await this.#admin.listOffsets(queries, options);
    return new Map(
      found.map(({ topic, partition, offset }) => {
        if (offset === null) throw new BrokerError('INTERNAL', `${topic}/${partition} has no first or last offset.`);
        return [partitionKey(topic, partition), offset];
      }),
    );
  }
}

const memberOf = (member: WireMember): GroupMember => ({
  memberId: member.memberId,
  clientId: member.clientId,
  topics: member.topics,
  memberEpoch: member.memberEpoch,
  state: memberStates[member.state] ?? 'unknown',
  assigned: listed(member.assigned),
  revoking: listed(member.revoking),
  awaited: listed(member.awaited),
  suspect: member.suspect,
  sessionRemainingMs: toNumberOrNull(member.sessionRemainingMs),
  instanceId: member.instanceId ?? null,
  away: member.away,
  rack: member.rack ?? null,
});

const listed = (topics: readonly TopicPartitions[]): TopicPartition[] =>
  topics.flatMap(({ topic, partitions }) => partitions.map((partition) => ({ topic, partition })));
