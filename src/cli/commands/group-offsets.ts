import type { Command } from 'commander';
import type { Admin } from '../../../clients/typescript/src/index.ts';
import { CommandError } from '../command-error.ts';
import { withClient } from '../connection.ts';
import { exitCodes } from '../exit-codes.ts';
import { formatOption, int64, printList } from '../output-format.ts';
import type { Format, Json } from '../output-format.ts';
import { table } from '../output-table.ts';
import type { Column } from '../output-table.ts';

interface Progress {
  readonly topic: string;
  readonly partition: number;
  readonly committedOffset: number | null;
  readonly highWatermark: number | null;
  /** Records that wait; null: nothing is committed. */
  readonly lag: number | null;
}

export function addGroupOffsets(group: Command): void {
  group
    .command('offsets <group>')
    .description('show what a group has committed and how much waits for it')
    .addOption(formatOption())
    .action(offsets);
}

async function offsets(group: string, options: { readonly output: Format }, command: Command): Promise<void> {
  await withClient(command, async ({ admin }) => {
    const progress = await progressOf(admin, group);
    if (progress.length === 0) {
      const text = `Group "${group}" has committed nothing. A group exists once "sluice consume -g ${group}" has used it.`;
      throw new CommandError(exitCodes.notFound, text);
    }
    await printList(options.output, progress.map(progressJson), (layout) => table(columns, progress, layout));
  });
}

async function progressOf(admin: Admin, group: string): Promise<Progress[]> {
  const committed = await admin.fetchCommitted(group);
  const ends = await admin.listOffsets(
    committed.map(({ topic, partition }) => ({ topic, partition, at: 'latest' }) as const),
  );
  return committed.map(({ topic, partition, offset }, at) => {
    const highWatermark = ends[at]?.offset ?? null;
    const lag = offset === null || highWatermark === null ? null : Math.max(0, highWatermark - offset);
    return { topic, partition, committedOffset: offset, highWatermark, lag };
  });
}

const progressJson = ({ topic, partition, committedOffset, highWatermark, lag }: Progress): Json => ({
  topic,
  partition,
  committedOffset: int64(committedOffset),
  highWatermark: int64(highWatermark),
  lag: int64(lag),
});

const columns: readonly Column<Progress>[] = [
  { title: 'topic', cell: ({ topic }) => topic },
  { title: 'partition', align: 'right', cell: ({ partition }) => partition },
  { title: 'committed', align: 'right', cell: ({ committedOffset }) => committedOffset },
  { title: 'high watermark', align: 'right', cell: ({ highWatermark }) => highWatermark },
  { title: 'lag', align: 'right', cell: ({ lag }) => lag },
];
