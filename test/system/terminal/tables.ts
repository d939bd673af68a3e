/** No table wraps at 100 columns, whatever the names in it are; and help fits a screen of 80 by 24. */
import { buildProgram } from '../../../src/cli/program.ts';
import { everyCommand } from '../../cli/command-tree.ts';
import { DevBroker } from '../../cli/sluice-process.ts';
import type { CaseResult } from '../report.ts';
import { Terminal } from './tmux.ts';

const columns = 100;
const rows = 60;
/** As long as a topic's name may be, and a group's. */
const longTopic = `orders.${'x'.repeat(242)}`;
const longGroup = `billing.${'y'.repeat(241)}`;

const tables: readonly string[] = [
  ...['topic list', `topic describe ${longTopic}`, `topic offsets ${longTopic} --at @2020-01-01T00:00Z`],
  ...[`topic truncate ${longTopic} --dry-run`, 'cluster info', 'cluster health', 'cluster members'],
  ...['cluster partitions', 'cluster partitions --internal', 'cluster logdirs', 'broker list', 'broker describe'],
  ...['broker drain 0 --dry-run', `partition status ${longTopic}/0`, 'group list', `group describe ${longGroup}`],
  ...[`group members ${longGroup}`, `group lag ${longGroup}`, `group offsets ${longGroup}`],
  ...[`group reset ${longGroup} --to earliest --dry-run`, `why ${longTopic}/0`, `why group ${longGroup}`],
  ...['profile list', 'profile show', 'profile show --effective', 'version'],
];

/** The levels above the commands; test/cli/help.test.ts measures every level without a terminal. */
const families = everyCommand(buildProgram()).flatMap(([path, { commands }]) => (commands.length > 0 ? [path] : []));

export async function runTables(): Promise<CaseResult> {
  const broker = await DevBroker.start();
  const problems: string[] = [];
  let lineMax = 0;
  try {
    await broker.run(['topic', 'create', longTopic, '-p', '3']);
    await broker.run(['produce', longTopic], 'one\ntwo\n');
    await broker.run(['consume', longTopic, '-g', longGroup, '-n', '1']);
    const env = { SLUICE_BROKERS: broker.address, XDG_CONFIG_HOME: broker.directory };
    await withTerminal(columns, rows, env, async (terminal) => {
      await terminal.run(`sluice profile create p --brokers ${broker.address} --use`);
      for (const command of tables) {
        const { lines, joined, exitCode } = await terminal.run(`sluice ${command}`);
        for (const line of lines) lineMax = Math.max(lineMax, line.length);
        // one line of an error may be as long as it is; of a table none
        if (exitCode !== 0) problems.push(`${command} ended with ${exitCode}: ${lines.join(' ')}`);
        if (lines.length !== joined.length)
          problems.push(`${command} wraps: ${joined.find((line) => line.length > columns) ?? ''}`);
        if (lines.join('').trim() === '') problems.push(`${command} shows nothing`);
      }
    });
    // one line more than a screen has, for the mark that tells the end
    await withTerminal(80, 25, env, async (terminal) => {
      for (const path of families) {
        const { lines, joined } = await terminal.run(`${path} --help`);
        if (!(lines[0] ?? '').startsWith('Usage: '))
          problems.push(`${path} --help does not fit a screen: it begins with ${lines[0] ?? ''}`);
        if (lines.length !== joined.length) problems.push(`${path} --help wraps`);
      }
    });
  } finally {
    await broker.stop();
    broker.remove();
  }
  return { figures: { tables: tables.length, columns, longest: lineMax, helps: families.length }, problems };
}

/** `sluice` is the one of this checkout. */
async function withTerminal(
  width: number,
  height: number,
  env: Readonly<Record<string, string>>,
  work: (terminal: Terminal) => Promise<void>,
): Promise<void> {
  const terminal = new Terminal(width, height, env);
  try {
    await terminal.run(
      `sluice() { ${process.execPath} ${new URL('../../../bin/sluice.js', import.meta.url).pathname} "$@"; }`,
    );
    await work(terminal);
  } finally {
    terminal.close();
  }
}
