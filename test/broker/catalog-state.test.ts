import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { CatalogCommand } from '../../src/broker/catalog-commands.ts';
import { decodeCommand, encodeCommand } from '../../src/broker/catalog-commands.ts';
import { decideCreateTopic, decideDeleteTopic, decideEpoch } from '../../src/broker/catalog-decisions.ts';
import { CatalogState } from '../../src/broker/catalog-state.ts';
import { encodeJson } from '../../src/broker/json-fields.ts';
import type { TopicConfigChange } from '../../src/broker/topic-config.ts';
import { noConfigChange } from '../../src/broker/topic-config.ts';
import { defaultBrokerLimits } from '../../src/broker/limits.ts';
import type { GroupNumber } from '../../src/model/ids.ts';
import { InvariantViolation } from '../../src/model/assert.ts';
import {
  toBrokerId,
  toGroupNumber,
  toMillis,
  toProducerEpoch,
  toProducerId,
  toReplicaId,
} from '../../src/model/ids.ts';
import type { StateChange } from '../../src/model/raft-state.ts';
import { code, error, value } from './broker-fixture.ts';

const founding: CatalogCommand = {
  kind: 'found',
  clusterId: 'cluster',
  createdAtMs: toMillis(1),
  activeVersion: 1,
  producerKey: '00',
  founders: [],
};

const broker = (id: number): CatalogCommand => ({
  kind: 'put-broker',
  broker: {
    brokerId: toBrokerId(id),
    address: `host-${id}:9400`,
    peerAddress: `host-${id}:9401`,
    rack: null,
    incarnation: `disk-${id}`,
    version: '0.1.0',
    catalogReplica: toReplicaId(id + 1),
    joined: true,
  },
});

const opened = (id: number, groups: readonly GroupNumber[]): CatalogCommand => ({
  kind: 'replicas-opened',
  brokerId: toBrokerId(id),
  incarnation: `disk-${id}`,
  groups,
});

const removed = (id: number, groups: readonly GroupNumber[]): CatalogCommand => ({
  kind: 'removal-done',
  brokerId: toBrokerId(id),
  incarnation: `disk-${id}`,
  groups,
});

function founded(brokers = 1): CatalogState {
  const state = new CatalogState();
  state.replay(founding);
  for (let id = 0; id < brokers; id++) state.replay(broker(id));
  return state;
}

interface Wish {
  readonly name?: string;
  readonly topicId?: string;
  readonly partitions?: number;
  readonly replicationFactor?: number | null;
  readonly tenant?: number;
  readonly internal?: boolean;
  readonly config?: TopicConfigChange;
}

const wished = ({ name = 'orders', ...more }: Wish = {}): Parameters<typeof decideCreateTopic>[1] => ({
  tenant: 0,
  name,
  topicId: `id-${name}`,
  partitions: 1,
  replicationFactor: null,
  internal: false,
  nowMs: toMillis(5),
  config: noConfigChange,
  ...more,
});

const decide = (
  state: CatalogState,
  wish: Wish = {},
  limits = defaultBrokerLimits,
): ReturnType<typeof decideCreateTopic> =>
  decideCreateTopic(state, wished(wish), { limits, dead: new Set(), heard: new Set() });

/** Creates a topic and says which groups and replicas it got. */
function create(state: CatalogState, wish: Wish = {}): { groups: number[]; replicas: number[] } {
  const command = value(decide(state, wish));
  if (command.kind !== 'create-topic') assert.fail(command.kind);
  state.replay(command);
  const places = command.topic.partitions;
  return {
    groups: places.map((place) => place.group),
    replicas: places.flatMap((place) => place.replicas.map((replica) => replica.replicaId)),
  };
}

test('catalog-3: group numbers and replica ids are never given twice, not even those of deleted topics', () => {
  const state = founded();
  assert.deepEqual(create(state, { partitions: 2 }), { groups: [1, 2], replicas: [2, 3] });
  state.replay({ kind: 'delete-topic', topicId: 'id-orders' });
  state.replay(removed(0, [toGroupNumber(1), toGroupNumber(2)]));
  assert.deepEqual(create(state, { topicId: 'again' }), { groups: [3], replicas: [4] });
});

test('names have 1 to 249 characters of a small alphabet, and "__" is reserved', () => {
  const state = founded();
  for (const name of ['a', 'A.b_c-9', 'x'.repeat(249), '_one', '...']) assert.equal(decide(state, { name }).kind, 'ok');
  for (const name of ['', '.', '..', 'a b', 'a/b', 'ä', 'x'.repeat(250), 'a\n', '__mine']) {
    assert.equal(code(decide(state, { name })), 'INVALID_TOPIC', JSON.stringify(name));
  }
  assert.equal(code(decide(state, { name: 'plain', internal: true })), 'INVALID_TOPIC');
});

test('partition counts and replication factors out of range are refused, naming the limit', () => {
  const state = founded(2);
  for (const partitions of [0, -1, 1.5, 1_001, NaN])
    assert.equal(code(decide(state, { partitions })), 'INVALID_PARTITIONS');
  for (const replicationFactor of [0, -1, 1.5, 8]) {
    assert.equal(code(decide(state, { replicationFactor })), 'INVALID_REPLICATION_FACTOR');
  }
  const refused = error(decide(state, { replicationFactor: 3 }));
  assert.equal(refused.code, 'INVALID_REPLICATION_FACTOR');
  assert.deepEqual(refused.fields, { replicationFactor: '3', brokers: '2' });
});

test('the replication factor defaults to 3, or to the number of brokers if there are fewer', () => {
  for (const [brokers, factor] of [
    [1, 1],
    [2, 2],
    [5, 3],
  ] as const) {
    assert.equal(create(founded(brokers)).replicas.length, factor);
  }
});

test('replicas of a partition are on different brokers, and leaders spread', () => {
  const state = founded(3);
  create(state, { partitions: 6 });
  const places = state.topicNamed(0, 'orders')?.partitions ?? [];
  for (const { replicas } of places) assert.equal(new Set(replicas.map((one) => one.brokerId)).size, 3);
  assert.deepEqual(new Set(places.map(({ replicas }) => replicas[0]?.brokerId)).size, 3);
});

test('a name is taken within its tenant only', () => {
  const state = founded();
  create(state);
  assert.equal(code(decide(state, { topicId: 'other' })), 'TOPIC_ALREADY_EXISTS');
  assert.equal(decide(state, { topicId: 'other', tenant: 1 }).kind, 'ok');
});

test('topics and partitions are limited; the internal ones do not count', () => {
  const state = founded();
  create(state, { name: '__groups', internal: true, partitions: 50 });
  create(state, { partitions: 3 });
  assert.equal(code(decide(state, { name: 'b' }, { ...defaultBrokerLimits, topicsMax: 1 })), 'LIMIT_REACHED');
  const few = { ...defaultBrokerLimits, partitionsMax: 4 };
  assert.equal(decide(state, { name: 'b' }, few).kind, 'ok');
  assert.equal(code(decide(state, { name: 'b', partitions: 2 }, few)), 'LIMIT_REACHED');
});

test('deletion is by name, and by id if one is given; internal topics stay', () => {
  const state = founded();
  create(state);
  create(state, { name: 'other' });
  create(state, { name: '__groups', internal: true });
  const asked = (name: string, topicId: string | null): ReturnType<typeof decideDeleteTopic> =>
    decideDeleteTopic(state, { tenant: 0, name, topicId });
  assert.equal(code(asked('nowhere', null)), 'UNKNOWN_TOPIC_OR_PARTITION');
  assert.equal(code(asked('__groups', null)), 'INVALID_TOPIC');
  assert.equal(code(asked('orders', 'id-other')), 'INCONSISTENT_TOPIC_ID');
  assert.equal(code(asked('orders', 'id-gone')), 'UNKNOWN_TOPIC_ID');
  assert.deepEqual(value(asked('orders', 'id-orders')), { kind: 'delete-topic', topicId: 'id-orders' });
});

test('design D5: a tombstone stays until every broker that it names has reported', () => {
  const state = founded(3);
  create(state, { partitions: 2 });
  state.replay({ kind: 'delete-topic', topicId: 'id-orders' });
  const groups = [toGroupNumber(1), toGroupNumber(2)];
  assert.deepEqual([...state.tombstones.keys()], groups);
  const replicasLeft = (): (number | undefined)[] => groups.map((one) => state.tombstones.get(one)?.replicas.length);
  for (const [brokerId, left] of [
    [0, [2, 2]],
    [0, [2, 2]],
    [2, [1, 1]],
    [1, [undefined, undefined]],
    [1, [undefined, undefined]],
  ] as const) {
    state.replay(removed(brokerId, groups));
    assert.deepEqual(replicasLeft(), left);
  }
});

test('catalog-2: the revision rises with brokers, topics and placement, not with producers', () => {
  const state = founded();
  const before = state.revision;
  create(state);
  assert.equal(state.revision, before + 1);
  state.replay(opened(0, [toGroupNumber(1)]));
  state.replay({ kind: 'reserve-producer-ids', from: toProducerId(1), count: 10 });
  assert.equal(state.revision, before + 1);
  state.replay({ kind: 'delete-topic', topicId: 'id-orders' });
  assert.equal(state.revision, before + 2);
});

test('what breaks an invariant of the catalog is a violation, not a guess', () => {
  const forged: readonly [RegExp, CatalogCommand][] = [
    [/catalog-7/, founding],
    [/catalog-6/, { kind: 'reserve-producer-ids', from: toProducerId(9), count: 1 }],
    [/catalog-6/, { kind: 'raise-producer-epoch', producerId: toProducerId(1), producerEpoch: toProducerEpoch(0) }],
    [/must/, { kind: 'delete-topic', topicId: 'nowhere' }],
  ];
  for (const [name, command] of forged) assert.throws(() => founded().replay(command), name);
  const state = founded();
  const command = value(decide(state));
  state.replay(command);
  assert.throws(() => state.replay(command), InvariantViolation);
  assert.throws(() => new CatalogState().replay(command), /catalog-7/);
});

test('pit-P124: commands and versions that are not known halt instead of being skipped', () => {
  assert.throws(() => decodeCommand(encodeJson({ kind: 'teleport' })), /catalog-1/);
  const future = encodeCommand(founding);
  future[0] = 2;
  assert.throws(() => decodeCommand(future), /stored-2/);
  assert.throws(() => decodeCommand(new Uint8Array()), /stored-2/);
  assert.throws(() => decodeCommand(encodeCommand(founding).subarray(0, 40)), /stored-1/);
  assert.throws(() => decodeCommand(encodeJson({ ...founding, clusterId: 5 })), /stored-1/);
  assert.throws(() => {
    new CatalogState().load({ key: new TextEncoder().encode('mystery/1'), value: encodeJson({}) });
  }, /catalog-1/);
});

test('every epoch that is granted is unique: the current one and the one before may go on, older ones are fenced', () => {
  const state = founded();
  state.replay({ kind: 'reserve-producer-ids', from: toProducerId(1), count: 5 });
  const asked = (id: number, epoch: number): ReturnType<typeof decideEpoch> =>
    decideEpoch(state, toProducerId(id), toProducerEpoch(epoch));
  assert.deepEqual(asked(3, 0), { kind: 'raise', epoch: 1 });
  state.replay({ kind: 'raise-producer-epoch', producerId: toProducerId(3), producerEpoch: toProducerEpoch(7) });
  assert.deepEqual(asked(3, 7), { kind: 'raise', epoch: 8 });
  assert.deepEqual(asked(3, 6), { kind: 'raise', epoch: 8 });
  for (const epoch of [5, 8]) {
    const fenced = asked(3, epoch);
    assert.equal(fenced.kind === 'refused' && fenced.error.code, 'INVALID_PRODUCER_EPOCH');
  }
  const never = asked(6, 0);
  assert.equal(never.kind === 'refused' && never.error.code, 'UNKNOWN_PRODUCER_ID');
  state.replay({ kind: 'raise-producer-epoch', producerId: toProducerId(3), producerEpoch: toProducerEpoch(32_767) });
  assert.deepEqual(asked(3, 32_767), { kind: 'new-identity' });
});

test('raised epochs are limited: the lowest ids are forgotten and can not be raised again', () => {
  const state = new CatalogState(50);
  const stored = new Stored(state);
  stored.replay(founding);
  stored.replay({ kind: 'reserve-producer-ids', from: toProducerId(1), count: 100 });
  for (let id = 1; id <= 51; id++) {
    stored.replay({ kind: 'raise-producer-epoch', producerId: toProducerId(id), producerEpoch: toProducerEpoch(1) });
  }
  assert.equal(state.raisedEpochs.size, 46);
  assert.deepEqual(decideEpoch(state, toProducerId(5), toProducerEpoch(0)), { kind: 'new-identity' });
  assert.deepEqual(decideEpoch(state, toProducerId(6), toProducerEpoch(1)), { kind: 'raise', epoch: 2 });
  assert.deepEqual(decideEpoch(state, toProducerId(52), toProducerEpoch(0)), { kind: 'raise', epoch: 1 });
  assert.deepEqual(contentOf(stored.reload()), contentOf(state));
});

/** The state keys that a group would have stored. */
class Stored {
  readonly #state: CatalogState;
  readonly #keys = new Map<string, { key: Uint8Array; value: Uint8Array }>();

  constructor(state: CatalogState) {
    this.#state = state;
  }

  replay(command: CatalogCommand): void {
    for (const change of this.#state.replay(decodeCommand(encodeCommand(command)))) this.#store(change);
  }

  reload(): CatalogState {
    const state = new CatalogState();
    for (const pair of [...this.#keys.values()].reverse()) state.load(pair);
    return state;
  }

  #store(change: StateChange): void {
    const name = Buffer.from(change.key).toString();
    if (change.kind === 'put') this.#keys.set(name, change);
    else assert.ok(this.#keys.delete(name), `what is deleted was there: ${name}`);
  }
}

/** Everything a state knows, whatever order it came in. */
const contentOf = (state: CatalogState): unknown => ({
  head: state.head,
  brokers: sorted(state.brokers),
  topics: sorted(state.topics),
  tombstones: sorted(state.tombstones),
  raisedEpochs: sorted(state.raisedEpochs),
});

const sorted = (map: ReadonlyMap<unknown, unknown>): unknown[] =>
  [...map.entries()].sort(([a], [b]) => (String(a) < String(b) ? -1 : 1));

test('inv-I5: replaying the same commands, and loading what they stored, gives the same state', () => {
  const wish = fc.oneof(
    fc.record({
      kind: fc.constant('create' as const),
      name: fc.constantFrom('a', 'b', 'c'),
      partitions: fc.integer({ min: 1, max: 3 }),
    }),
    fc.record({ kind: fc.constant('delete' as const), name: fc.constantFrom('a', 'b', 'c') }),
    fc.record({ kind: fc.constant('open' as const), name: fc.constantFrom('a', 'b', 'c') }),
    fc.record({ kind: fc.constant('removed' as const), brokerId: fc.integer({ min: 0, max: 2 }) }),
    fc.record({ kind: fc.constant('reserve' as const), count: fc.integer({ min: 1, max: 5 }) }),
    fc.record({ kind: fc.constant('raise' as const), id: fc.integer({ min: 1, max: 5 }) }),
  );
  fc.assert(
    fc.property(fc.array(wish, { maxLength: 40 }), (wishes) => {
      const state = new CatalogState();
      const stored = new Stored(state);
      const log: CatalogCommand[] = [];
      const take = (command: CatalogCommand | null): void => {
        if (command === null) return;
        log.push(command);
        stored.replay(command);
      };
      [founding, broker(0), broker(1), broker(2)].forEach(take);
      wishes.forEach((one, at) => {
        take(commandFor(state, one, at));
      });
      const again = new CatalogState();
      for (const command of log) again.replay(command);
      assert.deepEqual(contentOf(again), contentOf(state));
      assert.deepEqual(contentOf(stored.reload()), contentOf(state));
    }),
  );
});

type AnyWish =
  | { readonly kind: 'create'; readonly name: string; readonly partitions: number }
  | { readonly kind: 'delete' | 'open'; readonly name: string }
  | { readonly kind: 'removed'; readonly brokerId: number }
  | { readonly kind: 'reserve'; readonly count: number }
  | { readonly kind: 'raise'; readonly id: number };

/** The command that a wish becomes, or null where it is refused. */
function commandFor(state: CatalogState, wish: AnyWish, at: number): CatalogCommand | null {
  const topicId = 'name' in wish ? (state.topicNamed(0, wish.name)?.topicId ?? null) : null;
  switch (wish.kind) {
    case 'create': {
      const decided = decide(state, { ...wish, topicId: `id-${at}` });
      return decided.kind === 'ok' ? decided.value : null;
    }
    case 'delete':
      return topicId === null ? null : { kind: 'delete-topic', topicId };
    case 'open':
      return opened(at % 3, state.topicNamed(0, wish.name)?.partitions.map((one) => one.group) ?? []);
    case 'removed':
      return removed(wish.brokerId, [...state.tombstones.keys()]);
    case 'reserve':
      return { kind: 'reserve-producer-ids', from: state.head?.nextProducerId ?? toProducerId(1), count: wish.count };
    case 'raise': {
      const current = state.raisedEpochs.get(toProducerId(wish.id)) ?? 0;
      const decision = decideEpoch(state, toProducerId(wish.id), toProducerEpoch(current));
      const producerId = toProducerId(wish.id);
      return decision.kind === 'raise'
        ? { kind: 'raise-producer-epoch', producerId, producerEpoch: decision.epoch }
        : null;
    }
  }
}
