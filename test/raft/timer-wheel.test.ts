import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TimedTask } from '../../src/raft/timer-wheel.ts';
import { TimerWheel } from '../../src/raft/timer-wheel.ts';
import { ManualClock } from '../fakes/manual-clock.ts';

class Task implements TimedTask {
  nextDeadline = Infinity;
  readonly passedAt: number[] = [];
  readonly #clock: ManualClock;

  constructor(clock: ManualClock) {
    this.#clock = clock;
  }

  deadlinePassed(): void {
    this.passedAt.push(this.#clock.monotonicMs());
    this.nextDeadline = Infinity;
  }
}

const atOnce = (run: () => void): void => {
  run();
};

test('each task acts at its own deadline, with one timer for all', () => {
  const clock = new ManualClock();
  const wheel = new TimerWheel(clock, atOnce);
  const tasks = [300, 100, 200, 100].map((deadline) => {
    const task = new Task(clock);
    task.nextDeadline = deadline;
    wheel.rearm(task);
    return task;
  });
  assert.equal(clock.timers, 1);
  clock.advance(1_000);
  assert.deepEqual(
    tasks.map((task) => task.passedAt),
    [[300], [100], [200], [100]],
  );
  assert.equal(clock.timers, 0);
});

test('a deadline that moves later sets no timer anew, and acts at its new time only', () => {
  const clock = new ManualClock();
  const wheel = new TimerWheel(clock, atOnce);
  const task = new Task(clock);
  for (let deadline = 100; deadline <= 500; deadline += 100) {
    task.nextDeadline = deadline;
    wheel.rearm(task);
  }
  assert.equal(wheel.size, 1);
  clock.advance(1_000);
  assert.deepEqual(task.passedAt, [500]);
});

test('a deadline that moves earlier acts earlier, once', () => {
  const clock = new ManualClock();
  const wheel = new TimerWheel(clock, atOnce);
  const task = new Task(clock);
  task.nextDeadline = 500;
  wheel.rearm(task);
  task.nextDeadline = 50;
  wheel.rearm(task);
  clock.advance(1_000);
  assert.deepEqual(task.passedAt, [50]);
});

test('pit-P15: after a stall of the event loop what has arrived is read before deadlines act', () => {
  const clock = new ManualClock();
  const later: (() => void)[] = [];
  const wheel = new TimerWheel(clock, (run) => later.push(run));
  const task = new Task(clock);
  task.nextDeadline = 100;
  wheel.rearm(task);
  clock.stall(5_000);
  clock.advance(0);
  assert.deepEqual(task.passedAt, [], 'the late timer only asks for another turn');
  task.nextDeadline = 6_000; // a heartbeat that was buffered is read now
  while (later.length > 0) later.shift()?.();
  assert.deepEqual(task.passedAt, []);
  clock.advance(2_000);
  assert.deepEqual(task.passedAt, [6_000]);
});

test('a forgotten task does not act', () => {
  const clock = new ManualClock();
  const wheel = new TimerWheel(clock, atOnce);
  const task = new Task(clock);
  task.nextDeadline = 100;
  wheel.rearm(task);
  wheel.forget(task);
  clock.advance(1_000);
  assert.deepEqual(task.passedAt, []);
});

test('thousands of deadlines in any order act in the order of their time', () => {
  const clock = new ManualClock();
  const wheel = new TimerWheel(clock, atOnce);
  const order: number[] = [];
  for (let i = 0; i < 5_000; i++) {
    const deadline = (i * 7_919) % 5_003;
    const task = {
      nextDeadline: deadline,
      deadlinePassed(): void {
        order.push(deadline);
        task.nextDeadline = Infinity;
      },
    };
    wheel.rearm(task);
  }
  clock.advance(6_000);
  assert.equal(order.length, 5_000);
  assert.deepEqual(
    order,
    [...order].sort((a, b) => a - b),
  );
});
