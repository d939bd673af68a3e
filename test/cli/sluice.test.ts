import assert from 'node:assert/strict';
import { readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from '../../clients/typescript/src/index.ts';
import { failureOf } from '../../src/cli/failure-line.ts';
import { buildProgram, pathOf } from '../../src/cli/program.ts';
import { DevBroker, ensureBuilt, SluiceProcess } from './sluice-process.ts';
import type { Ended } from './sluice-process.ts';

let broker: DevBroker;
let client: Client;

before(async () => {
  ensureBuilt();
  broker = await DevBroker.start();
  client = new Client({ brokers: broker.address });
});

after(async () => {
  await client.close();
  const ended = await broker.stop();
  const left = readdirSync(broker.directory).filter((name) => name.startsWith('sluice-dev-'));
  broker.remove();
  assert.equal(ended.code, 0, ended.stderr);
  assert.deepEqual(left, [], 'dev removes its temporary directory');
});

const sluice = (args: string, stdin: string | Uint8Array = ''): Promise<Ended> => broker.run(args.split(' '), stdin);
const linesOf = (text: string): string[] => text.split('\n').filter((line) => line !== '');
/** Puts what `numbered` says into a new topic of one partition, without a process. */
async function filled(topic: string, count: number, partitions = 1): Promise<void> {
  await client.admin.createTopic({ name: topic, partitions });
  await fill(topic, 0, count);
}

async function fill(topic: string, from: number, count: number): Promise<void> {
  const producer = client.producer();
  const values = linesOf(numbered(from, count)).map((value) => ({ value: Buffer.from(value) }));
  await producer.sendMany(topic, values);
  await producer.close();
}

const numbered = (from: number, count: number): string =>
  Array.from({ length: count }, (_, at) => `r${from + at}\n`).join('');

async function succeeds(args: string, stdin: string | Uint8Array = ''): Promise<string> {
  const ended = await sluice(args, stdin);
  assert.equal(ended.code, 0, `${args}: ${ended.stderr}`);
  return ended.stdout;
}

function fails(ended: Ended, code: number, says: RegExp): void {
  assert.equal(ended.code, code, `${ended.code} ${ended.stderr}`);
  assert.match(ended.stderr, says);
  assert.match(ended.stderr, /^sluice: [^\n]+\n$/, 'one line');
  assert.doesNotMatch(ended.stderr, / at .*\.(js|ts):\d+/, 'no stack');
}

async function committedIsEnd(group: string): Promise<boolean> {
  const offsets = await client.admin.fetchCommitted(group).catch(() => []);
  if (offsets.length === 0) return false;
  const ends = await client.admin.listOffsets(offsets.map((each) => ({ ...each, at: 'latest' })));
  return offsets.every(({ offset }, at) => offset === ends[at]?.offset);
}

async function until(condition: () => Promise<boolean>, what: string): Promise<void> {
  const deadline = performance.now() + 15_000;
  while (!(await condition())) {
    assert.ok(performance.now() < deadline, `waited too long for ${what}`);
    await sleep(20);
  }
}

describe('records', { concurrency: 3 }, () => {
  test('come out of consume as they went into produce, keys and order included', async () => {
    await client.admin.createTopic({ name: 'plain', partitions: 1 });
    await succeeds('produce plain -K : -z zstd', 'a:1\nb:2:x\nc:\n:4\nlast:without line break');
    assert.equal(await succeeds('consume plain -e -K :'), 'a:1\nb:2:x\nc:\n:4\nlast:without line break\n');
    assert.equal(await succeeds('consume plain -e --from -2'), '4\nwithout line break\n');
    assert.equal(await succeeds('consume plain -e --from 1 -n 1'), '2:x\n');
    assert.equal((JSON.parse(await succeeds('consume plain -e -o json')) as unknown[]).length, 5);
    assert.equal(await succeeds('consume plain -e --from @2100-01-01 -o json'), '[\n]\n');
  });

  test('survive a pipe from consume to produce byte by byte', async () => {
    await client.admin.createTopic({ name: 'bytes', partitions: 2 });
    await client.admin.createTopic({ name: 'copy', partitions: 2 });
    const producer = client.producer();
    const binary = Uint8Array.of(0xff, 0x00, 0x0a, 0x80);
    await producer.send('bytes', {
      key: binary,
      value: Buffer.from('täxt\n"'),
      timestampMs: 5,
      partition: 1,
      headers: [
        ['h', 'one'],
        ['h', binary],
      ],
    });
    await producer.send('bytes', { key: null, value: null, timestampMs: 6, partition: 0 });
    await producer.send('bytes', { key: Buffer.from(''), value: Buffer.from(''), timestampMs: 7, partition: 0 });
    const jsonl = await succeeds('consume bytes -e -o jsonl');
    await succeeds('produce copy --jsonl', jsonl);
    const copied = await succeeds('consume copy -e -o jsonl');
    assert.deepEqual(linesOf(copied).sort(), linesOf(jsonl.replaceAll('"bytes"', '"copy"')).sort());
    assert.deepEqual(
      linesOf(jsonl)
        .map((line) => JSON.parse(line) as { partition: number })
        .find(({ partition }) => partition === 1),
      {
        topic: 'bytes',
        partition: 1,
        offset: '0',
        timestampMs: '5',
        keyBase64: '/wAKgA==',
        value: 'täxt\n"',
        headers: [
          { name: 'h', value: 'one' },
          { name: 'h', valueBase64: '/wAKgA==' },
        ],
      },
    );
  });

  test('of several topics and many partitions are all there', async () => {
    await client.admin.createTopic({ name: 'many', partitions: 5 });
    const keyed = Array.from({ length: 3_000 }, (_, at) => `k${at}:${at}\n`).join('');
    await Promise.all([succeeds('produce many -K :', keyed), filled('more', 500, 2)]);
    const both = linesOf(await succeeds('consume many more -e'));
    assert.equal(both.length, 3_500);
    assert.equal(new Set(both).size, 3_500);
  });
});

describe('groups', { concurrency: 3 }, () => {
  test('a killed consumer goes on at once where it stopped', async () => {
    await filled('killed', 300, 3);
    const first = broker.start('consume', 'killed', '-g', 'killed');
    await first.until((text) => linesOf(text).length === 300);
    await until(() => committedIsEnd('killed'), 'the commit');
    first.child.kill('SIGKILL');
    await first.ended;
    await fill('killed', 300, 10);
    const startedMs = performance.now();
    const next = await succeeds('consume killed -g killed -n 10');
    assert.deepEqual(linesOf(next).sort(), linesOf(numbered(300, 10)).sort());
    assert.ok(performance.now() - startedMs < 20_000, 'less than the session of the dead one (45 s)');
  });

  test('Ctrl-C commits what was printed, leaves, and ends with 130', async () => {
    await filled('interrupted', 5);
    const consumer = broker.start(
      'consume',
      'interrupted',
      '-g',
      'interrupted',
      '--state-dir',
      `${broker.directory}/i`,
    );
    await consumer.until((text) => linesOf(text).length === 5);
    consumer.child.kill('SIGINT');
    const ended = await consumer.ended;
    assert.equal(ended.code, 130);
    assert.equal(ended.stderr, '');
    assert.deepEqual(readdirSync(path.join(broker.directory, 'i')), [], 'nothing is left to resume');
    await fill('interrupted', 5, 1);
    assert.equal(await succeeds('consume interrupted -g interrupted -e'), 'r5\n');
    assert.equal(await succeeds('consume interrupted -g interrupted -e'), '');
  });

  test('-n commits what it printed and nothing more', async () => {
    await filled('counted', 10);
    assert.equal(await succeeds('consume counted -g counted -n 4'), numbered(0, 4));
    const offsets = await succeeds('group offsets counted -o json');
    assert.deepEqual(JSON.parse(offsets), [
      { topic: 'counted', partition: 0, committedOffset: '4', highWatermark: '10', lag: '6' },
    ]);
    assert.equal(await succeeds('consume counted -g counted -e'), numbered(4, 6));
  });

  test('a group is listed, described, reset and deleted, and tells how far it is behind', async () => {
    await filled('ops', 10);
    assert.equal(await succeeds('consume ops -g ops -n 4'), numbered(0, 4));
    const json = async (line: string): Promise<unknown> => JSON.parse(await succeeds(`${line} -o json`));
    const groups = (await json('group list')) as { group: string }[];
    const listed = groups.find(({ group }) => group === 'ops');
    assert.deepEqual({ ...listed, coordinator: 0 }, { group: 'ops', state: 'empty', memberCount: 0, offsetCount: 1, coordinator: 0 }); // prettier-ignore
    const described = (await json('group describe ops')) as { rebalances: { reason: string }[]; emptySinceMs: string };
    assert.deepEqual(
      described.rebalances.map(({ reason }) => reason),
      ['joined', 'left'],
    );
    assert.ok(Number(described.emptySinceMs) > 0);
    assert.deepEqual(await json('group members ops'), []);
    const [lag] = (await json('group lag ops')) as [Record<string, string>];
    assert.deepEqual([lag['committedOffset'], lag['highWatermark'], lag['lag'], lag['lostRecords']], ['4', '10', '6', '0']); // prettier-ignore
    assert.ok(Number(lag['lagMs']) > 0 && Number(lag['lagMs']) < 600_000, lag['lagMs']);
    assert.ok(Number(lag['losesDataInMs']) > 6 * 86_400_000, 'seven days less what has passed');
    const to = async (how: string): Promise<unknown> =>
      ((await json(`group reset ops ${how}`)) as { to: string }[]).map((each) => each.to).join();
    assert.equal(await to('--to earliest --dry-run'), '0');
    assert.equal(await to('--to -3 --dry-run'), '7');
    assert.equal(await to('--to 99 --dry-run'), '10', 'no further than the end');
    assert.equal(await to('--to @2020-01-01T00:00Z --dry-run'), '0');
    assert.equal(await to('--shift=-2 --yes'), '2');
    assert.equal(await succeeds('consume ops -g ops -e'), numbered(2, 8));
    const file = path.join(broker.directory, 'offsets.txt');
    writeFileSync(file, '# topic partition offset\nops 0 9\n');
    assert.equal(await to(`--file ${file} --yes`), '9');
    assert.equal(await succeeds('consume ops -g ops -e'), numbered(9, 1));
    await succeeds('group delete ops --yes');
    assert.deepEqual(
      ((await json('group list')) as { group: string }[]).filter(({ group }) => group === 'ops'),
      [],
    );
  });

  test('--from latest is for new groups only', async () => {
    await filled('late', 3);
    assert.equal(await succeeds('consume late -g late --from latest -e'), '');
  });
});

describe('the ends of pipes', { concurrency: 3 }, () => {
  test('a reader that goes away ends consume quietly with 0', async () => {
    await filled('pipe', 20_000);
    const consumer = broker.start('consume', 'pipe');
    await consumer.until((text) => text.length > 0);
    consumer.child.stdout.destroy();
    const ended = await consumer.ended;
    assert.deepEqual([ended.code, ended.stderr], [0, '']);
  });

  test('a reader that does not read can not keep Ctrl-C from working', async () => {
    await client.admin.createTopic({ name: 'stuck' });
    const producer = client.producer();
    await producer.sendMany('stuck', Array<{ value: Buffer }>(1_000).fill({ value: Buffer.alloc(1_000, 'x') }));
    const consumer = new SluiceProcess(['consume', 'stuck', '-g', 'stuck'], broker.env, false);
    await until(
      () =>
        client.admin.fetchCommitted('stuck').then(
          () => true,
          () => false,
        ),
      'the group',
    );
    await sleep(300); // the pipe is full by now
    consumer.child.kill('SIGINT');
    const ended = await consumer.ended;
    assert.ok(ended.code === 130 || ended.signal === 'SIGINT', JSON.stringify(ended));
  });

  test('Ctrl-C in produce: what was read is written and told', async () => {
    await client.admin.createTopic({ name: 'typed' });
    const producer = broker.start('produce', 'typed');
    producer.child.stdin.write('one\ntwo\nhalf a li');
    await until(async () => (await client.admin.describeTopic('typed')).partitions[0]?.highWatermark === 2, 'two');
    producer.child.kill('SIGINT');
    const ended = await producer.ended;
    assert.deepEqual([ended.code, ended.stderr], [130, '2 records written to "typed".\n']);
  });
});

describe('JSON', { concurrency: 3 }, () => {
  test('of topics', async () => {
    const created = JSON.parse(await succeeds('topic create shape -p 2 -o json')) as Record<string, unknown>;
    const { topicId, createdAtMs } = created;
    assert.match(String(topicId), /^[0-9a-f-]{36}$/);
    assert.match(String(createdAtMs), /^\d{13}$/);
    const config = {
      retentionMs: '604800000',
      retentionBytes: null,
      retentionRecords: null,
      minInsyncReplicas: null,
      timestampBeforeMaxMs: null,
      timestampAfterMaxMs: '3600000',
    };
    const facts = { name: 'shape', topicId, partitionCount: 2, replicationFactor: 1, internal: false };
    const summary = { ...facts, createdAtMs, config };
    const known = { leader: 0, leaderEpoch: 1, replicas: [0], inSyncReplicas: [0] };
    const partition = { ...known, logStartOffset: '0', highWatermark: '0' };
    const partitions = [0, 1].map((number) => ({ partition: number, ...partition }));
    assert.deepEqual(JSON.parse(await succeeds('topic describe shape -o json')), { ...summary, partitions });
    const listed = JSON.parse(await succeeds('topic ls -o json')) as { name: string }[];
    assert.deepEqual(
      listed.find(({ name }) => name === 'shape'),
      summary,
    );
    assert.match(await succeeds('topic describe shape -o yaml'), /^name: shape\n(.*\n)*createdAtMs: "\d+"\n/);
    const again = await sluice('topic create shape --if-not-exists -o json');
    assert.equal(again.code, 0);
    assert.equal((JSON.parse(again.stdout) as { topicId: unknown }).topicId, topicId);
  });

  test('of what topics keep, as it is created, altered, and would be', async () => {
    const configOf = async (args: string): Promise<unknown> =>
      (JSON.parse(await succeeds(`topic ${args} -o json`)) as { config: unknown }).config;
    const created = {
      retentionMs: '3600000',
      retentionBytes: '1073741824',
      retentionRecords: null,
      minInsyncReplicas: null,
      timestampBeforeMaxMs: null,
      timestampAfterMaxMs: '3600000',
    };
    assert.deepEqual(await configOf('create kept --retention 1h --retention-bytes 1GiB'), created);
    const change = 'alter kept --retention default --retention-bytes unlimited --retention-records 5';
    const altered = {
      retentionMs: '604800000',
      retentionBytes: null,
      retentionRecords: '5',
      minInsyncReplicas: null,
      timestampBeforeMaxMs: null,
      timestampAfterMaxMs: '3600000',
    };
    assert.deepEqual(await configOf(`${change} --dry-run`), altered);
    assert.deepEqual(await configOf('describe kept'), created, 'the dry run changed nothing');
    assert.deepEqual(await configOf(change), altered);
    assert.deepEqual(await configOf('describe kept'), altered);
    const table = await succeeds('topic describe kept');
    assert.match(table, /^retention: +7d\nretention bytes: +unlimited\nretention records: +5$/m);
  });

  test('of why a partition waits, and of records that are deleted', async () => {
    await client.admin.createTopic({ name: 'waiting' });
    await succeeds('produce waiting', numbered(0, 5));
    const why = JSON.parse(await succeeds('why waiting/0 -o json')) as Record<string, unknown>;
    const { answeredBy, leader, logStartOffset, highWatermark, endOffset, stalls } = why;
    assert.deepEqual([answeredBy, leader, logStartOffset, highWatermark, endOffset], [0, 0, '0', '5', '5']);
    const [idle] = stalls as Record<string, unknown>[];
    assert.deepEqual([idle?.['reason'], idle?.['blocksFetch']], ['at-high-watermark', false]);
    assert.match(
      await succeeds('why waiting/0'),
      /^at-high-watermark: Everything that is committed .*Nothing waits for it\.\n\npartition: /,
    );
    assert.equal((await sluice('why nowhere/0')).code, 3);
    assert.equal((await sluice('partition delete-records waiting/0')).code, 2);
    const deleted = JSON.parse(
      await succeeds('partition delete-records waiting/0 --before 3 --yes -o json'),
    ) as unknown;
    assert.deepEqual(deleted, { logStartOffset: '3' });
    assert.equal(await succeeds('consume waiting --exit'), numbered(3, 2));
    assert.equal((await sluice('partition delete-records waiting/0 --before 9 --dry-run')).code, 2);
    const all = JSON.parse(await succeeds('partition delete-records waiting/0 --all --yes -o json')) as unknown;
    assert.deepEqual(all, { logStartOffset: '5' });
  });

  test('of produce', async () => {
    await client.admin.createTopic({ name: 'summary' });
    assert.deepEqual(JSON.parse(await succeeds('produce summary -o json', numbered(0, 3))), {
      topic: 'summary',
      acknowledged: '3',
      failed: '0',
      unknown: '0',
      partitions: [{ partition: 0, records: '3', firstOffset: '0', lastOffset: '2' }],
    });
  });

  test('of the cluster and the version', async () => {
    const cluster = JSON.parse(await succeeds('cluster info -o json')) as Record<string, unknown>;
    assert.deepEqual(Object.keys(cluster), [
      'clusterId',
      'brokers',
      'catalogLeader',
      'catalogRevision',
      'activeVersion',
      'topicCount',
      'partitionCount',
    ]);
    assert.equal(typeof cluster['catalogRevision'], 'string');
    const [only] = cluster['brokers'] as { address: string; healthy: boolean }[];
    assert.deepEqual([only?.address, only?.healthy], [broker.address, true]);
    const report = JSON.parse(await succeeds('broker describe -o json')) as Record<string, Record<string, unknown>>;
    assert.deepEqual(Object.keys(report), ['broker', 'replicas', 'quarantined', 'disk', 'runtime', 'peers']);
    assert.deepEqual([report['broker']?.['address'], report['quarantined']], [broker.address, []]);
    assert.match(String(report['disk']?.['freeBytes']), /^\d+$/);
    assert.equal(report['runtime']?.['nodeVersion'], process.version);
    const version = JSON.parse(await succeeds('version -o json')) as Record<string, string>;
    assert.deepEqual(Object.keys(version), ['version', 'node']);
  });

  test('of nothing: tables are for people and stay within 100 columns', async () => {
    await client.admin.createTopic({ name: 'table', partitions: 3 });
    const tables = await Promise.all(
      ['topic list', 'topic describe table', 'cluster info', 'broker describe'].map((each) => succeeds(each)),
    );
    for (const line of tables.flatMap(linesOf)) assert.ok(line.length <= 100, line);
  });
});

describe('bad input', { concurrency: 3 }, () => {
  before(async () => {
    await client.admin.createTopic({ name: 'there', partitions: 2 });
  });

  /** What is refused before anything is read or printed needs no process of its own. */
  const refusals: readonly (readonly [args: string, code: number, says: RegExp])[] = [
    ['topic list --brokers 127.0.0.1:1 --timeout 300ms', 6, /No broker answers at 127.0.0.1:1 .*"sluice dev"/],
    ['topic list --brokers no/address', 2, /"no\/address" is no broker address; write host:port/],
    ['topic describe nope', 3, /"nope" does not exist/],
    ['broker describe 77', 2, /no broker 77 in this cluster/],
    ['broker describe one', 2, /whole number/],
    ['consume nope', 3, /"nope" does not exist/],
    ['consume there nope -g g', 3, /no topic nope/],
    ['consume there -p 9', 3, /partitions 0 to 1, not 9/],
    ['consume there --from 99', 2, /--from/],
    ['produce nope', 3, /"sluice topic create" makes a topic/],
    ['topic create there', 4, /exists.*--if-not-exists/],
    ['topic create a/b', 2, /\[A-Za-z0-9._-\]/],
    ['topic create x -p 0', 2, /whole number from 1 to 1000.*"sluice topic create --help"/],
    ['topic create x --retention 5', 2, /a time with its unit, like 12h or 7d, "unlimited" or "default"/],
    ['topic alter there --retention-bytes 0', 2, /a size, like 500MB or 10GiB/],
    ['topic alter there', 2, /Nothing to change: pass --retention/],
    ['topic alter nope --retention 1h', 3, /does not exist/],
    ['topic delete there', 2, /--yes/],
    ['topic truncate there', 2, /--yes/],
    ['topic truncate nope --yes', 3, /does not exist/],
    ['topic offsets there --at 5', 2, /takes a time/],
    ['partition delete-records there/0 --all', 2, /--yes/],
    ['partition delete-records there/0 --all --before 3 --yes', 2, /either --before or --all/],
    ['partition status there/9', 3, /partitions 0 to 1, not 9/],
    ['why there', 2, /the topic, a slash and the number/],
    ['why group nope', 3, /no such group/],
    ['cluster health --within 5s', 2, /goes with --exit-when-healthy/],
    ['cluster health --watch --exit-when-healthy', 2, /cannot be used with/],
    ['topic list --profile nope', 3, /no profile "nope".*sluice profile list/],
    ['topic list --color blue', 2, /auto, always, never/],
    ['produce there -k a -K :', 2, /cannot be used with/],
    ['produce there --rate 0', 2, /from 1\/s to/],
    ['produce there -H broken', 2, /a name and a value/],
    ['consume there -f %q', 2, /There is no %q; there are %t %p %o/],
    ['consume there -f %s -o json', 2, /cannot be used with/],
    ['topic delete nope --yes', 3, /does not exist/],
    ['group offsets nope', 3, /Group "nope" has committed nothing/],
    ['group describe nope', 3, /no such group/],
    ['group lag nope', 3, /no such group/],
    ['group delete nope', 2, /--yes/],
    ['group delete nope --yes', 3, /no such group/],
    ['group reset nope --to earliest --yes', 3, /committed nothing there/],
    ['group reset nope --to earliest', 2, /--yes/],
    ['group reset nope --yes', 2, /one of --to, --shift or --file/],
    ['group reset nope --shift 0 --yes', 2, /a whole number other than 0/],
    ['produce there --jsonl -K :', 2, /'--jsonl' cannot be used with option '-K/],
    ['consume there -g g --from 5', 2, /earliest or latest/],
    ['consume there -g g -p 1', 2, /cannot be used with/],
    ['consume there -o json -K :', 2, /goes with -o value/],
    ['consume there --from noon', 2, /earliest, latest, an offset/],
    ['consume there --state-dir /dev/null/x -g g', 1, /Choose another directory with --state-dir/],
    ['topic lits', 2, /unknown command 'lits'.*"sluice topic --help"/],
    ['topic list --timeout 5', 2, /with its unit/],
  ];
  for (const [args, code, says] of refusals) {
    test(`${args} is refused with ${code}`, async () => {
      const brokers = /--brokers (\S+)/.exec(args)?.[1] ?? broker.address;
      const argv = args.split(' ');
      const program = buildProgram();
      const refused = program.parseAsync(args.includes('--brokers') ? argv : [...argv, '--brokers', brokers], {
        from: 'user',
      });
      await assert.rejects(refused, (error) => {
        const { exitCode, line } = failureOf(error, { brokers, command: pathOf(program, argv) });
        assert.equal(exitCode, code, line ?? '');
        assert.match(line ?? '', says);
        assert.doesNotMatch(line ?? '', /\n/);
        return true;
      });
    });
  }

  const cases: readonly (readonly [args: string, stdin: string, code: number, says: RegExp])[] = [
    [
      'produce there --jsonl',
      '{"value":"1"}\n\n{"value":"2"}\nnot json\n',
      7,
      /^sluice: Line 4: no valid JSON .* 2 records written/,
    ],
    ['produce there --jsonl', '{"value":"x","partition":7}\n', 3, /Line 1: .*0 records written, 1 not written/],
    ['produce there -K :', 'k:v\nplain\n', 7, /Line 2 has no key delimiter ":".* 1 record written/],
    ['produce there', 'y'.repeat(1_100_000), 1, /Line 1: .*1 not written/],
    ['server start --set storage.datadir=/x', '', 2, /did you mean storage.dataDir/],
  ];
  for (const [args, stdin, code, says] of cases) {
    test(`${args} <<< ${JSON.stringify(stdin.slice(0, 40))} ends with ${code}`, async () => {
      fails(await sluice(args, stdin), code, says);
    });
  }

  test('--debug shows the stack', async () => {
    const { code, stderr } = await sluice('topic describe nope --debug');
    assert.equal(code, 3);
    assert.match(stderr, /^sluice: [^\n]+\nBrokerError: .*\n\s+at /s);
  });

  test('a topic is deleted with --yes and only looked at with --dry-run', async () => {
    await client.admin.createTopic({ name: 'gone' });
    assert.equal((await sluice('topic rm gone --dry-run')).code, 0);
    await client.admin.describeTopic('gone');
    assert.equal((await sluice('topic rm gone --yes')).code, 0);
    await assert.rejects(client.admin.describeTopic('gone'), { code: 'UNKNOWN_TOPIC_OR_PARTITION' });
  });
});

describe('a broker under the command', { concurrency: 2 }, () => {
  const settings = (name: string): string[] =>
    [
      'listen.client.port=0',
      'listen.broker.port=0',
      'listen.http.port=0',
      `storage.dataDir=${path.join(broker.directory, name)}`,
    ].flatMap((each) => ['--set', each]);
  const ready = (text: string): boolean => text.includes('"ready"');
  const pidIn = (text: string): number => Number(/"pid":(\d+)/.exec(text)?.[1]);

  test('ends with server start: SIGTERM is forwarded, the exit code comes back', async () => {
    const server = broker.start('server', 'start', ...settings('orderly'));
    const log = await server.until(ready);
    assert.notEqual(pidIn(log), server.child.pid);
    server.child.kill('SIGTERM');
    const { code, stdout } = await server.ended;
    assert.equal(code, 0);
    assert.match(stdout, /"close store"/);
  });

  test('does not outlive a killed server start', async () => {
    const server = broker.start('server', 'start', ...settings('orphan'));
    const pid = pidIn(await server.until(ready));
    server.child.kill('SIGKILL');
    await server.ended;
    await until(() => Promise.resolve(!isThere(pid)), 'the end of the broker');
  });

  function isThere(pid: number): boolean {
    try {
      return process.kill(pid, 0);
    } catch {
      return false;
    }
  }
});
