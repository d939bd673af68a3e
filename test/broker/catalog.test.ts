/** What a broker does when its catalog can not be trusted any more, and what may not be proposed to others yet. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { catalogGroup, millisPlus, toMillis, toProducerId } from '../../src/model/ids.ts';
import type { CatalogCommand } from '../../src/broker/catalog-commands.ts';
import { Catalog, founderReplica } from '../../src/broker/catalog.ts';
import { commandFormats, formatVersionMax } from '../../src/broker/format-version.ts';
import { defaultBrokerLimits } from '../../src/broker/limits.ts';
import { ok } from '../../src/model/errors.ts';
import { BrokerFixture, code } from './broker-fixture.ts';

test('a broken catalog of a sound disk ends the process, and says what to do', async () => {
  const fixture = await BrokerFixture.started();
  fixture.host.running(catalogGroup).setApart('raft-9: a term went back');
  const [fault, ...more] = fixture.faults;
  assert.match(String(fault), /can not be trusted: raft-9: a term went back; restore the data directory from a copy/);
  assert.deepEqual(more, []);
});

test('pit-P87: a broker whose disk as a whole is set apart stays, and refuses', async () => {
  const fixture = await BrokerFixture.started();
  fixture.host.apart = 'broker 2 refuses this one as old-boot';
  fixture.host.running(catalogGroup).setApart(fixture.host.apart);
  assert.deepEqual(fixture.faults, []);
  const wish = { name: 'orders', partitions: 1, replicationFactor: null };
  assert.equal(code(await fixture.broker.createTopic(wish, fixture.context())), 'QUARANTINED');
});

test('pit-P87: one that is set apart while it starts does not come up, and says that it is to be replaced', async () => {
  const fixture = new BrokerFixture();
  const starting = fixture.broker.start();
  fixture.host.apart = 'broker 2 refuses this one as old-boot';
  while (!fixture.host.groups.has(catalogGroup)) await Promise.resolve();
  fixture.host.running(catalogGroup).setApart(fixture.host.apart);
  await assert.rejects(starting, /can not be trusted: broker 2 refuses .*; have the broker replaced/);
  assert.deepEqual(fixture.faults, []);
});

test('promise-D7 pit-P124: a command of a newer format is not proposed before the upgrade is finalized, and is after it', async () => {
  const { host, clock } = new BrokerFixture();
  const onFault = (error: unknown): never => assert.fail(String(error));
  // the software of a version to come, in a cluster that was founded in format 1
  const formats = { ...commandFormats, 'reserve-producer-ids': 2 };
  const catalog = new Catalog({ host, clock, limits: defaultBrokerLimits, onFault, formats });
  await catalog.start({ replicaId: founderReplica, voters: [founderReplica] });
  while (catalog.unavailable !== null) await catalog.whenChanged();
  const execute = (command: CatalogCommand): ReturnType<Catalog['execute']> =>
    catalog.execute(() => ok(command), millisPlus(clock.monotonicMs(), 1_000));
  const own = { clusterId: 'cluster', createdAtMs: toMillis(1), producerKey: '00', founders: [] };
  assert.equal((await execute({ kind: 'found', activeVersion: 1, ...own })).kind, 'ok');
  const reservation = { kind: 'reserve-producer-ids', from: toProducerId(1), count: 10 } as const;
  const before = catalog.appliedIndex;
  const refused = await execute(reservation);
  assert.equal(code(refused), 'UNSUPPORTED_VERSION');
  assert.ok(refused.kind === 'refused');
  assert.match(refused.error.message, /takes format 2 and the cluster uses format 1: .* finalize-upgrade/);
  assert.deepEqual(refused.error.fields, { command: 'reserve-producer-ids', needed: '2', active: '1' });
  assert.equal(catalog.appliedIndex, before, 'an older broker has nothing to halt at');
  assert.equal((await execute({ kind: 'raise-active-version', activeVersion: 2 })).kind, 'ok');
  assert.equal((await execute(reservation)).kind, 'ok');
});

test('promise-D7: this version proposes nothing that it could not read, and finalizing is always possible', () => {
  assert.equal(Math.max(...Object.values(commandFormats)), formatVersionMax);
  assert.equal(commandFormats['raise-active-version'], 1);
});
