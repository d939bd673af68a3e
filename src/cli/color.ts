/** Color of what people read. */

export const colorChoices = ['auto', 'always', 'never'] as const;
export type ColorChoice = (typeof colorChoices)[number];

/** Select Graphic Rendition: how a style is switched on, and off again. */
const styles = { bold: [1, 22], dim: [2, 22], red: [31, 39], green: [32, 39], yellow: [33, 39] } as const;
export type Style = keyof typeof styles;

let choice: ColorChoice = 'auto';

/** What --color says, for the whole command. */
export function chooseColor(chosen: ColorChoice): void {
  choice = chosen;
}

/** With `auto`: on terminals only, and never with NO_COLOR (https://no-color.org) or on a dumb terminal. */
function isColored(stream: NodeJS.WriteStream): boolean {
  if (choice !== 'auto') return choice === 'always';
  const { NO_COLOR: off = '', TERM: terminal } = process.env;
  return stream.isTTY && off === '' && terminal !== 'dumb';
}

export function colored(stream: NodeJS.WriteStream, style: Style, text: string): string {
  if (!isColored(stream)) return text;
  const [on, off] = styles[style];
  return `\u001b[${on}m${text}\u001b[${off}m`;
}
