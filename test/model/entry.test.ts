import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ChainSeed, Entry } from '../../src/model/entry.ts';
import { chainAfter, chainGenesis, entryEndOffset, entryKindNumbers } from '../../src/model/entry.ts';
import { toGroupNumber, toLogIndex, toMillis, toOffset, toTerm } from '../../src/model/ids.ts';
import { crc32c } from '../../src/runtime/crc32c.ts';

const seed: ChainSeed = { clusterId: 'd8a1f9a2-5a25-4a5e-9d2c-0d8f0e3a1b2c', group: toGroupNumber(7) };
const genesis = chainGenesis(seed, crc32c);
const entry: Omit<Entry, 'payload' | 'chain'> = {
  kind: 'batch',
  term: toTerm(3),
  index: toLogIndex(2 ** 40 + 1),
  baseOffset: toOffset(2 ** 33),
  count: 5,
  appendTimeMs: toMillis(1_700_000_000_000),
  payloadCrc: 0xdeadbeef,
  maxTimestampMs: toMillis(1_699_999_999_999),
};

test('an entry ends where the next one begins', () => {
  assert.equal(entryEndOffset({ ...entry, payload: new Uint8Array(0), chain: 0 }), 2 ** 33 + 5);
});

test('the stored numbers of kinds never change', () => {
  assert.deepEqual(entryKindNumbers, {
    'no-op': 1,
    configuration: 2,
    batch: 3,
    'log-start': 4,
    fence: 5,
    command: 6,
  });
});

test('the stored chain values never change', () => {
  assert.equal(genesis, 0x16eec892);
  assert.equal(chainAfter(genesis, entry, crc32c), 0xa63fd731);
});

test('entry-3: cluster and group change the chain from its beginning', () => {
  const others = [
    { ...seed, group: toGroupNumber(8) },
    { ...seed, group: toGroupNumber(7 + 2 ** 32) },
    { ...seed, clusterId: seed.clusterId.replace('d8', 'd9') },
  ];
  for (const other of others) assert.notEqual(chainGenesis(other, crc32c), genesis);
});

test('entry-3: every field changes the chain, and so does the predecessor', () => {
  const chain = chainAfter(genesis, entry, crc32c);
  const changes: readonly Partial<typeof entry>[] = [
    { kind: 'command' },
    { term: toTerm(4) },
    { term: toTerm(3 + 2 ** 32) },
    { index: toLogIndex(2 ** 40 + 2) },
    { index: toLogIndex(2 ** 41 + 1) },
    { baseOffset: toOffset(2 ** 33 + 1) },
    { baseOffset: toOffset(2 ** 34) },
    { count: 4 },
    { appendTimeMs: toMillis(1_700_000_000_001) },
    { payloadCrc: 0xdeadbeee },
    { maxTimestampMs: toMillis(1_699_999_999_998) },
    { maxTimestampMs: null },
  ];
  const chains = changes.map((change) => chainAfter(genesis, { ...entry, ...change }, crc32c));
  assert.equal(new Set([chain, ...chains]).size, changes.length + 1);
  assert.notEqual(chainAfter(genesis ^ 1, entry, crc32c), chain);
});

test('entry-3: no timestamp differs from a timestamp of 0', () => {
  const at = (maxTimestampMs: Entry['maxTimestampMs']): number =>
    chainAfter(genesis, { ...entry, maxTimestampMs }, crc32c);
  assert.notEqual(at(null), at(toMillis(0)));
});
