import { putVarlong, varlongLength } from '../../model/varint.ts';

const encoder = new TextEncoder();
const varlongBytesMax = 10;
const spareBytesMax = 64 * 1024;

/** The buffer of the last writer that is done: nearly every entry and key fits into it. */
let spare: Uint8Array | null = null;

/** Writes the stored forms of this folder: varlongs, length-prefixed UTF-8, counted lists. Grows as needed. */
export class ByteWriter {
  private bytes: Uint8Array;
  private length = 0;

  constructor() {
    this.bytes = spare ?? new Uint8Array(1024);
    spare = null;
  }

  byte(value: number): this {
    this.reserve(1);
    this.bytes[this.length++] = value;
    return this;
  }

  /** Any safe integer. */
  int(value: number): this {
    this.reserve(varlongBytesMax);
    this.length = putVarlong(this.bytes, this.length, value);
    return this;
  }

  /** Any safe integer from 0, or null: absent is a state of its own, never 0 or -1 (reliability P117). */
  nullableInt(value: number | null): this {
    return value === null ? this.byte(0) : this.byte(1).int(value);
  }

  /** UTF-8 behind its length. */
  text(value: string): this {
    this.reserve(varlongBytesMax + utf8BytesMax(value));
    const guessed = varlongLength(value.length);
    const start = this.length + guessed;
    const { written } = encoder.encodeInto(value, this.bytes.subarray(start));
    const needed = varlongLength(written);
    if (needed !== guessed) this.bytes.copyWithin(this.length + needed, start, start + written);
    this.int(written);
    this.length += written;
    return this;
  }

  /** UTF-8 as it is, for keys. */
  bareText(value: string): this {
    this.reserve(utf8BytesMax(value));
    this.length += encoder.encodeInto(value, this.bytes.subarray(this.length)).written;
    return this;
  }

  list<T>(items: readonly T[], write: (item: T) => void): this {
    this.int(items.length);
    for (const item of items) write(item);
    return this;
  }

  raw(bytes: Uint8Array): this {
    this.reserve(bytes.length);
    this.bytes.set(bytes, this.length);
    this.length += bytes.length;
    return this;
  }

  /** What was written, in an array of its own. The writer is done. */
  take(): Uint8Array {
    const taken = this.bytes.slice(0, this.length);
    if (this.bytes.length <= spareBytesMax) spare = this.bytes;
    this.bytes = new Uint8Array(0);
    this.length = 0;
    return taken;
  }

  private reserve(count: number): void {
    if (this.length + count <= this.bytes.length) return;
    const grown = new Uint8Array(Math.max(this.bytes.length * 2, this.length + count));
    grown.set(this.bytes.subarray(0, this.length));
    this.bytes = grown;
  }
}

const utf8BytesMax = (value: string): number => 3 * value.length;
