// Draws what test/system/monitoring/pictures.ts recorded: the panels of a dashboard, where they stand in it, with the data
// that a real Prometheus gave for their queries. It is not Grafana that draws. The chart library is installed under .cache,
// since nothing else needs it. `node scripts/draw-dashboards.mjs RECORDED.json PICTURE.png`
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const packages = { echarts: '6.1.0', '@resvg/resvg-js': '2.6.2' };
const prefix = path.join(path.dirname(path.dirname(fileURLToPath(import.meta.url))), '.cache', 'pictures');
if (Object.keys(packages).some((name) => !existsSync(path.join(prefix, 'node_modules', name)))) {
  console.error('sluice: installing a chart library under .cache ...');
  const wanted = Object.entries(packages).map(([name, version]) => `${name}@${version}`);
  const options = ['--prefix', prefix, '--no-save', '--ignore-scripts', '--no-audit', '--no-fund'];
  execFileSync('npm', ['install', ...options, ...wanted], { stdio: ['ignore', 2, 2] });
}
const require = createRequire(path.join(prefix, 'node_modules', 'x.js'));
const echarts = require('echarts');
const { Resvg } = require('@resvg/resvg-js');

/** Pixels of one column and one row of Grafana's grid of 24 columns, and between panels. */
const cell = { width: 50, height: 30 };
const gap = 8;
const font = 'DejaVu Sans';
const ink = { page: '#f4f5f5', panel: '#ffffff', border: '#d8dade', text: '#24292e', soft: '#6e7781' };
const colors = [
  '#3274d9',
  '#e0752d',
  '#56a64b',
  '#a352cc',
  '#e02f44',
  '#b08a00',
  '#19a2a2',
  '#8f6b4e',
  '#7a7a7a',
  '#c15c9e',
];
/** A line is interrupted where this many seconds have no point. */
const breakSeconds = 5;

// without a browser nobody can measure text: these letters are at most so wide for each pixel of their height
const widthOf = (content, px) => content.length * px * 0.66;
echarts.setPlatformAPI({
  measureText: (content, css) => ({ width: widthOf(content, Number(/(\d+)px/.exec(css)?.[1] ?? 12)) }),
});

const [recordedFile = '', pictureFile = ''] = process.argv.slice(2);
const { panels } = JSON.parse(readFileSync(recordedFile, 'utf8'));
const top = Math.min(...panels.map(({ gridPos }) => gridPos.y));
const height = Math.max(...panels.map(({ gridPos }) => gridPos.y + gridPos.h)) - top;
const size = { width: 24 * cell.width + gap, height: height * cell.height + gap };
const drawn = panels.map((panel) => {
  const { x, y, w, h } = panel.gridPos;
  const box = {
    ...{ x: x * cell.width + gap, y: (y - top) * cell.height + gap },
    ...{ width: w * cell.width - gap, height: h * cell.height - gap },
  };
  return panel.type === 'row' ? rowTitle(panel, box) : frame(panel, box, contentOf(panel, box));
});
const rootTag = `<svg xmlns="http://www.w3.org/2000/svg" width="${size.width}" height="${size.height}">`;
const page = `<rect width="100%" height="100%" fill="${ink.page}"/>`;
const svg = `${rootTag}${page}${drawn.join('')}</svg>`;
writeFileSync(
  pictureFile,
  new Resvg(svg, { font: { loadSystemFonts: true, defaultFontFamily: font } }).render().asPng(),
);

function contentOf(panel, box) {
  const draw = { timeseries: lines, stat: number, table }[panel.type];
  return draw(panel, box);
}

function text(content, x, y, { px = 12, color = ink.text, weight = 'normal', anchor = 'start' } = {}) {
  const escaped = String(content).replaceAll('&', '&amp;').replaceAll('<', '&lt;');
  const style = `font-family="${font}" font-size="${px}" font-weight="${weight}" fill="${color}" text-anchor="${anchor}"`;
  return `<text x="${x}" y="${y}" ${style}>${escaped}</text>`;
}

function rowTitle({ title }, { x, y, height }) {
  return text(title, x + 2, y + height / 2 + 8, { px: 15, weight: 'bold' });
}

function frame({ title }, { x, y, width, height }, content) {
  const border = `<rect x="${x}" y="${y}" width="${width}" height="${height}" rx="3" fill="${ink.panel}" stroke="${ink.border}"/>`;
  return `${border}${text(title, x + 10, y + 19, { px: 12, weight: 'bold' })}${content}`;
}

function number({ unit, thresholds, series }, { x, y, width, height }) {
  const value = series[0]?.points.at(-1)?.[1] ?? null;
  const reached = (thresholds ?? []).filter((step) => step.value === null || (value !== null && value >= step.value));
  const color = { green: '#2f8f3a', red: '#d1242f' }[reached.at(-1)?.color] ?? ink.text;
  const shown = value === null ? 'No data' : format(unit, value);
  return text(shown, x + width / 2, y + height / 2 + 26, { px: 40, color, weight: 'bold', anchor: 'middle' });
}

function table({ columns, rows }, { x, y, width }) {
  const step = (width - 20) / columns.length;
  const line = (cells, at, options) =>
    cells.map((content, n) => text(content, x + 10 + n * step, y + 42 + at * 19, options)).join('');
  return [line(columns, 0, { px: 10, color: ink.soft }), ...rows.map((row, at) => line(row, at + 1, { px: 10 }))].join(
    '',
  );
}

function lines({ unit, decimals, series }, { x, y, width, height }) {
  const named = series.map(({ name, points }) => ({ name, points }));
  const chart = echarts.init(null, null, { renderer: 'svg', ssr: true, width, height: height - 26 });
  const legendRows = rowsOf(
    named.map(({ name }) => name),
    width - 20,
  );
  chart.setOption({
    animation: false,
    color: colors,
    textStyle: { fontFamily: font },
    grid: { left: 10, right: 16, top: 8, bottom: 8 + legendRows * 17, containLabel: true },
    legend: {
      ...{ left: 8, bottom: 2, itemWidth: 14, itemHeight: 8, itemGap: 10, icon: 'roundRect' },
      textStyle: { fontSize: 10, color: ink.text },
    },
    xAxis: {
      type: 'time',
      splitNumber: Math.floor(width / 110),
      axisLabel: { fontSize: 10, color: ink.soft, formatter: '{HH}:{mm}:{ss}', hideOverlap: true },
      axisLine: { lineStyle: { color: ink.border } },
    },
    yAxis: {
      ...{ type: 'value', min: 0, splitNumber: 4, minInterval: decimals === 0 ? 1 : 0 },
      ...(unit === 'bytes' ? { interval: binaryStep(series) } : {}),
      axisLabel: { fontSize: 10, color: ink.soft, formatter: (value) => format(unit, value) },
      splitLine: { lineStyle: { color: '#eaecef' } },
    },
    series: named.map(({ name, points }) => ({
      ...{ name, type: 'line', showSymbol: false, lineStyle: { width: 1.5 } },
      data: points.flatMap(([seconds, value], at) => {
        const isAfterBreak = at > 0 && seconds - points[at - 1][0] > breakSeconds;
        return [...(isAfterBreak ? [[seconds * 1_000 - 1, null]] : []), [seconds * 1_000, value]];
      }),
    })),
  });
  const content = chart.renderToSVGString().replace('<svg', `<svg x="${x}" y="${y + 26}"`);
  chart.dispose();
  const nothing =
    named.length === 0 ? text('No data', x + width / 2, y + height / 2, { color: ink.soft, anchor: 'middle' }) : '';
  return `${content}${nothing}`;
}

/** A power of two that divides the axis into four parts at most. */
function binaryStep(series) {
  const most = Math.max(1, ...series.flatMap(({ points }) => points.map(([, value]) => value)));
  return 2 ** Math.ceil(Math.log2(most / 4));
}

function rowsOf(names, width) {
  let [rows, used] = [names.length === 0 ? 0 : 1, 0];
  for (const name of names) {
    const wanted = 30 + widthOf(name, 10);
    if (used > 0 && used + wanted > width) [rows, used] = [rows + 1, 0];
    used += wanted;
  }
  return rows;
}

/** As Grafana writes values of these units. */
function format(unit, value) {
  if (unit === 's') return seconds(value);
  if (unit === 'percentunit') return `${trim(value * 100)} %`;
  if (unit === 'bytes') return scaled(value, 1_024, ['B', 'KiB', 'MiB', 'GiB', 'TiB']);
  if (unit === 'Bps') return scaled(value, 1_000, ['B/s', 'kB/s', 'MB/s', 'GB/s']);
  if (unit === 'reqps') return `${scaled(value, 1_000, ['', 'K', 'M']).trim()} req/s`;
  return scaled(value, 1_000, ['', 'K', 'Mil', 'Bil']).trim();
}

function seconds(value) {
  if (value === 0) return '0 s';
  if (value < 0.001) return `${trim(value * 1e6)} µs`;
  return value < 1 ? `${trim(value * 1e3)} ms` : `${trim(value)} s`;
}

function scaled(value, base, names) {
  let [left, at] = [value, 0];
  while (Math.abs(left) >= base && at < names.length - 1) [left, at] = [left / base, at + 1];
  return `${trim(left)} ${names[at]}`;
}

function trim(value) {
  return String(Number(value.toFixed(value >= 100 ? 0 : value >= 10 ? 1 : 2)));
}
