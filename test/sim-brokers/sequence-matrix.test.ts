/**
 * The matrix of semantics I13, every cell of it, with whole brokers in virtual time: what became of the leader since the
 * batches were appended, against where their sequences are and what is sent again.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AppendReceipt } from '../../src/broker/requests.ts';
import type { Result } from '../../src/model/errors.ts';
import type { SimBroker } from './sim-broker.ts';
import { producerAt, SequenceLab } from './sequence-lab.ts';

/** What happens around the six batches. */
interface Happening {
  readonly name: string;
  readonly before?: (lab: SequenceLab) => Promise<void>;
  readonly after: (lab: SequenceLab) => Promise<void>;
}

let behind: SimBroker | null = null;

const happenings: readonly Happening[] = [
  { name: 'the same leader', after: () => Promise.resolve() },
  {
    name: 'after a fail-over',
    after: async (lab) => {
      const dead = await lab.leader();
      lab.kill(dead);
      await lab.leader();
      await lab.start(dead);
      assert.notEqual(await lab.leader(), dead);
    },
  },
  {
    name: 'after a restart that applies the log again',
    after: async (lab) => {
      await restartAll(lab);
    },
  },
  {
    name: 'after a restart from a stored state, with every record deleted',
    after: async (lab) => {
      await lab.deleteRecords();
      await restartAll(lab);
    },
  },
  {
    name: 'after the state was installed on who leads now',
    before: async (lab) => {
      behind = await lab.follower();
      lab.kill(behind);
    },
    after: async (lab) => {
      assert(behind !== null);
      await lab.deleteRecords();
      await lab.start(behind);
      await lab.stateInstalled(behind);
      await lab.moveLeadership(behind);
    },
  },
];

/** Where the six batches begin: their sequences are 0 to 11, or pass 2^31-1 in the middle of the fourth. */
const beginnings = [
  { name: 'from 0', first: 0 },
  { name: 'over 2^31-1', first: 2 ** 31 - 7 },
] as const;

const sequenceSpan = 2 ** 31;
/** More records than a batch of these can claim in one go. */
const leapMax = 2 ** 30;

for (const { name, before, after } of happenings) {
  for (const { name: where, first } of beginnings) {
    test(`sem-I13 sem-I10: what is sent again ${name}, sequences ${where}`, async () => {
      const lab = await SequenceLab.begin(1);
      for (let at = 0; at < first; at += leapMax) await lab.leap(producerAt(at), Math.min(leapMax, first - at));
      await before?.(lab);
      for (let at = 0; at < 6; at++) {
        const sent = await lab.send(producerAt((first + at * 2) % sequenceSpan));
        assert.deepEqual([valueOf(sent).baseOffset, valueOf(sent).duplicate], [first + at * 2, false]);
      }
      await after(lab);
      await expectRemembered(lab, first);
      await lab.end();
    });
  }
}

async function restartAll(lab: SequenceLab): Promise<void> {
  const { brokers } = lab.world;
  for (const broker of brokers) lab.kill(broker);
  for (const broker of brokers) lab.world.start(broker);
  await lab.until(() => brokers.every(({ api }) => api !== null), 'the brokers are ready again');
}

/** Sends n-1 to n-5 and n-6 again, then a gap, overlaps, and at last what comes next. */
async function expectRemembered(lab: SequenceLab, first: number): Promise<void> {
  const again = (from: number, count = 2): Promise<Result<AppendReceipt>> =>
    lab.send(producerAt((first + from) % sequenceSpan), count);
  const end = await lab.highWatermark();
  assert.equal(end, first + 12);
  for (let back = 1; back <= 5; back++) {
    const { baseOffset, duplicate, committed, appendTimeMs } = valueOf(await again(12 - 2 * back));
    assert.deepEqual([baseOffset, duplicate, committed], [end - 2 * back, true, true], `n-${back}`);
    assert.notEqual(appendTimeMs, null, `n-${back}`);
  }
  const sixth = valueOf(await again(0));
  assert.deepEqual([sixth.baseOffset, sixth.duplicate, sixth.appendTimeMs], [null, true, null], 'n-6');
  const otherwiseCut = valueOf(await again(3, 4));
  assert.deepEqual([otherwiseCut.baseOffset, otherwiseCut.duplicate], [null, true], 'records of three batches');
  assert.equal(codeOf(await again(13)), 'OUT_OF_ORDER_SEQUENCE_NUMBER', 'a gap of one');
  assert.equal(codeOf(await again(12 + 2 ** 20)), 'OUT_OF_ORDER_SEQUENCE_NUMBER', 'a large gap');
  assert.equal(codeOf(await again(11)), 'OUT_OF_ORDER_SEQUENCE_NUMBER', 'half of it is there');
  assert.equal(codeOf(await again(10, 3)), 'OUT_OF_ORDER_SEQUENCE_NUMBER', 'the newest batch and one more');
  assert.equal(await lab.highWatermark(), end, 'nothing was appended');
  const next = valueOf(await again(12));
  assert.deepEqual([next.baseOffset, next.duplicate], [end, false], 'what comes next');
}

function valueOf(result: Result<AppendReceipt>): AppendReceipt {
  assert(result.kind === 'ok', result.kind === 'refused' ? result.error.message : '');
  return result.value;
}

function codeOf(result: Result<AppendReceipt>): string {
  assert(result.kind === 'refused', 'it was taken');
  return result.error.code;
}
