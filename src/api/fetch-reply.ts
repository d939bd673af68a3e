/**
 * Answers to Fetch and FetchStream, written by hand around the stored batches: one allocation and one copy per message.
 * The generated encoder copies every batch three times on the way to the same bytes.
 */
import { FetchedPartition, FetchResponse, FetchStreamResponse } from '../gen/sluice/v1/log.ts';
import type { RecordList } from '../gen/sluice/v1/record.ts';
import { RecordList as RecordListCodec } from '../gen/sluice/v1/record.ts';
import { assert } from '../model/assert.ts';
import { toInt32, toInt64 } from './convert.ts';

/** What was read from one partition. */
export interface FetchPart {
  /** Everything but the payload, which is undefined here. */
  readonly head: FetchedPartition;
  readonly payload:
    | { readonly kind: 'none' }
    | { readonly kind: 'batches'; readonly batches: readonly Uint8Array[] }
    | { readonly kind: 'records'; readonly list: RecordList };
}

export interface FetchReply {
  readonly parts: readonly FetchPart[];
  readonly catalogRevision: number;
}

export interface FetchStreamReply extends FetchReply {
  /** Bytes of credit that the message uses up. */
  readonly usedBytes: number;
}

/** Tags of the fields that are written by hand: number * 8 + 2 (length-delimited). */
const partitionsTag = 0x0a;
const recordsTag = 0x42;
const recordBatchesTag = 0x4a;

/** A FetchResponse. */
export function serializeFetchReply(reply: FetchReply): Buffer {
  const catalogRevision = toInt64(reply.catalogRevision);
  return join(reply.parts, FetchResponse.encode({ partitions: [], catalogRevision }).finish());
}

/** A FetchStreamResponse; its partitions have the same field number. */
export function serializeFetchStreamReply(reply: FetchStreamReply): Buffer {
  const tail = FetchStreamResponse.encode({
    partitions: [],
    usedBytes: toInt32(reply.usedBytes),
    catalogRevision: toInt64(reply.catalogRevision),
  }).finish();
  return join(reply.parts, tail);
}

/** Bytes of a payload: what counts against the limits and the credit of a client. */
export function payloadBytes(payload: FetchPart['payload']): number {
  switch (payload.kind) {
    case 'none':
      return 0;
    case 'batches':
      return payload.batches.reduce((sum, batch) => sum + batch.length, 0);
    case 'records':
      return payload.list.records.reduce((sum, record) => sum + recordBytes(record), 0);
  }
}

/** Offset, timestamp, tags and lengths of one record. */
const recordOverheadBytes = 32;
const headerOverheadBytes = 16;

/** About what a record takes in a RecordList; never less than its content. */
export function recordBytes(record: RecordList['records'][number]): number {
  let bytes = recordOverheadBytes + (record.key?.length ?? 0) + (record.value?.length ?? 0);
  for (const { name, value } of record.headers) bytes += headerOverheadBytes + name.length * 3 + (value?.length ?? 0);
  return bytes;
}

/** One partition, ready to be laid down. */
interface Piece {
  readonly head: Uint8Array;
  readonly tag: number;
  readonly chunks: readonly Uint8Array[];
  readonly chunkBytes: number;
}

function join(parts: readonly FetchPart[], tail: Uint8Array): Buffer {
  const pieces = parts.map(toPiece);
  const total = pieces.reduce((sum, piece) => sum + delimitedBytes(pieceBytes(piece)), tail.length);
  const out = Buffer.allocUnsafe(total);
  let at = 0;
  for (const piece of pieces) {
    at = putLength(out, at, partitionsTag, pieceBytes(piece));
    at = put(out, at, piece.head);
    if (piece.chunkBytes === 0) continue;
    at = putLength(out, at, piece.tag, piece.chunkBytes);
    for (const chunk of piece.chunks) at = put(out, at, chunk);
  }
  at = put(out, at, tail);
  assert(at === total, 'fetch-reply-1: a reply is as long as was computed', `${at} of ${total}`);
  return out;
}

function toPiece({ head, payload }: FetchPart): Piece {
  const headBytes = FetchedPartition.encode(head).finish();
  switch (payload.kind) {
    case 'none':
      return { head: headBytes, tag: 0, chunks: [], chunkBytes: 0 };
    case 'batches':
      return { head: headBytes, tag: recordBatchesTag, chunks: payload.batches, chunkBytes: payloadBytes(payload) };
    case 'records': {
      const list = RecordListCodec.encode(payload.list).finish();
      return { head: headBytes, tag: recordsTag, chunks: [list], chunkBytes: list.length };
    }
  }
}

const pieceBytes = (piece: Piece): number =>
  piece.head.length + (piece.chunkBytes === 0 ? 0 : delimitedBytes(piece.chunkBytes));

/** Bytes of a field: tag, length, content. */
const delimitedBytes = (length: number): number => 1 + varintBytes(length) + length;

function varintBytes(value: number): number {
  let bytes = 1;
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes++;
  return bytes;
}

function put(out: Buffer, at: number, bytes: Uint8Array): number {
  out.set(bytes, at);
  return at + bytes.length;
}

function putLength(out: Buffer, start: number, tag: number, length: number): number {
  let at = start;
  out[at++] = tag;
  let rest = length;
  while (rest >= 0x80) {
    out[at++] = (rest % 0x80) | 0x80;
    rest = Math.floor(rest / 0x80);
  }
  out[at++] = rest;
  return at;
}
