/** Decompressors that share nothing with ours, to read what ours wrote. */
import { compressors } from 'hyparquet-compressors';
import { uncompressSync as unsnappy } from 'snappy';
import { decompressFrameSync as unlz4 } from 'lz4-napi';
import { gunzipSync } from 'node:zlib';
import type { CompressionType } from '../../src/model/compression.ts';

const xerialHeaderBytes = 16;

/** @param lengthHint for zstd; how much to expect at most */
export function nativeDecompress(type: CompressionType, bytes: Uint8Array, lengthHint = 1 << 20): Uint8Array {
  const buffer = Buffer.from(bytes);
  switch (type) {
    case 'none':
      return bytes;
    case 'gzip':
      return gunzipSync(buffer);
    case 'snappy':
      return unXerial(buffer);
    case 'lz4':
      return unlz4(buffer);
    case 'zstd':
      return compressors.ZSTD!(bytes, lengthHint);
  }
}

function unXerial(buffer: Buffer): Uint8Array {
  const blocks: Uint8Array[] = [];
  let at = xerialHeaderBytes;
  while (at < buffer.length) {
    const length = buffer.readInt32BE(at);
    blocks.push(Buffer.from(unsnappy(buffer.subarray(at + 4, at + 4 + length))));
    at += 4 + length;
  }
  return Buffer.concat(blocks);
}
