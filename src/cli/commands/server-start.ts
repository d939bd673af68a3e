import type { Command } from 'commander';
import { brokersEnd, startBroker } from '../broker-process.ts';
import { collected } from '../option-values.ts';

interface Options {
  readonly config?: string;
  readonly set?: readonly string[];
}

export function addServerStart(server: Command): void {
  server
    .command('start')
    .description('run a broker in the foreground; its log is JSON lines on standard output')
    .option('--config <file>', 'settings in YAML (also SLUICE_CONFIG)')
    .option('--set <path=value>', 'one setting, like storage.dataDir=/data; can be repeated', collected)
    .action(start);
}

async function start({ config, set = [] }: Options): Promise<void> {
  const settings = set.map((setting) => `--set=${setting}`);
  const all = [...(config === undefined ? [] : [`--config=${config}`]), ...settings];
  await brokersEnd([startBroker(all, 'inherit')]);
}
