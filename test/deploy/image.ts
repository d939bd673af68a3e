/**
 * `npm run image:check`: the Dockerfile's steps replayed on clean folders, one for each stage, with a Node 22 as the image has;
 * then the broker starts from what would be in the image, as user 10001 where it may, with the arguments of the manifests, and
 * takes and gives a record. Prints what is in it. Only apt-get and the making of /var/lib/sluice are not replayed.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Client } from '../../clients/typescript/src/index.ts';
import { freePort } from '../system/broker/broker-process.ts';
import { stagesOf } from './dockerfile.ts';

const root = path.dirname(path.dirname(import.meta.dirname));
const user = 10_001;
const serveMsMax = 60_000;
/** What the image may take, and what Debian's slim image does with the packages of apt-get, about: it is not here to be measured. */
const bytesMax = { image: 250e6, debian: 80e6 };
const nodeProgram = '/usr/local/bin/node';
const node22 = execFileSync(process.execPath, [path.join(root, 'scripts/node22.mjs')], { encoding: 'utf8' }).trim();

const base = mkdtempSync(path.join(tmpdir(), 'sluice-image-'));
chmodSync(base, 0o755);

/** Makes the folder /app of each stage; gives back the last. */
function replay(): string {
  const folders = new Map<string | null, string>();
  let folder = '';
  for (const { name, steps } of stagesOf(readFileSync(path.join(root, 'Dockerfile'), 'utf8'))) {
    folder = path.join(base, name ?? 'image');
    folders.set(name, folder);
    mkdirSync(folder);
    for (const { instruction, text } of steps) {
      if (instruction === 'COPY') copy(folder, text, folders);
      else if (instruction === 'RUN' && !/^(apt-get|mkdir) /.test(text)) {
        console.log(`replays: ${text}`);
        const env = { ...process.env, PATH: `${path.dirname(node22)}:${process.env['PATH'] ?? ''}` };
        execFileSync('sh', ['-c', text], { cwd: folder, env, stdio: ['ignore', 'ignore', 2] });
      }
    }
  }
  return folder;
}

function copy(folder: string, text: string, folders: ReadonlyMap<string | null, string>): void {
  const words = text.split(' ');
  const [, stage] = /^--from=(.+)$/.exec(words[0] ?? '') ?? [];
  const sources = stage === undefined ? words.slice(0, -1) : words.slice(1, -1);
  const target = words.at(-1) ?? '';
  for (const source of sources) {
    if (source === nodeProgram) continue; // the one that replays
    const from = stage === undefined ? path.join(root, source) : path.join(folders.get(stage) ?? assert.fail(stage), source.replace(/^\/app\//, '')); // prettier-ignore
    const to = target.endsWith('/') ? path.join(folder, target, path.basename(source)) : path.join(folder, target);
    cpSync(from, to, { recursive: true, verbatimSymlinks: true });
  }
}

/** Bytes of all files below. */
const sizeOf = (at: string): number =>
  statSync(at).isFile()
    ? statSync(at).size
    : readdirSync(at, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .reduce((sum, entry) => sum + statSync(path.join(entry.parentPath, entry.name)).size, 0);

const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;

async function serves(app: string): Promise<void> {
  const [port, peerPort, httpPort] = [await freePort(), await freePort(), await freePort()];
  const volume = path.join(base, 'volume');
  mkdirSync(volume);
  const asUser = process.getuid?.() === 0 ? { uid: user, gid: user } : {};
  if ('uid' in asUser) chownSync(volume, user, user);
  const file = path.join(base, 'sluice.yaml');
  writeFileSync(file, `listen: { client: { port: ${port} }, broker: { port: ${peerPort} }, http: { port: ${httpPort} } }\nstorage: { dataDir: ${volume}/data, ballastBytes: 1MiB }\n`); // prettier-ignore
  const env = { NODE_ENV: 'production', UV_THREADPOOL_SIZE: '8', PATH: path.dirname(node22), SLUICE_BROKER__ID: '2' };
  const args = [path.join(app, 'dist/src/main.js'), '--config', file];
  // nothing of this checkout's may be found: the working folder and the environment are the image's
  const broker = spawn(node22, args, { cwd: app, env, ...asUser, stdio: ['ignore', 'ignore', 2] });
  const ended = new Promise<number | null>((resolve) => broker.on('exit', resolve));
  const client = new Client({ brokers: [`127.0.0.1:${port}`] });
  try {
    for (const began = performance.now(); ; await new Promise((resolve) => setTimeout(resolve, 100))) {
      assert.ok(broker.exitCode === null && performance.now() - began < serveMsMax, 'the broker does not serve');
      const probe = await fetch(`http://127.0.0.1:${httpPort}/readyz`).catch(() => null);
      if (probe?.ok === true) break;
    }
    await client.admin.createTopic({ name: 'image', partitions: 1 });
    const producer = client.producer();
    assert.equal((await producer.send('image', { value: Buffer.from('from the image') })).offset, 0);
    await producer.close();
    // the hook of the manifests, and the shutdown that follows it
    const hook = [path.join(app, 'bin/sluice.js'), '--brokers', `127.0.0.1:${port}`, 'broker', 'await-quorum', '2', '--within', '60s']; // prettier-ignore
    execFileSync(node22, hook, { cwd: app, env, ...asUser, stdio: ['ignore', 2, 2] });
    broker.kill('SIGTERM');
    assert.equal(await ended, 0);
  } finally {
    broker.kill('SIGKILL');
    await client.close().catch(() => undefined);
  }
}

try {
  const app = replay();
  await serves(app);
  const packages = readdirSync(path.join(app, 'node_modules')).filter((name) => !name.startsWith('.'));
  for (const name of readdirSync(app)) console.log(`/app/${name}: ${megabytes(sizeOf(path.join(app, name)))}`);
  for (const name of packages) {
    const bytes = sizeOf(path.join(app, 'node_modules', name));
    if (bytes > 1e6) console.log(`  of it node_modules/${name}: ${megabytes(bytes)}`);
  }
  const [appBytes, nodeBytes] = [sizeOf(app), statSync(node22).size];
  console.log(`in all ${megabytes(appBytes)}, and Node ${megabytes(nodeBytes)}, on top of Debian's slim image`);
  assert.ok(appBytes + nodeBytes + bytesMax.debian < bytesMax.image, `above ${megabytes(bytesMax.image)}`);
  assert.ok(!packages.includes('typescript') && !packages.includes('tsx'), 'only production packages');
  console.log('ok: the broker serves from what the image would hold');
} finally {
  rmSync(base, { recursive: true, force: true });
}
