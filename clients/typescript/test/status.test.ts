import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { StallWatch } from '../src/stall-watch.ts';
import { StatusFeed } from '../src/status.ts';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('a feed of statuses', () => {
  it('gives every listener all that came since it listens, in order', async () => {
    const feed = new StatusFeed<number>();
    feed.publish(0);
    const first = feed.listen();
    feed.publish(1);
    const second = feed.listen();
    feed.publish(2);
    assert.deepEqual([(await first.next()).value, (await first.next()).value], [1, 2]);
    assert.equal((await second.next()).value, 2);
    const waiting = first.next();
    await turn();
    feed.publish(3);
    assert.equal((await waiting).value, 3);
  });

  it('tells a slow listener how many it missed, and keeps no more than its limit', async () => {
    const feed = new StatusFeed<number>();
    const slow = feed.listen();
    for (let n = 0; n < 1_500; n++) feed.publish(n);
    assert.deepEqual((await slow.next()).value, { type: 'missed', count: 500 });
    assert.equal((await slow.next()).value, 500);
  });

  it('ends with what is left, by the signal, by break, and for those that come late', async () => {
    const feed = new StatusFeed<number>();
    const kept = feed.listen();
    const waiting = feed.listen();
    const next = waiting.next();
    const aborter = new AbortController();
    const aborted = feed.listen({ signal: aborter.signal }).next();
    await turn();
    aborter.abort();
    await assert.rejects(aborted, { code: 'ABORTED' });
    feed.publish(7);
    assert.equal((await next).value, 7);
    await waiting.return?.();
    feed.publish(8);
    assert.equal((await waiting.next()).done, true);
    feed.end();
    assert.deepEqual([(await kept.next()).value, (await kept.next()).value, (await kept.next()).done], [7, 8, true]);
    assert.equal((await feed.listen().next()).done, true);
    assert.equal(feed.hasListeners, false);
  });
});

describe('the watch over stalls', () => {
  const at = (position: number, isWaitedFor = false): { key: string; position: number; isWaitedFor: boolean } => ({
    ...{ key: 'p', position, isWaitedFor },
  });

  it('suspects what has not moved for long, and only that', () => {
    const watch = new StallWatch(100);
    assert.deepEqual(watch.look([at(5)], 0).suspects, []);
    assert.deepEqual(watch.look([at(5)], 99).suspects, []);
    assert.deepEqual(watch.look([at(5)], 100).suspects, ['p']);
    assert.deepEqual(watch.look([at(6)], 110).suspects, []);
    assert.deepEqual(watch.look([at(6)], 209).suspects, []);
    assert.deepEqual(watch.look([at(6, true)], 300).suspects, [], 'the application is waited for');
    assert.deepEqual(watch.look([at(6)], 399).suspects, []);
  });

  it('reports a stall once, with its time, and that it is over', () => {
    const watch = new StallWatch(100);
    watch.look([at(5)], 0);
    watch.look([at(5)], 100);
    assert.equal(watch.found('p', 5, 5, 110), null, 'there is nothing to read');
    assert.deepEqual(watch.look([at(5)], 200).suspects, []);
    assert.deepEqual(watch.look([at(5)], 210).suspects, ['p']);
    assert.equal(watch.found('p', 4, 9, 220), null, 'it moved meanwhile');
    assert.equal(watch.found('p', 5, 9, 220), 110);
    assert.deepEqual(watch.look([at(5)], 900), { suspects: [], recovered: [] });
    assert.deepEqual(watch.look([at(6)], 910), { suspects: [], recovered: ['p'] });
    watch.look([], 920);
    assert.equal(watch.found('p', 6, 9, 2_000), null, 'it is not assigned any more');
  });
});
