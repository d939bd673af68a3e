/** Records as programs see them: what goes into a batch and what comes out of one. */
import type { Millis, Offset } from './ids.ts';

/** A named attribute of a record. Order and duplicates are kept. */
export interface RecordHeader {
  readonly name: string;
  /** Null differs from empty. */
  readonly value: Uint8Array | null;
}

/** A record to be appended. */
export interface NewRecord {
  /** Decides the partition; null: no key. */
  readonly key: Uint8Array | null;
  /** Null differs from empty. */
  readonly value: Uint8Array | null;
  readonly headers: readonly RecordHeader[];
  /** Create time, milliseconds since 1970; null: none. */
  readonly timestampMs: Millis | null;
}

/** A record that was read. Its bytes are views of the batch it came from (or of what that was decompressed to). */
export interface StoredRecord extends NewRecord {
  readonly offset: Offset;
}

/** Bytes that count for the limit of 1 MiB a record: key, value, and names and values of headers. */
export function recordContentBytes(record: NewRecord): number {
  let total = (record.key?.length ?? 0) + (record.value?.length ?? 0);
  for (const header of record.headers) total += utf8Length(header.name) + (header.value?.length ?? 0);
  return total;
}

/** Bytes of `text` in UTF-8, without encoding it. A lone surrogate counts as U+FFFD, which encoders write for it. */
export function utf8Length(text: string): number {
  let length = text.length;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit < 0x80) continue;
    length += unit < 0x800 ? 1 : 2;
    if (unit >= 0xd800 && unit < 0xdc00 && isLowSurrogate(text.charCodeAt(i + 1))) i++;
  }
  return length;
}

const isLowSurrogate = (unit: number): boolean => unit >= 0xdc00 && unit < 0xe000;
