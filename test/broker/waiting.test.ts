import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AppendBudget } from '../../src/broker/append-budget.ts';
import { answerBy, delayUntil } from '../../src/broker/deadline.ts';
import { Gate } from '../../src/broker/gate.ts';
import { toMillis } from '../../src/model/ids.ts';
import { ManualClock } from '../fakes/manual-clock.ts';
import { isPending, settle } from './broker-fixture.ts';

test('an answer by a deadline: the answer, or what is said when it is late, and no timer afterwards', async () => {
  const clock = new ManualClock();
  assert.equal(await answerBy(clock, toMillis(100), Promise.resolve('here'), () => 'late'), 'here');
  assert.equal(clock.timers, 0);
  const never = answerBy(clock, toMillis(100), new Promise<string>(() => undefined), () => 'late');
  clock.advance(99);
  assert.equal(await isPending(never), true);
  clock.advance(1);
  assert.equal(await never, 'late');
  const broken = answerBy(clock, toMillis(500), Promise.reject(new Error('a bug')), () => 'late');
  await assert.rejects(broken, /a bug/);
  assert.equal(clock.timers, 0);
  assert.equal(delayUntil(clock, toMillis(0)), 0);
});

test('a gate lets so many run and no more, in order, whether they succeed or not', async () => {
  const gate = new Gate(2);
  const finish: (() => void)[] = [];
  const order: number[] = [];
  const tasks = [0, 1, 2, 3].map((n) =>
    gate.run(async () => {
      order.push(n);
      await new Promise<void>((resolve) => finish.push(resolve));
      if (n === 0) throw new Error('failed');
    }),
  );
  const failed = assert.rejects(tasks[0]!, /failed/);
  await settle();
  assert.deepEqual(order, [0, 1]);
  finish[0]?.();
  await failed;
  await settle();
  assert.deepEqual(order, [0, 1, 2]);
  finish[1]?.();
  finish[2]?.();
  await settle();
  assert.deepEqual(order, [0, 1, 2, 3]);
  finish[3]?.();
  await Promise.all(tasks.slice(1));
});

test('budget-1: a budget takes one append of any size, then what fits, and says when it is empty', async () => {
  const budget = new AppendBudget(100);
  await budget.whenEmpty();
  assert.equal(budget.fits(1_000), true);
  budget.take(60);
  assert.deepEqual([budget.fits(40), budget.fits(41)], [true, false]);
  const empty = budget.whenEmpty();
  assert.equal(await isPending(empty), true);
  budget.give(60);
  await empty;
  assert.throws(() => {
    budget.give(1);
  }, /budget-1/);
});
