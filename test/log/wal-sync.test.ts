import assert from 'node:assert/strict';
import { mkdtemp, rm, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { LiveWalSync } from '../../src/log/wal-sync.ts';

/** A directory with write-ahead files, and an engine that says which one is current. That files are synced is for the power cuts to show. */
async function withFiles(
  run: (
    files: { add(number: number): Promise<void>; remove(number: number): Promise<void> },
    sync: LiveWalSync,
  ) => Promise<void>,
): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'sluice-wal-'));
  const pathOf = (number: number): string => join(directory, `${String(number).padStart(6, '0')}.log`);
  let current = -1;
  const sync = new LiveWalSync(directory, () => Promise.resolve(current));
  try {
    await writeFile(join(directory, '000099.sst'), '');
    await run(
      {
        async add(number) {
          await writeFile(pathOf(number), 'x');
          current = number;
        },
        remove: (number) => unlink(pathOf(number)),
      },
      sync,
    );
  } finally {
    await sync.close();
    await rm(directory, { recursive: true });
  }
}

describe('syncing the write-ahead files', () => {
  it('names each file once, from the last synced to the current one', () =>
    withFiles(async (files, sync) => {
      await files.add(4);
      assert.deepEqual(await sync.sync(), { created: [4], live: [4] });
      assert.deepEqual(await sync.sync(), { created: [], live: null });
      await files.add(9);
      await files.add(12);
      await files.add(1_000_000);
      assert.deepEqual(await sync.sync(), { created: [9, 12, 1_000_000], live: [4, 9, 12, 1_000_000] });
      await files.remove(4);
      await files.remove(9);
      assert.deepEqual(await sync.sync(), { created: [], live: null });
      assert.deepEqual(await sync.live(), [12, 1_000_000]);
    }));

  it('takes a file that vanished for flushed, even the current one', () =>
    withFiles(async (files, sync) => {
      await files.add(4);
      await files.add(5);
      await files.remove(5);
      assert.deepEqual(await sync.sync(), { created: [4], live: [4] });
      await files.add(6);
      await files.remove(4);
      assert.deepEqual(await sync.sync(), { created: [6], live: [6] });
    }));

  it('rejects when the disk does', () =>
    withFiles(async (files) => {
      await files.add(4);
      const broken = new LiveWalSync('/nowhere', () => Promise.resolve(4));
      await assert.rejects(broken.sync(), { code: 'ENOENT' });
    }));
});
