import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GarbageMeter } from '../../src/log/garbage-meter.ts';
import { GroupKeys } from '../../src/log/keys.ts';
import { stepsOver, Sweep, sweepLimitsDefault, type SweepLimits } from '../../src/log/sweep.ts';
import type { ValueFiles } from '../../src/log/store.ts';
import { toGroupNumber } from '../../src/model/ids.ts';
import { ManualClock } from '../fakes/manual-clock.ts';
import { headerOf, logsOn, mebibyte } from '../fakes/log-fixture.ts';
import { MemoryStore } from '../fakes/memory-store.ts';

const hex = (key: Uint8Array): string => Buffer.from(key).toString('hex');

/** Notes what is reclaimed; each call takes as long as the test says. */
class SlowStore extends MemoryStore {
  readonly reclaimed: { readonly range: string; readonly part: number }[] = [];
  files: ValueFiles = { bytes: 0, garbageBytes: 0 };
  /** What the files are after a rewriting step. */
  rewritten: ValueFiles = { bytes: 0, garbageBytes: 0 };
  reclaimMs = 0;
  failNextReclaim = false;
  readonly #clock: ManualClock;

  constructor(clock: ManualClock) {
    super();
    this.#clock = clock;
  }

  /** Parts of the passes that were made. */
  get parts(): readonly number[] {
    return this.reclaimed.map(({ part }) => part);
  }

  override async reclaim(from?: Uint8Array, to?: Uint8Array, part = 1): Promise<void> {
    await super.reclaim();
    if (this.failNextReclaim) {
      this.failNextReclaim = false;
      throw new Error('injected');
    }
    this.#clock.advance(this.reclaimMs);
    this.reclaimed.push({ range: `${hex(from!)}..${hex(to!)}`, part });
    if (part > 0) this.files = this.rewritten;
  }

  override valueFiles(): Promise<ValueFiles> {
    return Promise.resolve(this.files);
  }
}

interface Rig {
  readonly clock: ManualClock;
  readonly store: SlowStore;
  readonly garbage: GarbageMeter;
  readonly sweep: Sweep;
  readonly failures: unknown[];
  readonly room: { bytes: number };
}

async function rigOf(groups: readonly number[], limits: Partial<SweepLimits> = {}): Promise<Rig> {
  const clock = new ManualClock();
  const store = new SlowStore(clock);
  const garbage = new GarbageMeter();
  const logs = logsOn(store, 0, garbage);
  for (const group of groups) await logs.create(headerOf(group));
  const failures: unknown[] = [];
  const failed = (error: unknown): number => failures.push(error);
  const room = { bytes: 100_000 * mebibyte };
  const parts = { store, logs, garbage, clock, limits: { ...sweepLimitsDefault, ...limits }, failed };
  const sweep = new Sweep({ ...parts, roomBytes: () => room.bytes });
  return { clock, store, garbage, sweep, failures, room };
}

const turns = async (count = 20): Promise<void> => {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve));
};

test('the steps of a sweep cover every key that a group may have, once, in order', () => {
  for (const [count, stepsMax] of [
    [0, 64],
    [1, 64],
    [64, 64],
    [65, 64],
    [1_000, 7],
  ] as const) {
    const groups = Array.from({ length: count }, (_, at) => toGroupNumber(at * 3 + 1));
    const steps = stepsOver(groups, stepsMax);
    assert.ok(steps.length <= stepsMax && steps.length >= 1, `${steps.length} steps for ${count} groups`);
    assert.equal(hex(steps[0]!.from), hex(new GroupKeys(toGroupNumber(0)).all().from));
    assert.ok(Buffer.compare(steps.at(-1)!.to, new GroupKeys(toGroupNumber(2 ** 48 - 1)).all().to) >= 0);
    for (const [at, step] of steps.slice(1).entries()) assert.equal(hex(step.from), hex(steps[at]!.to));
  }
});

test('sweeps once garbage passes its part of everything, not before', async () => {
  const { store, garbage, sweep } = await rigOf([1]);
  garbage.stored(1_000 * mebibyte);
  garbage.dropped(290 * mebibyte);
  await sweep.lookOnce();
  assert.equal(store.reclaimed.length, 0);
  garbage.dropped(20 * mebibyte);
  await sweep.lookOnce();
  assert.equal(store.reclaimed.length, 1);
  assert.equal(garbage.garbageBytes, 0);
  garbage.stored(10 * mebibyte);
  garbage.dropped(20 * mebibyte);
  await sweep.lookOnce();
  assert.equal(store.reclaimed.length, 1, 'a little garbage can wait');
});

test('what was deleted and what the files hold of garbage count together: neither hides behind its own limit', async () => {
  const { store, garbage, sweep } = await rigOf([1]);
  garbage.stored(1_000 * mebibyte);
  garbage.dropped(250 * mebibyte);
  store.files = { bytes: 1_250 * mebibyte, garbageBytes: 100 * mebibyte };
  await sweep.lookOnce();
  assert.deepEqual(store.parts, [], '350 of 1,250 MiB');
  store.files = { bytes: 1_250 * mebibyte, garbageBytes: 250 * mebibyte };
  await sweep.lookOnce();
  assert.deepEqual(store.parts, [0], '500 of 1,250 MiB, although each is below 30 % of its own');
});

test('keeps what became garbage during a sweep in mind', async () => {
  const { garbage, sweep, store } = await rigOf([1]);
  garbage.stored(400 * mebibyte);
  garbage.dropped(200 * mebibyte);
  const sweeping = sweep.lookOnce();
  garbage.dropped(100 * mebibyte);
  await sweeping;
  assert.equal(store.reclaimed.length, 1);
  assert.equal(garbage.garbageBytes, 100 * mebibyte);
});

test('rests after each step as long as the step took, unless the disk is nearly full', async () => {
  const { clock, store, garbage, sweep } = await rigOf([1, 2, 3]);
  store.reclaimMs = 1_000;
  garbage.stored(1_000 * mebibyte);
  garbage.dropped(390 * mebibyte);
  const sweeping = sweep.lookOnce();
  await turns();
  assert.equal(store.reclaimed.length, 1);
  clock.advance(999);
  await turns();
  assert.equal(store.reclaimed.length, 1);
  clock.advance(1);
  await turns();
  assert.equal(store.reclaimed.length, 2);
  sweep.press(true);
  await sweeping;
  assert.equal(store.reclaimed.length, 3);
});

test('does not rest when it falls behind: more garbage came than a sweep that rests takes away', async () => {
  const { store, garbage, sweep } = await rigOf([1, 2, 3]);
  store.reclaimMs = 1_000;
  garbage.stored(1_000 * mebibyte);
  garbage.dropped(400 * mebibyte);
  await sweep.lookOnce();
  assert.equal(store.reclaimed.length, 3);
  store.files = { bytes: 1_000 * mebibyte, garbageBytes: 400 * mebibyte };
  store.rewritten = { bytes: 700 * mebibyte, garbageBytes: 100 * mebibyte };
  await sweep.lookOnce();
  assert.equal(store.reclaimed.length, 6, 'nor when the files are rewritten');
});

test('a nearly full disk is swept soon, for any garbage, and once for what nobody counted', async () => {
  const { clock, store, garbage, sweep } = await rigOf([1]);
  sweep.start();
  await turns();
  sweep.press(true);
  await turns();
  assert.deepEqual(store.parts, [0], 'what was deleted before this process began');
  clock.advance(1_000);
  await turns();
  assert.deepEqual(store.parts, [0], 'nothing new');
  garbage.stored(1_000 * mebibyte);
  garbage.dropped(2 * mebibyte);
  clock.advance(1_000);
  await turns();
  assert.deepEqual(store.parts, [0, 0]);
  assert.equal(garbage.garbageBytes, 0);
  await sweep.stop();
});

test('inv-sweep-1 rewrites no more than there is room for, and nothing without room', async () => {
  const { store, sweep, room } = await rigOf([1]);
  store.files = { bytes: 1_000 * mebibyte, garbageBytes: 400 * mebibyte };
  store.rewritten = { bytes: 600 * mebibyte, garbageBytes: 0 };
  for (const bytes of [-1, 0, 30 * mebibyte]) {
    room.bytes = bytes;
    await sweep.lookOnce();
    assert.deepEqual(store.parts, [], `room for ${bytes} bytes`);
  }
  room.bytes = 500 * mebibyte;
  await sweep.lookOnce();
  assert.deepEqual(store.parts, [0.25]);
});

test('rewrites until little garbage is left, and stops if it does not become less', async () => {
  const { store, sweep } = await rigOf([1]);
  store.files = { bytes: 1_000 * mebibyte, garbageBytes: 600 * mebibyte };
  store.rewritten = { bytes: 800 * mebibyte, garbageBytes: 400 * mebibyte };
  await sweep.lookOnce();
  assert.equal(store.parts.length, 1 + 4, 'one made it less, and four together looked at everything in vain');
  store.files = { bytes: 1_000 * mebibyte, garbageBytes: 290 * mebibyte };
  await sweep.lookOnce();
  assert.equal(store.parts.length, 5, 'less than the part that is tolerated');
});

test('inv-sweep-2 rewrites an eighth of the files at a time, and little at once', async () => {
  const { store, sweep } = await rigOf([1]);
  const clean = { bytes: 600 * mebibyte, garbageBytes: 0 };
  store.rewritten = clean;
  for (const [bytes, part] of [
    [100_000, 0.125],
    [2_048, 0.125],
    [512, 0.5],
    [200, 1],
  ] as const) {
    store.reclaimed.length = 0;
    store.files = { bytes: bytes * mebibyte, garbageBytes: bytes * 0.4 * mebibyte };
    await sweep.lookOnce();
    assert.deepEqual(store.parts, [part], `${bytes} MiB`);
  }
});

test('looks at intervals, reports a failure and goes on, and stops', async () => {
  const { clock, store, garbage, sweep, failures } = await rigOf([1], { intervalMs: 100 });
  sweep.start();
  garbage.stored(500 * mebibyte);
  garbage.dropped(400 * mebibyte);
  store.failNextReclaim = true;
  clock.advance(100);
  await turns();
  assert.equal(failures.length, 1);
  assert.equal(garbage.garbageBytes, 400 * mebibyte);
  clock.advance(100);
  await turns();
  assert.equal(store.reclaimed.length, 1);
  clock.advance(0);
  await turns();
  await sweep.stop();
  await turns();
  assert.equal(clock.timers, 0);
  garbage.dropped(100 * mebibyte);
  clock.advance(1_000);
  await turns();
  assert.equal(store.reclaimed.length, 1);
});
