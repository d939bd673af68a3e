import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RecentSyncs } from '../../src/metrics/recent-syncs.ts';

test('the newest sync that was over at a moment is found, whatever was synced since', () => {
  const syncs = new RecentSyncs();
  assert.equal(syncs.before(5), null);
  syncs.add(1, 0.1);
  syncs.add(2, 0.2);
  syncs.add(3, 0.3);
  assert.deepEqual([0.5, 1, 1.5, 2.5, 3, 9].map((moment) => syncs.before(moment)), [null, 0.1, 0.1, 0.2, 0.3, 0.3]); // prettier-ignore
});

test('what is too long ago is forgotten, and nothing else', () => {
  const syncs = new RecentSyncs();
  for (let n = 1; n <= 1_000; n++) syncs.add(n, n / 10);
  assert.equal(syncs.before(1_000), 100);
  assert.equal(syncs.before(1_000 - 255), (1_000 - 255) / 10);
  assert.equal(syncs.before(1_000 - 256), null);
});
