import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crc32cSuite } from '../../../test/conformance/crc32c-suite.ts';
import { createCompression } from '../src/compression.ts';
import { crc32c } from '../src/crc32c.ts';

crc32cSuite('the client’s CRC-32C', crc32c);

test('it works on after compression made the memory that they share grow', async () => {
  const compression = await createCompression();
  compression.compress('lz4', new Uint8Array(24 << 20).fill(1));
  assert.equal(crc32c(new Uint8Array(0)), 0);
  assert.equal(crc32c(Buffer.from('123456789')), 0xe3069283);
});
