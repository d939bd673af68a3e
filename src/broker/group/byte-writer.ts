import { putVarlong } from '../../model/varint.ts';

const encoder = new TextEncoder();
const varlongBytesMax = 10;

/** Writes the stored forms of this folder: varlongs, length-prefixed UTF-8, counted lists. Grows as needed. */
export class ByteWriter {
  private bytes = new Uint8Array(256);
  private length = 0;

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

  text(value: string): this {
    return this.raw(encoder.encode(value), true);
  }

  list<T>(items: readonly T[], write: (item: T) => void): this {
    this.int(items.length);
    for (const item of items) write(item);
    return this;
  }

  /** Bytes as they are, behind their length if `counted`. */
  raw(bytes: Uint8Array, counted = false): this {
    if (counted) this.int(bytes.length);
    this.reserve(bytes.length);
    this.bytes.set(bytes, this.length);
    this.length += bytes.length;
    return this;
  }

  /** What was written, in an array of its own. */
  take(): Uint8Array {
    return this.bytes.slice(0, this.length);
  }

  private reserve(count: number): void {
    if (this.length + count <= this.bytes.length) return;
    const grown = new Uint8Array(Math.max(this.bytes.length * 2, this.length + count));
    grown.set(this.bytes.subarray(0, this.length));
    this.bytes = grown;
  }
}
