/**
 * Reads lz4 frames (lz4 Frame Format 1.6). Written here because no package at hand stops at an output limit, and a
 * megabyte of lz4 can hold 255.
 *
 *     frame := 04 22 4d 18, flags:u8, blockMax:u8, contentSize:u64 if flagged, headerCheck:u8, block*, 0:u32,
 *              contentCheck:u32 if flagged
 *     block := size:u32 (top bit: stored as it is), byte{size}, check:u32 if flagged
 *     flags := version(2)=1 independent(1) blockCheck(1) contentSize(1) contentCheck(1) reserved(1)=0 dictionary(1)
 *
 * Integers are little-endian; checks are xxh32 (headerCheck its second byte). Frames may follow each other; skippable
 * ones are passed over.
 */
import { ByteCursor } from './byte-cursor.ts';
import type { Decompressed, DecompressFailure } from './compression.ts';
import { decompressLz4Block } from './lz4-block.ts';
import { OutputBuffer } from './output-buffer.ts';
import { xxh32 } from './xxh32.ts';

/** The frame of no bytes: not every compressor takes an empty input. */
export const emptyLz4Frame: Uint8Array = Uint8Array.of(0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82, 0, 0, 0, 0);

interface Frame {
  readonly independent: boolean;
  readonly blockCheck: boolean;
  readonly contentCheck: boolean;
  /** Null: not declared. */
  readonly contentBytes: number | null;
  readonly blockBytesMax: number;
}

const frameMagic = 0x184d2204;
const skippableMagic = 0x184d2a50;
const flagBits = {
  version: 0xc0,
  independent: 0x20,
  blockCheck: 0x10,
  contentSize: 8,
  contentCheck: 4,
  reserved: 2,
  dictionary: 1,
};
const versionOne = 0x40;
const storedBit = 0x8000_0000;
const ratioGuess = 4;

/** What lz4 frames decompress to, if that is at most `bytesMax`. */
export function decompressLz4(bytes: Uint8Array, bytesMax: number): Decompressed {
  const output = new OutputBuffer(bytesMax, bytes.length * ratioGuess);
  const cursor = new ByteCursor(bytes);
  do {
    const failure = readFrame(cursor, output);
    if (failure !== null) return { kind: 'failed', why: failure };
  } while (cursor.remaining > 0);
  return { kind: 'ok', bytes: output.written() };
}

function readFrame(cursor: ByteCursor, output: OutputBuffer): DecompressFailure | null {
  const magic = cursor.uintLe(4);
  if (magic - (magic % 16) === skippableMagic) {
    cursor.skip(cursor.uintLe(4));
    return cursor.malformed ? 'corrupt' : null;
  }
  const frame = magic === frameMagic ? readDescriptor(cursor) : 'corrupt';
  if (typeof frame === 'string') return frame;
  const start = output.at;
  return readBlocks(cursor, output, frame) ?? checkContent(cursor, output.bytes.subarray(start, output.at), frame);
}

function readDescriptor(cursor: ByteCursor): Frame | DecompressFailure {
  const start = cursor.at;
  const flags = cursor.byte();
  const sizeClass = cursor.byte();
  const contentBytes = (flags & flagBits.contentSize) !== 0 ? cursor.uint64Le() : null;
  if ((flags & flagBits.version) !== versionOne || (flags & flagBits.dictionary) !== 0) return 'unsupported';
  const check = (xxh32(cursor.bytes.subarray(start, cursor.at)) >> 8) & 0xff;
  if (cursor.byte() !== check || cursor.malformed) return 'corrupt';
  if ((flags & flagBits.reserved) !== 0 || (sizeClass & 0x8f) !== 0 || sizeClass < 0x40) return 'corrupt';
  return {
    independent: (flags & flagBits.independent) !== 0,
    blockCheck: (flags & flagBits.blockCheck) !== 0,
    contentCheck: (flags & flagBits.contentCheck) !== 0,
    contentBytes,
    // 4 to 7: 64 KiB, 256 KiB, 1 MiB, 4 MiB
    blockBytesMax: 2 ** (8 + (sizeClass >> 4) * 2),
  };
}

function readBlocks(cursor: ByteCursor, output: OutputBuffer, frame: Frame): DecompressFailure | null {
  const frameStart = output.at;
  for (;;) {
    const size = cursor.uintLe(4);
    if (cursor.malformed) return 'corrupt';
    if (size === 0) return null;
    const blockStart = output.at;
    const failure = readBlock(cursor, size, output, frame, frame.independent ? blockStart : frameStart);
    if (failure !== null) return failure;
    if (output.at - blockStart > frame.blockBytesMax) return 'corrupt';
  }
}

function readBlock(
  cursor: ByteCursor,
  size: number,
  output: OutputBuffer,
  frame: Frame,
  floor: number,
): DecompressFailure | null {
  const stored = size >= storedBit;
  const length = stored ? size - storedBit : size;
  const start = cursor.at;
  cursor.skip(length);
  if (cursor.malformed) return 'corrupt';
  const end = cursor.at;
  if (frame.blockCheck && cursor.uintLe(4) !== xxh32(cursor.bytes.subarray(start, end))) {
    return 'corrupt';
  }
  if (!stored) return decompressLz4Block(cursor.bytes, start, end, output, floor);
  if (!output.reserve(length)) return 'too-large';
  output.copyFrom(cursor.bytes, start, length);
  return null;
}

function checkContent(cursor: ByteCursor, content: Uint8Array, frame: Frame): DecompressFailure | null {
  if (frame.contentBytes !== null && frame.contentBytes !== content.length) return 'corrupt';
  if (!frame.contentCheck) return null;
  return cursor.uintLe(4) === xxh32(content) && !cursor.malformed ? null : 'corrupt';
}
