import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import type { Config, ConfigSources } from '../src/config.ts';
import { configJsonSchema, foundersOf, loadConfig, settingPaths } from '../src/config.ts';

const folder = mkdtempSync(path.join(os.tmpdir(), 'sluice-config-'));
after(() => rmSync(folder, { recursive: true }));

let files = 0;
function fileWith(text: string): string {
  const file = path.join(folder, `${files++}.yaml`);
  writeFileSync(file, text);
  return file;
}

function load(sources: Partial<ConfigSources>): Config {
  const loaded = loadConfig({ argv: [], env: {}, ...sources });
  assert.ok(loaded.kind === 'ok', JSON.stringify(loaded));
  return loaded.config;
}

function problems(sources: Partial<ConfigSources>): readonly string[] {
  const loaded = loadConfig({ argv: [], env: {}, ...sources });
  assert.ok(loaded.kind === 'invalid');
  return loaded.problems;
}

test('without any source a broker listens on 127.0.0.1:9400 and keeps its data in ./data', () => {
  const config = load({});
  assert.deepEqual(config.listen.client, { host: '127.0.0.1', port: 9400 });
  assert.equal(config.storage.dataDir, './data');
});

test('defaults < file < environment < --set', () => {
  const file = fileWith('listen: { client: { port: 1 } }\nlog: { level: error }\nstorage: { dataDir: /file }\n');
  const loaded = loadConfig({
    argv: ['--config', file, '--set', 'listen.client.port=3'],
    env: { SLUICE_LISTEN__CLIENT__PORT: '2', SLUICE_STORAGE__DATA_DIR: '/env' },
  });
  assert.ok(loaded.kind === 'ok');
  const shown = new Map(loaded.settings.map((setting) => [setting.path, [setting.value, setting.source]]));
  assert.deepEqual(shown.get('listen.client.port'), [3, '--set']);
  assert.deepEqual(shown.get('storage.dataDir'), ['/env', 'environment SLUICE_STORAGE__DATA_DIR']);
  assert.deepEqual(shown.get('log.level'), ['error', `file ${file}`]);
  assert.deepEqual(shown.get('listen.client.host'), ['127.0.0.1', 'default']);
  assert.deepEqual([...shown.keys()], settingPaths);
});

test('SLUICE_CONFIG names the file, --config wins over it', () => {
  const [one, two] = [fileWith('broker: { id: 1 }'), fileWith('broker: { id: 2 }')];
  assert.equal(load({ env: { SLUICE_CONFIG: one } }).broker.id, 1);
  assert.equal(load({ env: { SLUICE_CONFIG: one }, argv: [`--config=${two}`] }).broker.id, 2);
});

test('sizes and spans are read with their units', () => {
  const config = load({
    argv: ['--set', 'storage.softReserveBytes=1.5GiB', '--set', 'groups.sessionTimeoutMs=60s'],
    env: { SLUICE_STORAGE__BALLAST_BYTES: '1000' },
  });
  assert.equal(config.storage.softReserveBytes, 1.5 * 2 ** 30);
  assert.equal(config.groups.sessionTimeoutMs, 60_000);
  assert.equal(config.storage.ballastBytes, 1000);
});

test('what is true or false is given by these words, or as such in the file', () => {
  assert.equal(load({}).storage.mayFound, true);
  assert.equal(load({ env: { SLUICE_STORAGE__MAY_FOUND: 'false' } }).storage.mayFound, false);
  assert.equal(load({ argv: ['--config', fileWith('storage: { mayFound: false }')] }).storage.mayFound, false);
  assert.equal(load({ argv: ['--set', 'storage.mayFound=true'] }).storage.mayFound, true);
  for (const wrong of ['no', '0', '', 'FALSE']) {
    const found = problems({ argv: ['--set', `storage.mayFound=${wrong}`] });
    assert.deepEqual(found, [`storage.mayFound must be true or false; it is ${JSON.stringify(wrong)} (--set)`]);
  }
});

test('an empty file, and a section without content, are as good as none', () => {
  assert.deepEqual(load({ argv: ['--config', fileWith('')] }), load({}));
  assert.deepEqual(load({ argv: ['--config', fileWith('storage:\n')] }), load({}));
});

test('an unknown key is an error that says what was meant, wherever it stands', () => {
  const file = fileWith('storage: { datadir: x }\n');
  assert.deepEqual(problems({ argv: ['--config', file] }), [
    `unknown setting storage.datadir (file ${file}); did you mean storage.dataDir?`,
  ]);
  assert.deepEqual(problems({ env: { SLUICE_LISTEN__CLIENT__PROT: '1' } }), [
    'unknown setting listen.client.prot (environment SLUICE_LISTEN__CLIENT__PROT); did you mean listen.client.port?',
  ]);
  assert.match(
    problems({ argv: ['--set', 'quite.other=1'] })[0]!,
    /^unknown setting quite\.other \(--set\); the settings are /,
  );
});

test('a value that does not fit is an error with its rule and its source; all are told at once', () => {
  const found = problems({
    argv: ['--set', 'listen.client.port=70000', '--set', 'log.level=loud', '--set', 'storage.ballastBytes=5 parsecs'],
    env: { SLUICE_BROKER__ID: '-1', SLUICE_CLUSTER__ID: 'mine' },
  });
  assert.deepEqual(
    found.map((problem) => problem.split(' ', 1)[0]),
    ['broker.id', 'cluster.id', 'listen.client.port', 'storage.ballastBytes', 'log.level'],
  );
  assert.match(found[0]!, /must be a whole number from 0 to 2147483647; it is "-1" \(environment SLUICE_BROKER__ID\)$/);
});

test('settings that contradict each other are refused', () => {
  assert.match(
    problems({ argv: ['--set', 'storage.hardReserveBytes=2GiB', '--set', 'storage.softReserveBytes=1GiB'] })[0]!,
    /must not be above storage\.softReserveBytes/,
  );
});

test('unknown or unfinished arguments and unreadable files are one sentence each', () => {
  assert.match(problems({ argv: ['--port', '1'] })[0]!, /^unknown argument --port/);
  assert.match(problems({ argv: ['--set'] })[0]!, /^--set needs a value$/);
  assert.match(problems({ argv: ['--set', 'log.level'] })[0]!, /must be <path>=<value>/);
  assert.match(problems({ argv: ['--config', path.join(folder, 'absent.yaml')] })[0]!, /can not be read: ENOENT/);
  assert.match(problems({ argv: ['--config', fileWith('a: [')] })[0]!, /can not be read: /);
  assert.match(problems({ argv: ['--config', fileWith('- 1')] })[0]!, /must hold sections/);
});

test('variables that Kubernetes makes for a service called sluice are not taken for settings', () => {
  const env = {
    SLUICE_PORT: 'tcp://10.0.0.1:9400',
    SLUICE_SERVICE_HOST: '10.0.0.1',
    SLUICE_PORT_9400_TCP_PROTO: 'tcp',
  };
  assert.deepEqual(load({ env }), load({}));
});

test('the result can not be changed', () => {
  const config = load({});
  assert.throws(() => Object.assign(config.listen.client, { port: 1 }), TypeError);
});

interface SchemaNode {
  readonly properties?: Readonly<Record<string, SchemaNode>>;
  readonly description?: string;
}

function described(node: SchemaNode, prefix = ''): [string, string | undefined][] {
  return Object.entries(node.properties ?? {}).flatMap(([name, child]): [string, string | undefined][] =>
    child.properties === undefined ? [[`${prefix}${name}`, child.description]] : described(child, `${prefix}${name}.`),
  );
}

test('the JSON Schema has every setting with its description, and SETTINGS.md says the same', () => {
  const settings = described(configJsonSchema());
  assert.deepEqual(
    settings.map(([name]) => name),
    settingPaths,
  );
  const page = readFileSync(new URL('../docs/SETTINGS.md', import.meta.url), 'utf8');
  const rows = [...page.matchAll(/^\| `([\w.]+)` \| (.*) \|$/gm)].map(([, name, meaning]) => [name, meaning]);
  assert.deepEqual(rows, settings);
});

test("the brokers' port is open to other machines only with a secret, which nobody gets to see", () => {
  const secret = 'sixteen characters or more';
  assert.deepEqual(load({}).listen.broker, { host: '127.0.0.1', port: 9401 });
  for (const host of ['localhost', '::1', '127.0.0.2']) load({ argv: ['--set', `listen.broker.host=${host}`] });
  for (const host of ['0.0.0.0', '::', '10.0.0.1', 'localhost.example.org', '127.evil.example.org']) {
    const argv = ['--set', `listen.broker.host=${host}`];
    assert.deepEqual(problems({ argv }), [
      `listen.broker.host ${host} is open to other machines: set cluster.secret, the same on all brokers`,
    ]);
    assert.equal(load({ argv, env: { SLUICE_CLUSTER__SECRET: secret } }).cluster.secret, secret);
  }
  const loaded = loadConfig({ argv: [], env: { SLUICE_CLUSTER__SECRET: secret } });
  assert.ok(loaded.kind === 'ok' && !JSON.stringify(loaded.settings).includes(secret));
  const [tooShort] = problems({ env: { SLUICE_CLUSTER__SECRET: 'hunter2' } });
  assert.match(tooShort ?? '', /cluster.secret must have at least 16 characters; it is "\(secret\)"/);
});

test('founders and seeds are lists, in a file or with commas', () => {
  const file = fileWith('cluster: { founders: ["1@a:9401", "2@b:9401", "3@c:9401"] }\nbroker: { id: 2 }\n');
  const expected = [
    { id: 1, peerAddress: 'a:9401' },
    { id: 2, peerAddress: 'b:9401' },
    { id: 3, peerAddress: 'c:9401' },
  ];
  assert.deepEqual(foundersOf(load({ argv: ['--config', file] })), expected);
  const env = { SLUICE_CLUSTER__FOUNDERS: '1@a:9401, 2@b:9401,3@c:9401', SLUICE_BROKER__ID: '3' };
  assert.deepEqual(foundersOf(load({ env })), expected);
  assert.deepEqual(load({ env: { SLUICE_CLUSTER__SEEDS: 'a:9401' } }).cluster.seeds, ['a:9401']);
  assert.deepEqual(foundersOf(load({})), []);
});

test('founders that can not found a cluster are refused with what is wrong', () => {
  const refused = (...sets: readonly string[]): string =>
    problems({ argv: sets.map((set) => `--set=${set}`) }).join('\n');
  assert.match(refused('cluster.founders=0@a:1,1@b:1'), /odd number of brokers, not 2/);
  assert.match(refused('cluster.founders=0@a:1,0@b:1,1@c:1'), /each broker id once/);
  assert.match(refused('cluster.founders=1@a:1'), /does not name broker.id 0: set cluster.seeds/);
  assert.match(refused('cluster.founders=0@a'), /id@host:port/);
  assert.match(refused('cluster.seeds=a'), /host:port/);
});
