/**
 * Pictures of the dashboards, for people to look at: `npm run dashboards:pictures`. A real Prometheus scrapes three brokers
 * with traffic while one is killed and comes back, and is asked every query that stands in Grafana's JSON of the dashboards;
 * scripts/draw-dashboards.mjs draws the panels where they stand, with their titles, units, names and thresholds.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { wait } from '../broker/patience.ts';
import { ThreeBrokers, brokerIds } from '../cluster/three-brokers.ts';
import type { RangeOf, Series } from './prometheus.ts';
import { Prometheus } from './prometheus.ts';
import { Traffic } from './traffic.ts';

const root = join(import.meta.dirname, '../../..');
const rulesFile = join(root, 'deploy/prometheus/rules/sluice.rules.yaml');
/** Between two points of a line, seconds. */
const stepSeconds = 2;
/** What `$__rate_interval` stands for: four scrapes at the least. */
const rateInterval = '15s';
/** Of the page, in rows of Grafana's grid: a dashboard that is longer becomes several pictures. */
const pictureRowsMax = 35;
const beforeTrafficMs = 5_000;
const victim = 2;

interface Target {
  readonly expr: string;
  readonly legendFormat: string;
}

interface DashboardPanel {
  readonly title: string;
  readonly type: 'row' | 'stat' | 'timeseries' | 'table';
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly targets?: readonly Target[];
  readonly fieldConfig?: {
    readonly defaults: {
      readonly unit: string;
      readonly decimals?: number;
      readonly thresholds?: { readonly steps: readonly object[] };
    };
  };
}

/** What is drawn of a panel. */
interface Recorded {
  readonly title: string;
  readonly type: DashboardPanel['type'];
  readonly gridPos: DashboardPanel['gridPos'];
  readonly unit: string;
  readonly decimals: number | null;
  readonly thresholds: readonly object[];
  readonly series: readonly { readonly name: string; readonly points: Series['values'] }[];
  readonly columns: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

const { values } = parseArgs({
  options: {
    out: { type: 'string', default: '.cache/pictures' },
    seconds: { type: 'string', default: '180' },
  },
});
const out = join(root, values.out);
mkdirSync(out, { recursive: true });
const brokers = await ThreeBrokers.prepared();
let [prometheus, traffic]: [Prometheus | null, Traffic | null] = [null, null];
try {
  await brokers.start(brokerIds);
  const targets = brokerIds.map((id) => brokers.httpPort(id));
  prometheus = await Prometheus.start({ rules: readFileSync(rulesFile, 'utf8'), targets });
  await wait(beforeTrafficMs); // what begins to count before the first scrape shows no increase
  traffic = await Traffic.begin(brokers);
  const from = Date.now() / 1_000;
  const part = (Number(values.seconds) * 1_000) / 3;
  await wait(part);
  await brokers.kill([victim]);
  await wait(part);
  await brokers.start([victim]);
  await wait(part);
  const range: RangeOf = { from, to: Date.now() / 1_000, stepSeconds };
  for (const uid of ['sluice-cluster', 'sluice-groups']) await picture(prometheus, uid, range);
} finally {
  await traffic?.end();
  await prometheus?.end();
  await brokers.end();
}

async function picture(source: Prometheus, uid: string, range: RangeOf): Promise<void> {
  const dashboard = JSON.parse(readFileSync(join(root, `deploy/grafana/${uid}.json`), 'utf8')) as {
    readonly panels: readonly DashboardPanel[];
  };
  const recorded: Recorded[] = [];
  for (const panel of dashboard.panels) recorded.push(await record(source, panel, range));
  for (const [at, panels] of pagesOf(recorded).entries()) {
    const name = join(out, at === 0 ? uid : `${uid}-${at + 1}`);
    writeFileSync(`${name}.recorded.json`, JSON.stringify({ panels }));
    const drawing = [join(root, 'scripts/draw-dashboards.mjs'), `${name}.recorded.json`, `${name}.png`];
    execFileSync(process.execPath, drawing, { stdio: 'inherit' });
    process.stdout.write(`${name}.png\n`);
  }
}

async function record(source: Prometheus, panel: DashboardPanel, range: RangeOf): Promise<Recorded> {
  const { title, type, gridPos, targets = [], fieldConfig } = panel;
  const series = [];
  for (const { expr, legendFormat } of targets)
    for (const { metric, values: points } of await source.range(filled(expr), range))
      series.push({ name: nameOf(metric, legendFormat), points });
  const [table] = type === 'table' ? targets : [];
  const samples = table === undefined ? [] : await source.query(filled(table.expr));
  const columns = Object.keys(samples[0]?.metric ?? {}).sort();
  return {
    ...{ title, type, gridPos, series, columns },
    rows: samples.map(({ metric }) => columns.map((column) => metric[column] ?? '')),
    unit: fieldConfig?.defaults.unit ?? 'none',
    decimals: fieldConfig?.defaults.decimals ?? null,
    thresholds: fieldConfig?.defaults.thresholds?.steps ?? [],
  };
}

/** Cut before a row title, once a page is long enough. */
function pagesOf(panels: readonly Recorded[]): readonly (readonly Recorded[])[] {
  const pages: Recorded[][] = [];
  for (const panel of panels) {
    const page = pages.at(-1);
    const isFull = page !== undefined && bottomOf(panels, panel) - (page[0]?.gridPos.y ?? 0) > pictureRowsMax;
    if (page === undefined || (panel.type === 'row' && isFull)) pages.push([panel]);
    else page.push(panel);
  }
  return pages;
}

/** Where the panels below a row title end. */
function bottomOf(panels: readonly Recorded[], row: Recorded): number {
  const next = panels.find(({ type, gridPos }) => type === 'row' && gridPos.y > row.gridPos.y);
  return next?.gridPos.y ?? Math.max(...panels.map(({ gridPos }) => gridPos.y + gridPos.h));
}

/** With everything chosen in the dashboard's variables. */
function filled(expr: string): string {
  return expr.replaceAll(/\$(broker|topic|group)/g, '.*').replaceAll('$__rate_interval', rateInterval);
}

/** As Grafana does; without a format all labels are the name. */
function nameOf(metric: Series['metric'], format: string): string {
  if (format === '') return JSON.stringify(metric);
  return format.replaceAll(/\{\{\s*(\w+)\s*\}\}/g, (_, label: string) => metric[label] ?? '');
}
