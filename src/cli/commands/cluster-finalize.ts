import type { Command } from 'commander';
import { withClient } from '../connection.ts';
import { printImpact } from '../impact-output.ts';
import { formatOption } from '../output-format.ts';
import type { Format } from '../output-format.ts';
import { note } from '../standard-output.ts';

export function addFinalizeUpgrade(cluster: Command): void {
  cluster
    .command('finalize-upgrade')
    .description('let all brokers use the newest format')
    .option('--dry-run', 'only say what would happen')
    .addOption(formatOption())
    .action(finalize);
}

async function finalize(
  { dryRun = false, output }: { readonly dryRun?: boolean; readonly output: Format },
  command: Command,
): Promise<void> {
  await withClient(command, async ({ admin }) => {
    const { impact, activeVersion } = await admin.finalizeUpgrade({ dryRun });
    await printImpact(output, impact, { activeVersion });
    note(dryRun ? `Format ${activeVersion} would be in force.` : `Format ${activeVersion} is in force.`);
  });
}
