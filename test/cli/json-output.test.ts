/**
 * The JSON of every command: its fields and their types are what scripts hold on to. A command without an entry here fails
 * the first test. 64-bit numbers are strings; `?` marks what can be null.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import path from 'node:path';
import { Client } from '../../clients/typescript/src/index.ts';
import { buildProgram } from '../../src/cli/program.ts';
import { redirectOutput } from '../../src/cli/standard-output.ts';
import { leaves } from './command-tree.ts';
import { DevBroker, ensureBuilt, SluiceProcess } from './sluice-process.ts';

let broker: DevBroker;

before(async () => {
  ensureBuilt();
  broker = await DevBroker.start();
  process.env['XDG_CONFIG_HOME'] = path.join(broker.directory, 'config');
  process.env['XDG_STATE_HOME'] = path.join(broker.directory, 'state');
  await using client = new Client({ brokers: broker.address });
  await client.admin.createTopic({ name: 't', partitions: 2 });
  await using producer = client.producer();
  await producer.send('t', { key: Buffer.from('k'), value: Buffer.from('v'), headers: [['h', 'x']], partition: 0 });
  await run(['consume', 't', '-g', 'g', '-n', '1']);
});

after(async () => {
  await broker.stop();
  broker.remove();
});

/** Runs a command in this process: what it prints, and what it throws, such as that a dry run would be refused. */
async function run(argv: readonly string[]): Promise<{ readonly output: string; readonly error: unknown }> {
  const printed: Uint8Array[] = [];
  redirectOutput((bytes) => printed.push(bytes));
  let error: unknown = null;
  try {
    await buildProgram().parseAsync(
      [...argv, ...(['profile', 'server', 'storage'].includes(argv[0] ?? '') ? [] : ['--brokers', broker.address])],
      {
        from: 'user',
      },
    );
  } catch (thrown) {
    error = thrown;
  } finally {
    redirectOutput(null);
  }
  return { output: Buffer.concat(printed).toString(), error };
}

type Shape = string | { readonly [field: string]: Shape } | readonly [Shape];

const int64 = 'int64';

/** Throws unless the value has exactly these fields, in this order, of these types. */
function has(shape: Shape, value: unknown, where: string): void {
  if (typeof shape === 'string') {
    const type = shape.replace('?', '');
    if (value === null) assert.ok(shape.endsWith('?') || type === 'any', `${where} is null`);
    else if (type === int64) assert.match(String(typeof value === 'string' ? value : null), /^-?\d+$/, where);
    else if (type === 'any') return;
    else if (type === 'object') assert.ok(typeof value === 'object', where);
    else assert.equal(typeof value, type, where);
  } else if (Array.isArray(shape)) {
    assert.ok(Array.isArray(value), `${where} is no list`);
    for (const [at, item] of value.entries()) has((shape as readonly [Shape])[0], item, `${where}[${at}]`);
  } else {
    assert.deepEqual(Object.keys(value as object), Object.keys(shape), where);
    for (const [field, inner] of Object.entries(shape))
      has(inner, (value as Readonly<Record<string, unknown>>)[field], `${where}.${field}`);
  }
}

const config = {
  retentionMs: 'int64?',
  retentionBytes: 'int64?',
  retentionRecords: 'int64?',
  minInsyncReplicas: 'number?',
  timestampBeforeMaxMs: 'int64?',
  timestampAfterMaxMs: 'int64?',
};
const summary = {
  ...{ name: 'string', topicId: 'string', partitionCount: 'number', replicationFactor: 'number', internal: 'boolean' },
  ...{ createdAtMs: int64, config },
};
const replicas: Shape = ['number'];
const partition = {
  ...{ partition: 'number', leader: 'number?', leaderEpoch: 'number?', replicas, inSyncReplicas: replicas },
  ...{ logStartOffset: 'int64?', highWatermark: 'int64?' },
};
const topic = { ...summary, partitions: [partition] as const };
const impact = {
  ...{
    bytesToMove: 'int64?',
    partitionsOfUnknownSize: 'number',
    replicasToMove: 'number',
    partitionsAffected: 'number',
  },
  ...{
    leadersToMove: 'number?',
    partitionsAtRisk: [{ topic: 'string', partition: 'number', reason: 'string' }] as const,
  },
  ...{ partitionsAtRiskCount: 'number', refusals: [{ code: 'string', message: 'string' }] as const },
  warnings: ['string'] as const,
};
const brokerFacts = {
  ...{ brokerId: 'number', address: 'string', rack: 'string?', incarnation: 'string', version: 'string' },
  ...{ healthy: 'boolean', unhealthyReason: 'string' },
};
const listedBroker = {
  ...{ ...brokerFacts, healthUnknown: 'boolean', duty: 'string?', replicaCount: 'number', replaceable: 'boolean' },
  formatVersion: 'number',
};
const counts = { leaders: 'number', followers: 'number', learners: 'number', quarantined: 'number' };
const member = {
  ...{ memberId: 'string', clientId: 'string', topics: ['string'] as const, memberEpoch: 'number', state: 'string' },
  ...{ assigned: ['object'] as const, revoking: ['object'] as const, awaited: ['object'] as const },
  ...{ suspect: 'boolean', sessionRemainingMs: 'int64?', instanceId: 'string?', away: 'boolean' },
};
const offsets = { topic: 'string', partition: 'number' };
const repaired = { message: 'string', repair: 'string?' };
const profile = {
  ...{ name: 'string', current: 'boolean', brokers: 'string?', timeout: 'string?', requestTimeout: 'string?' },
  color: 'string?',
};
const record = {
  ...{ topic: 'string', partition: 'number', offset: int64, timestampMs: 'int64?', key: 'string?', value: 'string?' },
  headers: [{ name: 'string', value: 'string' }] as const,
};

const storage = {
  ...{ directory: 'string', brokerId: 'number', clusterId: 'string?', incarnation: 'string', formatVersion: 'number' },
  ...{ founding: 'boolean', bootNumber: 'number', whole: 'boolean', floorState: 'string', floorCommit: 'int64?' },
  recoveredCommit: int64,
  logs: [
    {
      ...{ group: int64, kind: 'string', firstIndex: 'int64?', lastIndex: 'int64?', term: 'int64?' },
      ...{
        logStartOffset: 'int64?',
        endOffset: 'int64?',
        checkedEntries: int64,
        checkedBytes: int64,
        damage: 'string?',
      },
    },
  ] as const,
};

interface Case {
  /** The command line; `-o json` is added. */
  readonly line: string;
  readonly shape: Shape;
  /** A dry run on one broker is refused: it prints why, and then ends as the operation would. */
  readonly isRefused?: true;
  /** It reads standard input, or does not end by itself: a process of its own. */
  readonly process?: (argv: readonly string[]) => Promise<string>;
}

const cases: Readonly<Record<string, Case>> = {
  'sluice dev': {
    line: 'dev --port 0',
    shape: { brokers: 'string', dataDir: 'string', kept: 'boolean', pid: 'number' },
    process: async (argv) => {
      const dev = new SluiceProcess(argv, { TMPDIR: broker.directory });
      const ready = await dev.until((text) => text.includes('\n'));
      dev.child.kill('SIGINT');
      assert.equal((await dev.ended).code, 0);
      return ready;
    },
  },
  'sluice server start': {
    line: 'server start',
    shape: { level: 'string', time: 'string', pid: 'number', msg: 'string' },
    process: async ([noun = '', verb = '']) => {
      const places = ['listen.client.port=0', 'listen.broker.port=0', 'listen.http.port=0'];
      const settings = [...places, `storage.dataDir=${path.join(broker.directory, 'server')}`];
      // its log is JSON lines without being asked
      const server = broker.start(noun, verb, ...settings.map((each) => `--set=${each}`));
      const log = await server.until((text) => text.includes('"ready"'));
      server.child.kill('SIGTERM');
      await server.ended;
      const lines = log
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as Readonly<Record<string, unknown>>);
      assert.ok(lines.length > 1);
      const { level, time, pid, msg } = lines.find((line) => line['msg'] === 'ready') ?? {};
      return JSON.stringify({ level, time, pid, msg });
    },
  },
  'sluice server config validate': {
    line: 'server config validate --set log.level=debug',
    shape: { valid: 'boolean', problems: ['string'] },
  },
  'sluice server config print': {
    line: 'server config print --set log.level=debug --changed',
    shape: [{ path: 'string', value: 'string', source: 'string' }],
  },
  'sluice server config schema': {
    line: 'server config schema',
    shape: {
      ...{ $schema: 'string', type: 'string', properties: 'object' },
      ...{ required: ['string'] as const, additionalProperties: 'boolean' },
    },
  },
  'sluice server config defaults': {
    line: 'server config defaults',
    shape: [{ path: 'string', value: 'any', source: 'string' }],
  },
  'sluice topic create': { line: 'topic create made -p 1', shape: topic },
  'sluice topic list': { line: 'topic list', shape: [summary] },
  'sluice topic describe': { line: 'topic describe t', shape: topic },
  'sluice topic alter': { line: 'topic alter t --retention 2d --dry-run', shape: topic },
  'sluice topic add-partitions': { line: 'topic add-partitions t 3 --dry-run', shape: impact },
  'sluice topic set-replicas': { line: 'topic set-replicas t 3 --dry-run', shape: impact, isRefused: true },
  'sluice topic offsets': {
    line: 'topic offsets t --at @2020-01-01T00:00Z',
    shape: [{ ...offsets, logStartOffset: int64, highWatermark: int64, offset: 'int64?', timestampMs: 'int64?' }],
  },
  'sluice topic truncate': { line: 'topic truncate t --dry-run', shape: [{ ...offsets, from: int64, to: int64 }] },
  'sluice topic delete': {
    line: 'topic delete t --dry-run',
    shape: { name: 'string', topicId: 'string', partitionCount: 'number', records: int64, deleted: 'boolean' },
  },
  'sluice produce': {
    line: 'produce t -p 1',
    shape: {
      ...{ topic: 'string', acknowledged: int64, failed: int64, unknown: int64 },
      partitions: [{ partition: 'number', records: int64, firstOffset: 'int64?', lastOffset: 'int64?' }],
    },
    process: async (argv) => (await broker.run(argv, 'one\ntwo\n')).stdout,
  },
  'sluice consume': { line: 'consume t -p 0 -e', shape: [record] },
  'sluice group list': {
    line: 'group list',
    shape: [{ group: 'string', state: 'string', memberCount: 'number', offsetCount: 'number', coordinator: 'number' }],
  },
  'sluice group describe': {
    line: 'group describe g',
    shape: {
      ...{ group: 'string', state: 'string', assignor: 'string', epoch: 'number', emptySinceMs: 'int64?' },
      ...{ offsetCount: 'number', coordinator: 'number', members: [member] },
      rebalances: [
        {
          ...{ atMs: int64, reason: 'string', memberId: 'string?', clientId: 'string' },
          ...{ memberCount: 'number', membersAffected: 'number' },
        },
      ],
    },
  },
  'sluice group members': { line: 'group members g', shape: [member] },
  'sluice group lag': {
    line: 'group lag g',
    shape: [
      {
        ...{ ...offsets, committedOffset: int64, logStartOffset: int64, highWatermark: int64, lag: int64 },
        ...{ lagMs: 'int64?', lostRecords: int64, losesDataInMs: 'int64?' },
      },
    ],
  },
  'sluice group offsets': {
    line: 'group offsets g',
    shape: [{ ...offsets, committedOffset: 'int64?', highWatermark: 'int64?', lag: 'int64?' }],
  },
  'sluice group reset': {
    line: 'group reset g --to earliest --dry-run',
    shape: [{ ...offsets, from: 'int64?', to: int64 }],
  },
  'sluice group delete': {
    line: 'group delete g --dry-run',
    shape: { group: 'string', memberCount: 'number', offsetCount: 'number', deleted: 'boolean' },
  },
  'sluice cluster info': {
    line: 'cluster info',
    shape: {
      ...{ clusterId: 'string', brokers: [listedBroker], catalogLeader: 'number?', catalogRevision: int64 },
      ...{ activeVersion: 'number', topicCount: 'number', partitionCount: 'number' },
    },
  },
  'sluice cluster health': {
    line: 'cluster health',
    shape: { healthy: 'boolean', problems: [{ kind: 'string', ...repaired }] },
  },
  'sluice cluster members': { line: 'cluster members', shape: [listedBroker] },
  'sluice cluster partitions': { line: 'cluster partitions --internal', shape: [{ topic: 'string', ...partition }] },
  'sluice cluster logdirs': {
    line: 'cluster logdirs',
    shape: [
      {
        ...{ brokerId: 'number', answered: 'boolean', incarnation: 'string?', level: 'string?', freeBytes: 'int64?' },
        ...{ softReserveBytes: 'int64?', hardReserveBytes: 'int64?', replicas: counts },
      },
    ],
  },
  'sluice cluster finalize-upgrade': {
    line: 'cluster finalize-upgrade --dry-run',
    shape: { ...impact, activeVersion: 'number' },
  },
  'sluice partition status': {
    line: 'partition status t/0',
    shape: {
      ...{
        topic: 'string',
        partition: 'number',
        leader: 'number?',
        leaderEpoch: 'number?',
        preferredLeader: 'number?',
      },
      ...{ replicas, inSyncReplicas: replicas, logStartOffset: 'int64?', highWatermark: 'int64?' },
    },
  },
  'sluice partition move': { line: 'partition move t/0 --to 0 --dry-run', shape: impact },
  'sluice partition transfer-leader': { line: 'partition transfer-leader t/0 --to 0 --dry-run', shape: impact },
  'sluice partition delete-records': {
    line: 'partition delete-records t/0 --all --dry-run',
    shape: { logStartOffset: int64 },
  },
  'sluice broker list': { line: 'broker list', shape: [listedBroker] },
  'sluice broker describe': {
    line: 'broker describe',
    shape: {
      broker: brokerFacts,
      replicas: counts,
      quarantined: ['object'],
      disk: {
        ...{ level: 'string', freeBytes: int64, softReserveBytes: int64, hardReserveBytes: int64 },
        ballastWhole: 'boolean',
      },
      runtime: {
        ...{ pid: 'number', nodeVersion: 'string', startedAtMs: int64, cpuMs: int64, residentBytes: int64 },
        ...{ heapUsedBytes: int64, loopDelay: 'object?' },
      },
      peers: [{ brokerId: 'number', connected: 'boolean', heardAgoMs: 'int64?', unsentBytes: int64 }],
    },
  },
  'sluice broker drain': { line: 'broker drain 0 --dry-run', shape: impact },
  'sluice broker undrain': { line: 'broker undrain 0 --dry-run', shape: impact },
  'sluice broker decommission': {
    line: 'broker decommission 0 --dry-run',
    shape: { ...impact, replicasLeft: 'number', removed: 'boolean' },
    isRefused: true,
  },
  'sluice broker replace': { line: 'broker replace 0 --dry-run', shape: impact, isRefused: true },
  'sluice broker await-quorum': {
    line: 'broker await-quorum 7',
    shape: { brokerId: 'number', waitedMs: int64 },
  },
  'sluice why': {
    line: 'why t/0',
    shape: {
      ...{ topicId: 'string', answeredBy: 'number', leader: 'number?', leaderEpoch: 'number?' },
      ...{ logStartOffset: 'int64?', highWatermark: 'int64?', endOffset: 'int64?' },
      stalls: [
        {
          ...{ reason: 'string', message: 'string', blocksProduce: 'boolean', blocksFetch: 'boolean' },
          ...{ missingBrokers: replicas, done: 'int64?', total: 'int64?', repair: 'string?' },
        },
      ],
    },
  },
  'sluice why group': {
    line: 'why group g --watch-for 1ms',
    shape: {
      group: 'string',
      stalls: [{ reason: 'string', ...repaired, blocks: 'boolean', memberId: 'string?', partitions: [offsets] }],
    },
  },
  'sluice storage inspect': { line: 'storage inspect DIRECTORY', shape: storage },
  'sluice storage verify': { line: 'storage verify DIRECTORY', shape: storage },
  'sluice profile create': { line: 'profile create p --brokers a:1 --timeout 5s', shape: profile },
  'sluice profile use': { line: 'profile use p', shape: profile },
  'sluice profile edit': { line: 'profile edit p --color never', shape: profile },
  'sluice profile list': { line: 'profile list', shape: [profile] },
  'sluice profile show': {
    line: 'profile show --effective',
    shape: [{ setting: 'string', value: 'string?', source: 'string', from: 'string?' }],
  },
  'sluice profile delete': { line: 'profile delete p --dry-run', shape: { name: 'string', deleted: 'boolean' } },
  'sluice completion': { line: 'completion bash', shape: { shell: 'string', script: 'string' } },
  'sluice version': { line: 'version', shape: { version: 'string', node: 'string' } },
};

test('every command has an entry here, and no other has', () => {
  const paths = leaves(buildProgram()).map(([each]) => each);
  assert.deepEqual([...Object.keys(cases)].sort(), [...paths].sort());
});

// one after the other: what a command prints is heard by the process
describe('the JSON of', () => {
  for (const [name, { line, shape, isRefused = false, process: own }] of Object.entries(cases)) {
    test(name, async () => {
      // what 'server start' left behind, further up
      const directory = path.join(broker.directory, 'server');
      const argv = [...line.replace('DIRECTORY', directory).split(' '), '-o', 'json'];
      const { output, error } = own === undefined ? await run(argv) : { output: await own(argv), error: null };
      if (!isRefused) assert.equal(error, null);
      else assert.ok(error instanceof Error, 'it says why it would be refused');
      const value: unknown = JSON.parse(output);
      if (Array.isArray(shape))
        assert.ok(Array.isArray(value) && (value.length > 0 || name === 'sluice group members'));
      has(shape, value, name);
    });
  }
});
