/** What a broker may say of how new the catalog is that it sees. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Catalog } from '../../src/broker/catalog.ts';
import { CatalogLink } from '../../src/broker/catalog-link.ts';
import { defaultBrokerLimits } from '../../src/broker/limits.ts';
import { ReplicaDirectory } from '../../src/broker/replica-directory.ts';
import { ok, refuse } from '../../src/model/errors.ts';
import { toBrokerId, toLogIndex, toMillis } from '../../src/model/ids.ts';
import { ManualClock } from '../fakes/manual-clock.ts';

test('local-2: a broker that passed no barrier yet has not seen the newest catalog, however old it may be', async () => {
  const clock = new ManualClock();
  const catalog = {
    unavailable: refuse('LEADER_NOT_AVAILABLE', 'it does not lead the catalog'),
    role: null,
    readIndex: () => Promise.resolve(ok(toLogIndex(7))),
    whenApplied: () => Promise.resolve(true),
  } as unknown as Catalog;
  const identity = {
    ...{ clusterId: 'c', brokerId: toBrokerId(1), incarnation: 'disk-1', address: '', peerAddress: null, rack: null },
    version: '',
  };
  const link = new CatalogLink({
    ...{ identity, catalog, clock, limits: defaultBrokerLimits, rpc: null, directory: new ReplicaDirectory() },
    quiet: () => null,
    context: () => assert.fail('nothing is decided here'),
  });
  assert.equal(link.isCurrent(Infinity), false);
  assert.equal(link.isCurrent(1_000), false);
  assert.equal(await link.barrier(toMillis(10_000)), null);
  assert.deepEqual([link.isCurrent(Infinity), link.isCurrent(1_000)], [true, true]);
  clock.advance(2_000);
  assert.deepEqual([link.isCurrent(Infinity), link.isCurrent(1_000)], [true, false]);
});
