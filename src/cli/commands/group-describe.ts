import type { Command } from 'commander';
import type { GroupDetails, GroupMember, Rebalance, TopicPartition } from '../../../clients/typescript/src/index.ts';
import { withClient } from '../connection.ts';
import { formatOption, int64, printList, printOne } from '../output-format.ts';
import type { Format, Json } from '../output-format.ts';
import { facts, table } from '../output-table.ts';
import type { Column } from '../output-table.ts';

/** Its state, and why partitions moved lately. */
export function addGroupDescribe(group: Command): void {
  group
    .command('describe <group>')
    .description('show the state of a group and why its partitions moved lately')
    .addOption(formatOption())
    .action(describe);
}

/** Who reads what. */
export function addGroupMembers(group: Command): void {
  group
    .command('members <group>')
    .description('show the members of a group and what each reads')
    .addOption(formatOption())
    .action(members);
}

async function describe(name: string, options: { readonly output: Format }, command: Command): Promise<void> {
  await withClient(command, async ({ groups }) => {
    const group = await groups.describe(name);
    await printOne(options.output, detailsJson(group), (layout) => {
      const history = group.rebalances.length === 0 ? '' : `\n${table(rebalanceColumns, group.rebalances, layout)}`;
      return facts(detailsFacts(group), layout) + history;
    });
  });
}

async function members(name: string, options: { readonly output: Format }, command: Command): Promise<void> {
  await withClient(command, async ({ groups }) => {
    const group = await groups.describe(name);
    await printList(options.output, group.members.map(memberJson), (layout) =>
      table(memberColumns, group.members, layout),
    );
  });
}

const timeOf = (ms: number): string => new Date(ms).toISOString();

const detailsFacts = (group: GroupDetails): [string, string | number][] => [
  ['group', group.group],
  ['state', group.state],
  ['members', group.memberCount],
  ['assignor', group.assignor],
  ['epoch', group.epoch],
  ['offsets', group.offsetCount],
  ['coordinator', group.coordinator],
  ...(group.emptySinceMs === null ? [] : [['empty since', timeOf(group.emptySinceMs)] as [string, string]]),
];

const detailsJson = (group: GroupDetails): Json => ({
  group: group.group,
  state: group.state,
  assignor: group.assignor,
  epoch: group.epoch,
  emptySinceMs: int64(group.emptySinceMs),
  offsetCount: group.offsetCount,
  coordinator: group.coordinator,
  members: group.members.map(memberJson),
  rebalances: group.rebalances.map(rebalanceJson),
});

const memberJson = (member: GroupMember): Json => ({
  memberId: member.memberId,
  clientId: member.clientId,
  topics: [...member.topics],
  memberEpoch: member.memberEpoch,
  state: member.state,
  assigned: member.assigned.map(partitionJson),
  revoking: member.revoking.map(partitionJson),
  awaited: member.awaited.map(partitionJson),
  suspect: member.suspect,
  sessionRemainingMs: int64(member.sessionRemainingMs),
  instanceId: member.instanceId,
  away: member.away,
});

const rebalanceJson = (rebalance: Rebalance): Json => ({
  atMs: int64(rebalance.atMs),
  reason: rebalance.reason,
  memberId: rebalance.memberId,
  clientId: rebalance.clientId,
  memberCount: rebalance.memberCount,
  membersAffected: rebalance.membersAffected,
});

const partitionJson = ({ topic, partition }: TopicPartition): Json => ({ topic, partition });

/** `t/0,2 u/1`, `-` for none. */
const partitionsText = (partitions: readonly TopicPartition[]): string | null => {
  const topics = new Map<string, number[]>();
  for (const { topic, partition } of partitions) topics.set(topic, [...(topics.get(topic) ?? []), partition]);
  return topics.size === 0 ? null : [...topics].map(([topic, numbers]) => `${topic}/${numbers.join(',')}`).join(' ');
};

const memberColumns: readonly Column<GroupMember>[] = [
  { title: 'member', cell: ({ memberId }) => memberId },
  { title: 'client', cell: ({ clientId }) => clientId },
  { title: 'instance', cell: ({ instanceId }) => instanceId },
  { title: 'state', cell: ({ state, suspect, away }) => (away ? 'away' : suspect ? `${state}, suspect` : state) },
  { title: 'reads', cell: ({ assigned }) => partitionsText(assigned) },
  { title: 'gives up', cell: ({ revoking }) => partitionsText(revoking) },
  { title: 'waits for', cell: ({ awaited }) => partitionsText(awaited) },
];

const rebalanceColumns: readonly Column<Rebalance>[] = [
  { title: 'when', cell: ({ atMs }) => timeOf(atMs) },
  { title: 'reason', cell: ({ reason }) => reason },
  { title: 'member', cell: ({ memberId }) => memberId },
  { title: 'members', align: 'right', cell: ({ memberCount }) => memberCount },
  { title: 'affected', align: 'right', cell: ({ membersAffected }) => membersAffected },
];
