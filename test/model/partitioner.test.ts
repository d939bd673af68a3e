import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { murmur2 } from '../../src/model/murmur2.ts';
import { partitionForKey, StickyPartitioner } from '../../src/model/partitioner.ts';
import { SeededRandom } from '../fakes/seeded-random.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const vectors = JSON.parse(readFileSync(new URL('vectors/murmur2.json', import.meta.url), 'utf8')) as {
  readonly key: string;
  readonly hash: number;
}[];

test('murmur2 has the values of an independent implementation', () => {
  assert.ok(vectors.length > 10);
  for (const { key, hash } of vectors) assert.equal(murmur2(bytes(key)), hash, key);
});

test('murmur2 has the values that Kafka’s own tests expect', () => {
  const known = {
    '21': -973_932_308,
    foobar: -790_332_482,
    'a-little-bit-long-string': -985_981_536,
    abc: 479_470_107,
  };
  for (const [key, hash] of Object.entries(known)) assert.equal(murmur2(bytes(key)), hash, key);
});

test('a key goes to its positive hash, modulo the number of partitions', () => {
  assert.equal(partitionForKey(bytes('foobar'), 1_000), ((-790_332_482 >>> 0) - 2 ** 31) % 1_000);
  assert.equal(partitionForKey(bytes('abc'), 7), 479_470_107 % 7);
  assert.equal(partitionForKey(bytes('abc'), 1), 0);
  assert.throws(() => partitionForKey(bytes('abc'), 0), /partitioner-1/);
});

test('keys spread evenly', () => {
  const hits = new Array<number>(8).fill(0);
  for (let i = 0; i < 8_000; i++) hits[partitionForKey(bytes(`user-${i}`), 8)]!++;
  assert.ok(Math.min(...hits) > 850 && Math.max(...hits) < 1_150, hits.join(' '));
});

test('without a key the partition stays until its batch is closed, then is another one', () => {
  const sticky = new StickyPartitioner(new SeededRandom(1));
  const hits = new Array<number>(5).fill(0);
  let last = sticky.partition(5);
  for (let i = 0; i < 5_000; i++) {
    assert.equal(sticky.partition(5), last);
    sticky.batchClosed(last, 5);
    assert.notEqual(sticky.partition(5), last);
    last = sticky.partition(5);
    hits[last]!++;
  }
  assert.ok(Math.min(...hits) > 850 && Math.max(...hits) < 1_150, hits.join(' '));
});

test('a batch closed for another partition moves nothing; one partition is all there is', () => {
  const sticky = new StickyPartitioner(new SeededRandom(2));
  const current = sticky.partition(3);
  sticky.batchClosed((current + 1) % 3, 3);
  assert.equal(sticky.partition(3), current);
  sticky.batchClosed(current, 1);
  assert.equal(sticky.partition(1), 0);
  assert.throws(() => sticky.partition(0), /partitioner-1/);
});
