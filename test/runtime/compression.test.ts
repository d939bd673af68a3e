import assert from 'node:assert/strict';
import fc from 'fast-check';
import { compressFrameSync as nativeLz4 } from 'lz4-napi';
import { test } from 'node:test';
import { compressSync as nativeSnappy } from 'snappy';
import * as nodeZlib from 'node:zlib';
import { gunzipSync, gzipSync } from 'node:zlib';
import type { Compression, CompressionType, Decompressed } from '../../src/model/compression.ts';
import { compressionTypes } from '../../src/model/compression.ts';
import { xxh32 } from '../../src/model/xxh32.ts';
import { createCompression } from '../../src/runtime/compression.ts';
import { nativeDecompress } from '../model/independent-decompress.ts';

const variants: readonly (readonly [string, Compression])[] = [
  // Where node:zlib has no zstd (before Node 22.15) both are the same.
  ['zstdCompressSync' in nodeZlib ? 'zstd by zlib' : 'zstd by WASM', await createCompression()],
  ['zstd by WASM alone', await createCompression({ gzipSync, gunzipSync })],
];
const compression = variants[0]![1];
const compressed = compressionTypes.filter((type) => type !== 'none');
const bytesMax = 1 << 20;

const text = new TextEncoder().encode(
  Array.from({ length: 3_000 }, (_, i) => `{"id":${i},"origin":"SEA","delay":${(i * 7_919) % 400}}`).join('\n'),
);
const noise = Uint8Array.from({ length: 100_000 }, (_, at) => (Math.imul(at + 1, 2_654_435_761) >>> 13) & 0xff);
const periodic = Uint8Array.from({ length: 10_000 }, (_, at) => (at % 7) * 11);
const samples = [new Uint8Array(0), Uint8Array.of(7), text, noise, periodic, new Uint8Array(300_000)];

const outcome = (answer: Decompressed): string => (answer.kind === 'ok' ? 'ok' : answer.why);
const decompress = (type: CompressionType, bytes: Uint8Array, limit = bytesMax): string =>
  outcome(compression.decompress(type, bytes, limit));
function assertDecompresses(type: CompressionType, bytes: Uint8Array, expected: Uint8Array, using = compression): void {
  const answer = using.decompress(type, bytes, bytesMax);
  assert.equal(outcome(answer), 'ok');
  assert.ok(answer.kind === 'ok' && Buffer.from(expected).equals(answer.bytes), type);
}

for (const [name, variant] of variants) {
  test(`${name}: what was compressed comes back, at the exact limit and not one byte below`, () => {
    for (const type of compressionTypes) {
      for (const sample of samples) {
        const bytes = variant.compress(type, sample);
        assertDecompresses(type, bytes, sample, variant);
        assert.equal(outcome(variant.decompress(type, bytes, sample.length)), 'ok', `${type} ${sample.length}`);
        if (sample.length === 0) continue;
        assert.equal(outcome(variant.decompress(type, bytes, sample.length - 1)), 'too-large', type);
      }
    }
  });

  test(`${name}: anything comes back`, () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 2_000, size: 'max' }), fc.constantFrom(...compressed), (bytes, type) => {
        assertDecompresses(type, variant.compress(type, bytes), bytes, variant);
      }),
    );
  });

  test(`${name}: bytes at random and damaged data are answered, never thrown, and stay below the limit`, () => {
    const damage = fc.tuple(fc.constantFrom(...compressed), fc.nat(), fc.nat(255));
    fc.assert(
      fc.property(damage, fc.uint8Array({ maxLength: 100 }), ([type, position, value], random) => {
        const damaged = Uint8Array.from(variant.compress(type, text.subarray(0, 5_000)));
        damaged[position % damaged.length] = value;
        for (const bytes of [random, damaged]) {
          const answer = variant.decompress(type, bytes, 20_000);
          assert.ok(answer.kind === 'failed' || answer.bytes.length <= 20_000);
        }
      }),
      { numRuns: 300 },
    );
  });

  test(`${name}: cut data are corrupt`, () => {
    for (const type of compressed) {
      const bytes = variant.compress(type, text);
      for (let length = 1; length < bytes.length; length += 97) {
        assert.equal(
          outcome(variant.decompress(type, bytes.subarray(0, length), bytesMax)),
          'corrupt',
          `${type} ${length}`,
        );
      }
    }
  });
}

test('independent decompressors read what we compress', () => {
  for (const type of compressed) {
    for (const sample of [Uint8Array.of(7), text, noise]) {
      assert.deepEqual(
        Buffer.from(nativeDecompress(type, compression.compress(type, sample))),
        Buffer.from(sample),
        type,
      );
    }
  }
});

test('snappy is read raw too, as some clients write it', () => {
  for (const sample of samples) assertDecompresses('snappy', nativeSnappy(Buffer.from(sample)), sample);
  assertDecompresses('snappy', Uint8Array.of(3, 0xf0, 2, 1, 2, 3), Uint8Array.of(1, 2, 3));
  assertDecompresses('snappy', Uint8Array.of(4, 0xf4, 3, 0, 1, 2, 3, 4), Uint8Array.of(1, 2, 3, 4));
  assertDecompresses('snappy', Uint8Array.of(6, 0, 9, 0x13, 1, 0, 0, 0), Uint8Array.of(9, 9, 9, 9, 9, 9));
});

test('snappy that lies is corrupt', () => {
  const lies = {
    nothing: [],
    'a length without end': [0xff, 0xff, 0xff, 0xff, 0xff, 1],
    'longer than its elements': [4, 8, 1, 2, 3],
    'shorter than its elements': [2, 8, 1, 2, 3],
    'longer than any elements of that size': [0xff, 0xff, 0x3f, 0, 1],
    'a copy from before the beginning': [6, 0, 9, 0x05, 2],
    'a copy from nowhere': [6, 0, 9, 0x05, 0],
    'a copy past the end': [5, 0, 9, 0x05, 1],
    'a literal past the end': [9, 0x20, 1, 2, 3],
  };
  for (const [why, bytes] of Object.entries(lies)) {
    assert.equal(decompress('snappy', Uint8Array.from(bytes)), 'corrupt', why);
  }
});

test('xerial frames with a block past the end, an empty block or a later version are corrupt', () => {
  const framed = Buffer.from(compression.compress('snappy', Uint8Array.of(1, 2, 3)));
  for (const [at, value] of [
    [19, 200],
    [19, 0],
    [16, 0x80],
    [15, 2],
  ] as const) {
    const bytes = Buffer.from(framed);
    bytes[at] = value;
    assert.equal(decompress('snappy', bytes), 'corrupt', `byte ${at}`);
  }
  assert.equal(decompress('snappy', framed.subarray(0, 18)), 'corrupt');
});

test('lz4 with checksums is read, and one that is wrong is found', () => {
  const frame = nativeLz4(Buffer.from(text), { contentChecksum: true, blockChecksums: true });
  assertDecompresses('lz4', frame, text);
  const header = Buffer.from(frame);
  header[6]! ^= 1;
  assert.equal(decompress('lz4', header), 'corrupt', 'of the header');
  const content = Buffer.from(frame);
  content[content.length - 1]! ^= 1;
  assert.equal(decompress('lz4', content), 'corrupt', 'of the content');
  const block = Buffer.from(frame);
  block[11 + block.readUInt32LE(7)]! ^= 1;
  assert.equal(decompress('lz4', block), 'corrupt', 'of a block');
});

test('lz4 frames follow each other, skippable ones are passed over', () => {
  const skippable = Buffer.from([0x5f, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3]);
  const one = compression.compress('lz4', text);
  assertDecompresses('lz4', Buffer.concat([skippable, one, skippable, one]), Buffer.concat([text, text]));
  assert.equal(decompress('lz4', skippable.subarray(0, 9)), 'corrupt');
});

test('lz4 blocks may refer to earlier ones only where the frame says so', () => {
  const stored = [4, 0, 0, 0x80, 1, 2, 3, 4];
  const backFour = [6, 0, 0, 0, 0x01, 4, 0, 0x10, 9, 0];
  const linked = lz4Frame(0x40, [...stored, ...backFour.slice(0, 4), 0x01, 4, 0, 0x20, 8, 9]);
  assertDecompresses('lz4', linked, Uint8Array.of(1, 2, 3, 4, 1, 2, 3, 4, 1, 8, 9));
  const independent = lz4Frame(0x60, [...stored, ...backFour.slice(0, 4), 0x01, 4, 0, 0x20, 8, 9]);
  assert.equal(decompress('lz4', independent), 'corrupt');
});

test('lz4 blocks that lie are corrupt', () => {
  const lies = {
    'a match from nowhere': [0x10, 9, 0, 0, 0x10, 9],
    'a match from before the beginning': [0x10, 9, 2, 0, 0x10, 9],
    'literals past the end of the block': [0x50, 1, 2, 3],
    'a length without end': [0xf0, 255, 255],
    'a match length without end': [0x1f, 9, 1, 0, 255],
    'a match without a distance': [0x10, 9, 1],
    'no literals behind the last match': [0x10, 9, 1, 0],
  };
  for (const [why, block] of Object.entries(lies)) {
    const frame = lz4Frame(0x60, [block.length, 0, 0, 0, ...block]);
    assert.equal(decompress('lz4', frame), 'corrupt', why);
    // Not "too large": what is corrupt says nothing about its size.
    assert.equal(decompress('lz4', frame, 3), why.startsWith('no literals') ? 'too-large' : 'corrupt', why);
  }
});

test('lz4 that declares its size is held to it; dictionaries and unknown versions are not supported', () => {
  const size = (count: number): number[] => [count, 0, 0, 0, 0, 0, 0, 0];
  const block = [3, 0, 0, 0x80, 1, 2, 3];
  assertDecompresses('lz4', lz4Frame(0x68, block, size(3)), Uint8Array.of(1, 2, 3));
  assert.equal(decompress('lz4', lz4Frame(0x68, block, size(4))), 'corrupt');
  assert.equal(decompress('lz4', lz4Frame(0x61, block, [1, 2, 3, 4])), 'unsupported');
  assert.equal(decompress('lz4', lz4Frame(0xa0, block)), 'unsupported');
  assert.equal(decompress('lz4', lz4Frame(0x62, block)), 'corrupt', 'a reserved bit');
});

test('an lz4 block above the largest that its frame allows is corrupt', () => {
  const zeros = [0x1f, 0, 1, 0, ...new Array<number>(300).fill(255), 0, 0x10, 0];
  const block = [zeros.length & 255, zeros.length >> 8, 0, 0, ...zeros];
  assert.equal(decompress('lz4', lz4Frame(0x60, block)), 'corrupt');
});

test('zstd of unknown size, in several frames, with skippable ones, is read within the limit', () => {
  const unknown = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0, 0, 0x29, 0, 0, 1, 2, 3, 4, 5]);
  const skippable = Buffer.from([0x50, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, 9]);
  const known = compression.compress('zstd', Uint8Array.of(6, 7));
  for (const [name, variant] of variants) {
    const all = Buffer.concat([unknown, skippable, known]);
    assertDecompresses('zstd', all, Uint8Array.of(1, 2, 3, 4, 5, 6, 7), variant);
    assert.equal(outcome(variant.decompress('zstd', all, 7)), 'ok', name);
    assert.equal(outcome(variant.decompress('zstd', all, 6)), 'too-large', name);
    assert.equal(outcome(variant.decompress('zstd', all, 4)), 'too-large', name);
  }
});

test('zstd with a checksum is read, and one that is wrong is found', () => {
  const frame = Buffer.from('28b52ffd2407390000636865636b6564143e3083', 'hex');
  for (const [, variant] of variants) {
    assertDecompresses('zstd', Buffer.concat([frame, frame]), Buffer.from('checkedchecked'), variant);
    const wrong = Buffer.from(frame);
    wrong[wrong.length - 1]! ^= 1;
    assert.equal(outcome(variant.decompress('zstd', wrong, bytesMax)), 'corrupt');
  }
});

test('zstd whose window is above the limit is refused unread; dictionaries are not supported', () => {
  const frame = (descriptor: number, ...rest: number[]): Buffer =>
    Buffer.from([0x28, 0xb5, 0x2f, 0xfd, descriptor, ...rest]);
  const block = [0x09, 0, 0, 1];
  assert.equal(decompress('zstd', frame(0, 13 << 3, ...block)), 'ok', '8 MiB, which every decoder must take');
  assert.equal(decompress('zstd', frame(0, (13 << 3) | 1, ...block)), 'too-large', '9 MiB');
  assert.equal(decompress('zstd', frame(0, 31 << 3, ...block)), 'too-large', '2 TiB');
  assert.equal(decompress('zstd', frame(1, 0, 5, ...block)), 'unsupported', 'dictionary 5');
  assert.equal(decompress('zstd', frame(8, 0, ...block)), 'corrupt', 'a reserved bit');
  assert.equal(decompress('zstd', frame(0, 0, 0x0f, 0, 0, 1)), 'corrupt', 'a reserved type of block');
  const declared = frame(0xe0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, ...block);
  assert.equal(decompress('zstd', declared), 'too-large', '2^63 bytes declared');
  assert.equal(decompress('zstd', Buffer.concat(new Array<Buffer>(17).fill(frame(0, 0, ...block)))), 'unsupported');
});

test('bombs of a thousandfold are stopped at the limit, in memory too', () => {
  const bomb = new Uint8Array(16 << 20);
  const bombs = compressed.map((type) => [type, compression.compress(type, bomb)] as const);
  const before = process.memoryUsage();
  for (const [type, bytes] of bombs) {
    const answer = compression.decompress(type, bytes, bytesMax);
    assert.equal(outcome(answer), 'too-large', type);
  }
  const after = process.memoryUsage();
  assert.ok(after.external + after.arrayBuffers - before.external - before.arrayBuffers < 8 << 20);
});

test('xxh32 has the values of its specification', () => {
  const of = (input: string): number => xxh32(new TextEncoder().encode(input));
  assert.equal(of(''), 0x02cc5d05);
  assert.equal(of('a'), 0x550d7456);
  assert.equal(of('abc'), 0x32d153ff);
  assert.equal(of('Nobody inspects the spammish repetition'), 0xe2293b2f);
});

function lz4Frame(flags: number, blocks: readonly number[], extra: readonly number[] = []): Uint8Array {
  const descriptor = [flags, 0x40, ...extra];
  const check = (xxh32(Uint8Array.from(descriptor)) >> 8) & 0xff;
  return Uint8Array.from([0x04, 0x22, 0x4d, 0x18, ...descriptor, check, ...blocks, 0, 0, 0, 0]);
}

test('zstd goes on while another client is made in the same process', async () => {
  const using = variants[1]![1];
  let making = true;
  const others = Promise.all(Array.from({ length: 5 }, () => createCompression({ gzipSync, gunzipSync })));
  void others.finally(() => (making = false));
  do {
    const answer = using.decompress('zstd', using.compress('zstd', text), bytesMax);
    assert.equal(outcome(answer), 'ok');
    assert.ok(answer.kind === 'ok' && Buffer.from(text).equals(answer.bytes));
    await new Promise((resolve) => setImmediate(resolve));
  } while (making);
  // what was begun by a second loading shows only once it is over
  for (let turn = 0; turn < 50; turn++) {
    await new Promise((resolve) => setTimeout(resolve, 2));
    assert.equal(outcome(using.decompress('zstd', using.compress('zstd', text), bytesMax)), 'ok');
  }
});
