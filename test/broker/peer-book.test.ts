/** Where brokers are: the newest word first, and nothing that might be right left out. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { heardPeersMax, PeerBook } from '../../src/broker/peer-book.ts';
import type { KnownPeer } from '../../src/broker/peer-book.ts';
import { toBrokerId } from '../../src/model/ids.ts';
import type { PeerIdentity } from '../../src/raft/peer-identity.ts';

const two = toBrokerId(2);

const says = (peerAddress: string | null, more: Partial<PeerIdentity> = {}): PeerIdentity => ({
  ...{ brokerId: two, clusterId: 'cluster', incarnation: 'disk', bootNumber: 3, processNonce: 'three' },
  ...{ recoveredCommit: 0, earlierStarts: [], peerAddress },
  ...more,
});
const known = (peerAddress: string, incarnation = 'disk'): KnownPeer => ({ brokerId: two, peerAddress, incarnation });

test('all sources are tried, the own word of a broker before the catalog, the settings and the founding', () => {
  const book = new PeerBook([{ brokerId: two, peerAddress: 'set:1' }]);
  assert.deepEqual([book.addressesOf(two), book.incarnationOf(two)], [['set:1'], null]);
  book.foundedBy([known('founded:1')]);
  assert.deepEqual([book.addressesOf(two), book.incarnationOf(two)], [['set:1', 'founded:1'], 'disk']);
  let catalog: KnownPeer | null = null;
  book.follow((id) => (id === two ? catalog : null));
  catalog = known('catalog:1');
  assert.deepEqual(book.addressesOf(two), ['catalog:1', 'set:1', 'founded:1']);
  assert.equal(book.heard(says('own:1')), true);
  assert.deepEqual(book.addressesOf(two), ['own:1', 'catalog:1', 'set:1', 'founded:1']);
  catalog = known('own:1');
  assert.deepEqual(book.addressesOf(two), ['own:1', 'set:1', 'founded:1']);
  assert.deepEqual(book.addressesOf(toBrokerId(3)), []);
});

test('only another process or another place is news', () => {
  const book = new PeerBook();
  assert.equal(book.processOf(two), null);
  assert.equal(book.heard(says('own:1')), true);
  assert.equal(book.heard(says('own:1')), false);
  assert.equal(book.heard(says('own:2')), true);
  assert.equal(book.heard(says('own:2', { bootNumber: 4, processNonce: 'four' })), true);
  assert.equal(book.processOf(two), 'four');
});

test('pit-P61: the word of another disk than the one that the catalog knows leads nowhere', () => {
  const book = new PeerBook();
  book.heard(says('own:1', { incarnation: 'other' }));
  book.follow(() => known('catalog:1'));
  assert.deepEqual(book.addressesOf(two), ['catalog:1']);
});

test('who is in no cluster is not listened to, and no more than so many are', () => {
  const book = new PeerBook();
  assert.equal(book.heard(says('own:1', { clusterId: null })), false);
  for (let id = 10; id < 10 + heardPeersMax; id++) assert.ok(book.heard(says('own:1', { brokerId: toBrokerId(id) })));
  assert.equal(book.heard(says('own:1')), false);
  assert.deepEqual(book.addressesOf(two), []);
  assert.equal(book.heard(says('own:2', { brokerId: toBrokerId(10) })), true, 'who is known may still move');
});
