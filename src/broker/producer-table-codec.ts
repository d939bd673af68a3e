/**
 * The stored form of a producer table, inside a partition's checkpoint. Big-endian:
 *
 *     table    := version:int32 (1) producers:int32 producer*
 *     producer := producerId:int64 recordCount:int64 epoch:int16 batches:int16 batch*
 *     batch    := firstSequence:int32 lastSequence:int32 baseOffset:int64 appendTimeMs:int64
 *
 * Producers are in the order of their last append, so equal tables have equal bytes on every replica.
 */
import { assert } from '../model/assert.ts';
import { int16At, int32At, int64At, putInt16, putInt32, putInt64 } from '../model/big-endian.ts';
import type { ProducerId } from '../model/ids.ts';
import { toMillis, toOffset, toProducerEpoch, toProducerId, toSequence } from '../model/ids.ts';
import type { ProducerState, RememberedBatch } from './producer-table.ts';
import { ProducerTable, rememberedBatchesMax } from './producer-table.ts';

const formatVersion = 1;
const headBytes = 8;
const producerBytes = 20;
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
  assert(version === formatVersion, 'producer-5: the stored version is known', `version ${version}`);
  const producers: [ProducerId, ProducerState][] = [];
  let at = headBytes;
  for (let left = int32At(bytes, 4); left > 0; left--) {
    const batchCount = batchCountAt(bytes, at);
    producers.push([toProducerId(safeAt(bytes, at)), producerAt(bytes, at, batchCount)]);
    at += producerBytes + batchCount * batchBytes;
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

function batchCountAt(bytes: Uint8Array, start: number): number {
  assert(start + producerBytes <= bytes.length, 'producer-4: a stored table is whole', `producer at ${start}`);
  const count = int16At(bytes, start + 18);
  assert(count >= 1 && count <= rememberedBatchesMax, 'producer-1: at most five batches', `${count}`);
  const end = start + producerBytes + count * batchBytes;
  assert(end <= bytes.length, 'producer-4: a stored table is whole', `producer at ${start}`);
  return count;
}

function producerAt(bytes: Uint8Array, start: number, batchCount: number): ProducerState {
  const batches: RememberedBatch[] = [];
  for (let i = 0; i < batchCount; i++) batches.push(batchAt(bytes, start + producerBytes + i * batchBytes));
  return { epoch: toProducerEpoch(int16At(bytes, start + 16)), recordCount: safeAt(bytes, start + 8), batches };
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
