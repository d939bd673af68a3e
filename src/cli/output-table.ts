/** Tables and facts for people. On a terminal they keep to its width: a table that wraps can not be read. */
import { colored } from './color.ts';

export interface Column<Row> {
  readonly title: string;
  readonly align?: 'right';
  /** Only with -o wide. */
  readonly wide?: true;
  readonly cell: (row: Row) => string | number | null;
}

export interface Layout {
  /** Every column, and nothing cut. */
  readonly wide: boolean;
  /** Characters in a line; Infinity: no limit. */
  readonly width: number;
}

const gap = '  ';
/** A column is not made narrower, characters. */
const columnCharsMin = 8;
const ellipsis = '…';
/** A terminal that does not tell its width, and the narrowest that facts are laid out for, characters. */
const widthDefault = 80;

/** The width of the terminal; no limit where there is none: what reads a pipe wants whole lines. */
export function layoutOf(wide: boolean): Layout {
  const { isTTY, columns } = process.stdout;
  return { wide, width: isTTY ? columns || widthDefault : Infinity };
}

/** Columns two spaces apart, a title line in capitals, `-` for what is unknown. Ends with a line break. */
export function table<Row>(all: readonly Column<Row>[], rows: readonly Row[], { wide, width }: Layout): string {
  const columns = all.filter((column) => wide || column.wide !== true);
  const titles = columns.map(({ title }) => title.toUpperCase());
  const cells = rows.map((row) => columns.map(({ cell }) => String(cell(row) ?? '-')));
  const natural = titles.map((title, at) => Math.max(title.length, ...cells.map((line) => line[at]?.length ?? 0)));
  const widths = wide ? natural : narrowed(natural, columns, width);
  const layOut = (line: readonly string[]): string =>
    line
      .map((text, at) => {
        const room = widths[at] ?? 0;
        return columns[at]?.align === 'right' ? cut(text, room).padStart(room) : cut(text, room).padEnd(room);
      })
      .join(gap)
      .trimEnd();
  return [colored(process.stdout, 'bold', layOut(titles)), ...cells.map(layOut), ''].join('\n');
}

/** Takes what is too much from the widest columns of text; numbers stay whole. */
function narrowed(natural: readonly number[], columns: readonly Column<never>[], width: number): readonly number[] {
  const widths = [...natural];
  const gaps = gap.length * Math.max(0, widths.length - 1);
  for (let over = gaps + widths.reduce((sum, each) => sum + each, 0) - width; over > 0; over--) {
    const texts = widths.map((each, at) => (columns[at]?.align === 'right' ? 0 : each));
    const widest = Math.max(...texts);
    if (widest <= columnCharsMin) break;
    widths[texts.indexOf(widest)] = widest - 1;
  }
  return widths;
}

const cut = (text: string, room: number): string =>
  text.length <= room ? text : `${text.slice(0, Math.max(0, room - 1))}${ellipsis}`;

/** `name: value` lines for one thing; a long value goes on below where it began. Ends with a line break. */
export function facts(
  pairs: readonly (readonly [name: string, value: string | number])[],
  { width }: Pick<Layout, 'width'> = layoutOf(false),
): string {
  const column = Math.max(...pairs.map(([name]) => name.length)) + 2;
  return pairs
    .map(([name, value]) => {
      const lines = wrapped(String(value), width - column);
      return `${`${name}:`.padEnd(column)}${lines.join(`\n${' '.repeat(column)}`)}\n`;
    })
    .join('');
}

/** A text in lines of at most `width` characters, broken between words, and within a word only if it is longer. */
export function wrapped(text: string, width: number): readonly string[] {
  const room = Math.max(1, width);
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    const longer = line === '' ? word : `${line} ${word}`;
    if (longer.length <= room) {
      line = longer;
      continue;
    }
    if (line !== '') lines.push(line);
    line = word;
    while (line.length > room) {
      lines.push(line.slice(0, room));
      line = line.slice(room);
    }
  }
  return [...lines, line];
}
