import assert from 'node:assert/strict';
import { test } from 'node:test';
import { randomUuid } from '../../src/model/random.ts';
import { SeededRandom } from '../fakes/seeded-random.ts';

test('a UUID is one of version 4, and one seed gives the same one', () => {
  const uuids = Array.from({ length: 100 }, (_, seed) => randomUuid(new SeededRandom(seed)));
  for (const uuid of uuids) assert.match(uuid, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  assert.equal(new Set(uuids).size, 100);
  assert.equal(randomUuid(new SeededRandom(5)), uuids[5]);
});
