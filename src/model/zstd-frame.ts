/**
 * Finds the frames of zstd data and what each may decompress to (RFC 8878, section 3.1), without decompressing: so that
 * a decoder can be given an output limit, and never one with a window that is larger than the limit.
 *
 *     frame := 28 b5 2f fd, descriptor:u8, window:u8 if not single, dictionary:0|1|2|4 bytes, contentSize:0|1|2|4|8 bytes,
 *              block+, check:u32 if flagged
 *     descriptor := contentSizeCode(2) single(1) unused(1) reserved(1)=0 check(1) dictionaryCode(2)
 *     block := last(1) type(2: stored, repeated, compressed, reserved) size(21), byte{size, or 1 if repeated}
 *
 * Integers are little-endian. Skippable frames are passed over.
 */
import { ByteCursor } from './byte-cursor.ts';
import type { DecompressFailure } from './compression.ts';

export interface ZstdFrame {
  /** The whole frame: a view. */
  readonly bytes: Uint8Array;
  /** An upper bound of what it decompresses to. */
  readonly contentBytesMax: number;
  /** The bound is what the frame says itself, and the decoder holds it to that. */
  readonly declared: boolean;
  /** What a streaming decoder allocates. */
  readonly windowBytes: number;
}

interface FrameStart {
  readonly contentBytes: number | null;
  readonly windowBytes: number;
  readonly check: boolean;
}

const frameMagic = 0xfd2fb528;
const skippableMagic = 0x184d2a50;
const blockContentBytesMax = 128 * 1024;
const dictionaryWidths = [0, 1, 2, 4];
/** Producers write one; each costs a call of the decoder. */
const framesMax = 16;

/** The frames in order, or why they can not be read. */
export function zstdFrames(bytes: Uint8Array): readonly ZstdFrame[] | DecompressFailure {
  const cursor = new ByteCursor(bytes);
  const frames: ZstdFrame[] = [];
  do {
    const start = cursor.at;
    const magic = cursor.uintLe(4);
    if (magic - (magic % 16) === skippableMagic) {
      cursor.skip(cursor.uintLe(4));
    } else {
      const frame = magic === frameMagic ? readFrameStart(cursor) : 'corrupt';
      if (typeof frame === 'string') return frame;
      const bound = passBlocks(cursor, Math.min(frame.windowBytes, blockContentBytesMax));
      if (frame.check) cursor.skip(4);
      frames.push({
        bytes: bytes.subarray(start, cursor.at),
        contentBytesMax: frame.contentBytes ?? bound,
        declared: frame.contentBytes !== null,
        windowBytes: frame.windowBytes,
      });
      if (frames.length > framesMax) return 'unsupported';
    }
    if (cursor.malformed) return 'corrupt';
  } while (cursor.remaining > 0);
  return frames;
}

function readFrameStart(cursor: ByteCursor): FrameStart | DecompressFailure {
  const descriptor = cursor.byte();
  const single = (descriptor & 0x20) !== 0;
  if ((descriptor & 0x08) !== 0) return 'corrupt';
  const windowBytes = single ? null : readWindow(cursor);
  const dictionary = cursor.uintLe(dictionaryWidths[descriptor & 3] ?? 0);
  const contentBytes = readContentSize(cursor, descriptor >> 6, single);
  if (cursor.malformed) return 'corrupt';
  if (dictionary !== 0) return 'unsupported';
  return { contentBytes, windowBytes: windowBytes ?? contentBytes ?? 0, check: (descriptor & 0x04) !== 0 };
}

function readWindow(cursor: ByteCursor): number {
  const byte = cursor.byte();
  const base = 2 ** (10 + (byte >> 3));
  return base + (base / 8) * (byte & 7);
}

function readContentSize(cursor: ByteCursor, code: number, single: boolean): number | null {
  switch (code) {
    case 0:
      return single ? cursor.byte() : null;
    case 1:
      return cursor.uintLe(2) + 256;
    case 2:
      return cursor.uintLe(4);
    default:
      return cursor.uint64Le();
  }
}

/** Passes over all blocks of a frame; answers an upper bound of what they hold. */
function passBlocks(cursor: ByteCursor, blockBytesMax: number): number {
  let bound = 0;
  for (let last = false; !last && !cursor.malformed;) {
    const header = cursor.uintLe(3);
    const size = header >> 3;
    const type = (header >> 1) & 3;
    last = (header & 1) === 1;
    if (type === 3) cursor.fail();
    cursor.skip(type === 1 ? 1 : size);
    bound += type === 2 ? blockBytesMax : size;
  }
  return bound;
}
