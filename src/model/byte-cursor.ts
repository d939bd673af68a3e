/** Reads a span of bytes front to back. What is malformed sets `malformed`, and every later read answers 0 or null. */
export class ByteCursor {
  /** Position of the next byte. Invariant: at most `end` unless malformed. */
  at: number;
  malformed = false;
  readonly bytes: Uint8Array;
  private readonly end: number;

  /** Reads `bytes` from `at` until `end`; never copies and never writes. */
  constructor(bytes: Uint8Array, at = 0, end = bytes.length) {
    this.bytes = bytes;
    this.at = at;
    this.end = end;
  }

  get remaining(): number {
    return this.malformed ? 0 : this.end - this.at;
  }

  byte(): number {
    if (this.at >= this.end) return this.fail();
    return this.bytes[this.at++] ?? 0;
  }

  /** A signed 32-bit integer (varint.ts). */
  varint(): number {
    let raw = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.byte();
      raw |= (byte & 0x7f) << shift;
      if (byte < 0x80) return shift === 28 && byte > 0x0f ? this.fail() : (raw >>> 1) ^ -(raw & 1);
    }
    return this.fail();
  }

  /** A safe integer (varint.ts). Zigzag needs 54 bits for them, so the sign is kept apart. */
  varlong(): number {
    const first = this.byte();
    let magnitude = (first & 0x7f) >> 1;
    let byte = first;
    let scale = 64;
    for (let more = 0; byte >= 0x80 && more < 9; more++) {
      byte = this.byte();
      magnitude += (byte & 0x7f) * scale;
      scale *= 128;
    }
    const value = (first & 1) === 0 ? magnitude : -magnitude - 1;
    return byte >= 0x80 || !Number.isSafeInteger(value) ? this.fail() : value;
  }

  /** Bytes behind their length, a varint; null for the length -1, and if malformed. A view, not a copy. */
  nullableBytes(): Uint8Array | null {
    const length = this.varint();
    if (length === -1) return null;
    const start = this.at;
    this.skip(length);
    // Half the cost of `subarray`, and a plain Uint8Array even where the batch is a Buffer.
    return this.malformed ? null : new Uint8Array(this.bytes.buffer, this.bytes.byteOffset + start, length);
  }

  /** Passes over the same and answers its length; 0 for null. */
  skipNullableBytes(): number {
    const length = this.varint();
    return length === -1 ? 0 : this.skip(length);
  }

  /** Passes over bytes behind their length that may not be null; answers that length. */
  skipBytes(): number {
    return this.skip(this.varint());
  }

  /** Passes over `length` bytes and answers `length`. */
  skip(length: number): number {
    if (length < 0 || length > this.end - this.at) return this.fail();
    this.at += length;
    return length;
  }

  /** An unsigned little-endian integer of `width` (1 to 4) bytes. */
  uintLe(width: number): number {
    if (width > this.end - this.at) return this.fail();
    let value = 0;
    for (let i = width - 1; i >= 0; i--) value = (value << 8) | (this.bytes[this.at + i] ?? 0);
    this.at += width;
    return value >>> 0;
  }

  /** An unsigned little-endian integer of 8 bytes; above 2^53 only about. */
  uint64Le(): number {
    const low = this.uintLe(4);
    return low + this.uintLe(4) * 2 ** 32;
  }

  /** Marks what is read as malformed; the caller saw that it can not be. */
  fail(): 0 {
    this.malformed = true;
    this.at = this.end;
    return 0;
  }
}
