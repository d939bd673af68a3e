/** Ctrl-C as a key: the terminal sends the signal to the whole process group, not to one process. */
import { Client } from '../../../clients/typescript/src/index.ts';
import { DevBroker } from '../../cli/sluice-process.ts';
import type { CaseResult } from '../report.ts';
import { Terminal } from './tmux.ts';

export async function runCtrlC(): Promise<CaseResult> {
  const broker = await DevBroker.start();
  const sluice = `${process.execPath} ${new URL('../../../bin/sluice.js', import.meta.url).pathname}`;
  const terminal = new Terminal(100, 30, { SLUICE_BROKERS: broker.address, XDG_STATE_HOME: broker.directory });
  const problems: string[] = [];
  const expect = (what: string, found: unknown, wanted: unknown): void => {
    if (found !== wanted) problems.push(`${what} is ${String(found)}, not ${String(wanted)}`);
  };
  try {
    await broker.run(['topic', 'create', 't']);
    const produce = terminal.type(`${sluice} produce t`);
    await terminal.shows('A record per line; Ctrl-D ends.');
    terminal.press('one');
    terminal.press('Enter');
    await terminal.shows('one');
    terminal.press('C-c');
    const produced = await terminal.ended(produce);
    expect('the exit code of produce', produced.exitCode, 130);
    // the terminal echoes the key
    expect('what produce says', produced.lines.at(-1)?.replace('^C', ''), '1 record written to "t".');

    const consume = terminal.type(`${sluice} consume t -g g`);
    await terminal.shows('one');
    terminal.press('C-c');
    const consumed = await terminal.ended(consume);
    expect('the exit code of consume', consumed.exitCode, 130);
    await using client = new Client({ brokers: broker.address });
    const [committed] = await client.admin.fetchCommitted('g');
    expect('what is committed', committed?.offset, 1);
    expect('the members that are left', (await client.groups.describe('g')).memberCount, 0);
  } finally {
    terminal.close();
    await broker.stop();
    broker.remove();
  }
  return { figures: {}, problems };
}
