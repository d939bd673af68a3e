/**
 * Answers to Fetch and FetchStream, written by hand around the stored batches, which are copied once: into the frame that
 * leaves. The generated encoder would copy every batch four times on the way to the same bytes.
 */
import { BinaryWriter } from '@bufbuild/protobuf/wire';
import type { PartitionStalls } from '../gen/sluice/v1/log.ts';
import { FetchedPartition, FetchResponse, FetchStreamResponse } from '../gen/sluice/v1/log.ts';
import type { RecordList } from '../gen/sluice/v1/record.ts';
import { RecordList as RecordListCodec } from '../gen/sluice/v1/record.ts';
import { ChunkedMessage } from './chunked-message.ts';
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
  /** Why nothing comes. Default: nothing of it is said. */
  readonly stalls?: readonly PartitionStalls[];
}

/** Tags of the fields that are written by hand: number * 8 + 2 (length-delimited). */
const partitionsTag = 0x0a;
const recordsTag = 0x42;
const recordBatchesTag = 0x4a;

/** A FetchResponse. */
export function serializeFetchReply(reply: FetchReply): Buffer {
  return toResponse(reply).asBuffer();
}

/** A FetchResponse as bytes of its own, for what is no gRPC reply. */
export function encodeFetchReply(reply: FetchReply): Uint8Array {
  const message = toResponse(reply);
  const bytes = new Uint8Array(message.byteLength);
  message.copy(bytes, 0);
  return bytes;
}

function toResponse(reply: FetchReply): ChunkedMessage {
  const catalogRevision = toInt64(reply.catalogRevision);
  return assemble(reply.parts, FetchResponse.encode({ partitions: [], catalogRevision }).finish());
}

/** A FetchStreamResponse; its partitions have the same field number. */
export function serializeFetchStreamReply(reply: FetchStreamReply): Buffer {
  const tail = FetchStreamResponse.encode({
    partitions: [],
    usedBytes: toInt32(reply.usedBytes),
    catalogRevision: toInt64(reply.catalogRevision),
    stalls: [...(reply.stalls ?? [])],
  }).finish();
  return assemble(reply.parts, tail).asBuffer();
}

/** Bytes of all payloads. */
export const fetchReplyBytes = ({ parts }: FetchReply): number =>
  parts.reduce((sum, { payload }) => sum + payloadBytes(payload), 0);

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

function assemble(parts: readonly FetchPart[], tail: Uint8Array): ChunkedMessage {
  const chunks = parts.flatMap((part) => {
    const [tag, payload] = toChunks(part.payload);
    return [prefixOf(part.head, tag, payload), ...payload];
  });
  return new ChunkedMessage([...chunks, tail]);
}

/** The payload's tag and content. */
function toChunks(payload: FetchPart['payload']): readonly [tag: number, chunks: readonly Uint8Array[]] {
  switch (payload.kind) {
    case 'none':
      return [0, []];
    case 'batches':
      return [recordBatchesTag, payload.batches];
    case 'records':
      return [recordsTag, [RecordListCodec.encode(payload.list).finish()]];
  }
}

/** Everything of a partition up to the content of its payload, which comes last. */
function prefixOf(partition: FetchedPartition, payloadTag: number, payload: readonly Uint8Array[]): Uint8Array {
  const head = FetchedPartition.encode(partition).finish();
  const payloadLength = payload.reduce((sum, { length }) => sum + length, 0);
  const opening =
    payload.length === 0 ? new Uint8Array() : new BinaryWriter().uint32(payloadTag).uint32(payloadLength).finish();
  return new BinaryWriter()
    .uint32(partitionsTag)
    .uint32(head.length + opening.length + payloadLength)
    .raw(head)
    .raw(opening)
    .finish();
}
