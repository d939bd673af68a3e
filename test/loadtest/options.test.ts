import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseOptions, usage } from '../../loadtest/options.ts';
import { profileNames, scriptNames } from '../../loadtest/plans/names.ts';

function run(...args: string[]) {
  const options = parseOptions(args);
  return options.kind === 'run' ? options : assert.fail(JSON.stringify(options));
}

function refusal(...args: string[]): string {
  const options = parseOptions(args);
  return options.kind === 'wrong' ? options.message : assert.fail(JSON.stringify(options));
}

test('a script alone is a smoke run against brokers of its own', () => {
  const { scripts, profile, brokers, acks, prometheus, keepTopic } = run('produce');
  assert.deepEqual(scripts, ['produce']);
  assert.deepEqual(
    { profile, brokers, acks, prometheus, keepTopic },
    {
      ...{ profile: 'smoke', brokers: null, acks: 'all', prometheus: null, keepTopic: false },
    },
  );
});

test('all is every script', () => {
  assert.deepEqual(run('all', '--profile', 'baseline').scripts, scriptNames);
});

test('a cluster that runs already, and sizes', () => {
  const options = run(
    'fetch',
    '--brokers',
    'a:9400, [::1]:9400',
    '--partitions=3',
    '--records',
    '5',
    '--value-bytes=10',
  );
  assert.deepEqual(options.brokers, ['a:9400', '[::1]:9400']);
  assert.deepEqual([options.partitions, options.records, options.valueBytes], [3, 5, 10]);
});

test('what makes no sense is refused with what would', () => {
  assert.match(refusal(), /Which script\? produce, fetch, end-to-end, group-churn or all\./);
  assert.match(refusal('consume'), /There is no script "consume": there are produce, .* or all\./);
  assert.match(refusal('produce', 'fetch'), /One script at a time, or all: "fetch" is one too many\./);
  assert.match(refusal('produce', '--profile', 'soak'), /--profile is smoke, baseline or spike, not "soak"\./);
  assert.match(refusal('produce', '--acks', 'none'), /--acks is all or leader, not "none"\./);
  assert.match(refusal('produce', '--brokers', 'localhost'), /--brokers is host:port.*not "localhost"\./);
  assert.match(refusal('produce', '--brokers', 'a:99999'), /--brokers/);
  assert.match(refusal('produce', '--partitions', '101'), /--partitions is a number from 1 to 100, not "101"\./);
  assert.match(refusal('produce', '--records', '-1'), /--records/);
  assert.match(refusal('produce', '--records', '1000', '--value-bytes', '2000'), /at most 1048576/);
  assert.match(refusal('produce', '--prometheus', 'localhost:9090'), /--prometheus is an http URL/);
  assert.match(refusal('produce', '--keep-topic'), /--keep-topic needs --brokers/);
  assert.match(refusal('produce', '--speed', '9'), /--speed/);
});

test('the help names every script, profile and flag', () => {
  assert.equal(parseOptions(['--help']).kind, 'help');
  for (const name of [...scriptNames, ...profileNames]) assert.ok(usage.includes(name), name);
  for (const flag of [
    'profile',
    'brokers',
    'acks',
    'partitions',
    'records',
    'value-bytes',
    'keep-topic',
    'out',
    'prometheus',
  ])
    assert.match(usage, new RegExp(`--${flag}\\b`));
});
