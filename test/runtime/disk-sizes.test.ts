import assert from 'node:assert/strict';
import { test } from 'node:test';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { diskSizes } from '../../src/runtime/disk-sizes.ts';

const storage = {
  dataDir: tmpdir(),
  mayFound: true,
  softReserveBytes: null,
  hardReserveBytes: null,
  ballastBytes: null,
};

test('sizes that are not set are those of the disk', async () => {
  const { reserves, writeBufferBytes } = await diskSizes(storage);
  assert.equal(reserves.softBytes, 2 * reserves.hardBytes);
  assert.ok(writeBufferBytes >= 2 ** 20);
});

test('sizes that are set hold, and the hard reserve never passes the soft one', async () => {
  const soft = await diskSizes({ ...storage, softReserveBytes: 1_000 });
  assert.deepEqual([soft.reserves.softBytes, soft.reserves.hardBytes], [1_000, 1_000]);
  const hard = await diskSizes({ ...storage, hardReserveBytes: 2 ** 40, ballastBytes: 5 });
  assert.deepEqual(hard.reserves, { softBytes: 2 ** 40, hardBytes: 2 ** 40, ballastBytes: 5 });
});

test('a directory that is not there yet counts as part of the disk above it, and is not made', async () => {
  const dataDir = join(mkdtempSync(join(tmpdir(), 'sluice-sizes-')), 'not', 'there');
  assert.deepEqual(await diskSizes({ ...storage, dataDir }), await diskSizes(storage));
  assert.equal(existsSync(dirname(dataDir)), false);
  rmSync(dirname(dirname(dataDir)), { recursive: true });
});

test('a directory that can not be made is left for whoever opens it to report', async () => {
  const { reserves } = await diskSizes({ ...storage, dataDir: '/dev/null/below' });
  assert.equal(reserves.hardBytes, 256 * 2 ** 20);
});
