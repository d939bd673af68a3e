/**
 * The compression types of record batches, in JavaScript and WASM: no native package, so nothing to build or to match to
 * a platform. The broker uses it too, because for lz4 and snappy it is two to six times as fast as the native packages
 * for Node (bench/codecs.ts).
 */
import { lz4Compress, snappyCompress } from '@platformatic/wasm-utils';
import * as nodeZlib from 'node:zlib';
import type { ZlibEngine, ZstdEngine } from '../../../src/model/compression-from.ts';
import { compressionFrom, zstdOfZlib } from '../../../src/model/compression-from.ts';
import type { Compression } from '../../../src/model/compression.ts';

/**
 * Compression for all types. Asynchronous only because zstd is loaded as WASM where node:zlib has none (before 22.15).
 * @param zlib for tests; default node:zlib
 */
export async function createCompression(zlib: ZlibEngine = nodeZlib): Promise<Compression> {
  const zstd = zstdOfZlib(zlib) ?? (await wasmZstd());
  return compressionFrom({
    zlib,
    zstd,
    lz4: (bytes) => lz4Compress(asBuffer(bytes)),
    snappyRaw: (bytes) => snappyCompress(asBuffer(bytes)),
  });
}

/** libzstd's ZSTD_error_dstSize_tooSmall, as the package reports it. */
const outputTooSmall = / -70$/;

/** The package has one instance in a process; loading it again replaces its memory while others use it. */
let loading: Promise<ZstdEngine> | null = null;
const wasmZstd = (): Promise<ZstdEngine> => (loading ??= loadZstd());

async function loadZstd(): Promise<ZstdEngine> {
  const zstd = await import('@bokuweb/zstd-wasm');
  await zstd.init();
  return {
    compress: (bytes) => zstd.compress(bytes),
    decompress: (frame, bytesMax) => {
      try {
        return zstd.decompress(frame, { defaultHeapSize: bytesMax });
      } catch (error) {
        if (error instanceof Error && outputTooSmall.test(error.message))
          throw new RangeError(error.message, { cause: error });
        throw error;
      }
    },
  };
}

const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
