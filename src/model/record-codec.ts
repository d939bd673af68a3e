/** One record inside a batch, written and read. The grammar is in record-batch.ts. */
import type { NewRecord, RecordHeader } from './record.ts';
import { utf8Length } from './record.ts';
import type { ByteCursor } from './byte-cursor.ts';
import { putVarint, putVarlong, varintLength, varlongLength } from './varint.ts';

const encoder = new TextEncoder();
// Names come back exactly as they were sent, a leading U+FEFF included.
const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

/** Bytes of an encoded record behind its length field. Deltas count from the batch's base timestamp and base offset. */
export function recordBodyBytes(record: NewRecord, timestampDelta: number, offsetDelta: number): number {
  let total = 1 + varlongLength(timestampDelta) + varintLength(offsetDelta);
  total += nullableLength(record.key) + nullableLength(record.value) + varintLength(record.headers.length);
  for (const header of record.headers) {
    const nameBytes = utf8Length(header.name);
    total += varintLength(nameBytes) + nameBytes + nullableLength(header.value);
  }
  return total;
}

/** Writes the length field `bodyBytes` and the record; answers the position after it. There must be room. */
export function putRecord(
  bytes: Uint8Array,
  start: number,
  bodyBytes: number,
  record: NewRecord,
  timestampDelta: number,
  offsetDelta: number,
): number {
  let at = putVarint(bytes, start, bodyBytes);
  bytes[at++] = 0;
  at = putVarlong(bytes, at, timestampDelta);
  at = putVarint(bytes, at, offsetDelta);
  at = putNullable(bytes, at, record.key);
  at = putNullable(bytes, at, record.value);
  at = putVarint(bytes, at, record.headers.length);
  for (const header of record.headers) {
    at = putText(bytes, at, header.name);
    at = putNullable(bytes, at, header.value);
  }
  return at;
}

/** Reads the headers of a record. What is malformed shows in the cursor. */
export function readHeaders(cursor: ByteCursor): readonly RecordHeader[] {
  const count = cursor.varint();
  if (count === 0) return noHeaders;
  if (count < 0) cursor.fail();
  const headers: RecordHeader[] = [];
  for (let i = 0; i < count && !cursor.malformed; i++) {
    const name = cursor.nullableBytes();
    if (name === null) cursor.fail();
    else headers.push({ name: decoder.decode(name), value: cursor.nullableBytes() });
  }
  return headers;
}

/** Passes over key, value and headers; answers their bytes (`recordContentBytes`). */
export function skipContent(cursor: ByteCursor): number {
  let total = cursor.skipNullableBytes() + cursor.skipNullableBytes();
  const count = cursor.varint();
  if (count < 0) cursor.fail();
  for (let i = 0; i < count && !cursor.malformed; i++) total += cursor.skipBytes() + cursor.skipNullableBytes();
  return total;
}

const noHeaders: readonly RecordHeader[] = [];
function nullableLength(bytes: Uint8Array | null): number {
  return bytes === null ? 1 : varintLength(bytes.length) + bytes.length;
}

function putNullable(bytes: Uint8Array, start: number, content: Uint8Array | null): number {
  if (content === null) return putVarint(bytes, start, -1);
  const at = putVarint(bytes, start, content.length);
  bytes.set(content, at);
  return at + content.length;
}

function putText(bytes: Uint8Array, start: number, text: string): number {
  const length = utf8Length(text);
  const at = putVarint(bytes, start, length);
  if (length !== text.length) encoder.encodeInto(text, bytes.subarray(at, at + length));
  // ASCII, as names of headers nearly always are: a loop takes a tenth of the time of the call.
  else for (let i = 0; i < length; i++) bytes[at + i] = text.charCodeAt(i);
  return at + length;
}
