/** Big-endian integers in byte arrays. Positions are the caller's to check: reading past the end is a bug. */

export const uint32At = (bytes: Uint8Array, at: number): number => int32At(bytes, at) >>> 0;

/** A signed 32-bit integer. */
export function int32At(bytes: Uint8Array, at: number): number {
  return (
    (byteAt(bytes, at) << 24) | (byteAt(bytes, at + 1) << 16) | (byteAt(bytes, at + 2) << 8) | byteAt(bytes, at + 3)
  );
}

/** A signed 16-bit integer. */
export const int16At = (bytes: Uint8Array, at: number): number =>
  ((byteAt(bytes, at) << 24) | (byteAt(bytes, at + 1) << 16)) >> 16;

/** A signed 64-bit integer; null if it is not a safe integer (design D20). */
export function int64At(bytes: Uint8Array, at: number): number | null {
  const value = int32At(bytes, at) * 2 ** 32 + uint32At(bytes, at + 4);
  return Number.isSafeInteger(value) ? value : null;
}

export function putInt16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >> 8;
  bytes[at + 1] = value;
}

/** Signed or unsigned: only the low 32 bits count. */
export function putInt32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >> 24;
  bytes[at + 1] = value >> 16;
  bytes[at + 2] = value >> 8;
  bytes[at + 3] = value;
}

/** Writes a safe integer as a signed 64-bit integer. */
export function putInt64(bytes: Uint8Array, at: number, value: number): void {
  putInt32(bytes, at, Math.floor(value / 2 ** 32));
  putInt32(bytes, at + 4, value - Math.floor(value / 2 ** 32) * 2 ** 32);
}

const byteAt = (bytes: Uint8Array, at: number): number => bytes[at] ?? 0;
