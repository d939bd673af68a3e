import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { growingPercent, HeapGrowth, heapRoomBytes } from '../../src/runtime/heap-growth.ts';
import { ManualClock } from '../fakes/manual-clock.ts';

const mebibyte = 1024 * 1024;

test('a heap gets the same room whatever lives, until V8 gives a large one more by itself', () => {
  for (const live of [20, 32, 64, 128].map((size) => size * mebibyte)) {
    const room = (live * growingPercent(live)) / 100;
    assert.ok(room >= heapRoomBytes && room < heapRoomBytes + live, `${live}: ${room}`);
  }
  assert.equal(growingPercent(130 * mebibyte), 0);
  assert.equal(growingPercent(2_000 * mebibyte), 0);
  assert.equal(growingPercent(mebibyte), 1_000);
  assert.equal(growingPercent(0), 1_000);
});

test('what lives is the least that was seen in a minute: garbage takes no room away', () => {
  const clock = new ManualClock();
  const set: number[] = [];
  let heap = 32 * mebibyte;
  const growth = new HeapGrowth(
    clock,
    () => heap,
    (percent) => set.push(percent),
  );
  growth.start();
  heap = 150 * mebibyte;
  clock.advance(55_000);
  assert.deepEqual(set, [400]);
  // nothing was collected for a minute, so it lives
  clock.advance(5_000);
  assert.deepEqual(set, [400, 0]);
  heap = 64 * mebibyte;
  clock.advance(5_000);
  assert.deepEqual(set, [400, 0, 200]);
  growth.stop();
  assert.equal(clock.timers, 0);
});

test('this Node has the option; one that has it no more has to be measured anew', async () => {
  const { stdout } = await promisify(execFile)(process.execPath, ['--v8-options'], { maxBuffer: 16 * mebibyte });
  assert.match(stdout, /^ *--heap-growing-percent /m);
});
