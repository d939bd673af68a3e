import { colored } from './color.ts';

export interface Column<Row> {
  readonly title: string;
  readonly align?: 'right';
  readonly cell: (row: Row) => string | number | null;
}

/** Columns two spaces apart, a title line in capitals, `-` for what is unknown. Ends with a line break. */
export function table<Row>(columns: readonly Column<Row>[], rows: readonly Row[]): string {
  const cells = rows.map((row) => columns.map(({ cell }) => String(cell(row) ?? '-')));
  const titles = columns.map(({ title }) => title.toUpperCase());
  const widths = titles.map((title, at) => Math.max(title.length, ...cells.map((line) => line[at]?.length ?? 0)));
  const layOut = (line: readonly string[]): string =>
    line
      .map((text, at) =>
        columns[at]?.align === 'right' ? text.padStart(widths[at] ?? 0) : text.padEnd(widths[at] ?? 0),
      )
      .join('  ')
      .trimEnd();
  return [colored(process.stdout, 'bold', layOut(titles)), ...cells.map(layOut), ''].join('\n');
}

/** `name: value` lines for one thing. */
export function facts(pairs: readonly (readonly [name: string, value: string | number])[]): string {
  const width = Math.max(...pairs.map(([name]) => name.length)) + 1;
  return pairs.map(([name, value]) => `${`${name}:`.padEnd(width)} ${value}\n`).join('');
}
