/**
 * Variable-length integers as records hold them: zigzag (0, -1, 1, -2, … become 0, 1, 2, 3, …), then 7 bits a byte, the
 * lowest first, the top bit set on all but the last byte. This file writes them; byte-cursor.ts reads them.
 *
 *     varint   1 to 5 bytes, a signed 32-bit integer
 *     varlong  1 to 10 bytes, a signed 64-bit integer; here a safe integer (design D20)
 */

/** Bytes of `value`, a signed 32-bit integer, as a varint. */
export function varintLength(value: number): number {
  const raw = ((value << 1) ^ (value >> 31)) >>> 0;
  if (raw < 0x80) return 1;
  if (raw < 0x4000) return 2;
  if (raw < 0x20_0000) return 3;
  return raw < 0x1000_0000 ? 4 : 5;
}

/** Writes `value`, a signed 32-bit integer; answers the position after it. */
export function putVarint(bytes: Uint8Array, at: number, value: number): number {
  let raw = ((value << 1) ^ (value >> 31)) >>> 0;
  while (raw >= 0x80) {
    bytes[at++] = raw | 0x80;
    raw >>>= 7;
  }
  bytes[at] = raw;
  return at + 1;
}

/** Bytes of `value`, a safe integer, as a varlong. */
export function varlongLength(value: number): number {
  if (isInt32(value)) return varintLength(value);
  let rest = magnitudeOf(value) / 64;
  let length = 1;
  for (; rest >= 1; rest /= 128) length++;
  return length;
}

/** Writes `value`, a safe integer; answers the position after it. */
export function putVarlong(bytes: Uint8Array, at: number, value: number): number {
  if (isInt32(value)) return putVarint(bytes, at, value);
  const magnitude = magnitudeOf(value);
  bytes[at++] = 0x80 | ((magnitude % 64) << 1) | (value < 0 ? 1 : 0);
  let rest = Math.floor(magnitude / 64);
  while (rest >= 0x80) {
    bytes[at++] = (rest % 128) | 0x80;
    rest = Math.floor(rest / 128);
  }
  bytes[at] = rest;
  return at + 1;
}

const isInt32 = (value: number): boolean => (value | 0) === value;
const magnitudeOf = (value: number): number => (value < 0 ? -(value + 1) : value);
