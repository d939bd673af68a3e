import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { BatchFate, Delivery } from '../src/delivery.ts';
import { BrokerError } from '../src/errors.ts';

const receipt = { baseOffset: 40, leaderEpoch: 3, duplicate: false, committed: true, entry: null, durableOn: [1, 2] };
const meta = { topic: 't', partition: 5, offset: 41, timestampMs: 1_001, ...told() };
const error = new BrokerError('DELIVERY_TIMEOUT', 'too late');

function told(): object {
  const { leaderEpoch, duplicate, committed, entry, durableOn } = receipt;
  return { leaderEpoch, duplicate, committed, entry, durableOn };
}

function batchOfTwo(): { fate: BatchFate; second: Delivery } {
  const fate = new BatchFate();
  fate.add(new Delivery(), 1_000);
  const second = new Delivery();
  fate.add(second, 1_001);
  return { fate, second };
}

describe('the promise of a record', () => {
  it('is fulfilled for those who asked before and for those who ask after', async () => {
    const { fate, second } = batchOfTwo();
    const before = Promise.all([second, second.then((each) => each.offset)]);
    fate.acknowledge('t', 5, receipt);
    assert.deepEqual(await before, [meta, 41]);
    assert.deepEqual(await second, meta);
    assert.equal(await second, await second);
  });

  it('can be asked before it is in a batch', async () => {
    const early = new Delivery();
    const asked = early.then(({ offset }) => offset);
    const fate = new BatchFate();
    fate.add(early, 7);
    fate.acknowledge('t', 5, receipt);
    assert.equal(await asked, 40);
  });

  it('is rejected, and the first word on it counts', async () => {
    const { fate, second } = batchOfTwo();
    fate.reject(error);
    fate.acknowledge('t', 5, receipt);
    await assert.rejects(second, error);
    const aborted = new BrokerError('ABORTED', 'aborted', { indeterminate: true });
    second.reject(aborted);
    await assert.rejects(second, error);
    const other = batchOfTwo();
    other.second.reject(aborted);
    other.fate.acknowledge('t', 5, receipt);
    await assert.rejects(other.second, aborted);
    assert.deepEqual(await Promise.allSettled([other.second]), [{ status: 'rejected', reason: aborted }]);
  });

  it('is like any other: catch, finally, race, and its name', async () => {
    const { fate, second } = batchOfTwo();
    let ended = 0;
    const ends = second.finally(() => (ended += 1));
    assert.equal(Object.prototype.toString.call(second), '[object Promise]');
    fate.acknowledge('t', 5, receipt);
    assert.deepEqual(await Promise.race([second]), meta);
    assert.deepEqual(await ends, meta);
    assert.equal(ended, 1);
    const lost = new Delivery();
    lost.reject(error);
    assert.equal(await lost.catch(() => 'caught'), 'caught');
  });

  it('that nobody looks at is no unhandled rejection', async (t) => {
    const unhandled = t.mock.fn();
    process.on('unhandledRejection', unhandled);
    const { fate } = batchOfTwo();
    fate.reject(error);
    new Delivery().reject(error);
    await new Promise((resolve) => setTimeout(resolve, 10));
    process.off('unhandledRejection', unhandled);
    assert.equal(unhandled.mock.callCount(), 0);
  });
});
