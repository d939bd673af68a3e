/**
 * What goes wrong, as a user sees it: a process of its own each, one line that says what is wrong and what to do, the exit
 * code that belongs to it, and no stack. What is refused before anything is read or printed has a row in sluice.test.ts too.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { after, before, describe, test } from 'node:test';
import path from 'node:path';
import { Client } from '../../clients/typescript/src/index.ts';
import { DevBroker, ensureBuilt, SluiceProcess } from './sluice-process.ts';
import type { Ended } from './sluice-process.ts';

let broker: DevBroker;
/** Of a broker that was killed: nobody listens there. */
let dead: string;

before(async () => {
  ensureBuilt();
  const [lives, dies] = await Promise.all([DevBroker.start(), DevBroker.start()]);
  broker = lives;
  dead = dies.address;
  await dies.stop();
  dies.remove();
  await using client = new Client({ brokers: broker.address });
  await client.admin.createTopic({ name: 't' });
});

after(async () => {
  await broker.stop();
  broker.remove();
});

function fails({ code, stderr, stdout }: Ended, expected: number, says: RegExp): void {
  assert.equal(code, expected, stderr);
  assert.equal(stdout, '', 'standard output is for data');
  assert.match(stderr, /^sluice: [^\n]+\n$/, 'one line');
  assert.match(stderr, says);
  assert.doesNotMatch(stderr, /\.(js|ts):\d+/, 'no stack');
}

interface Mistake {
  readonly what: string;
  readonly line: string;
  readonly stdin?: string;
  readonly code: number;
  /** What is wrong, and what to do. */
  readonly says: RegExp;
}

const mistakes: readonly Mistake[] = [
  {
    what: 'an address that is none',
    line: 'topic list --brokers not/an/address',
    code: 2,
    says: /"not\/an\/address" is no broker address; write host:port/,
  },
  {
    what: 'an address where nobody listens',
    line: 'topic list --timeout 1s --brokers DEAD',
    code: 6,
    says: /No broker answers at 127\.0\.0\.1:\d+ .*Start a broker with "sluice dev", or name another with --brokers/,
  },
  {
    what: 'a name that does not resolve',
    line: 'topic list --timeout 1s --brokers no-such-host.invalid:9400',
    code: 6,
    says: /No broker answers at no-such-host\.invalid:9400 .*or name another with --brokers/,
  },
  {
    what: 'produce to a broker that is down',
    line: 'produce t --timeout 1s --brokers DEAD',
    stdin: 'x\n',
    code: 6,
    says: /No broker answers/,
  },
  {
    what: 'consume from a broker that is down',
    line: 'consume t --timeout 1s --brokers DEAD',
    code: 6,
    says: /No broker answers/,
  },
  {
    what: 'produce to an unknown topic',
    line: 'produce nope',
    stdin: 'x\n',
    code: 3,
    says: /"nope" does not exist.*"sluice topic create" makes a topic/,
  },
  {
    what: 'consume from an unknown topic',
    line: 'consume nope',
    code: 3,
    says: /"nope" does not exist.*"sluice topic list" shows what there is/,
  },
  {
    what: 'consume from an unknown topic in a group',
    line: 'consume nope -g g',
    code: 3,
    says: /nope/,
  },
  {
    what: 'invalid JSON on standard input',
    line: 'produce t --jsonl',
    stdin: '{"value":\n',
    code: 1,
    says: /Line 1: no valid JSON .* 0 records written/,
  },
  {
    what: 'JSON that is no record',
    line: 'produce t --jsonl',
    stdin: '{"valeu":"x"}\n',
    code: 1,
    says: /Line 1: unknown field "valeu"; there are key, keyBase64, value/,
  },
  {
    what: 'invalid JSON after a line that is good',
    line: 'produce t --jsonl',
    stdin: '{"value":"1"}\n[]\n',
    code: 7,
    says: /Line 2: a record must be an object like .* 1 record written/,
  },
  {
    what: 'two flags that contradict, to produce',
    line: 'produce t --jsonl -K :',
    code: 2,
    says: /'--jsonl' cannot be used with option '-K.*See "sluice produce --help"/,
  },
  {
    what: 'two flags that contradict, to consume',
    line: 'consume t -g g -p 0',
    code: 2,
    says: /cannot be used with.*See "sluice consume --help"/,
  },
  {
    what: 'what destroys, without --yes',
    line: 'topic delete t',
    code: 2,
    says: /Pass --yes to do it, --dry-run to look/,
  },
];

describe('bad input', { concurrency: 3 }, () => {
  for (const { what, line, stdin = '', code, says } of mistakes) {
    test(`${what} ends with ${code}`, async () => {
      const argv = line.split(' ').map((word) => (word === 'DEAD' ? dead : word));
      fails(await broker.run(argv, stdin), code, says);
    });
  }

  test('--debug shows the stack below the line', async () => {
    const { code, stderr } = await broker.run(['consume', 'nope', '--debug']);
    assert.equal(code, 3);
    assert.match(stderr, /^sluice: [^\n]+\nBrokerError: .*\n\s+at /s);
  });
});

describe('a closed standard output ends quietly with 0', { concurrency: 3 }, () => {
  for (const line of ['--help', 'topic list', 'topic describe t -o json', 'consume t -e']) {
    test(line, async () => {
      const command = broker.start(...line.split(' '));
      command.child.stdout.destroy();
      const { code, stderr } = await command.ended;
      assert.deepEqual([code, stderr], [0, '']);
    });
  }
});

describe('a broker that dies under a command', { concurrency: 2 }, () => {
  /** A broker of one's own, and the pid of its process. */
  async function mortal(): Promise<{
    readonly address: string;
    readonly kill: () => Promise<void>;
    readonly env: NodeJS.ProcessEnv;
  }> {
    const dev = new SluiceProcess(['dev', '--port', '0'], { TMPDIR: broker.directory });
    const ready = await dev.until((text) => text.includes('ready on'));
    const address = /ready on (\S+:\d+)/.exec(ready)?.[1] ?? '';
    const [pid = ''] = execFileSync('pgrep', ['-P', String(dev.child.pid)], { encoding: 'utf8' }).split('\n');
    const state = path.join(broker.directory, `state-${dev.child.pid}`);
    return {
      address,
      env: { SLUICE_BROKERS: address, XDG_STATE_HOME: state },
      kill: async () => {
        process.kill(Number(pid), 'SIGKILL');
        await dev.ended;
      },
    };
  }

  test('produce tells what was written and what nobody knows, and does not claim that it failed', async () => {
    const { env, kill } = await mortal();
    const create = new SluiceProcess(['topic', 'create', 'm'], env);
    assert.equal((await create.ended).code, 0);
    const produce = new SluiceProcess(['produce', 'm', '--timeout', '2s'], env);
    produce.child.stdin.write('one\n');
    await using client = new Client({ brokers: env['SLUICE_BROKERS'] ?? '' });
    while ((await client.admin.describeTopic('m')).partitions[0]?.highWatermark !== 1);
    await kill();
    produce.child.stdin.write('two\n');
    const ended = await produce.ended;
    fails(ended, 7, /Line 2: .* 1 record written, 1 (not written|written or not \(no answer came\))/);
  });

  test('consume waits for it, and Ctrl-C ends it all the same with 130', async () => {
    const { env, kill } = await mortal();
    const create = new SluiceProcess(['topic', 'create', 'm'], env);
    assert.equal((await create.ended).code, 0);
    const produce = new SluiceProcess(['produce', 'm'], env);
    produce.child.stdin.end('one\n');
    assert.equal((await produce.ended).code, 0);
    const consume = new SluiceProcess(['consume', 'm', '-g', 'g', '--timeout', '2s'], env);
    await consume.until((text) => text === 'one\n');
    await kill();
    consume.child.kill('SIGINT');
    const { code, stdout, stderr } = await consume.ended;
    assert.deepEqual([code, stdout], [130, 'one\n'], stderr);
    assert.match(stderr, /^(What was printed last may be printed again: [^\n]+\n)?$/, 'at most one line');
    assert.doesNotMatch(stderr, /\.(js|ts):\d+/, 'no stack');
  });
});
