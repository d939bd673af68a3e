/** `npm run dashboards`: writes Grafana's JSON of every dashboard in panels.ts beside this file. */
import { writeFileSync } from 'node:fs';
import type { Dashboard, Panel, Query } from './panels.ts';
import { dashboards } from './panels.ts';

/** Grafana's grid is 24 wide. */
const width = { number: 4, table: 8 } as const;
/** Panels of lines side by side: as many as leave none of the width, and the lines can still be told apart. */
const besideMax = 4;
const height = { number: 5, table: 5, lines: 8 } as const;
const gridWidth = 24;
const datasource = { type: 'prometheus', uid: '${datasource}' };
const panelTypes = { number: 'stat', lines: 'timeseries', table: 'table' } as const;

interface Place {
  readonly x: number;
  readonly y: number;
}

function target({ expr, legend }: Query, kind: Panel['kind'], at: number): object {
  const once = kind === 'table' ? { format: 'table', instant: true } : {};
  return { refId: String.fromCharCode(65 + at), datasource, expr, legendFormat: legend, ...once };
}

/** Of each panel of lines in a row with so many of them. */
function linesWidth(count: number): number {
  const beside = Math.ceil(count / Math.ceil(count / besideMax));
  return gridWidth / beside;
}

function panelJson(panel: Panel, { x, y }: Place, w: number): object {
  const { id, title, kind, unit, whole, description, queries } = panel;
  const thresholds = {
    mode: 'absolute',
    steps: [
      { color: 'green', value: null },
      { color: 'red', value: 1 },
    ],
  };
  return {
    ...{ id, title, description, datasource, type: panelTypes[kind] },
    gridPos: { x, y, w, h: height[kind] },
    fieldConfig: {
      defaults: {
        unit,
        min: 0,
        ...(whole === true ? { decimals: 0 } : {}),
        ...(kind === 'number' ? { thresholds } : {}),
      },
      overrides: [],
    },
    options:
      kind === 'lines'
        ? { legend: { displayMode: 'list', placement: 'bottom' }, tooltip: { mode: 'multi', sort: 'desc' } }
        : {},
    targets: queries.map((query, at) => target(query, kind, at)),
  };
}

/** Rows from top to bottom, panels from left to right. */
function panelsJson({ rows }: Dashboard): readonly object[] {
  const made: object[] = [];
  let y = 0;
  for (const [at, { title, panels }] of rows.entries()) {
    made.push({
      id: 1_000 + at,
      type: 'row',
      title,
      collapsed: false,
      panels: [],
      gridPos: { x: 0, y, w: gridWidth, h: 1 },
    });
    y += 1;
    let [x, lowest] = [0, 0];
    const ofLines = linesWidth(panels.filter(({ kind }) => kind === 'lines').length);
    for (const panel of panels) {
      const w = panel.kind === 'lines' ? ofLines : width[panel.kind];
      if (x + w > gridWidth) [x, y, lowest] = [0, y + lowest, 0];
      made.push(panelJson(panel, { x, y }, w));
      x += w;
      lowest = Math.max(lowest, height[panel.kind]);
    }
    y += lowest;
  }
  return made;
}

const variable = (name: string, label: string, query: string): object => ({
  ...{ name, label, type: 'query', datasource, query, refresh: 2, sort: 1 },
  ...{ multi: true, includeAll: true, allValue: '.*', current: { text: 'All', value: '$__all' } },
});

function dashboardJson(dashboard: Dashboard): object {
  const { uid, title } = dashboard;
  return {
    ...{ uid, title, tags: ['sluice'], timezone: 'browser', schemaVersion: 39, version: 1, editable: true },
    ...{ refresh: '30s', time: { from: 'now-1h', to: 'now' }, annotations: { list: [] } },
    links: [{ type: 'dashboards', title: 'Sluice', tags: ['sluice'], asDropdown: false, keepTime: true }],
    templating: {
      list: [
        { name: 'datasource', label: 'Data source', type: 'datasource', query: 'prometheus', current: {} },
        variable('broker', 'Broker', 'label_values(sluice_build_info, instance)'),
        variable('topic', 'Topic', 'label_values(sluice_produce_records_total, topic)'),
        variable('group', 'Group', 'label_values(sluice_group_members, group)'),
      ],
    },
    panels: panelsJson(dashboard),
  };
}

/** File name and content of every dashboard. */
export const dashboardFiles: readonly (readonly [name: string, content: string])[] = dashboards.map((dashboard) => [
  `${dashboard.uid}.json`,
  `${JSON.stringify(dashboardJson(dashboard), null, 2)}\n`,
]);

if (process.argv[1] === import.meta.filename)
  for (const [name, content] of dashboardFiles) writeFileSync(new URL(name, import.meta.url), content);
