import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ProducerGrant } from '../../src/broker/requests.ts';
import { isSecretOf, newProducerKey, secretOf } from '../../src/broker/producer-secret.ts';
import { catalogGroup, toProducerEpoch, toProducerId } from '../../src/model/ids.ts';
import { SeededRandom } from '../fakes/seeded-random.ts';
import { BrokerFixture, code, isPending, settle, value } from './broker-fixture.ts';

const grant = async (fixture: BrokerFixture, previous: ProducerGrant | null = null): Promise<ProducerGrant> =>
  value(await fixture.broker.initProducer(previous, fixture.context()));

test('new identities are distinct, and most cost no entry in the catalog', async () => {
  const fixture = await BrokerFixture.started({ limits: { producerIdBlock: 10 } });
  const before = fixture.host.running(catalogGroup).proposals;
  const grants = await Promise.all(Array.from({ length: 25 }, () => grant(fixture)));
  assert.equal(new Set(grants.map((one) => one.producerId)).size, 25);
  assert.ok(grants.every((one) => one.producerEpoch === 0 && one.secret.length === 16));
  assert.equal(fixture.host.running(catalogGroup).proposals - before, 3);
});

test('identities are not given again after a restart, and keep their secrets', async () => {
  const fixture = await BrokerFixture.started();
  const first = await grant(fixture);
  const after = await fixture.restarted();
  const second = await grant(after);
  assert.ok(second.producerId > first.producerId);
  assert.equal((await grant(after, first)).producerEpoch, 1);
});

test('a shown identity gets the next epoch, once each, and never the same twice', async () => {
  const fixture = await BrokerFixture.started();
  const first = await grant(fixture);
  const second = await grant(fixture, first);
  assert.deepEqual([second.producerId, second.producerEpoch], [first.producerId, 1]);
  const lostReply = await grant(fixture, first);
  assert.deepEqual([lostReply.producerId, lostReply.producerEpoch], [first.producerId, 2]);
  assert.notDeepEqual(lostReply.secret, second.secret);
  assert.equal(code(await fixture.broker.initProducer(first, fixture.context())), 'INVALID_PRODUCER_EPOCH');
  const after = await fixture.restarted();
  assert.equal((await grant(after, second)).producerEpoch, 3);
  assert.equal(code(await after.broker.initProducer(first, after.context())), 'INVALID_PRODUCER_EPOCH');
});

test('an identity without its secret, or with that of another epoch or producer, is refused', async () => {
  const fixture = await BrokerFixture.started();
  const [one, other] = [await grant(fixture), await grant(fixture)];
  const raised = await grant(fixture, one);
  const forged = [
    { ...one, secret: new Uint8Array(16) },
    { ...one, secret: new Uint8Array() },
    { ...one, secret: other.secret },
    { ...raised, secret: one.secret },
    { ...one, producerId: toProducerId(1_000_000) },
  ];
  for (const identity of forged) {
    assert.equal(code(await fixture.broker.initProducer(identity, fixture.context())), 'INVALID_PRODUCER_SECRET');
  }
});

test('an epoch that can not be raised any more goes on under a new id', async () => {
  const fixture = await BrokerFixture.started();
  const first = await grant(fixture);
  const catalog = fixture.disk.groups.get(catalogGroup)!;
  const head = [...catalog.state.values()].find((pair) => Buffer.from(pair.key).toString() === 'head')!;
  const fields = JSON.parse(Buffer.from(head.value.subarray(1)).toString()) as { readonly producerKey: string };
  const last = toProducerEpoch(32_767);
  const key = new TextEncoder().encode(`epoch/${first.producerId}`);
  const stored = Buffer.concat([Buffer.from([1]), Buffer.from(`{"id":${first.producerId},"epoch":${last}}`)]);
  catalog.state.set('epoch', { key, value: stored });
  const after = await fixture.restarted();
  const shown = { ...first, producerEpoch: last, secret: secretOf(fields.producerKey, first.producerId, last) };
  const next = await grant(after, shown);
  assert.equal(next.producerEpoch, 0);
  assert.notEqual(next.producerId, first.producerId);
});

test('a caller that can not wait for a block does not spoil it for those who can', async () => {
  const fixture = await BrokerFixture.started();
  const catalog = fixture.host.running(catalogGroup);
  catalog.hold();
  const hasty = fixture.broker.initProducer(null, fixture.context(100));
  const patient = fixture.broker.initProducer(null, fixture.context(10_000));
  assert.equal(await isPending(hasty), true);
  fixture.clock.advance(100);
  assert.equal(code(await hasty), 'REQUEST_TIMED_OUT');
  catalog.release();
  assert.equal(value(await patient).producerEpoch, 0);
});

test('without the catalog there are no identities', async () => {
  const fixture = await BrokerFixture.started();
  fixture.host.running(catalogGroup).loseLeadership();
  assert.equal(code(await fixture.broker.initProducer(null, fixture.context())), 'LEADER_NOT_AVAILABLE');
  await settle();
});

test('secrets differ by cluster, producer and epoch', () => {
  const keys = [1, 2].map((seed) => newProducerKey(new SeededRandom(seed)));
  const secrets = keys.flatMap((key) =>
    [1, 2].flatMap((id) => [0, 1].map((epoch) => secretOf(key, toProducerId(id), toProducerEpoch(epoch)))),
  );
  assert.equal(new Set(secrets.map((secret) => Buffer.from(secret).toString('hex'))).size, 8);
  const [key] = keys;
  assert.ok(isSecretOf(secrets[0]!, key!, toProducerId(1), toProducerEpoch(0)));
  assert.ok(!isSecretOf(secrets[0]!.subarray(0, 15), key!, toProducerId(1), toProducerEpoch(0)));
});
