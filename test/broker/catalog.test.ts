/** What a broker does when its catalog can not be trusted any more. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { catalogGroup } from '../../src/model/ids.ts';
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
