/** Where new partitions go. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { BrokerEntry } from '../../src/broker/catalog-commands.ts';
import { PlacementLoad, placeReplicas } from '../../src/broker/placement.ts';
import type { BrokerId } from '../../src/model/ids.ts';
import { toBrokerId, toReplicaId } from '../../src/model/ids.ts';

const brokersIn = (racks: readonly (string | null)[]): readonly BrokerEntry[] =>
  racks.map((rack, id) => ({
    brokerId: toBrokerId(id),
    address: '',
    peerAddress: null,
    rack,
    incarnation: `disk-${id}`,
    version: '0.1.0',
    catalogReplica: toReplicaId(id + 1),
    joined: true,
  }));

const place = (racks: readonly (string | null)[], count: number, factor: number, dead: readonly number[] = []) => {
  const load = new PlacementLoad([]);
  const brokers = brokersIn(racks);
  const gone = new Set<BrokerId>(dead.map(toBrokerId));
  const placed = Array.from({ length: count }, (_, turn) => placeReplicas(brokers, factor, load, gone, turn));
  return { placed, load, brokers };
};

test('without racks, replicas and preferred leaders are level to one', () => {
  const shapes = fc.record({ brokers: fc.integer({ min: 1, max: 9 }), partitions: fc.integer({ min: 1, max: 60 }) });
  fc.assert(
    fc.property(shapes, fc.integer({ min: 1, max: 5 }), ({ brokers: size, partitions }, wished) => {
      const factor = Math.min(wished, size);
      const { placed, load, brokers } = place(Array.from({ length: size }, () => null), partitions, factor); // prettier-ignore
      for (const replicas of placed) assert.equal(new Set(replicas).size, factor);
      const spread = (counts: readonly number[]): number => Math.max(...counts) - Math.min(...counts);
      assert.ok(spread(brokers.map((broker) => load.replicasOn(broker.brokerId))) <= 1);
      assert.ok(spread(brokers.map((broker) => load.leadersOn(broker.brokerId))) <= 2);
    }),
  );
});

test('no two replicas share a rack while there is another, however uneven the racks are', () => {
  const racks = ['a', 'a', 'a', 'b', 'c'];
  for (const replicas of place(racks, 30, 3).placed) {
    assert.deepEqual(new Set(replicas.map((id) => racks[id])).size, 3);
  }
  for (const replicas of place(['a', 'a', 'b', 'b'], 10, 3).placed) {
    assert.equal(new Set(replicas.map((id) => ['a', 'a', 'b', 'b'][id])).size, 2);
  }
});

test('a dead broker is given something only if there is nobody else, and leads nothing', () => {
  for (const replicas of place([null, null, null, null], 20, 3, [2]).placed)
    assert.ok(!replicas.includes(toBrokerId(2)));
  for (const replicas of place([null, null, null], 20, 3, [2]).placed) {
    assert.equal(replicas.length, 3);
    assert.notEqual(replicas[0], 2);
  }
});
