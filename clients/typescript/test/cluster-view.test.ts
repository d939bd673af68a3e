import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ClusterView } from '../src/cluster-view.ts';

const hint = (address: string, leaderEpoch: number): { brokerId: number; address: string; leaderEpoch: number } => ({
  brokerId: 9,
  address,
  leaderEpoch,
});

describe('what a client knows of a cluster', () => {
  it('view-1: keeps the addresses that it was given, and adds those that brokers tell', () => {
    const view = new ClusterView(['a:1', 'b:1']);
    view.learnBrokers([
      { brokerId: 1, address: 'b:1' },
      { brokerId: 2, address: 'c:1' },
    ]);
    assert.deepEqual(view.addresses, ['a:1', 'b:1', 'c:1']);
    view.learnBrokers([{ brokerId: 3, address: 'd:1' }]);
    assert.deepEqual(view.addresses, ['a:1', 'b:1', 'd:1']);
  });

  it('stays with a broker that answers, goes round those that do not, and begins with who failed longest ago', () => {
    const view = new ClusterView(['a', 'b', 'c']);
    assert.equal(view.any(0), 'a');
    view.failed('a', 0);
    assert.equal(view.any(0), 'b');
    assert.equal(view.any(100_000), 'b', 'that a is worth another try is no reason to leave b');
    view.failed('b', 100_000);
    assert.equal(view.any(100_000), 'c');
    view.failed('c', 100_001);
    assert.equal(view.hasPresent(100_002), true, 'a was passed over for long enough');
    assert.equal(view.any(100_002), 'a');
    view.failed('a', 100_002);
    assert.equal(view.hasPresent(100_003), false);
    assert.equal(view.any(100_003), 'b');
  });

  it('passes a broker over for longer each time, until it answers', () => {
    const view = new ClusterView(['a', 'b']);
    view.learnLeader('t', 0, hint('a', 1));
    const away = (fromMs: number): number => {
      view.failed('a', fromMs);
      for (let ms = 100; ; ms += 100) if (view.leaderOf('t', 0, fromMs + ms) === 'a') return ms;
    };
    assert.deepEqual([away(0), away(10_000), away(20_000)], [500, 1_000, 2_000]);
    for (let n = 0; n < 50; n++) view.failed('a', 30_000);
    assert.equal(away(40_000), 10_000);
    view.reached('a');
    assert.equal(away(60_000), 500);
  });

  it('view-2: an older epoch teaches nothing, but a topic that was created again begins anew', () => {
    const view = new ClusterView(['a']);
    assert.equal(view.learnLeader('t', 0, hint('b', 7)), true);
    assert.equal(view.learnLeader('t', 0, hint('c', 6)), false);
    assert.equal(view.learnLeader('t', 0, hint('b', 8)), false, 'the same broker in a later term did not move');
    assert.equal(view.leaderOf('t', 0, 0), 'b');
    const brokers = [{ brokerId: 3, address: 'c' }];
    view.learnTopic('t', 'one', [{ partition: 0, leader: 3, leaderEpoch: 2 }], brokers);
    assert.equal(view.leaderOf('t', 0, 0), 'b', 'a hint may be newer than what a broker that lags describes');
    assert.equal(view.learnTopic('t', 'two', [{ partition: 0, leader: 3, leaderEpoch: 1 }], brokers), true);
    assert.equal(view.leaderOf('t', 0, 0), 'c');
    assert.deepEqual([view.knowsEpoch('t', 0, 1), view.knowsEpoch('t', 0, 2), view.knowsEpoch('t', 1, 0)], [true, false, false]); // prettier-ignore
  });

  it('does not invent a leader: one whose address or epoch is not told is not known', () => {
    const view = new ClusterView(['a']);
    const partitions = [
      { partition: 0, leader: 5, leaderEpoch: 1 },
      { partition: 1, leader: 3 },
      { partition: 2, leaderEpoch: 1 },
    ];
    assert.equal(view.learnTopic('t', 'id', partitions, [{ brokerId: 3, address: 'c' }]), false);
    for (const partition of [0, 1, 2]) assert.equal(view.leaderOf('t', partition, 0), null);
  });

  it('leaves a broker that knows no leader for a while: it may be cut off from the others', () => {
    const view = new ClusterView(['a', 'b']);
    view.notLeader('t', 0, 'a', 0);
    view.notLeader('t', 0, 'a', 1_000);
    assert.equal(view.any(1_000), 'a', 'an election takes that long');
    view.reached('a');
    view.notLeader('t', 0, 'a', 1_500);
    assert.equal(view.any(1_500), 'a');
    view.notLeader('t', 0, 'a', 2_501);
    assert.equal(view.any(2_501), 'b');
    view.learnLeader('t', 0, hint('b', 1));
    view.notLeader('t', 0, 'b', 3_000);
    assert.equal(view.leaderOf('t', 0, 3_000), null);
  });
});
