import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Clock } from '../../src/model/clock.ts';
import { toBrokerId, toMillis } from '../../src/model/ids.ts';
import { PeerClocks } from '../../src/raft/peer-clocks.ts';
import { ManualClock } from '../fakes/manual-clock.ts';

const year = 365 * 86_400_000;
const second = 1_000;

/** A broker whose own clock can be set, and that hears of peers by how far they are ahead of the true time. */
class Own {
  readonly time = new ManualClock();
  aheadMs = 0;
  readonly clocks: PeerClocks;

  constructor() {
    const clock: Clock = {
      wallMs: () => toMillis(this.time.wallMs() + this.aheadMs),
      monotonicMs: () => this.time.monotonicMs(),
      setTimer: (delayMs, fire) => this.time.setTimer(delayMs, fire),
    };
    this.clocks = new PeerClocks(clock, 10 * second);
  }

  hear(...aheadMs: readonly number[]): this {
    aheadMs.forEach((ahead, at) => {
      this.clocks.heard(toBrokerId(at + 1), toMillis(this.time.wallMs() + ahead));
    });
    return this;
  }

  /** The stamp of an entry, as how far it is from the true time. */
  get stampMs(): number {
    return this.clocks.stampMs() - this.time.wallMs();
  }
}

test('a broker that is alone trusts its own clock; one that has others does only once it heard of one', () => {
  const own = new Own();
  own.aheadMs = year;
  assert.equal(own.clocks.agrees(false), true);
  assert.equal(own.clocks.agrees(true), false);
  assert.equal(own.stampMs, year);
  own.aheadMs = 0;
  assert.equal(own.hear(0).clocks.agrees(true), true);
});

test('pit-P120: a clock that jumps strays at once, and what it stamps stays near the others', () => {
  const own = new Own().hear(0, 5);
  assert.equal(own.clocks.agrees(true), true);
  for (const jump of [year, -year]) {
    own.aheadMs = jump;
    assert.equal(own.clocks.agrees(true), false);
    assert.equal(Math.abs(own.stampMs) <= 10 * second + 5, true, `${own.stampMs}`);
  }
  own.aheadMs = 10 * second;
  assert.equal(own.clocks.agrees(true), true);
  own.aheadMs = 0;
  assert.equal(own.clocks.agrees(true), true, 'and it agrees again once it is set right');
});

test('one stray peer of two is outvoted; of one, nobody knows who is right', () => {
  const own = new Own().hear(year, 0);
  assert.equal(own.clocks.agrees(true), true);
  assert.equal(own.stampMs, 0);
  for (const peer of [year, -year]) assert.equal(new Own().hear(peer).clocks.agrees(true), false);
});

test('what a peer told goes on without it, and is forgotten after an hour', () => {
  const own = new Own().hear(0, 0);
  own.time.advance(3_600_000);
  assert.equal(own.clocks.agrees(true), true);
  own.aheadMs = year;
  assert.equal(own.clocks.agrees(true), false);
  own.time.advance(1);
  assert.equal(own.clocks.agrees(false), true, 'nothing is known any more');
});
