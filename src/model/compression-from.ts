/**
 * Puts a Compression together from engines. Here is what both processes share: framings, and that no output passes its
 * limit; broker and client only hand in zlib, zstd and the raw compressors of their platform.
 */
import type { Compression, CompressionType, Decompressed, DecompressFailure } from './compression.ts';
import { decompressLz4, emptyLz4Frame } from './lz4-frame.ts';
import { compressSnappy, decompressSnappy } from './snappy.ts';
import { zstdFrames } from './zstd-frame.ts';

/** The part of node:zlib that is used. zstd is there from Node 22.15 on. */
export interface ZlibEngine {
  readonly gzipSync: (bytes: Uint8Array) => Uint8Array;
  readonly gunzipSync: (bytes: Uint8Array, options: OutputLimit) => Uint8Array;
  readonly zstdCompressSync?: (bytes: Uint8Array) => Uint8Array;
  readonly zstdDecompressSync?: (bytes: Uint8Array, options: OutputLimit) => Uint8Array;
}

interface OutputLimit {
  readonly maxOutputLength: number;
}

/** zstd for a platform whose zlib has none. */
export interface ZstdEngine {
  compress(bytes: Uint8Array): Uint8Array;
  /** One frame. Throws a RangeError if it holds more than `bytesMax` (at least 1), any other error if it is corrupt. */
  decompress(frame: Uint8Array, bytesMax: number): Uint8Array;
}

export interface CompressionEngines {
  readonly zlib: ZlibEngine;
  readonly zstd: ZstdEngine;
  /** One lz4 frame of at least one byte. */
  lz4(bytes: Uint8Array): Uint8Array;
  /** One raw snappy block of at least one byte. */
  snappyRaw(bytes: Uint8Array): Uint8Array;
}

/** zstd from node:zlib; null where that has none. */
export function zstdOfZlib(zlib: ZlibEngine): ZstdEngine | null {
  const { zstdCompressSync, zstdDecompressSync } = zlib;
  if (zstdCompressSync === undefined || zstdDecompressSync === undefined) return null;
  return {
    compress: (bytes) => zstdCompressSync(bytes),
    decompress: (frame, bytesMax) => zstdDecompressSync(frame, { maxOutputLength: bytesMax }),
  };
}

export function compressionFrom(engines: CompressionEngines): Compression {
  return {
    compress: (type, bytes) => compress(engines, type, bytes),
    decompress: (type, bytes, bytesMax) => decompress(engines, type, bytes, bytesMax),
  };
}

function compress(engines: CompressionEngines, type: CompressionType, bytes: Uint8Array): Uint8Array {
  switch (type) {
    case 'none':
      return bytes;
    case 'gzip':
      return engines.zlib.gzipSync(bytes);
    case 'snappy':
      return compressSnappy(bytes, (block) => engines.snappyRaw(block));
    case 'lz4':
      return bytes.length === 0 ? emptyLz4Frame : engines.lz4(bytes);
    case 'zstd':
      return engines.zstd.compress(bytes);
  }
}

function decompress(
  engines: CompressionEngines,
  type: CompressionType,
  bytes: Uint8Array,
  bytesMax: number,
): Decompressed {
  switch (type) {
    case 'none':
      return bytes.length > bytesMax ? failed('too-large') : { kind: 'ok', bytes };
    case 'gzip':
      return attempt((limit) => engines.zlib.gunzipSync(bytes, { maxOutputLength: limit }), bytesMax);
    case 'snappy':
      return decompressSnappy(bytes, bytesMax);
    case 'lz4':
      return decompressLz4(bytes, bytesMax);
    case 'zstd':
      return decompressZstd(engines.zstd, bytes, bytesMax);
  }
}

function decompressZstd(zstd: ZstdEngine, bytes: Uint8Array, bytesMax: number): Decompressed {
  const frames = zstdFrames(bytes);
  if (typeof frames === 'string') return failed(frames);
  const parts: Uint8Array[] = [];
  let room = bytesMax;
  for (const frame of frames) {
    if (frame.windowBytes > Math.max(bytesMax, zstdWindowBytesMin)) return failed('too-large');
    if (frame.declared && frame.contentBytesMax > room) return failed('too-large');
    const part = attempt((limit) => zstd.decompress(frame.bytes, limit), Math.min(frame.contentBytesMax, room));
    if (part.kind === 'failed') return part;
    parts.push(part.bytes);
    room -= part.bytes.length;
  }
  return { kind: 'ok', bytes: concatenated(parts) };
}

/** Every decoder must take windows up to it (RFC 8878, section 3.1.1.1.2), whatever the limit. */
const zstdWindowBytesMin = 8 * 1024 * 1024;

const failed = (why: DecompressFailure): Decompressed => ({ kind: 'failed', why });

/** Runs an engine that throws; what it throws speaks about the data, since nothing else was handed to it. */
function attempt(run: (limit: number) => Uint8Array, bytesMax: number): Decompressed {
  try {
    const bytes = run(Math.max(1, bytesMax));
    return bytes.length > bytesMax ? failed('too-large') : { kind: 'ok', bytes };
  } catch (error) {
    return failed(error instanceof RangeError ? 'too-large' : 'corrupt');
  }
}

function concatenated(parts: readonly Uint8Array[]): Uint8Array {
  const [first] = parts;
  if (parts.length === 1 && first !== undefined) return first;
  const all = new Uint8Array(parts.reduce((total, part) => total + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
