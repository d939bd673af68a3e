import type { Command } from 'commander';
import type { GroupSummary } from '../../../clients/typescript/src/index.ts';
import { withClient } from '../connection.ts';
import { listFormatOption, printNamed } from '../output-format.ts';
import type { Json, ListFormat } from '../output-format.ts';
import { table } from '../output-table.ts';
import type { Column } from '../output-table.ts';
import { note } from '../standard-output.ts';

export function addGroupList(group: Command): void {
  group.command('list').alias('ls').description('list consumer groups').addOption(listFormatOption()).action(list);
}

async function list(options: { readonly output: ListFormat }, command: Command): Promise<void> {
  await withClient(command, async (client) => {
    const { groups, silentBrokerIds } = await client.groups.list();
    const named = groups.map((each) => ({ name: each.group, json: summaryJson(each) }));
    await printNamed(options.output, named, (layout) => table(columns, groups, layout));
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
