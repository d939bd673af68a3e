import { styleText } from 'node:util';

/** Color on terminals only, and never with NO_COLOR (https://no-color.org) or on a dumb terminal. */
export function colored(stream: NodeJS.WriteStream, style: 'bold' | 'red' | 'yellow' | 'dim', text: string): string {
  const { NO_COLOR: off = '', TERM: terminal } = process.env;
  return stream.isTTY && off === '' && terminal !== 'dumb' ? styleText(style, text) : text;
}
