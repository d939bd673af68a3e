/** What operations become, what they bring about, and when they are refused: on a catalog without brokers behind it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BrokerDuty, BrokerEntry, CatalogCommand, PartitionPlace } from '../../src/broker/catalog-commands.ts';
import { decodeCommand, encodeCommand } from '../../src/broker/catalog-commands.ts';
import { CatalogState } from '../../src/broker/catalog-state.ts';
import type { ClusterOperation } from '../../src/broker/cluster-operation.ts';
import { decodeOperationCall, encodeOperationCall } from '../../src/broker/cluster-operation.ts';
import { defaultBrokerLimits } from '../../src/broker/limits.ts';
import { groupsInTurn } from '../../src/broker/moving-turns.ts';
import { impactOf } from '../../src/broker/operation-impact.ts';
import type { OperationPlan } from '../../src/broker/operation-plan.ts';
import { planOperation } from '../../src/broker/operation-plan.ts';
import { planUpkeep } from '../../src/broker/upkeep-plan.ts';
import type { BrokerId } from '../../src/model/ids.ts';
import { toBrokerId, toGroupNumber, toMillis, toReplicaId } from '../../src/model/ids.ts';
import { topicConfigDefault } from '../../src/broker/topic-config.ts';
import { ids, leading, moving, onBroker, replacing, topicNamed } from './cluster-operations.ts';

const broker = (id: number, more: Partial<BrokerEntry> = {}): BrokerEntry => ({
  brokerId: toBrokerId(id),
  address: `host-${id}:9400`,
  peerAddress: `host-${id}:9401`,
  rack: null,
  incarnation: `disk-${id}`,
  version: '0.1.0',
  catalogReplica: toReplicaId(id + 1),
  joined: true,
  ...more,
});

/** A catalog with brokers 0 to `brokers` - 1 and topics by name, each partition a list of brokers. */
function catalog(brokers: number, topics: Readonly<Record<string, readonly (readonly number[])[]>>): CatalogState {
  const state = new CatalogState();
  const founders = Array.from({ length: brokers }, (_, id) => broker(id));
  const founded = { clusterId: 'c', createdAtMs: toMillis(1), activeVersion: 1, producerKey: '00', founders };
  state.replay({ kind: 'found', ...founded });
  let group = 1;
  let replica = brokers + 1;
  for (const [name, partitions] of Object.entries(topics)) {
    const places = partitions.map((on): PartitionPlace => {
      const replicas = on.map((id) => {
        const place = { replicaId: toReplicaId(replica++), brokerId: toBrokerId(id), incarnation: `disk-${id}` };
        return { ...place, opened: true };
      });
      const genesis = replicas.map((one) => one.replicaId);
      return { group: toGroupNumber(group++), revision: 0, reached: 0, genesis, replicas, leaving: [] };
    });
    const replicationFactor = partitions[0]?.length ?? 1;
    const fixed = { tenant: 0, name, topicId: `id-${name}`, internal: name.startsWith('__') };
    const topic = { ...fixed, groupKind: 'data', replicationFactor, createdAtMs: toMillis(1) } as const;
    state.replay({ kind: 'create-topic', topic: { ...topic, partitions: places, config: topicConfigDefault } });
  }
  return state;
}

const plan = (state: CatalogState, operation: ClusterOperation, silent: readonly number[] = []): OperationPlan => {
  const heard = new Set([...state.brokers.keys()].filter((id) => !silent.includes(id)));
  const catalogVoters = [...state.brokers.keys()].slice(0, 3);
  return planOperation(state, operation, { limits: defaultBrokerLimits, dead: new Set(), heard, catalogVoters });
};

const codes = ({ refusals }: OperationPlan): readonly string[] => refusals.map((one) => one.error.code);
const text = ({ refusals }: OperationPlan): string => refusals.map((one) => one.error.message).join('; ');

const give = (state: CatalogState, id: number, duty: BrokerDuty | null): void =>
  void state.replay({ kind: 'set-duty', brokerId: toBrokerId(id), duty });

/** As the group's leader would report it. */
function reach(state: CatalogState, group: number): void {
  const place = state.placeOf(toGroupNumber(group))!;
  state.replay({ kind: 'placement-reached', group: place.group, revision: place.revision });
}

const on = (state: CatalogState, group: number): readonly number[] =>
  state.placeOf(toGroupNumber(group))!.replicas.map((one) => one.brokerId);

const upkeep = (
  state: CatalogState,
  max = 10,
  silent: readonly number[] = [],
  voters: readonly number[] = [0, 1, 2],
): CatalogCommand | null => {
  const heard = new Set([...state.brokers.keys()].filter((id) => !silent.includes(id)));
  const catalogVoters = new Set(voters.map(toBrokerId));
  return planUpkeep(state, { heard, self: toBrokerId(0), catalogVoters, replicasMovingMax: max });
};

test('commands and operations survive their encoding, and entries of before are read as nothing ordered', () => {
  const state = catalog(4, { orders: [[0, 1, 2]] });
  const operations: readonly ClusterOperation[] = [
    onBroker('drain-broker', 1),
    replacing(1, 'disk-1'),
    moving('orders', [{ partition: 0, to: [3, 1, 2] }], true),
    leading('orders', 0, 1),
    { kind: 'add-partitions', topic: topicNamed('orders'), partitions: 3 },
    { kind: 'change-replication-factor', topic: topicNamed('orders'), replicationFactor: 1 },
    { kind: 'finalize-upgrade' },
  ];
  for (const operation of operations) {
    assert.deepEqual(decodeOperationCall(encodeOperationCall({ operation, dryRun: true })), {
      operation,
      dryRun: true,
    });
    const { command } = plan(state, operation, operation.kind === 'replace-broker' ? [1] : []);
    if (command !== null) assert.deepEqual(decodeCommand(encodeCommand(command)), command);
  }
  const old = { kind: 'put-broker', broker: broker(7) } as const;
  const read = decodeCommand(encodeCommand(old));
  assert.ok(read.kind === 'put-broker');
  assert.deepEqual(
    [read.broker.duty, read.broker.replaceable, read.broker.formatVersion],
    [undefined, undefined, undefined],
  );
});

test('state keys that the commands wrote are the state again', () => {
  const state = catalog(4, { orders: [[0, 1, 2]] });
  const operations: readonly ClusterOperation[] = [
    onBroker('drain-broker', 1),
    moving('orders', [{ partition: 0, to: [0, 1, 3] }]),
    { kind: 'add-partitions', topic: topicNamed('orders'), partitions: 2 },
  ];
  const stored = new Map<string, Uint8Array>();
  for (const operation of operations) {
    for (const change of state.replay(plan(state, operation).command!)) {
      const key = Buffer.from(change.key).toString();
      if (change.kind === 'put') stored.set(key, change.value);
      else stored.delete(key);
    }
  }
  const loaded = new CatalogState();
  for (const [key, value] of stored) loaded.load({ key: Buffer.from(key), value });
  assert.deepEqual(loaded.brokers.get(toBrokerId(1)), state.brokers.get(toBrokerId(1)));
  assert.deepEqual(loaded.topicNamed(0, 'orders'), state.topicNamed(0, 'orders'));
  assert.deepEqual(loaded.head, state.head);
});

test('a drain is refused where it would leave no majority, and told where none can be had', () => {
  const state = catalog(4, { orders: [[0, 1, 2]], pair: [[0, 1]], single: [[1]] });
  const fine = plan(state, onBroker('drain-broker', 1));
  assert.deepEqual(codes(fine), []);
  assert.deepEqual(fine.atRisk.map((one) => one.topic), ['pair', 'single']); // prettier-ignore
  assert.deepEqual(codes(plan(state, onBroker('drain-broker', 1), [2])), ['UNSAFE_OPERATION', 'UNSAFE_OPERATION']);
  assert.match(text(plan(state, onBroker('drain-broker', 1), [2])), /1 partitions of 1 topics \(orders\).*catalog/);
  // it has no majority now: a drain makes that no worse
  assert.deepEqual(codes(plan(catalog(5, { orders: [[2, 3, 4]] }), onBroker('drain-broker', 4), [2, 3])), []);
  give(state, 1, 'draining');
  assert.equal(plan(state, onBroker('drain-broker', 1)).command, null);
  assert.deepEqual(codes(plan(state, onBroker('drain-broker', 0)))[0], 'UNSAFE_OPERATION');
  assert.deepEqual(codes(plan(state, onBroker('drain-broker', 9))), ['BROKER_ID_NOT_REGISTERED']);
});

test('a broker is not taken out where a topic would have fewer brokers than replicas; ten topics are named', () => {
  const topics = Object.fromEntries(Array.from({ length: 12 }, (_, n) => [`t${n + 10}`, [[0, 1, 2]]]));
  const refused = plan(catalog(3, topics), onBroker('decommission-broker', 2));
  assert.ok(codes(refused).every((code) => code === 'UNSAFE_OPERATION'));
  assert.match(text(refused), /12 partitions of 12 topics \(t10, .*t19, and 2 more\)/);
  assert.deepEqual(codes(plan(catalog(4, topics), onBroker('decommission-broker', 2))), []);
  // nobody who could take them is heard
  assert.ok(codes(plan(catalog(4, topics), onBroker('decommission-broker', 2), [3])).length > 0);
  assert.match(text(plan(catalog(1, {}), onBroker('decommission-broker', 0))), /last broker/);
  const unknown = plan(catalog(3, {}), onBroker('decommission-broker', 7));
  assert.deepEqual([unknown.command, codes(unknown)], [null, []]);
});

test('a disk is given up only when its broker is silent and the others have a majority', () => {
  const state = catalog(3, { orders: [[0, 1, 2]] });
  assert.match(text(plan(state, replacing(2))), /heard of/);
  assert.deepEqual(codes(plan(state, replacing(2), [2])), []);
  assert.match(text(plan(state, replacing(2), [1, 2])), /no majority/);
  assert.match(text(plan(catalog(3, { single: [[2]] }), replacing(2), [2])), /single/);
  assert.deepEqual(codes(plan(state, replacing(2, 'other'), [2])), ['INVALID_REQUEST']);
});

test('a replaced disk gets its replicas anew, the old ones leave, and nobody waits for their removal', () => {
  const state = catalog(3, { orders: [[0, 1, 2], [2, 0, 1]] }); // prettier-ignore
  state.replay({ kind: 'replace-broker', brokerId: toBrokerId(2), incarnation: 'disk-2' });
  state.replay({ kind: 'put-broker', broker: broker(2, { incarnation: 'new', catalogReplica: toReplicaId(100) }) });
  const command = upkeep(state);
  assert.ok(command?.kind === 'place-replicas');
  assert.deepEqual(
    command.placements.map((one) => one.replicas.map((replica) => replica.incarnation).sort()),
    [
      ['disk-0', 'disk-1', 'new'],
      ['disk-0', 'disk-1', 'new'],
    ],
  );
  state.replay(command);
  assert.equal(upkeep(state), null, 'one order at a time');
  const [, old] = [on(state, 1), state.placeOf(toGroupNumber(1))!.leaving];
  assert.deepEqual(old.map((one) => one.incarnation), ['disk-2']); // prettier-ignore
  reach(state, 1);
  assert.deepEqual(state.placeOf(toGroupNumber(1))!.leaving, []);
  // deleted while the other one still leaves: no tombstone waits for the disk that is gone
  state.replay({ kind: 'delete-topic', topicId: 'id-orders' });
  const waiting = [...state.tombstones.values()].flatMap((one) => one.replicas.map((replica) => replica.incarnation));
  assert.ok(!waiting.includes('disk-2'));
  assert.throws(() => state.replay({ kind: 'put-broker', broker: broker(1, { incarnation: 'x', catalogReplica: toReplicaId(200) }) }), /catalog-9/); // prettier-ignore
});

test('a disk that is replaced before it had its replicas keeps nothing waiting for it, and takes nobody a turn', () => {
  const state = catalog(3, { orders: [[0, 1, 2], [2, 0, 1]] }); // prettier-ignore
  const replace = (from: string, to: string, replica: number): void => {
    state.replay({ kind: 'replace-broker', brokerId: toBrokerId(2), incarnation: from });
    const put = broker(2, { incarnation: to, catalogReplica: toReplicaId(replica) });
    state.replay({ kind: 'put-broker', broker: put });
  };
  const disks = (group: number): readonly string[] =>
    state.placeOf(toGroupNumber(group))!.replicas.map((one) => one.incarnation);
  replace('disk-2', 'second', 100);
  state.replay(upkeep(state, 1)!);
  assert.deepEqual(disks(1), ['disk-0', 'disk-1', 'second']);
  replace('second', 'third', 200);
  state.replay(upkeep(state, 1)!);
  assert.deepEqual(disks(1), ['disk-0', 'disk-1', 'third']);
  reach(state, 1);
  assert.deepEqual(state.placeOf(toGroupNumber(1))!.leaving, []);
  state.replay(upkeep(state, 1)!);
  assert.deepEqual(disks(2), ['third', 'disk-0', 'disk-1']);
});

test('what leaves a broker goes in turns, to where there is room, and then the broker goes', () => {
  const state = catalog(4, { orders: [[3, 0, 1], [0, 3, 1], [1, 2, 3], [0, 1, 2]] }); // prettier-ignore
  give(state, 3, 'decommissioning');
  const first = upkeep(state, 1);
  assert.ok(first?.kind === 'place-replicas');
  // groups 1 and 2 can go to broker 2 only, group 3 to broker 0 only
  assert.deepEqual(
    first.placements.map((one) => [one.group, one.replicas.map((replica) => replica.brokerId)]),
    [
      [1, ids(2, 0, 1)],
      [3, ids(1, 2, 0)],
    ],
  );
  state.replay(first);
  reach(state, 3);
  assert.equal(upkeep(state, 1), null, 'broker 2 still gets one');
  reach(state, 1);
  const second = upkeep(state, 1);
  assert.ok(second?.kind === 'place-replicas' && second.placements.length === 1);
  state.replay(second);
  reach(state, 2);
  assert.equal(upkeep(state), null, 'it lives, and has not said that its data is gone');
  const groups = [1, 2, 3].map(toGroupNumber);
  state.replay({ kind: 'removal-done', brokerId: toBrokerId(3), incarnation: 'disk-3', groups });
  assert.deepEqual(upkeep(state), { kind: 'remove-broker', brokerId: 3 });
  assert.deepEqual(on(state, 4), [0, 1, 2]);
});

test('a dead broker that goes is not waited for', () => {
  const state = catalog(4, { orders: [[3, 0, 1]] });
  give(state, 3, 'decommissioning');
  state.replay(upkeep(state, 10, [3])!);
  assert.equal(upkeep(state, 10, [3]), null);
  reach(state, 1);
  assert.deepEqual(upkeep(state, 10, [3]), { kind: 'remove-broker', brokerId: 3 });
});

test('moves: one order at a time unless it supersedes, known live brokers, as many as there are', () => {
  const state = catalog(5, { orders: [[0, 1, 2]] });
  const to = (...brokers: readonly number[]): ClusterOperation => moving('orders', [{ partition: 0, to: brokers }]);
  const fine = plan(state, to(3, 1, 2));
  assert.deepEqual([codes(fine), fine.copies, [...(fine.leadLeaves.get(toGroupNumber(1)) ?? [])]], [[], [1], [0]]);
  assert.deepEqual(codes(plan(state, to(3, 1))), ['INVALID_REPLICATION_FACTOR']);
  assert.deepEqual(codes(plan(state, to(3, 3, 1))), ['INVALID_REQUEST']);
  assert.deepEqual(codes(plan(state, to(9, 1, 2))), ['BROKER_ID_NOT_REGISTERED']);
  assert.deepEqual(codes(plan(state, to(3, 1, 2), [3])), ['UNSAFE_OPERATION']);
  assert.deepEqual(codes(plan(state, to(3, 1, 2), [1, 2])), ['UNSAFE_OPERATION', 'UNSAFE_OPERATION']);
  assert.equal(plan(state, to(0, 1, 2)).command, null, 'as it is');
  const twice = moving('orders', [{ partition: 0, to: [3, 1, 2] }, { partition: 0, to: [4, 1, 2] }]); // prettier-ignore
  assert.deepEqual(codes(plan(state, twice)), ['INVALID_REQUEST']);
  give(state, 4, 'draining');
  assert.deepEqual(codes(plan(state, to(4, 1, 2))), ['INVALID_REQUEST']);
  state.replay(fine.command!);
  assert.deepEqual(codes(plan(state, to(0, 1, 2))), ['REASSIGNMENT_IN_PROGRESS']);
  const back = plan(state, moving('orders', [{ partition: 0, to: [0, 1, 2] }], true));
  assert.ok(back.command?.kind === 'place-replicas');
  // the replica that was to leave is taken back as it was: nothing is copied
  assert.deepEqual(
    [back.command.placements[0]?.replicas.map((one) => one.replicaId), back.copies.length],
    [[6, 7, 8], 1],
  );
  assert.deepEqual(codes(plan(state, leading('orders', 0, 1))), ['REASSIGNMENT_IN_PROGRESS']);
});

test('fewer replicas: the preferred leader stays, who is silent or drained goes first', () => {
  const shrink = (state: CatalogState, silent: readonly number[] = []): readonly BrokerId[] => {
    const wish = { kind: 'change-replication-factor', topic: topicNamed('orders'), replicationFactor: 1 } as const;
    const { command } = plan(state, wish, silent);
    assert.ok(command?.kind === 'place-replicas');
    return command.placements[0]!.replicas.map((one) => one.brokerId);
  };
  assert.deepEqual(shrink(catalog(3, { orders: [[1, 0, 2]] })), [1]);
  assert.deepEqual(shrink(catalog(3, { orders: [[1, 0, 2]] }), [1]).includes(toBrokerId(1)), false);
});

test('an upgrade is finalized when the software of every broker knows the format; who does not is named', () => {
  const state = catalog(3, {});
  assert.equal(plan(state, { kind: 'finalize-upgrade' }).command, null);
  for (const id of [0, 1])
    state.replay({ kind: 'put-broker', broker: broker(id, { formatVersion: 2, version: '0.2.0' }) });
  const early = plan(state, { kind: 'finalize-upgrade' });
  assert.deepEqual([codes(early), early.refusals[0]?.error.fields?.['brokers']], [['UNSAFE_OPERATION'], '2']);
  state.replay({ kind: 'put-broker', broker: broker(2, { formatVersion: 2 }) });
  const { command } = plan(state, { kind: 'finalize-upgrade' });
  assert.deepEqual(command, { kind: 'raise-active-version', activeVersion: 2 });
  state.replay(command);
  assert.equal(state.head?.activeVersion, 2);
  assert.throws(() => state.replay({ kind: 'raise-active-version', activeVersion: 1 }), /catalog-12/);
});

test('so many replicas to one broker at once, and what is stuck elsewhere takes nobody else a turn', () => {
  const state = catalog(5, { orders: [[0, 1, 2], [0, 1, 2], [0, 1, 2]] }); // prettier-ignore
  const moves = [0, 1, 2].map((partition) => ({ partition, to: [0, 1, partition === 0 ? 4 : 3] }));
  state.replay(plan(state, moving('orders', moves)).command!);
  const places = [...state.topics.values()].flatMap((topic) => topic.partitions);
  assert.deepEqual([...groupsInTurn(places, 1)], [1, 2]);
  assert.deepEqual([...groupsInTurn(places, 2)], [1, 2, 3]);
});

test('an impact adds up what is known, and calls unknown what is not', () => {
  const state = catalog(4, { orders: [[0, 1, 2], [0, 1, 2]] }); // prettier-ignore
  const moves = [0, 1].map((partition) => ({ partition, to: [3, 1, 2] }));
  const planned = plan(state, moving('orders', moves));
  const fact = (group: number, id: number, bytes: number, leads: boolean) => {
    return { group: toGroupNumber(group), brokerId: toBrokerId(id), bytes, leads };
  };
  const all = impactOf(planned, [fact(1, 0, 100, true), fact(1, 1, 90, false), fact(2, 1, 7, true)], false);
  assert.deepEqual([all.bytesToMove, all.partitionsOfUnknownSize, all.leadersToMove], [107, 0, 1]);
  const part = impactOf(planned, [fact(1, 1, 90, false)], false);
  assert.deepEqual([part.bytesToMove, part.partitionsOfUnknownSize, part.leadersToMove], [90, 1, null]);
  const none = impactOf(planned, [], false);
  assert.deepEqual([none.bytesToMove, none.partitionsOfUnknownSize, none.leadersToMove], [null, 2, null]);
});

test('a broker that votes in the catalog stays until another one that can has its vote', () => {
  const gone = { kind: 'remove-broker', brokerId: 2 };
  const state = catalog(4, {});
  give(state, 2, 'decommissioning');
  assert.equal(upkeep(state), null, 'broker 3 is to vote instead');
  assert.deepEqual(upkeep(state, 10, [], [0, 1, 3]), gone);
  assert.deepEqual(upkeep(state, 10, [3]), gone, 'broker 3 is not there to vote');
  give(state, 3, 'decommissioning');
  assert.deepEqual(upkeep(state), gone, 'broker 3 goes too');
});
