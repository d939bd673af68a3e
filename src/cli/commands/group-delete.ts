import type { Command } from 'commander';
import { usageError } from '../command-error.ts';
import { withClient } from '../connection.ts';
import { formatOption, printOne } from '../output-format.ts';
import type { Format } from '../output-format.ts';
import { note } from '../standard-output.ts';

interface Options {
  readonly output: Format;
  readonly yes?: boolean;
  readonly dryRun?: boolean;
}

export function addGroupDelete(group: Command): void {
  group
    .command('delete <group>')
    .alias('rm')
    .description('delete a group without members, and what it has committed')
    .option('--yes', 'really do it; there is no question and no way back')
    .option('--dry-run', 'only say what would be deleted')
    .addOption(formatOption())
    .action(remove);
}

async function remove(name: string, options: Options, command: Command): Promise<void> {
  if (options.yes !== true && options.dryRun !== true)
    throw usageError(`This would delete group "${name}" and its offsets. Pass --yes to do it, --dry-run to look.`);
  await withClient(command, async ({ groups }) => {
    const { memberCount, offsetCount } = await groups.describe(name);
    const what = `group "${name}" (members: ${memberCount}, offsets: ${offsetCount})`;
    const json = { group: name, memberCount, offsetCount };
    if (options.dryRun === true) {
      await printOne(options.output, { ...json, deleted: false }, () => '');
      note(`Would delete ${what}.${memberCount > 0 ? ' It is refused while there are members.' : ''}`);
      return;
    }
    await groups.delete(name);
    await printOne(options.output, { ...json, deleted: true }, () => '');
    note(`Deleted ${what}.`);
  });
}
