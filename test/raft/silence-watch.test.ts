import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toBrokerId } from '../../src/model/ids.ts';
import { SilenceWatch } from '../../src/raft/silence-watch.ts';
import type { WatchedPeer } from '../../src/raft/silence-watch.ts';
import { ManualClock } from '../fakes/manual-clock.ts';

const lookMs = 300;
const silentMsMax = 2_000;

class Bench {
  readonly clock = new ManualClock();
  readonly peers = new Map<number, { broker: WatchedPeer['broker']; isDue: boolean; heardMs: number }>();
  readonly givenUp: number[] = [];
  readonly watch = new SilenceWatch({
    ...{ clock: this.clock, lookMs, silentMsMax },
    peers: () => this.peers.values(),
    giveUp: (broker) => this.givenUp.push(broker),
  });

  peer(id: number): { isDue: boolean; heardMs: number } {
    const peer = { broker: toBrokerId(id), isDue: true, heardMs: -Infinity };
    this.peers.set(id, peer);
    this.watch.begin();
    return peer;
  }

  /** Time passes, with the deadlines that are due on the way. */
  pass(ms: number, meanwhile: () => void = () => undefined): void {
    for (let left = ms; left > 0; left -= 100) {
      this.clock.advance(100);
      meanwhile();
      if (this.clock.monotonicMs() >= this.watch.nextDeadline) this.watch.deadlinePassed();
    }
  }
}

test('pit-P123: whoever is silent for longer than elections take is given up, once until it is heard again', () => {
  const bench = new Bench();
  const [silent, loud] = [bench.peer(1), bench.peer(2)];
  const hear = (peer: { heardMs: number }): void => {
    peer.heardMs = bench.clock.monotonicMs();
  };
  bench.pass(5_000, () => {
    hear(silent);
    hear(loud);
  });
  assert.deepEqual(bench.givenUp, []);
  bench.pass(silentMsMax, () => {
    hear(loud);
  });
  assert.deepEqual(bench.givenUp, [], 'not yet');
  bench.pass(2 * lookMs, () => {
    hear(loud);
  });
  assert.deepEqual(bench.givenUp, [1]);
  bench.pass(20_000, () => {
    hear(loud);
  });
  assert.deepEqual(bench.givenUp, [1]);
  hear(silent);
  bench.pass(silentMsMax + 2 * lookMs, () => {
    hear(loud);
  });
  assert.deepEqual(bench.givenUp, [1, 1]);
});

test('one that never was heard is given up too, and one of whom nothing is due is not', () => {
  const bench = new Bench();
  const [first, second] = [bench.peer(1), bench.peer(2)];
  second.isDue = false;
  bench.pass(silentMsMax + 3 * lookMs);
  assert.deepEqual(bench.givenUp, [1]);
  first.isDue = false;
  bench.pass(2 * lookMs);
  assert.equal(bench.watch.nextDeadline, Infinity, 'nothing is done while nothing is due');
  // it was heard long ago: it has the whole time
  second.isDue = true;
  bench.watch.begin();
  bench.pass(silentMsMax);
  assert.deepEqual(bench.givenUp, [1]);
  bench.pass(3 * lookMs);
  assert.deepEqual(bench.givenUp, [1, 2]);
});

test('pit-P15: a stall of this process is nobody else’s silence', () => {
  const bench = new Bench();
  bench.peer(1).heardMs = 0;
  for (let n = 0; n < 10; n++) {
    bench.pass(lookMs);
    bench.clock.stall(1_500);
  }
  assert.deepEqual(bench.givenUp, []);
  bench.pass(silentMsMax + 3 * lookMs);
  assert.deepEqual(bench.givenUp, [1]);
});
