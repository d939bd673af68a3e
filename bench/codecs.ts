/**
 * What batches and compression cost, in microseconds of one core, with the native packages for Node beside what we use:
 * `node --import tsx bench/codecs.ts`. Each figure is the median of 15 runs after a warm-up.
 */
import { compressFrameSync, decompressFrameSync } from 'lz4-napi';
import { compressSync, uncompressSync } from 'snappy';
import { crc32c as clientCrc32c } from '../clients/typescript/src/crc32c.ts';
import { encodeBatch } from '../src/model/batch-builder.ts';
import { decodeBatch, verifyRecords } from '../src/model/batch-decoder.ts';
import { validateBatch } from '../src/model/batch-validation.ts';
import type { Compression } from '../src/model/compression.ts';
import { compressionTypes } from '../src/model/compression.ts';
import type { Crc32c } from '../src/model/crc32c.ts';
import { toMillis } from '../src/model/ids.ts';
import { readBatchHeader } from '../src/model/record-batch.ts';
import type { NewRecord } from '../src/model/record.ts';
import { createCompression } from '../src/runtime/compression.ts';
import { crc32c } from '../src/runtime/crc32c.ts';

const runs = 15;
const callsPerRun = 200;
const decompressedBytesMax = 16 << 20;

function microseconds(call: () => unknown): number {
  const times: number[] = [];
  for (let run = -5; run < runs; run++) {
    const start = process.hrtime.bigint();
    for (let i = 0; i < callsPerRun; i++) call();
    if (run >= 0) times.push(Number(process.hrtime.bigint() - start) / 1_000 / callsPerRun);
  }
  return times.sort((a, b) => a - b)[Math.floor(runs / 2)] ?? 0;
}

function report(name: string, unit: string, units: number, call: () => unknown): void {
  const total = microseconds(call);
  console.log(
    `${name.padEnd(44)} ${total.toFixed(1).padStart(8)} µs ${(total / units).toFixed(3).padStart(9)} ${unit}`,
  );
}

function recordsOf(count: number, valueBytes: number, headers: number): NewRecord[] {
  const header = { name: 'content-type', value: new Uint8Array(10) };
  return Array.from({ length: count }, (_, i) => ({
    key: new Uint8Array(8).fill(i),
    value: new Uint8Array(valueBytes).map((_byte, at) => (i * 31 + at * 7) & 0xff),
    headers: Array.from({ length: headers }, () => header),
    timestampMs: toMillis(1_700_000_000_000 + i),
  }));
}

function reportBatches(label: string, records: readonly NewRecord[], compression: Compression, crc: Crc32c): void {
  const codecs = { compression, crc32c: crc };
  const encode = () => encodeBatch({ records, producer: null, compression: 'none' }, codecs);
  const encoded = encode();
  if (encoded.kind === 'refused') throw new Error(encoded.error.message);
  const batch = encoded.value;
  const each = 'µs a record';
  report(`${label}: encode`, each, records.length, encode);
  report(`${label}: decode`, each, records.length, () => decodeBatch(batch, codecs));
  report(`${label}: read header`, each, records.length, () => readBatchHeader(batch));
  report(`${label}: CRC`, each, records.length, () => crc(batch));
  report(`${label}: door check`, each, records.length, () => validateBatch(batch, codecs));
  report(`${label}: verify records`, each, records.length, () => verifyRecords(batch, compression));
}

function reportCompression(compression: Compression): void {
  const lines = Array.from({ length: 1_800 }, (_, i) => `{"id":${i},"origin":"SEA","delay":${(i * 7_919) % 400}}`);
  const text = Buffer.from(lines.join('\n')).subarray(0, 64 * 1024);
  const nanosecond = text.length / 1_000;
  for (const type of compressionTypes) {
    const packed = compression.compress(type, text);
    report(`${type}: compress to ${packed.length}`, 'ns a byte', nanosecond, () => compression.compress(type, text));
    report(`${type}: decompress`, 'ns a byte', nanosecond, () =>
      compression.decompress(type, packed, decompressedBytesMax),
    );
  }
  const lz4 = compressFrameSync(text);
  const snappy = compressSync(text);
  report('lz4-napi: compress', 'ns a byte', nanosecond, () => compressFrameSync(text));
  report('lz4-napi: decompress', 'ns a byte', nanosecond, () => decompressFrameSync(lz4));
  report('npm snappy: compress', 'ns a byte', nanosecond, () => compressSync(text));
  report('npm snappy: decompress', 'ns a byte', nanosecond, () => uncompressSync(snappy));
}

const compression = await createCompression();
console.log(`Node ${process.versions.node}, 64 KiB each`);
reportBatches('broker, 63 records of 1 KiB', recordsOf(63, 1_000, 0), compression, crc32c);
reportBatches('broker, 600 records of 100 B', recordsOf(600, 85, 0), compression, crc32c);
reportBatches('client, 63 records of 1 KiB', recordsOf(63, 1_000, 0), compression, clientCrc32c);
reportBatches('client, the same with 2 headers', recordsOf(63, 970, 2), compression, clientCrc32c);
reportCompression(compression);
