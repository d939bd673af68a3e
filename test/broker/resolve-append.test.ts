import assert from 'node:assert/strict';
import { test } from 'node:test';
import { provableMsMax } from '../../src/broker/producer-table.ts';
import type { AppendReceipt, ProducerGrant, ResolveAnswer } from '../../src/broker/requests.ts';
import type { Result } from '../../src/model/errors.ts';
import { toOffset, toProducerEpoch } from '../../src/model/ids.ts';
import { idempotent, identity } from './batches.ts';
import { BrokerFixture, code, isPending, value } from './broker-fixture.ts';
import { Cluster } from './cluster-fixture.ts';

/** A producer that was granted, and its batches. */
class Asker {
  readonly fixture: BrokerFixture;
  readonly grant: ProducerGrant;

  constructor(fixture: BrokerFixture, grant: ProducerGrant) {
    this.fixture = fixture;
    this.grant = grant;
  }

  static async of(fixture: BrokerFixture): Promise<Asker> {
    await fixture.topic('orders');
    return new Asker(fixture, value(await fixture.broker.initProducer(null, fixture.context())));
  }

  over(fixture: BrokerFixture): Asker {
    return new Asker(fixture, this.grant);
  }

  send(sequence: number, count = 1, epoch = 0): ReturnType<BrokerFixture['append']> {
    return this.fixture.append('orders', idempotent(this.grant.producerId, epoch, sequence, count));
  }

  ask(
    sequence: number,
    count = 1,
    { secret = this.grant.secret, ageMs = 0, epoch = 0 } = {},
  ): Promise<Result<ResolveAnswer>> {
    const producer = identity(this.grant.producerId, epoch, sequence);
    const request = { topic: 'orders', topicId: null, partition: 0, producer, secret, count, ageMs };
    return this.fixture.broker.resolveAppend(request, this.fixture.context());
  }
}

const outcome = async (answer: Promise<Result<ResolveAnswer>>): Promise<string> => value(await answer).outcome;

test('design D14: a batch that is in the log is committed, with offset and time, and nothing is closed', async () => {
  const asker = await Asker.of(await BrokerFixture.started());
  const receipt = value(await asker.send(0, 3));
  const answer = value(await asker.ask(0, 3));
  assert.deepEqual(
    [answer.outcome, answer.baseOffset, answer.appendTimeMs, answer.leaderEpoch, answer.topicId],
    ['committed', receipt.baseOffset, receipt.appendTimeMs, receipt.leaderEpoch, receipt.topicId],
  );
  assert.equal(value(await asker.send(3)).baseOffset, 3);
});

test('design D14: a batch older than the window is committed, without an offset', async () => {
  const asker = await Asker.of(await BrokerFixture.started());
  for (let sequence = 0; sequence < 6; sequence++) value(await asker.send(sequence));
  const answer = value(await asker.ask(0));
  assert.deepEqual([answer.outcome, answer.baseOffset, answer.appendTimeMs], ['committed', null, null]);
});

test('design D14: of a batch in flight the answer waits for its outcome, and takes no place in the log', async () => {
  const asker = await Asker.of(await BrokerFixture.started());
  const group = asker.fixture.group();
  group.hold();
  const sent = asker.send(0);
  const asked = asker.ask(0);
  assert.equal(await isPending(asked), true);
  assert.equal(group.proposals, 1);
  group.release();
  assert.equal(await outcome(asked), 'committed');
  value(await sent);
});

test('design D14: a batch that never came never will: its epoch is closed first, and the next one goes on', async () => {
  const asker = await Asker.of(await BrokerFixture.started());
  value(await asker.send(0));
  const group = asker.fixture.group();
  group.hold();
  const asked = asker.ask(1, 2);
  assert.equal(await isPending(asked), true, 'partition-6: not before the fence is committed');
  // what was on its way all the time arrives between question and answer
  assert.equal(code(await asker.send(1, 2)), 'INVALID_PRODUCER_EPOCH');
  group.release();
  assert.equal(await outcome(asked), 'never');
  assert.equal(code(await asker.send(1, 2)), 'INVALID_PRODUCER_EPOCH');
  assert.equal(value(await asker.send(0)).duplicate, true, 'what is in the log stays known');
  const next = value(await asker.send(0, 2, 1));
  assert.deepEqual([next.baseOffset, next.duplicate], [1, false], 'a fence takes no offset');
  assert.equal((await asker.fixture.fetch('orders', 0)).highWatermark, 3);
});

test('design D14: asked again the answer is the same, and costs no second entry', async () => {
  const asker = await Asker.of(await BrokerFixture.started());
  const group = asker.fixture.group();
  group.hold();
  const both = [asker.ask(0), asker.ask(0)];
  assert.equal(await isPending(Promise.race(both)), true, 'who asks second waits for the same fence');
  group.release();
  assert.deepEqual(await Promise.all(both.map(outcome)), ['never', 'never']);
  assert.equal(await outcome(asker.ask(0)), 'never');
  assert.equal(group.proposals, 1);
});

test('design D14: a fence holds over a change of leader, a restart and a checkpoint', async () => {
  const asker = await Asker.of(await BrokerFixture.started());
  value(await asker.send(0));
  assert.equal(await outcome(asker.ask(1)), 'never');
  const group = asker.fixture.group();
  group.loseLeadership();
  group.elect();
  assert.equal(code(await asker.send(1)), 'INVALID_PRODUCER_EPOCH');
  const replayed = asker.over(await asker.fixture.restarted());
  assert.equal(code(await replayed.send(1)), 'INVALID_PRODUCER_EPOCH');
  replayed.fixture.group().saveCheckpoint();
  replayed.fixture.group().moveLogStart(toOffset(1));
  const restored = asker.over(await replayed.fixture.restarted());
  assert.equal(code(await restored.send(1)), 'INVALID_PRODUCER_EPOCH');
  assert.equal(await outcome(restored.ask(1)), 'never');
  assert.equal(await outcome(restored.ask(0)), 'committed');
  assert.equal(value(await restored.send(0, 1, 1)).duplicate, false);
});

test('pit-P30: a fence that is lost with its leader leaves the question open, and the batch may still come', async () => {
  const asker = await Asker.of(await BrokerFixture.started());
  const group = asker.fixture.group();
  group.hold();
  const asked = asker.ask(0);
  group.loseLeadership(0);
  assert.equal(code(await asked), 'LEADERSHIP_LOST');
  group.elect();
  group.release();
  const retried = value(await asker.send(0));
  assert.equal(retried.duplicate, false);
  assert.equal(await outcome(asker.ask(0)), 'committed');
});

test('a batch of a producer that may have been forgotten is not said to be absent', async () => {
  const asker = await Asker.of(await BrokerFixture.started());
  assert.equal(await outcome(asker.ask(0, 1, { ageMs: provableMsMax })), 'expired');
  assert.equal(await outcome(asker.ask(0, 1, { ageMs: provableMsMax - 1 })), 'never');
});

test('a batch of an epoch that another one followed is not known any more', async () => {
  const asker = await Asker.of(await BrokerFixture.started());
  value(await asker.send(0));
  value(await asker.send(0, 1, 1));
  assert.equal(await outcome(asker.ask(0)), 'expired');
});

test('who does not have the secret closes nobody’s epoch', async () => {
  const asker = await Asker.of(await BrokerFixture.started());
  const forged = [new Uint8Array(16), asker.grant.secret.subarray(1)];
  for (const secret of forged) assert.equal(code(await asker.ask(0, 1, { secret })), 'INVALID_PRODUCER_SECRET');
  const other = toProducerEpoch(1);
  assert.equal(code(await asker.ask(0, 1, { epoch: other })), 'INVALID_PRODUCER_SECRET');
  assert.equal(value(await asker.send(0)).duplicate, false);
});

test('a full table takes no fence of somebody new', async () => {
  const asker = await Asker.of(await BrokerFixture.started({ limits: { producersPerPartitionMax: 1 } }));
  value(await asker.fixture.append('orders', idempotent(asker.grant.producerId + 1, 0, 0)));
  const refused = await asker.ask(0);
  assert.deepEqual(
    [code(refused), refused.kind === 'refused' && refused.error.retryAfterMs !== undefined],
    ['LIMIT_REACHED', true],
  );
});

test('promise-honest: whoever leads next tells the same, and what the dead leader was sent does not come back', async () => {
  const cluster = await Cluster.started(3);
  await cluster.topic('orders', 1, 3);
  await cluster.append('orders', 'so that somebody leads');
  const [place] = await cluster.describe(0, 'orders');
  const old = place!.leader!;
  const granted = value(await cluster.answer(cluster.member(old).broker.initProducer(null, cluster.context())));
  const { producerId, secret } = granted;
  const send = (id: number, sequence: number): Promise<Result<AppendReceipt>> =>
    cluster.answer(
      cluster
        .member(id)
        .broker.append(
          { topic: 'orders', topicId: null, partition: 0, acks: 'all', batch: idempotent(producerId, 0, sequence) },
          cluster.context(),
        ),
    );
  value(await send(old, 0));
  await cluster.crash(old);
  const ask = async (sequence: number): Promise<{ readonly at: number; readonly outcome: string }> => {
    const request = { topic: 'orders', topicId: null, partition: 0, secret, count: 1, ageMs: 0 };
    const producer = identity(producerId, 0, sequence);
    for (let attempt = 0; attempt < 200; attempt++) {
      for (const [at, { broker }] of [...cluster.members]) {
        const answer = await cluster.answer(broker.resolveAppend({ ...request, producer }, cluster.context()));
        if (answer.kind === 'ok') return { at, outcome: answer.value.outcome };
      }
      await cluster.pass(100);
    }
    assert.fail('nobody tells');
  };
  assert.equal((await ask(0)).outcome, 'committed');
  const { at, outcome: second } = await ask(1);
  assert.equal(second, 'never');
  await cluster.start(old);
  await cluster.pass(3_000);
  assert.equal(code(await send(at, 1)), 'INVALID_PRODUCER_EPOCH');
  for (const id of [0, 1, 2]) assert.equal(await cluster.visible(id, 'orders'), 2, `broker ${id}`);
  assert.deepEqual(cluster.faults, []);
});
