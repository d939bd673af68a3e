import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CatalogCommand } from '../../src/broker/catalog-commands.ts';
import { decodeCommand, encodeCommand } from '../../src/broker/catalog-commands.ts';
import { CatalogState } from '../../src/broker/catalog-state.ts';
import { encodeJson } from '../../src/broker/json-fields.ts';
import type { TopicConfig, TopicConfigChange } from '../../src/broker/topic-config.ts';
import {
  changedConfig,
  noConfigChange,
  topicConfigDefault,
  topicConfigKeepAll,
} from '../../src/broker/topic-config.ts';
import { toGroupNumber, toMillis } from '../../src/model/ids.ts';
import { BrokerFixture, code, error, value } from './broker-fixture.ts';
import { Cluster } from './cluster-fixture.ts';

const day = 86_400_000;

test('sem-R1: a topic keeps its records for 7 days and any amount, unless it is told otherwise', () => {
  assert.deepEqual(value(changedConfig(topicConfigDefault, noConfigChange)), {
    'retention.ms': 7 * day,
    'retention.bytes': null,
    'retention.records': null,
    'min.insync.replicas': null,
    'message.timestamp.before.max.ms': null,
    'message.timestamp.after.max.ms': 3_600_000,
  });
});

test('a change touches what it names; null is no limit, and a reset goes back to the default', () => {
  const config = {
    'retention.ms': 5,
    'retention.bytes': 6,
    'retention.records': 7,
    'min.insync.replicas': null,
    'message.timestamp.before.max.ms': null,
    'message.timestamp.after.max.ms': null,
  };
  const change = { set: { 'retention.bytes': null }, reset: ['retention.ms'] };
  assert.deepEqual(value(changedConfig(config, change)), {
    ...config,
    'retention.ms': 7 * day,
    'retention.bytes': null,
  });
});

test('a bad value is refused with the key, the value and the range; a strange key with those that there are', () => {
  for (const bad of [0, -1, 1.5, 2 ** 53, NaN]) {
    const refused = error(changedConfig(topicConfigDefault, { set: { 'retention.bytes': bad }, reset: [] }));
    assert.equal(refused.code, 'INVALID_CONFIG');
    assert.match(refused.message, /^retention\.bytes must be from 1 to 9007199254740991 bytes, or no limit; it is /);
    const fields = { key: 'retention.bytes', actual: `${bad}`, from: '1', through: `${2 ** 53 - 1}` };
    assert.deepEqual(refused.fields, fields);
  }
  const strange = error(changedConfig(topicConfigDefault, { set: {}, reset: ['cleanup.policy'] }));
  assert.match(strange.message, /no setting "cleanup.policy".*retention\.ms, retention\.bytes, retention\.records/);
  assert.deepEqual(strange.fields, { key: 'cleanup.policy' });
  const both = { set: { 'retention.ms': 5 }, reset: ['retention.ms'] };
  assert.equal(code(changedConfig(topicConfigDefault, both)), 'INVALID_CONFIG');
});

const topicBefore = {
  ...{ tenant: 0, name: 'old', topicId: 'id-old', internal: false, groupKind: 'data', replicationFactor: 1 },
  ...{ createdAtMs: 5, partitions: [] },
};

test('a topic from before there was a configuration loads, and keeps everything', () => {
  const created = decodeCommand(encodeJson({ kind: 'create-topic', topic: topicBefore }));
  assert.ok(created.kind === 'create-topic');
  assert.deepEqual(created.topic.config, topicConfigKeepAll);
  const state = new CatalogState();
  state.load({ key: new TextEncoder().encode('topic/id-old'), value: encodeJson(topicBefore) });
  assert.deepEqual(state.topics.get('id-old')?.config, topicConfigKeepAll);
});

test('a configuration with fewer settings than today loads: what is not there has no limit', () => {
  const config = { 'retention.ms': 9 };
  const altered = decodeCommand(encodeJson({ kind: 'alter-topic', topicId: 'id', config }));
  assert.deepEqual(altered, { kind: 'alter-topic', topicId: 'id', config: { ...topicConfigKeepAll, ...config } });
});

test('catalog-2: a change is stored and raises the revision', () => {
  const state = new CatalogState();
  const founding = { clusterId: 'c', createdAtMs: toMillis(1), activeVersion: 1, producerKey: '00', founders: [] };
  state.replay({ kind: 'found', ...founding });
  const place = { revision: 0, reached: 0, genesis: [], replicas: [], leaving: [] };
  const topic = {
    ...topicBefore,
    groupKind: 'data',
    ...{ createdAtMs: toMillis(5), config: topicConfigDefault },
    partitions: [{ ...place, group: toGroupNumber(1) }],
  } as const;
  state.replay({ kind: 'create-topic', topic });
  const { revision } = state;
  const config: TopicConfig = {
    ...topicConfigDefault,
    'retention.records': 3,
    'min.insync.replicas': null,
    'message.timestamp.before.max.ms': null,
    'message.timestamp.after.max.ms': null,
  };
  const command: CatalogCommand = { kind: 'alter-topic', topicId: 'id-old', config };
  const changes = state.replay(decodeCommand(encodeCommand(command)));
  const partitions = [{ ...place, group: toGroupNumber(1), createdAt: revision }];
  assert.deepEqual(state.topicNamed(0, 'old'), { ...topic, partitions, config });
  assert.equal(state.topicOf(toGroupNumber(1))?.config['retention.records'], 3);
  assert.equal(state.revision, revision + 1);
  const restarted = new CatalogState();
  for (const change of changes) if (change.kind === 'put') restarted.load(change);
  assert.deepEqual(restarted.topics.get('id-old')?.config, config);
});

const alter = (name: string, config: TopicConfigChange, more: { topicId?: string; dryRun?: boolean } = {}) => ({
  ...{ name, config, topicId: more.topicId ?? null, dryRun: more.dryRun ?? false },
});

test('a topic is created with a configuration and altered, and a restart finds it', async () => {
  const fixture = await BrokerFixture.started();
  const wish = { name: 'orders', partitions: 1, replicationFactor: null };
  const config = { set: { 'retention.ms': 60_000 }, reset: [] };
  const created = value(await fixture.broker.createTopic({ ...wish, config }, fixture.context()));
  assert.deepEqual(created.topic.config, { ...topicConfigDefault, 'retention.ms': 60_000 });
  const change = {
    set: {
      'retention.records': 10,
      'min.insync.replicas': null,
      'message.timestamp.before.max.ms': null,
      'message.timestamp.after.max.ms': null,
    },
    reset: ['retention.ms'],
  };
  const altered = value(await fixture.broker.alterTopic(alter('orders', change), fixture.context()));
  assert.deepEqual(altered.topic.config, {
    ...topicConfigDefault,
    'retention.records': 10,
    'min.insync.replicas': null,
    'message.timestamp.before.max.ms': null,
    'message.timestamp.after.max.ms': null,
  });
  assert.equal(altered.catalogRevision, created.catalogRevision + 1);
  const again = value(await fixture.broker.alterTopic(alter('orders', change), fixture.context()));
  assert.equal(again.catalogRevision, altered.catalogRevision, 'nothing to do');
  const restarted = await fixture.restarted();
  const described = value(await restarted.broker.describeTopic('orders', restarted.context()));
  assert.deepEqual(described.topic.config, altered.topic.config);
});

test('a dry run tells what the topic would be and changes nothing; refusals are the same', async () => {
  const fixture = await BrokerFixture.started();
  const topicId = await fixture.topic('orders');
  const ask = async (name: string, set: Partial<TopicConfig>, more: { topicId?: string } = {}) =>
    fixture.broker.alterTopic(alter(name, { set, reset: [] }, { ...more, dryRun: true }), fixture.context());
  const preview = value(await ask('orders', { 'retention.ms': 5 }, { topicId }));
  assert.equal(preview.topic.config['retention.ms'], 5);
  const described = value(await fixture.broker.describeTopic('orders', fixture.context()));
  assert.deepEqual(described.topic.config, topicConfigDefault);
  assert.equal(described.catalogRevision, preview.catalogRevision);
  assert.equal(code(await ask('orders', { 'retention.ms': 0 })), 'INVALID_CONFIG');
  assert.equal(code(await ask('nobody', {})), 'UNKNOWN_TOPIC_OR_PARTITION');
  assert.equal(code(await ask('__groups', { 'retention.ms': 5 })), 'INVALID_TOPIC');
  assert.equal(code(await ask('orders', {}, { topicId: '00000000-0000-4000-8000-000000000000' })), 'UNKNOWN_TOPIC_ID');
});

test('a topic is altered through any broker, and all of them know', async () => {
  const cluster = await Cluster.started(3);
  await cluster.topic('orders', 1, 3);
  for (const id of [0, 1, 2]) {
    const change = { set: { 'retention.records': 10 + id }, reset: [] };
    const { broker } = cluster.member(id);
    const altered = value(await cluster.answer(broker.alterTopic(alter('orders', change), cluster.context())));
    assert.equal(altered.topic.config['retention.records'], 10 + id, 'seen where it was asked for');
  }
  await cluster.pass(500);
  for (const id of [0, 1, 2]) {
    const { broker } = cluster.member(id);
    const described = value(await cluster.answer(broker.describeTopic('orders', cluster.context())));
    assert.equal(described.topic.config['retention.records'], 12);
  }
  assert.deepEqual(cluster.faults, []);
});
