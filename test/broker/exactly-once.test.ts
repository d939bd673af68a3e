/** Whatever happens to leaders, commits and processes: a client that retries ends up with each record once, in order. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { AppendReceipt } from '../../src/broker/requests.ts';
import { decodeBatch } from '../../src/model/batch-decoder.ts';
import { errorTraits } from '../../src/model/errors.ts';
import type { Result } from '../../src/model/errors.ts';
import { crc32c } from '../../src/runtime/crc32c.ts';
import { compression, idempotent } from './batches.ts';
import { BrokerFixture, settle, value } from './broker-fixture.ts';

type Event =
  | { readonly kind: 'send'; readonly count: number }
  | { readonly kind: 'retry' | 'hold' | 'release' | 'elect' | 'checkpoint' | 'restart' }
  /** Another leader takes over, with this many of the entries that were not committed. */
  | { readonly kind: 'lose'; readonly kept: number };

interface Sent {
  readonly sequence: number;
  readonly count: number;
  /** Null: not acknowledged yet. */
  receipt: AppendReceipt | null;
}

/** Overtaken by a batch whose predecessor is not in the log (yet): sending again in order heals it. */
const outOfTurn: readonly string[] = ['OUT_OF_ORDER_SEQUENCE_NUMBER', 'UNKNOWN_PRODUCER_ID'];

/** Sends batches, up to five unanswered, and sends again in order what was not acknowledged. */
class Client {
  readonly #batches: Sent[] = [];
  #sequence = 0;

  send(fixture: BrokerFixture, count: number): void {
    if (this.#unacknowledged().length >= 5) return;
    const batch: Sent = { sequence: this.#sequence, count, receipt: null };
    this.#sequence += count;
    this.#batches.push(batch);
    this.#attempt(fixture, batch);
  }

  retry(fixture: BrokerFixture): void {
    for (const batch of this.#unacknowledged()) this.#attempt(fixture, batch);
  }

  get done(): boolean {
    return this.#unacknowledged().length === 0;
  }

  get records(): number {
    return this.#sequence;
  }

  #unacknowledged(): Sent[] {
    return this.#batches.filter((batch) => batch.receipt === null);
  }

  #attempt(fixture: BrokerFixture, batch: Sent): void {
    const answer = fixture.append('orders', idempotent(7, 0, batch.sequence, batch.count), { waitMs: 1e9 });
    void answer.then((result) => {
      this.#learn(batch, result);
    });
  }

  /** What was told once must stay true. */
  #learn(batch: Sent, result: Result<AppendReceipt>): void {
    if (result.kind === 'refused') {
      const { code } = result.error;
      assert.ok(errorTraits[code].retriable || outOfTurn.includes(code), code);
      return;
    }
    const known = batch.receipt?.baseOffset ?? result.value.baseOffset;
    if (result.value.baseOffset !== null)
      assert.equal(result.value.baseOffset, known, 'pit-P99: the same offset again');
    batch.receipt ??= result.value;
  }
}

async function happen(fixture: BrokerFixture, client: Client, event: Event): Promise<BrokerFixture> {
  const group = fixture.group();
  switch (event.kind) {
    case 'send':
      client.send(fixture, event.count);
      break;
    case 'retry':
      client.retry(fixture);
      break;
    case 'hold':
      group.hold();
      break;
    case 'release':
      if (group.role.role === 'leader') group.release();
      break;
    case 'lose':
      if (group.role.role === 'leader') group.loseLeadership(event.kept);
      break;
    case 'elect':
      if (group.role.role !== 'leader') group.elect();
      break;
    case 'checkpoint':
      group.saveCheckpoint();
      break;
    case 'restart':
      return await fixture.restarted();
  }
  await settle(1);
  return fixture;
}

/** Lets everything heal, until every batch is acknowledged. */
async function heal(fixture: BrokerFixture, client: Client): Promise<void> {
  const group = fixture.group();
  if (group.role.role !== 'leader') group.elect();
  group.release();
  for (let round = 0; round < 3 && !client.done; round++) {
    await settle();
    client.retry(fixture);
    await settle();
  }
  assert.ok(client.done, 'every batch is acknowledged in the end');
}

async function everyRecord(fixture: BrokerFixture): Promise<string[]> {
  const { batches } = await fixture.fetch('orders', 0);
  return batches.flatMap((bytes) =>
    value(decodeBatch(bytes, { crc32c, compression })).records.map((one) => Buffer.from(one.value ?? []).toString()),
  );
}

test('promise-not-duplicated inv-B3 pit-P98: each record is in the log once and in order, whatever happened', async () => {
  const plain = fc.constantFrom('retry', 'hold', 'release', 'elect', 'checkpoint', 'restart').map((kind) => ({ kind }));
  const event: fc.Arbitrary<Event> = fc.oneof(
    { weight: 5, arbitrary: fc.record({ kind: fc.constant('send' as const), count: fc.integer({ min: 1, max: 3 }) }) },
    { weight: 5, arbitrary: plain },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('lose' as const), kept: fc.integer({ min: 0, max: 4 }) }) },
  );
  await fc.assert(
    fc.asyncProperty(fc.array(event, { maxLength: 40 }), async (events) => {
      let fixture = await BrokerFixture.started();
      await fixture.topic('orders');
      const client = new Client();
      for (const one of events) fixture = await happen(fixture, client, one);
      await heal(fixture, client);
      const expected = Array.from({ length: client.records }, (_, sequence) => `p7 e0 s${sequence}`);
      assert.deepEqual(await everyRecord(fixture), expected);
      await fixture.host.close();
    }),
    { numRuns: 60 },
  );
});
