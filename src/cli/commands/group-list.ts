import type { Command } from 'commander';
import type { GroupSummary } from '../../../clients/typescript/src/index.ts';
import { withClient } from '../connection.ts';
import { formatOption, printList } from '../output-format.ts';
import type { Format, Json } from '../output-format.ts';
import { table } from '../output-table.ts';
import type { Column } from '../output-table.ts';
import { note } from '../standard-output.ts';

export function addGroupList(group: Command): void {
  group.command('list').alias('ls').description('list consumer groups').addOption(formatOption()).action(list);
}

async function list(options: { readonly output: Format }, command: Command): Promise<void> {
  await withClient(command, async (client) => {
    const { groups, silentBrokerIds } = await client.groups.list();
    await printList(options.output, groups.map(summaryJson), () => table(columns, groups));
    if (silentBrokerIds.length > 0)
      note(`note: brokers ${silentBrokerIds.join(', ')} did not answer; groups that they coordinate may be missing`);
  });
}

const summaryJson = ({ group, state, memberCount, offsetCount, coordinator }: GroupSummary): Json => ({
  group,
  state,
  memberCount,
  offsetCount,
  coordinator,
});

const columns: readonly Column<GroupSummary>[] = [
  { title: 'group', cell: ({ group }) => group },
  { title: 'state', cell: ({ state }) => state },
  { title: 'members', align: 'right', cell: ({ memberCount }) => memberCount },
  { title: 'offsets', align: 'right', cell: ({ offsetCount }) => offsetCount },
  { title: 'coordinator', align: 'right', cell: ({ coordinator }) => coordinator },
];
