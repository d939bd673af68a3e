import type { Command } from 'commander';
import { formatOption, printOne } from '../output-format.ts';
import type { Format } from '../output-format.ts';
import { packageVersion } from '../package-version.ts';

export function addVersion(program: Command): void {
  program
    .command('version')
    .summary('of this command')
    .description('show the version of this command')
    .addOption(formatOption())
    .action(({ output }: { readonly output: Format }) => {
      const version = packageVersion();
      return printOne(output, { version, node: process.versions.node }, () => `sluice ${version}\n`);
    });
}
