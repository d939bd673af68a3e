/**
 * The stored form of the small records of a log: fields in a fixed order, then a seal. The seal is the CRC-32C of key
 * and fields, so a record that sits under another key is found out like one with a flipped bit (reliability P88).
 */
import { int64At, putInt32, putInt64, uint32At } from '../model/big-endian.ts';
import type { Crc32c } from '../model/crc32c.ts';
import { LogCorruption } from './reader.ts';

/** Bytes of the seal. */
export const sealLength = 4;

/** Most records are smaller; a larger one makes the writer grow. */
const usualLength = 128;

/** Collects fields; `seal` ends it. */
export class RecordWriter {
  #bytes = Buffer.allocUnsafe(usualLength);
  #length = 0;

  uint8(value: number): this {
    this.#reserve(1);
    this.#bytes[this.#length++] = value;
    return this;
  }

  /** A safe integer from 0 on. */
  uint64(value: number): this {
    this.#reserve(8);
    putInt64(this.#bytes, this.#length, value);
    this.#length += 8;
    return this;
  }

  optionalUint64(value: number | null): this {
    return this.uint8(value === null ? 0 : 1).uint64(value ?? 0);
  }

  /** Bytes whose length the reader knows, or that end the record. */
  bytes(value: Uint8Array): this {
    this.#reserve(value.length);
    this.#bytes.set(value, this.#length);
    this.#length += value.length;
    return this;
  }

  sized(value: Uint8Array): this {
    return this.uint64(value.length).bytes(value);
  }

  /** The value to store under `key`. Ends the writer: it gives its bytes away. */
  seal(key: Uint8Array, crc32c: Crc32c): Uint8Array {
    this.#reserve(sealLength);
    const fields = this.#bytes.subarray(0, this.#length);
    putInt32(this.#bytes, this.#length, crc32c(fields, crc32c(key)));
    return this.#bytes.subarray(0, this.#length + sealLength);
  }

  #reserve(more: number): void {
    if (this.#length + more <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafe(2 * (this.#length + more));
    larger.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = larger;
  }
}

/** Reads fields back in the same order. Every failure is LogCorruption: the seal was good, so the code is not. */
export class RecordReader {
  readonly #fields: Uint8Array;
  #at = 0;

  /** @throws LogCorruption if the seal does not match */
  constructor(key: Uint8Array, value: Uint8Array, crc32c: Crc32c) {
    this.#fields = unsealed(key, value, crc32c);
  }

  uint8(): number {
    return this.#take(1)[0] ?? 0;
  }

  uint64(): number {
    const value = int64At(this.#take(8), 0);
    if (value === null || value < 0) throw new LogCorruption('a record holds an integer out of range');
    return value;
  }

  optionalUint64(): number | null {
    const present = this.uint8() === 1;
    const value = this.uint64();
    return present ? value : null;
  }

  sized(): Uint8Array {
    return this.#take(this.uint64());
  }

  /** What is left. */
  rest(): Uint8Array {
    return this.#take(this.#fields.length - this.#at);
  }

  #take(length: number): Uint8Array {
    if (this.#at + length > this.#fields.length) throw new LogCorruption('a record is too short');
    const bytes = this.#fields.subarray(this.#at, this.#at + length);
    this.#at += length;
    return bytes;
  }
}

/** A sealed value without its seal. Throws LogCorruption if it does not belong under `key`. */
export function unsealed(key: Uint8Array, value: Uint8Array, crc32c: Crc32c): Uint8Array {
  const length = value.length - sealLength;
  const fields = value.subarray(0, Math.max(0, length));
  if (length < 0 || crc32c(fields, crc32c(key)) !== uint32At(value, length)) {
    throw new LogCorruption(`the record under key ${Buffer.from(key).toString('hex')} does not match its checksum`);
  }
  return fields;
}
