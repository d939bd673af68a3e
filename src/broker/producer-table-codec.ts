/**
 * The stored form of a producer table, inside a partition's checkpoint. Big-endian:
 *
 *     table    := version:int32 (2) producers:int32 producer*
 *     producer := producerId:int64 recordCount:int64 epoch:int16 batches:int16 lastMs:int64 fenced:int16 batch*
 *     batch    := firstSequence:int32 lastSequence:int32 baseOffset:int64 appendTimeMs:int64
 *
 * Version 1, which is still read, had neither lastMs nor fenced: each producer has a batch there, and none is fenced.
 *
 * Producers are in the order of their last append, so equal tables have equal bytes on every replica.
 */
import { assert, must } from '../model/assert.ts';
import { int16At, int32At, int64At, putInt16, putInt32, putInt64 } from '../model/big-endian.ts';
import type { ProducerId } from '../model/ids.ts';
import { toMillis, toOffset, toProducerEpoch, toProducerId, toSequence } from '../model/ids.ts';
import type { ProducerState, RememberedBatch } from './producer-table.ts';
import { ProducerTable, rememberedBatchesMax } from './producer-table.ts';

const formatVersion = 2;
const headBytes = 8;
const producerBytes = 30;
const producerBytesBefore = 20;
const batchBytes = 24;

export function encodeProducerTable(table: ProducerTable): Uint8Array {
  const bytes = new Uint8Array(encodedBytes(table));
  putInt32(bytes, 0, formatVersion);
  putInt32(bytes, 4, table.size);
  let at = headBytes;
  for (const [producerId, state] of table.entries()) at = putProducer(bytes, at, producerId, state);
  return bytes;
}

/** @throws InvariantViolation if the bytes are not what `encodeProducerTable` writes: they were checksummed when stored. */
export function decodeProducerTable(bytes: Uint8Array): ProducerTable {
  assert(bytes.length >= headBytes, 'producer-4: a stored table is whole', `${bytes.length} bytes`);
  const version = int32At(bytes, 0);
  assert(version === 1 || version === formatVersion, 'producer-5: the stored version is known', `version ${version}`);
  const fixedBytes = version === 1 ? producerBytesBefore : producerBytes;
  const producers: [ProducerId, ProducerState][] = [];
  let at = headBytes;
  for (let left = int32At(bytes, 4); left > 0; left--) {
    const end = producerEnd(bytes, at, fixedBytes);
    producers.push([toProducerId(safeAt(bytes, at)), producerAt(bytes, at, fixedBytes, end)]);
    at = end;
  }
  assert(at === bytes.length, 'producer-4: a stored table is whole', `${at} of ${bytes.length} bytes`);
  return new ProducerTable(producers);
}

function encodedBytes(table: ProducerTable): number {
  let total = headBytes;
  for (const [, state] of table.entries()) total += producerBytes + state.batches.length * batchBytes;
  return total;
}

function putProducer(bytes: Uint8Array, start: number, producerId: ProducerId, state: ProducerState): number {
  putInt64(bytes, start, producerId);
  putInt64(bytes, start + 8, state.recordCount);
  putInt16(bytes, start + 16, state.epoch);
  putInt16(bytes, start + 18, state.batches.length);
  putInt64(bytes, start + 20, state.lastMs);
  putInt16(bytes, start + 28, state.fenced ? 1 : 0);
  let at = start + producerBytes;
  for (const batch of state.batches) {
    putInt32(bytes, at, batch.firstSequence);
    putInt32(bytes, at + 4, batch.lastSequence);
    putInt64(bytes, at + 8, batch.baseOffset);
    putInt64(bytes, at + 16, batch.appendTimeMs);
    at += batchBytes;
  }
  return at;
}

/** Where the producer that begins at `start` ends. */
function producerEnd(bytes: Uint8Array, start: number, fixedBytes: number): number {
  assert(start + fixedBytes <= bytes.length, 'producer-4: a stored table is whole', `producer at ${start}`);
  const count = int16At(bytes, start + 18);
  assert(count >= 0 && count <= rememberedBatchesMax, 'producer-1: at most five batches', `${count}`);
  const end = start + fixedBytes + count * batchBytes;
  assert(end <= bytes.length, 'producer-4: a stored table is whole', `producer at ${start}`);
  return end;
}

function producerAt(bytes: Uint8Array, start: number, fixedBytes: number, end: number): ProducerState {
  const batches: RememberedBatch[] = [];
  for (let at = start + fixedBytes; at < end; at += batchBytes) batches.push(batchAt(bytes, at));
  const known = { epoch: toProducerEpoch(int16At(bytes, start + 16)), recordCount: safeAt(bytes, start + 8), batches };
  if (fixedBytes === producerBytes) {
    const fenced = int16At(bytes, start + 28) !== 0;
    assert(fenced || batches.length > 0, 'producer-1: a producer without a batch is fenced');
    return { ...known, lastMs: toMillis(safeAt(bytes, start + 20)), fenced };
  }
  const newest = must(batches.at(-1), 'producer-1: a producer without a batch is fenced');
  return { ...known, lastMs: newest.appendTimeMs, fenced: false };
}

const batchAt = (bytes: Uint8Array, at: number): RememberedBatch => ({
  firstSequence: toSequence(int32At(bytes, at)),
  lastSequence: toSequence(int32At(bytes, at + 4)),
  baseOffset: toOffset(safeAt(bytes, at + 8)),
  appendTimeMs: toMillis(safeAt(bytes, at + 16)),
});

function safeAt(bytes: Uint8Array, at: number): number {
  const value = int64At(bytes, at);
  assert(value !== null, 'producer-4: a stored table is whole', `integer at ${at}`);
  return value;
}
