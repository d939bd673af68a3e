/** The summary for people: what docs/LOADTEST.md shows of runs. */
import type { PeakShaving } from './peak-shaving.ts';
import type { MethodResult, RunFacts, Summary, ThresholdResult, TimelineRow } from './summary.ts';

/** Width of the longest bar. */
const barMax = 30;

export function markdownOf(summary: Summary): string {
  const { facts, verdict, thresholds } = summary;
  const missed = thresholds.filter((each) => each.verdict !== 'met').length;
  const outcome =
    verdict === 'met'
      ? `all ${thresholds.length} thresholds met`
      : `**missed** (${missed} of ${thresholds.length} thresholds)`;
  const parts = [
    `### ${facts.script}, ${facts.profile}: ${outcome}`,
    factsText(summary),
    totalsText(summary),
    methodsTable([...summary.methods, ...summary.measures]),
    failuresText(summary),
    summary.peakShaving === null ? '' : peakShavingText(summary.peakShaving),
    timelineTable(summary),
    missedTable(thresholds),
  ];
  return parts.filter((part) => part !== '').join('\n\n') + '\n';
}

function factsText({ facts, seconds }: Summary): string {
  const { settings } = facts;
  const brokers = `${settings.brokers.length} ${settings.brokers.length === 1 ? 'broker' : 'brokers'} ${facts.brokerVersion}`;
  return [
    `\`${facts.command}\`, ${facts.startedAt.slice(0, 16).replace('T', ' ')} UTC, commit ${facts.commit},`,
    `${facts.ownBrokers ? `${brokers} on the same machine` : brokers}, k6 ${facts.k6}, Node ${facts.node},`,
    `${facts.cores} cores (${facts.cpu}), load ${facts.load.map((each) => each.toFixed(0)).join(' before and ')} after, ${seconds.toFixed(0)} s;`,
    `${settings.partitions} partitions, acks=${settings.acks}, ${settings.records} records of ${settings.valueBytes} bytes a call.`,
  ].join(' ');
}

function totalsText({ totals }: Summary): string {
  const said = [
    ['recordsProduced', 'records produced'],
    ['recordsConsumed', 'records consumed'],
    ['bytesFetched', 'bytes fetched'],
    ['outcomesUnknown', 'outcomes unknown'],
  ].flatMap(([name = '', text = '']) => {
    const { [name]: total = 0 } = totals;
    return total === 0 ? [] : [`${count(total)} ${text}`];
  });
  return said.length === 0 ? '' : `${said.join(', ')}.`;
}

function methodsTable(methods: readonly MethodResult[]): string {
  const rows = methods.map(
    ({ method, calls, medianMs, p95Ms, p99Ms, maxMs, failed }) =>
      `| ${method} | ${count(calls)} | ${[medianMs, p95Ms, p99Ms, maxMs].map(short).join(' | ')} | ${count(failed)} |`,
  );
  return [
    '| method or measure | samples | median, ms | p95 | p99 | most | failed |',
    '|---|---|---|---|---|---|---|',
    ...rows,
  ].join('\n');
}

function failuresText({ failures, unexpectedMethods }: Summary): string {
  const lines = failures.map(({ method, code, count: times }) => `- ${method}: ${code}, ${count(times)} times`);
  if (unexpectedMethods.length > 0)
    lines.push(`- called, and nothing is expected of it: ${unexpectedMethods.join(', ')}`);
  return lines.length === 0 ? '' : `What failed:\n\n${lines.join('\n')}`;
}

function peakShavingText(shaving: PeakShaving): string {
  const { producedPerSecondMax, consumedPerSecondMax, lagMax, lagMaxAtSecond, drainedAtSecond } = shaving;
  const drained = drainedAtSecond === null ? 'it did not drain' : `drained by second ${drainedAtSecond}`;
  const checks = shaving.checks.map(({ text, holds }) => `${holds ? 'yes' : '**no**'}: ${text}`);
  return [
    `Peak shaving: the burst was ${count(producedPerSecondMax)} records/s, the consumers took ${count(consumedPerSecondMax)}/s,`,
    `the log held up to ${count(lagMax)} records (second ${lagMaxAtSecond}), ${drained}.`,
    `${checks.join('; ')}.`,
  ].join(' ');
}

interface Column {
  readonly title: string;
  readonly of: (row: TimelineRow) => number | null;
}

const columns: readonly Column[] = [
  { title: 'produced/s', of: ({ producedPerSecond }) => producedPerSecond },
  { title: 'consumed/s', of: ({ consumedPerSecond }) => consumedPerSecond },
  { title: 'produce p99, ms', of: ({ produceP99Ms }) => produceP99Ms },
  { title: 'oldest record, ms', of: ({ endToEndMsMax }) => endToEndMsMax },
  { title: 'members', of: ({ members }) => members },
  { title: 'failed', of: ({ failures }) => failures },
];

function timelineTable({ timeline }: Summary): string {
  const lagMax = Math.max(0, ...timeline.map(({ lag }) => lag ?? 0));
  const used = columns.filter(({ of }) => timeline.some((row) => (of(row) ?? 0) > 0));
  if (timeline.length === 0 || used.length === 0) return '';
  const titles = ['second', ...used.map(({ title }) => title), ...(lagMax > 0 ? ['lag, records', ''] : [])];
  const rows = timeline.map((row) => {
    const cells = used.map(({ of }) => of(row)).map((value) => (value === null ? '' : short(value)));
    const lag = row.lag ?? 0;
    const bar = '█'.repeat(Math.round((lag / Math.max(1, lagMax)) * barMax));
    return `| ${[row.second, ...cells, ...(lagMax > 0 ? [row.lag === null ? '' : count(lag), bar] : [])].join(' | ')} |`;
  });
  return [`| ${titles.join(' | ')} |`, `|${titles.map(() => '---').join('|')}|`, ...rows].join('\n');
}

function missedTable(thresholds: readonly ThresholdResult[]): string {
  const rows = thresholds
    .filter(({ verdict }) => verdict !== 'met')
    .map(
      ({ metric, text, value, verdict }) =>
        `| \`${metric}\` | \`${text}\` | ${value === null ? '' : short(value)} | ${verdict} |`,
    );
  return rows.length === 0 ? '' : ['| threshold | | was | |', '|---|---|---|---|', ...rows].join('\n');
}

const count = (value: number): string => Math.round(value).toLocaleString('en');

function short(value: number): string {
  if (Number.isInteger(value)) return count(value);
  return value < 10 ? value.toFixed(value < 1 ? 2 : 1) : count(value);
}

/** One line for a terminal. */
export function headline({ facts, verdict, thresholds }: Summary): string {
  const missed = thresholds.filter((each) => each.verdict !== 'met');
  const which = missed.map(({ metric, text }) => `${metric} ${text}`).join(', ');
  return `${factsName(facts)}: ${verdict === 'met' ? `all ${thresholds.length} thresholds met` : `missed: ${which}`}`;
}

export const factsName = ({ script, profile }: RunFacts): string => `${script}-${profile}`;
