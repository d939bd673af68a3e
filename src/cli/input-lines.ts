/** Cuts a stream of bytes into lines. Lines stay bytes: what is not text must arrive as it was. */
import { CommandError } from './command-error.ts';
import { exitCodes } from './exit-codes.ts';

export interface InputLine {
  /** From 1. */
  readonly number: number;
  /** Without its line break. A view of what was read. */
  readonly bytes: Uint8Array;
}

/** The longest line that is taken: a record of 1 MiB in JSON, every byte of it escaped, still fits. */
export const lineBytesMax = 8 * 1024 * 1024;

const lineBreak = 0x0a;
const nothing = new Uint8Array(0);

/** Yields the lines that each piece of input completes. The last line counts also without a line break. */
export async function* linesOf(input: AsyncIterable<Uint8Array>): AsyncGenerator<readonly InputLine[], void> {
  let number = 0;
  let rest: Uint8Array[] = [];
  let restBytes = 0;
  for await (const piece of input) {
    const lines: InputLine[] = [];
    let from = 0;
    for (let at = piece.indexOf(lineBreak); at >= 0; at = piece.indexOf(lineBreak, from)) {
      const end = piece.subarray(from, at);
      lines.push({ number: ++number, bytes: rest.length === 0 ? end : Buffer.concat([...rest, end]) });
      rest = [];
      restBytes = 0;
      from = at + 1;
    }
    const left = from < piece.length ? piece.subarray(from) : nothing;
    if (left.length > 0) rest.push(left);
    restBytes += left.length;
    if (lines.length > 0) yield lines;
    if (restBytes > lineBytesMax) throw tooLong(number + 1);
  }
  if (restBytes > 0) yield [{ number: number + 1, bytes: Buffer.concat(rest) }];
}

const tooLong = (number: number): CommandError =>
  new CommandError(exitCodes.generic, `Line ${number} is longer than ${lineBytesMax} bytes; a record may have 1 MiB.`);
