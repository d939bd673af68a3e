/** Why a group does not get on: from what its coordinator, its partitions and two looks at its commits tell. Pure. */
import type { Explanation, GroupDetails, PartitionLag, TopicPartition } from '../../clients/typescript/src/index.ts';
import { repairOf } from './stall-repair.ts';

export type GroupStallReason =
  | 'caught-up'
  | 'reading'
  | 'nothing-committed'
  | 'no-members'
  | 'partition-stalled'
  | 'member-suspect'
  | 'member-revoking'
  | 'partition-unassigned'
  | 'member-stuck'
  | 'records-lost'
  | 'losing-records';

export interface GroupStall {
  readonly reason: GroupStallReason;
  /** One sentence. */
  readonly message: string;
  /** Null: nothing has to be done. */
  readonly repair: string | null;
  /** Records that are not read because of it wait. */
  readonly blocks: boolean;
  /** Null: it is about no member. */
  readonly memberId: string | null;
  readonly partitions: readonly TopicPartition[];
}

export interface GroupView {
  readonly group: GroupDetails;
  /** How far it is behind, at the second look. */
  readonly lags: readonly PartitionLag[];
  /** What it had committed at the first look, by `topic/n`. */
  readonly before: ReadonlyMap<string, number>;
  /** Between the looks, milliseconds. */
  readonly betweenMs: number;
  /** Of partitions that it did not get on with, by `topic/n`. */
  readonly explained: ReadonlyMap<string, Explanation>;
}

const soonMs = 3_600_000;
/** Partitions that a sentence names. */
const namedMax = 5;

const keyOf = ({ topic, partition }: TopicPartition): string => `${topic}/${partition}`;

/** Partitions with records that wait and of which nothing was committed between the looks: they are to be explained. */
export const notGettingOn = (lags: readonly PartitionLag[], before: ReadonlyMap<string, number>): PartitionLag[] =>
  lags.filter((each) => each.lag > 0 && each.committedOffset === before.get(keyOf(each)));

/** What blocks first; never empty. */
export function groupStalls(view: GroupView): readonly GroupStall[] {
  const { group, lags, before, betweenMs } = view;
  const waiting = lags.filter(({ lag }) => lag > 0);
  const still = notGettingOn(lags, before);
  const stalls = [...noMembers(view, waiting), ...(group.members.length === 0 ? [] : membersStalls(view, still))];
  const warnings = [...lost(group, lags), ...losing(group, lags)];
  if (stalls.length + warnings.length > 0) return [...stalls, ...warnings];
  if (lags.length === 0)
    return [calm('nothing-committed', `Group "${group.group}" has committed nothing: ${membersText(group)}.`)];
  if (waiting.length === 0)
    return [calm('caught-up', `Group "${group.group}" has read everything; it waits for the next record.`)];
  const behind = recordsOf(waiting);
  const read = waiting.reduce(
    (sum, each) => sum + each.committedOffset - (before.get(keyOf(each)) ?? each.committedOffset),
    0,
  );
  const text = `Group "${group.group}" reads: it committed ${read} records in ${betweenMs / 1_000} s and has ${behind} to go.`;
  return [calm('reading', text)];
}

const calm = (reason: GroupStallReason, message: string): GroupStall => ({
  ...{ reason, message, repair: null, blocks: false, memberId: null, partitions: [] },
});

const membersText = ({ memberCount }: GroupDetails): string =>
  memberCount === 0 ? 'it has no members' : memberCount === 1 ? 'it has one member' : `it has ${memberCount} members`;

function noMembers({ group }: GroupView, waiting: readonly PartitionLag[]): GroupStall[] {
  if (group.members.length > 0 || waiting.length === 0) return [];
  const since = group.emptySinceMs === null ? '' : ` since ${new Date(group.emptySinceMs).toISOString()}`;
  return [
    {
      reason: 'no-members',
      message: `Group "${group.group}" has no members${since}, and ${recordsOf(waiting)} records wait in ${partitionsText(waiting)}.`,
      repair: `Start its consumers; "sluice consume ${waiting[0]?.topic ?? ''} -g ${group.group}" is one.`,
      blocks: true,
      memberId: null,
      partitions: waiting.map(placeOf),
    },
  ];
}

/** One stall for each partition that does not get on: the first thing that explains it. */
function membersStalls({ group, explained, betweenMs }: GroupView, still: readonly PartitionLag[]): GroupStall[] {
  const stalls = new Map<string, GroupStall>();
  const add = (key: string, stall: GroupStall): void => {
    const known = stalls.get(key);
    stalls.set(key, known === undefined ? stall : { ...known, partitions: [...known.partitions, ...stall.partitions] });
  };
  for (const each of still) {
    const place = placeOf(each);
    const text = keyOf(each);
    const blocked = explained.get(text)?.stalls.find(({ blocksFetch }) => blocksFetch);
    if (blocked !== undefined) {
      add(`partition ${text}`, {
        reason: 'partition-stalled',
        message: `${text} can not be read: ${blocked.message}.`,
        repair: repairOf(blocked, each, explained.get(text)?.answeredBy ?? 0),
        ...{ blocks: true, memberId: null, partitions: [place] },
      });
      continue;
    }
    const giving = group.members.find(({ revoking }) => holds(revoking, each));
    if (giving !== undefined) {
      const out =
        giving.sessionRemainingMs === null
          ? ''
          : ` It is out in ${seconds(giving.sessionRemainingMs)} unless it is heard of.`;
      add(`revoking ${giving.memberId}`, {
        reason: 'member-revoking',
        message: `Member ${nameOf(giving)} has yet to give up partitions that others wait for, ${text} for one.`,
        repair: `It gives them up when it is done with the records in hand: look at what its handler waits for, or restart it.${out}`,
        ...{ blocks: true, memberId: giving.memberId, partitions: [place] },
      });
      continue;
    }
    const owner = group.members.find(({ assigned }) => holds(assigned, each));
    if (owner === undefined) {
      add('unassigned', {
        reason: 'partition-unassigned',
        message: `No member reads ${text}${group.state === 'reconciling' ? ' yet: its partitions are on their way' : ': none subscribes to its topic'}.`,
        repair:
          group.state === 'reconciling'
            ? 'Wait some seconds and ask again.'
            : `Start a consumer of topic ${each.topic} in the group, or reset what it has committed there.`,
        ...{ blocks: true, memberId: null, partitions: [place] },
      });
      continue;
    }
    if (owner.suspect || owner.away) {
      const left =
        owner.sessionRemainingMs === null ? 'when its session ends' : `in ${seconds(owner.sessionRemainingMs)}`;
      add(`suspect ${owner.memberId}`, {
        reason: 'member-suspect',
        message: `Member ${nameOf(owner)} is not heard of, and keeps ${text} until it is out ${left}.`,
        repair: 'Start it again with its resume token, or wait until its partitions go to the others.',
        ...{ blocks: true, memberId: owner.memberId, partitions: [place] },
      });
      continue;
    }
    add(`stuck ${owner.memberId}`, {
      reason: 'member-stuck',
      message: `Member ${nameOf(owner)} lives and committed nothing in ${betweenMs / 1_000} s; ${each.lag} records of ${text} wait for it.`,
      repair:
        'Look at what its handler does: it is stuck, slower than that, or does not commit. Restart it if it is stuck.',
      ...{ blocks: true, memberId: owner.memberId, partitions: [place] },
    });
  }
  return [...stalls.values()];
}

function lost({ group }: GroupDetails, lags: readonly PartitionLag[]): GroupStall[] {
  const some = lags.filter(({ lostRecords }) => lostRecords > 0);
  if (some.length === 0) return [];
  const count = some.reduce((sum, { lostRecords }) => sum + lostRecords, 0);
  return [
    {
      reason: 'records-lost',
      message: `Retention took ${count} records of ${partitionsText(some)} before group "${group}" had read them.`,
      repair: `They are gone. Keep more with "sluice topic alter ${some[0]?.topic ?? ''} --retention", and skip them with "sluice group reset ${group} --to earliest".`,
      ...{ blocks: false, memberId: null, partitions: some.map(placeOf) },
    },
  ];
}

function losing({ group }: GroupDetails, lags: readonly PartitionLag[]): GroupStall[] {
  const some = lags.filter(({ losesDataInMs }) => losesDataInMs !== null && losesDataInMs < soonMs);
  if (some.length === 0) return [];
  const first = Math.min(...some.map(({ losesDataInMs }) => losesDataInMs ?? Infinity));
  return [
    {
      reason: 'losing-records',
      message: `In ${seconds(first)} retention begins to take records of ${partitionsText(some)} that group "${group}" has not read.`,
      repair: `Add consumers, or keep more with "sluice topic alter ${some[0]?.topic ?? ''} --retention".`,
      ...{ blocks: false, memberId: null, partitions: some.map(placeOf) },
    },
  ];
}

const holds = (partitions: readonly TopicPartition[], { topic, partition }: TopicPartition): boolean =>
  partitions.some((each) => each.topic === topic && each.partition === partition);

const placeOf = ({ topic, partition }: TopicPartition): TopicPartition => ({ topic, partition });

const recordsOf = (lags: readonly PartitionLag[]): number => lags.reduce((sum, { lag }) => sum + lag, 0);

const nameOf = ({ memberId, clientId }: { readonly memberId: string; readonly clientId: string }): string =>
  clientId === '' ? memberId : `${memberId} (${clientId})`;

const seconds = (ms: number): string => `${Math.ceil(ms / 1_000)} s`;

function partitionsText(partitions: readonly TopicPartition[]): string {
  const named = partitions.slice(0, namedMax).map(keyOf).join(', ');
  return partitions.length <= namedMax ? named : `${named} and ${partitions.length - namedMax} more`;
}
