import assert from 'node:assert/strict';
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { DataDirectory, startsKeptMax } from '../../src/log/data-directory.ts';
import type { DataDirectoryOptions, Start } from '../../src/log/data-directory.ts';
import { StoreOpenError } from '../../src/log/store.ts';
import { toBrokerId } from '../../src/model/ids.ts';
import { crc32c } from '../../src/runtime/crc32c.ts';

const incarnation = '01234567-89ab-4cde-8f01-23456789abcd';
const cluster = 'aaaaaaaa-0000-4000-8000-000000000001';

async function withDirectory(run: (options: DataDirectoryOptions) => Promise<void>): Promise<void> {
  const path = await mkdtemp(join(tmpdir(), 'sluice-directory-'));
  const newIncarnation = (): string => incarnation;
  try {
    await run({ path, brokerId: toBrokerId(3), clusterId: null, mayFound: true, newIncarnation, crc32c });
  } finally {
    await rm(path, { recursive: true, force: true });
  }
}

/** Opens, expecting one line that matches. */
async function refuses(options: DataDirectoryOptions, message: RegExp): Promise<void> {
  await assert.rejects(DataDirectory.open(options), (error: unknown) => {
    assert.ok(error instanceof StoreOpenError, String(error));
    assert.match(error.message, message);
    assert.doesNotMatch(error.message, /\n/);
    return true;
  });
}

async function founded(options: DataDirectoryOptions): Promise<DataDirectory> {
  const directory = await DataDirectory.open(options);
  await directory.completeFounding();
  return directory;
}

describe('the data directory', () => {
  it('is founded once and keeps its identity', () =>
    withDirectory(async (options) => {
      const directory = await DataDirectory.open({ ...options, path: join(options.path, 'a', 'b') });
      assert.ok(directory.isFounding);
      await directory.completeFounding();
      assert.ok(!directory.isFounding);
      const again = await DataDirectory.open({ ...options, path: directory.path, mayFound: false });
      assert.deepEqual(again.identity, { formatVersion: 1, clusterId: null, brokerId: 3, incarnation });
      assert.ok(!again.isFounding);
    }));

  it('pit-P87 counts its starts, and refuses to guess', () =>
    withDirectory(async (options) => {
      const directory = await founded(options);
      const start = (processNonce: string, recoveredCommit: number): Omit<Start, 'bootNumber'> => ({
        ...{ processNonce, recoveredCommit },
      });
      const one = { bootNumber: 1, ...start('a', 4) };
      assert.deepEqual(await directory.countBoot(start('a', 4)), [one]);
      const again = await DataDirectory.open(options);
      assert.deepEqual(await again.countBoot(start('b', 9)), [one, { bootNumber: 2, ...start('b', 9) }]);
      await writeFile(join(options.path, 'boot'), '{"bootNumber":1}\ncrc32c 00000000\n');
      await assert.rejects(again.countBoot(start('c', 9)), /is damaged, so nobody can tell how often/);
    }));

  it('keeps its newest starts, and goes on from a directory that had only counted them', () =>
    withDirectory(async (options) => {
      const directory = await founded(options);
      const body = '{"bootNumber":6}';
      const sum = crc32c(Buffer.from(body)).toString(16).padStart(8, '0');
      await writeFile(join(options.path, 'boot'), `${body}\ncrc32c ${sum}\n`);
      const numbers = async (): Promise<readonly number[]> =>
        (await directory.countBoot({ processNonce: 'a', recoveredCommit: 0 })).map(({ bootNumber }) => bootNumber);
      assert.deepEqual(await numbers(), [7]);
      for (let start = 8; start < 6 + startsKeptMax; start++) await numbers();
      assert.deepEqual((await numbers()).slice(0, 2), [7, 8]);
      const newest = await numbers();
      assert.deepEqual([newest[0], newest.at(-1), newest.length], [8, 7 + startsKeptMax, startsKeptMax]);
    }));

  it('goes on with a founding that was interrupted, under the same incarnation', () =>
    withDirectory(async (options) => {
      await DataDirectory.open(options);
      await mkdir(join(options.path, 'db'));
      const newIncarnation = (): string => assert.fail('another incarnation');
      const again = await DataDirectory.open({ ...options, newIncarnation, mayFound: false });
      assert.ok(again.isFounding);
      assert.equal(again.identity.incarnation, incarnation);
    }));

  it('is bound to one cluster, once', () =>
    withDirectory(async (options) => {
      const directory = await founded(options);
      await directory.bindCluster(cluster);
      await directory.bindCluster(cluster);
      await assert.rejects(directory.bindCluster('another'), /directory-2/);
      assert.equal((await DataDirectory.open({ ...options, clusterId: cluster })).identity.clusterId, cluster);
      await refuses({ ...options, clusterId: 'bbbb' }, /belongs to cluster aaaaaaaa.* configured for bbbb/);
    }));

  it("refuses another broker's directory", () =>
    withDirectory(async (options) => {
      await founded(options);
      await refuses({ ...options, brokerId: toBrokerId(4) }, /belongs to broker 3 and this is broker 4/);
    }));

  it('pit-P96 founds nothing in an empty or missing directory unless it may', () =>
    withDirectory(async (options) => {
      await refuses({ ...options, mayFound: false }, /is empty: mount this broker's disk, or allow it to found/);
      await refuses({ ...options, mayFound: false, path: join(options.path, 'no') }, /does not exist: mount the disk/);
      await mkdir(join(options.path, 'lost+found'));
      assert.ok((await DataDirectory.open(options)).isFounding);
    }));

  it('refuses what is not a directory', () =>
    withDirectory(async (options) => {
      const path = join(options.path, 'file');
      await writeFile(path, '');
      await refuses({ ...options, path }, /is not a directory: set another path/);
      await refuses({ ...options, path, mayFound: false }, /is not a directory: set another path/);
      await refuses({ ...options, path: join(path, 'below') }, /is not a directory: set another path/);
    }));

  it('refuses a directory that this user can not use', () =>
    withDirectory(async (options) => {
      if (process.getuid?.() === 0) {
        // nothing is closed to root, but for what the kernel made
        await refuses({ ...options, path: '/proc/sluice' }, /can not be opened|does not exist/);
        return;
      }
      await chmod(options.path, 0o500);
      await refuses(options, /can not be read and written by this user/);
      await chmod(options.path, 0o700);
    }));

  it('never takes a directory whose identity is gone or damaged for an empty one', () =>
    withDirectory(async (options) => {
      await founded(options);
      await writeFile(join(options.path, 'floor'), 'x');
      const identityPath = join(options.path, 'identity');
      const identity = await readFile(identityPath);
      for (let bit = 0; bit < identity.length * 8; bit += 5) {
        const flipped = Buffer.from(identity);
        flipped[bit >> 3]! ^= 1 << (bit & 7);
        await writeFile(identityPath, flipped);
        await refuses(options, /has files .* but no readable identity/);
      }
      await rm(identityPath);
      await refuses(options, /has files \(floor\) but no readable identity/);
    }));

  it('says which version to start when the format is newer', () =>
    withDirectory(async (options) => {
      const body = JSON.stringify({ formatVersion: 2, anything: true });
      await writeFile(
        join(options.path, 'identity'),
        `${body}\ncrc32c ${crc32c(Buffer.from(body)).toString(16).padStart(8, '0')}\n`,
      );
      await refuses(options, /has format 2 and this version reads up to 1: start the newer version/);
    }));
});
