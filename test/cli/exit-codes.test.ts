/** Every exit code that is documented is reached by a command, and `storage verify` says what is damaged. */
import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Server, ServerCredentials, status } from '@grpc/grpc-js';
import { exitCodeMeanings, exitCodes } from '../../src/cli/exit-codes.ts';
import { ensureBuilt, SluiceProcess } from './sluice-process.ts';
import type { Ended } from './sluice-process.ts';

let folder: string;
/** Of a broker that wrote, was stopped, started, and stopped again: its engine has a table, blobs and a journal. */
let dataDir: string;
/** Where nobody listens any more. */
let gone: string;

/** Runs a broker on the directory while `work` uses it. */
async function withServer(work: (address: string) => Promise<void>): Promise<void> {
  const settings = ['listen.client.port=0', 'listen.broker.port=0', 'listen.http.port=0', `storage.dataDir=${dataDir}`];
  const server = new SluiceProcess(['server', 'start', ...settings.map((each) => `--set=${each}`)], {});
  const log = await server.until((text) => text.includes('"msg":"ready"'));
  const port = /"port":(\d+)[^\n]*"msg":"ready"/.exec(log)?.[1] ?? '';
  await work(`127.0.0.1:${port}`);
  server.child.kill('SIGTERM');
  await server.ended;
}

/** Exit codes that commands of this file ended with. */
const reached = new Set<number>();

function start(line: string): SluiceProcess {
  return new SluiceProcess(line.split(' '), { XDG_STATE_HOME: path.join(folder, 'state') });
}

async function run(line: string, stdin = ''): Promise<Ended> {
  const command = start(line);
  command.child.stdin.end(stdin);
  const ended = await command.ended;
  reached.add(ended.code ?? -1);
  return ended;
}

before(async () => {
  ensureBuilt();
  folder = mkdtempSync(path.join(os.tmpdir(), 'sluice-exit-codes-'));
  dataDir = path.join(folder, 'data');
  await withServer(async (address) => {
    const lines = Array.from({ length: 2_000 }, (_, n) => `${n}\n`).join('');
    const expected: readonly (readonly [line: string, code: number, stdin?: string])[] = [
      ['topic create t', exitCodes.ok],
      ['topic create t', exitCodes.conflict],
      ['produce t', exitCodes.ok, lines],
      ['topic describe nope', exitCodes.notFound],
      ['topic list --no-such-flag', exitCodes.usage],
      ['produce t --jsonl', exitCodes.generic, '{"value":\n'],
      ['produce t --jsonl', exitCodes.partial, '{"value":"1"}\n[]\n'],
    ];
    for (const [line, code, stdin] of expected) {
      const ended = await run(`${line} --brokers ${address}`, stdin);
      assert.equal(ended.code, code, `${line}: ${ended.stderr}`);
    }
    const consume = start(`consume t --from earliest --brokers ${address}`);
    await consume.until((text) => text.startsWith('0\n'));
    consume.child.kill('SIGINT');
    const { code } = await consume.ended;
    assert.equal(code, exitCodes.interrupted);
    reached.add(code);
    gone = address;
  });
  await withServer(() => Promise.resolve());
});

after(() => rmSync(folder, { recursive: true, force: true }));

/** A copy of the directory with one of the engine's files changed: the largest of that kind. */
function damaged(kind: string, change: (bytes: Buffer) => Buffer): string {
  const copy = path.join(folder, `damaged-${kind}`);
  cpSync(dataDir, copy, { recursive: true });
  const names = readdirSync(path.join(copy, 'db')).filter((name) => name.endsWith(`.${kind}`));
  const files = names.map((name) => path.join(copy, 'db', name));
  const [file] = files.sort((a, b) => statSync(b).size - statSync(a).size);
  assert.ok(file !== undefined, `there is no .${kind} among ${readdirSync(path.join(copy, 'db')).join(' ')}`);
  writeFileSync(file, change(readFileSync(file)));
  return copy;
}

const flipped = (bytes: Buffer): Buffer => {
  const at = bytes.length >> 2;
  return Buffer.concat([
    bytes.subarray(0, at),
    bytes.subarray(at, at + 64).map((byte) => ~byte),
    bytes.subarray(at + 64),
  ]);
};

/** The blocks of a table come first, what is needed to open it last. */
const halfFlipped = (bytes: Buffer): Buffer => {
  const half = bytes.length >> 1;
  return Buffer.concat([bytes.subarray(0, half).map((byte) => ~byte), bytes.subarray(half)]);
};

describe('storage verify', () => {
  test('of a whole directory ends with 0', async () => {
    const { code, stderr, stdout } = await run(`storage verify ${dataDir} -o json`);
    assert.equal(code, exitCodes.ok, stderr);
    const { whole, logs } = JSON.parse(stdout) as { whole: boolean; logs: { damage: string | null }[] };
    assert.ok(whole && logs.length > 1 && logs.every(({ damage }) => damage === null));
  });

  const advice = /Keep it as it is, and give the broker an empty disk with "sluice broker replace 0"\.\n$/;

  test('ends with 8 where acknowledged writes are missing', async () => {
    const copy = damaged('log', (bytes) => bytes.subarray(0, bytes.length >> 1));
    const { code, stderr, stdout } = await run(`storage verify ${copy} -o json`);
    assert.equal(code, exitCodes.unhealthy, stderr);
    assert.match(stderr, /^sluice: \S+: acknowledged writes are missing\. [^\n]+\n$/);
    assert.match(stderr, advice);
    assert.equal((JSON.parse(stdout) as { whole: boolean }).whole, false);
  });

  test('ends with 8 where the bytes of records are damaged, and says of which log', async () => {
    const { code, stderr, stdout } = await run(`storage verify ${damaged('blob', flipped)} -o json`);
    assert.equal(code, exitCodes.unhealthy, stderr);
    assert.match(stderr, /^sluice: \S+: 1 of \d+ logs are damaged\. [^\n]+\n$/);
    assert.match(stderr, advice);
    const { logs } = JSON.parse(stdout) as { logs: { kind: string; damage: string | null }[] };
    assert.deepEqual(
      logs.flatMap(({ kind, damage }) => (damage === null ? [] : [kind])),
      ['data'],
    );
  });

  test('ends with 8 where the engine can not read its own files, and says what it says', async () => {
    const { code, stderr, stdout } = await run(`storage verify ${damaged('sst', halfFlipped)} -o json`);
    assert.equal(code, exitCodes.unhealthy, stderr);
    assert.match(
      stderr,
      /^sluice: \S+: (\d+ of \d+ logs are damaged|the storage engine can not read its files)[^\n]+\n$/,
    );
    assert.match(stderr, advice);
    assert.match(stdout + stderr, /checksum mismatch/);
  });
});

test('who is not allowed, or not known, ends with 5', async () => {
  const refusal = { code: status.PERMISSION_DENIED };
  const bytes = { serialize: (value: Buffer) => value, deserialize: (value: Buffer) => value };
  const server = new Server();
  server.addService(
    {
      ListTopics: {
        ...{ path: '/sluice.v1.TopicService/ListTopics', requestStream: false, responseStream: false },
        ...{ requestSerialize: bytes.serialize, requestDeserialize: bytes.deserialize },
        ...{ responseSerialize: bytes.serialize, responseDeserialize: bytes.deserialize },
      },
    },
    { ListTopics: (_: unknown, answer: (error: object) => void) => answer({ ...refusal, details: 'Not for you' }) },
  );
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    ),
  );
  for (const code of [status.PERMISSION_DENIED, status.UNAUTHENTICATED]) {
    refusal.code = code;
    const ended = await run(`topic list --timeout 5s --brokers 127.0.0.1:${port}`);
    assert.equal(ended.code, exitCodes.forbidden, ended.stderr);
    assert.match(ended.stderr, /^sluice: Not for you[^\n]*\n$/);
    assert.equal(ended.stdout, '');
  }
  server.forceShutdown();
});

test('where no broker answers, it ends with 6', async () => {
  const { code, stderr } = await run(`topic list --timeout 1s --brokers ${gone}`);
  assert.equal(code, exitCodes.unavailable, stderr);
});

test('every documented exit code was reached', () => {
  assert.deepEqual(
    exitCodeMeanings.filter(({ code }) => !reached.has(code)),
    [],
  );
});
