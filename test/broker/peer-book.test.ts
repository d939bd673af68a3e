import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { PeerBook } from '../../src/broker/peer-book.ts';
import { toBrokerId } from '../../src/model/ids.ts';

const one = toBrokerId(1);
const entry = (peerAddress: string) => ({ brokerId: one, peerAddress, incarnation: 'disk-1' });

describe('PeerBook', () => {
  it('knows a broker by its own word until founding or the catalog tell', () => {
    const book = new PeerBook();
    assert.equal(book.addressOf(one), null);
    book.told(one, 'a:1');
    book.told(one, 'b:1');
    assert.equal(book.addressOf(one), 'b:1');
    assert.equal(book.incarnationOf(one), null);
    book.foundedBy([entry('c:1')]);
    assert.equal(book.addressOf(one), 'c:1');
    book.follow(() => entry('d:1'));
    assert.equal(book.addressOf(one), 'd:1');
  });

  it('forgets the oldest word of too many', () => {
    const book = new PeerBook();
    for (let broker = 0; broker <= 1_000; broker++) book.told(toBrokerId(broker), `host-${broker}:1`);
    assert.equal(book.addressOf(toBrokerId(0)), null);
    assert.equal(book.addressOf(one), 'host-1:1');
    book.told(one, 'again:1');
    assert.equal(book.addressOf(toBrokerId(2)), 'host-2:1');
  });
});
