import type { DecompressFailure } from './compression.ts';
import type { OutputBuffer } from './output-buffer.ts';

/**
 * Decompresses one lz4 block, source[start, end), behind what `output` holds; null: done.
 *
 *     block    := sequence* (the last one without distance and match)
 *     sequence := token:u8 literalLength+ byte{literals} distance:u16 matchLength+
 *     token    := literals(4) matchLength-4(4)      15 goes on in bytes that add up, as long as they are 255
 *
 * @param floor how far back a match may reach: the position in `output` where the block or the frame began
 */
export function decompressLz4Block(
  source: Uint8Array,
  start: number,
  end: number,
  output: OutputBuffer,
  floor: number,
): DecompressFailure | null {
  let at = start;
  while (at < end) {
    const token = source[at++] ?? 0;
    let literals = token >> 4;
    if (literals === 15) {
      const from = at;
      while (source[at] === 255 && at < end) at++;
      if (at >= end) return 'corrupt';
      literals += (at - from) * 255 + (source[at++] ?? 0);
    }
    if (literals > end - at) return 'corrupt';
    if (!output.reserve(literals)) return 'too-large';
    output.copyFrom(source, at, literals);
    at += literals;
    if (at === end) return null;

    if (end - at < 2) return 'corrupt';
    const distance = (source[at] ?? 0) | ((source[at + 1] ?? 0) << 8);
    at += 2;
    let length = (token & 15) + 4;
    if (length === 19) {
      const from = at;
      while (source[at] === 255 && at < end) at++;
      if (at >= end) return 'corrupt';
      length += (at - from) * 255 + (source[at++] ?? 0);
    }
    if (distance === 0 || distance > output.at - floor) return 'corrupt';
    if (!output.reserve(length)) return 'too-large';
    output.repeat(distance, length);
  }
  // A block ends with literals, be it none of them.
  return 'corrupt';
}
