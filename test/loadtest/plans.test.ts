/** The plans of the load tests against the scripts that follow them, the contract, and what people read. */
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { loadFileDescriptorSetFromBuffer } from '@grpc/proto-loader';
import { callsOf, secondsOf } from '../../loadtest/plans/load.ts';
import { methodsOf, pathOf, services, streams } from '../../loadtest/plans/methods.ts';
import type { MethodName } from '../../loadtest/plans/methods.ts';
import { profileNames, scriptNames } from '../../loadtest/plans/names.ts';
import { plans } from '../../loadtest/plans/profiles.ts';
import { environmentOf, settingsFrom, variables } from '../../loadtest/plans/settings.ts';
import { thresholdsOf } from '../../loadtest/plans/thresholds.ts';

const root = path.dirname(path.dirname(import.meta.dirname));
const folder = path.join(root, 'loadtest');
const all = Object.keys(services) as MethodName[];
const read = (file: string): string => readFileSync(path.join(root, file), 'utf8');

/** The sources of a script: itself and what it imports of lib, and of that in turn. */
function sourcesOf(file: string, seen = new Set<string>()): ReadonlySet<string> {
  if (seen.has(file)) return seen;
  seen.add(file);
  for (const [, target = ''] of readFileSync(file, 'utf8').matchAll(/from '(\.[^']+)'/g)) {
    const imported = path.resolve(path.dirname(file), target);
    if (imported.startsWith(path.join(folder, 'lib'))) sourcesOf(imported, seen);
  }
  return seen;
}

/** Methods whose names stand as strings in code that a script loads. */
function calledBy(script: string): readonly string[] {
  const sources = [...sourcesOf(path.join(folder, 'scripts', `${script}.ts`))].map((file) =>
    readFileSync(file, 'utf8'),
  );
  const names: readonly string[] = all;
  const found = sources.flatMap((text) =>
    [...text.matchAll(/(?:call|callNow|pathOf)\([^'")]*'(\w+)'/g)].map(([, name = '']) => name),
  );
  for (const name of found) assert.ok(names.includes(name), `${script} calls ${name}, which no plan knows`);
  return [...new Set(found)].sort();
}

test('every script calls exactly the methods that its plan names', () => {
  for (const script of scriptNames) assert.deepEqual(calledBy(script), [...methodsOf[script]].sort(), script);
});

test('every method that a script calls has a threshold for its time and one for its failures, in every profile', () => {
  for (const script of scriptNames) {
    for (const profile of profileNames) {
      const thresholds = thresholdsOf(script, profile);
      for (const method of methodsOf[script]) {
        const names = streams.includes(method) ? ['grpc_streams'] : ['grpc_req_duration', 'calls_failed'];
        for (const name of names) {
          const { [`${name}{method:${method}}`]: texts } = thresholds;
          assert.equal(texts?.length, 1, `${script} ${profile} ${name} ${method}`);
        }
      }
    }
  }
});

test('every method is in the descriptor that the scripts load', () => {
  const contract = loadFileDescriptorSetFromBuffer(readFileSync(path.join(root, 'proto/sluice.binpb')));
  const there = Object.entries(contract).flatMap(([name, methods]) =>
    Object.keys(methods).map((one) => `${name}/${one}`),
  );
  for (const method of all) assert.ok(there.includes(pathOf(method)), method);
});

test('thresholds name metrics that k6 or the scripts have', () => {
  const own = [...read('loadtest/lib/metrics.ts').matchAll(/new \w+\('(\w+)'/g)].map(([, name]) => name);
  const builtIn = ['grpc_req_duration', 'grpc_streams', 'dropped_iterations'];
  for (const script of scriptNames) {
    for (const name of Object.keys(thresholdsOf(script, 'smoke')))
      assert.ok([...own, ...builtIn].includes(name.replace(/\{.*$/, '')), `${script}: ${name}`);
  }
});

test('a load has the calls and the seconds of its stages', () => {
  const { smoke, spike } = plans.produce;
  assert.equal(secondsOf(smoke.producers), 10);
  // 2 s from 5 to 20, 8 s at 20
  assert.equal(callsOf(smoke.producers), 25 + 160);
  // 10 s at 50, a second from 50 to 400, 10 s at 400, a second back, 20 s at 50
  assert.equal(secondsOf(spike.producers), 42);
  assert.equal(callsOf(spike.producers), 500 + 225 + 4_000 + 225 + 1_000);
});

test('the spike of end-to-end is more than its consumers can take, and they have time for the rest', () => {
  const { producers, recordsPerSecondMax, drainSeconds } = plans['end-to-end'].spike;
  assert.ok(recordsPerSecondMax !== null);
  const { records } = settingsFrom({});
  const burst = Math.max(...producers.stages.map(({ callsPerSecond }) => callsPerSecond)) * records;
  assert.ok(burst > recordsPerSecondMax * 1.5, `${burst} records a second`);
  const produced = callsOf(producers) * records;
  assert.ok(produced < recordsPerSecondMax * (secondsOf(producers) + drainSeconds), `${produced} records`);
});

test('settings survive the way through the environment', () => {
  const settings = {
    ...({ brokers: ['a:1', '[::1]:9400'], profile: 'spike', acks: 'leader', topic: 't', keepTopic: true } as const),
    ...{ partitions: 3, records: 7, valueBytes: 99 },
  };
  assert.deepEqual(settingsFrom(environmentOf(settings)), settings);
});

test('a wrong variable is refused with its name and its range', () => {
  const wrong = (name: keyof typeof variables, value: string, says: RegExp): void => {
    assert.throws(() => settingsFrom({ [variables[name]]: value }), says);
  };
  wrong('brokers', 'a', /SLUICE_BROKERS is "host:port,..."/);
  wrong('brokers', 'a:0', /SLUICE_BROKERS/);
  wrong('profile', 'soak', /SLUICE_PROFILE is smoke, baseline, spike, not "soak"/);
  wrong('acks', 'none', /SLUICE_ACKS is all or leader/);
  wrong('partitions', '0', /SLUICE_PARTITIONS is 1 to 100, not "0"/);
  wrong('records', '1e3', /SLUICE_RECORDS is 1 to 1000/);
});

test('docs/LOADTEST.md has every script, profile and metric, and every variable', () => {
  const page = read('docs/LOADTEST.md');
  const scripts = readdirSync(path.join(folder, 'scripts')).map((file) => file.replace(/\.ts$/, ''));
  assert.deepEqual(scripts.sort(), [...scriptNames].sort());
  const rows = [...page.matchAll(/^\| `([\w-]+)` \|/gm)].map(([, name]) => name);
  for (const name of [...scriptNames, ...profileNames]) assert.ok(rows.includes(name), name);
  const metrics = [...read('loadtest/lib/metrics.ts').matchAll(/new (\w+)\('(\w+)'/g)];
  for (const [, type = '', name = ''] of metrics)
    assert.match(page, new RegExp(`^\\| \`${name}\` \\| ${type.toLowerCase()} \\|`, 'm'), name);
  for (const name of Object.values(variables)) assert.ok(page.includes(`\`${name}\``), name);
});

test('docs/LOADTEST.md shows a run of every script', () => {
  const page = read('docs/LOADTEST.md');
  for (const script of scriptNames) assert.match(page, new RegExp(`^### ${script}, \\w+: `, 'm'));
  assert.match(page, /^### end-to-end, spike: /m);
});

test('k6 is built in the version that its module asks for', () => {
  const [, wanted = ''] = /go\.k6\.io\/k6\/v2 v([\d.]+)/.exec(read('loadtest/k6/go.mod')) ?? [];
  const [, built = ''] = /^const version = '([\d.]+)'/m.exec(read('scripts/k6.mjs')) ?? [];
  assert.equal(built, wanted);
});
