/**
 * Snappy, raw and in the framing of xerial's snappy-java, in which Kafka's clients write it. Only the compressor of raw
 * blocks is injected; decompression is written here because no package at hand stops at an output limit.
 *
 *     xerial := 82 'SNAPPY' 00, version:i32=1, compatible:i32=1, (length:i32 raw)*       integers big-endian
 *     raw    := length:varint (7 bits a byte, lowest first) element*
 *     element: by the low 2 bits of its tag
 *       0  literal: length-1 in the upper 6 bits, or for 60 to 63 in 1 to 4 bytes little-endian behind
 *       1  copy: length-4 in bits 2-4, distance: bits 5-7 above one byte
 *       2  copy: length-1 in the upper 6 bits, distance: 2 bytes little-endian
 *       3  copy: the same with 4 bytes
 */
import { int32At, putInt32 } from './big-endian.ts';
import { ByteCursor } from './byte-cursor.ts';
import type { Decompressed, DecompressFailure } from './compression.ts';
import { OutputBuffer } from './output-buffer.ts';

const xerialMagic = Uint8Array.of(0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0);
const xerialHeaderBytes = 16;
const xerialVersion = 1;
/** What snappy-java puts into one block. */
const blockBytes = 32 * 1024;
/** 3 bytes can mean 64, and nothing means more. */
const expansionMax = 22;

/** Compresses in xerial framing. `compressRaw` makes one raw block of up to 32 KiB. */
export function compressSnappy(bytes: Uint8Array, compressRaw: (block: Uint8Array) => Uint8Array): Uint8Array {
  const blocks: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += blockBytes) blocks.push(compressRaw(bytes.subarray(at, at + blockBytes)));
  const total = blocks.reduce((sum, block) => sum + 4 + block.length, xerialHeaderBytes);
  const framed = new Uint8Array(total);
  framed.set(xerialMagic);
  putInt32(framed, 8, xerialVersion);
  putInt32(framed, 12, xerialVersion);
  let at = xerialHeaderBytes;
  for (const block of blocks) {
    putInt32(framed, at, block.length);
    framed.set(block, at + 4);
    at += 4 + block.length;
  }
  return framed;
}

/** What snappy data in either form decompress to, if that is at most `bytesMax`. */
export function decompressSnappy(bytes: Uint8Array, bytesMax: number): Decompressed {
  const blocks = isXerial(bytes) ? xerialBlocks(bytes) : [bytes];
  if (blocks === null) return failed('corrupt');
  let total = 0;
  for (const block of blocks) {
    const length = rawLength(new ByteCursor(block));
    if (length > block.length * expansionMax) return failed('corrupt');
    total += length;
  }
  if (total > bytesMax) return failed('too-large');
  const output = new OutputBuffer(total, total);
  for (const block of blocks) if (!decompressRaw(block, output)) return failed('corrupt');
  return { kind: 'ok', bytes: output.bytes };
}

const failed = (why: DecompressFailure): Decompressed => ({ kind: 'failed', why });

function isXerial(bytes: Uint8Array): boolean {
  return bytes.length >= xerialHeaderBytes && xerialMagic.every((byte, at) => bytes[at] === byte);
}

/** The raw blocks: views. Null: cut, or a version that reads differently. */
function xerialBlocks(bytes: Uint8Array): Uint8Array[] | null {
  if (int32At(bytes, 12) > xerialVersion) return null;
  const blocks: Uint8Array[] = [];
  let at = xerialHeaderBytes;
  while (at < bytes.length) {
    const length = bytes.length - at < 4 ? -1 : int32At(bytes, at);
    if (length < 1 || length > bytes.length - at - 4) return null;
    blocks.push(bytes.subarray(at + 4, at + 4 + length));
    at += 4 + length;
  }
  return blocks;
}

/** The length that a raw block declares. Malformed shows as Infinity. */
function rawLength(cursor: ByteCursor): number {
  let length = 0;
  for (let scale = 1; scale < 2 ** 35; scale *= 128) {
    const byte = cursor.byte();
    length += (byte & 0x7f) * scale;
    if (byte < 0x80) return cursor.malformed ? Infinity : length;
  }
  return Infinity;
}

/** Appends one raw block to `output`, which ends where the block must end or later. False: corrupt. */
function decompressRaw(block: Uint8Array, output: OutputBuffer): boolean {
  const cursor = new ByteCursor(block);
  const floor = output.at;
  const end = floor + rawLength(cursor);
  while (cursor.remaining > 0) {
    const tag = cursor.byte();
    const done = (tag & 3) === 0 ? copyLiteral(cursor, tag, output, end) : copyBack(cursor, tag, output, floor, end);
    if (!done) return false;
  }
  return !cursor.malformed && output.at === end;
}

function copyLiteral(cursor: ByteCursor, tag: number, output: OutputBuffer, end: number): boolean {
  const code = tag >> 2;
  const length = (code < 60 ? code : cursor.uintLe(code - 59)) + 1;
  const start = cursor.at;
  cursor.skip(length);
  if (cursor.malformed || length > end - output.at) return false;
  output.copyFrom(cursor.bytes, start, length);
  return true;
}

function copyBack(cursor: ByteCursor, tag: number, output: OutputBuffer, floor: number, end: number): boolean {
  const short = (tag & 3) === 1;
  const length = short ? ((tag >> 2) & 7) + 4 : (tag >> 2) + 1;
  const distance = short ? ((tag >> 5) << 8) | cursor.byte() : cursor.uintLe((tag & 3) === 2 ? 2 : 4);
  if (cursor.malformed || distance === 0 || distance > output.at - floor || length > end - output.at) return false;
  output.repeat(distance, length);
  return true;
}
