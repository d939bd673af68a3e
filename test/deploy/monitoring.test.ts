import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { parse } from 'yaml';
import { dashboardFiles } from '../../deploy/grafana/dashboards.ts';
import { dashboards } from '../../deploy/grafana/panels.ts';

const root = new URL('../../', import.meta.url);
const read = (file: string): string => readFileSync(new URL(file, root), 'utf8');

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly for: string;
  readonly labels: { readonly severity: string };
  readonly annotations: Readonly<Record<'summary' | 'description' | 'runbook_url' | 'dashboard', string>>;
}

const rulesFile = 'deploy/prometheus/rules/sluice.rules.yaml';
const { groups } = parse(read(rulesFile)) as { readonly groups: readonly { readonly rules: readonly Rule[] }[] };
const rules = groups.flatMap((group) => group.rules);
const cases = read('deploy/prometheus/rules/sluice.rules.test.yaml');

/** Series of the metrics in docs/METRICS.md, which a test compares with the registry. */
const series = new Set(['up']);
for (const [, name = '', type] of read('docs/METRICS.md').matchAll(/^\| `(sluice_\w+)` \| (\w+) \|/gm)) {
  const suffixes = type === 'histogram' ? ['_bucket', '_sum', '_count'] : [''];
  for (const suffix of suffixes) series.add(`${name}${suffix}`);
}

const namesIn = (expr: string): readonly string[] => expr.match(/\b(sluice_\w+|up\b(?=\{))/g) ?? [];

test('every query of the dashboards and rules asks for metrics that there are', () => {
  const queries = dashboards.flatMap(({ rows }) => rows.flatMap((row) => row.panels.flatMap((panel) => panel.queries)));
  assert.ok(queries.length > 30 && series.size > 50);
  for (const { expr } of [...queries, ...rules]) {
    assert.ok(namesIn(expr).length > 0, expr);
    for (const name of namesIn(expr)) assert.ok(series.has(name), `${name} in ${expr}`);
  }
  const variables = dashboardFiles.flatMap(([, content]) => content.match(/label_values\((\w+)/g) ?? []);
  for (const query of variables) assert.ok(series.has(query.slice('label_values('.length)), query);
});

test('the dashboards are what npm run dashboards writes', () => {
  for (const [name, content] of dashboardFiles) assert.equal(read(`deploy/grafana/${name}`), content, name);
});

test('every panel has a number of its own in its dashboard, and says what it shows', () => {
  for (const { rows } of dashboards) {
    const panels = rows.flatMap((row) => row.panels);
    assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length);
    for (const { title, description, queries } of panels) assert.ok(description !== '' && queries.length > 0, title);
  }
});

test('every alert has a summary, a runbook, a panel, and a case in which it fires and one in which it does not', () => {
  assert.deepEqual(rules.map(({ alert }) => alert).sort(), [
    'SluiceBrokerDown',
    'SluiceDiskLow',
    'SluiceDiskWillFill',
    'SluiceFsyncSlow',
    'SluiceGroupLagGrowing',
    'SluicePartitionsLeaderless',
    'SluicePartitionsUnderReplicated',
    'SluiceProduceErrors',
  ]);
  for (const { alert, labels, annotations } of rules) {
    const { summary, description, runbook_url: runbook, dashboard } = annotations;
    assert.ok(summary !== '' && description !== '', alert);
    assert.match(labels.severity, /^(critical|high|warning)$/);
    assert.ok(existsSync(new URL(runbook, root)), runbook);
    assert.ok(read(runbook).includes(`\`${alert}\``), `${runbook} is about ${alert}`);
    const [, uid, id] = /^([\w-]+)\?viewPanel=(\d+)$/.exec(dashboard) ?? [];
    const panels = dashboards.find((each) => each.uid === uid)?.rows.flatMap((row) => row.panels) ?? [];
    assert.ok(
      panels.some((panel) => panel.id === Number(id)),
      `${alert}: ${dashboard}`,
    );
    assert.ok(cases.includes(`alertname: ${alert}, exp_alerts: []`), `${alert} has a case that wakes nobody`);
    assert.ok(cases.includes(`alertname="${alert}",alertstate="firing"`), `${alert} has a case in which it fires`);
  }
});
