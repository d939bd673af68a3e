import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { poolIsLarge, withLargePool } from '../../src/runtime/thread-pool.ts';

test('a pool is large from 8 threads on', () => {
  const sizes = [undefined, '', '4', '7', '8', '64', 'many'];
  assert.deepEqual(
    sizes.map((size) => poolIsLarge({ UV_THREADPOOL_SIZE: size })),
    [false, false, false, false, true, true, false],
  );
});

test('a larger pool is left alone, a smaller one raised', () => {
  assert.equal(withLargePool({ UV_THREADPOOL_SIZE: '32' })['UV_THREADPOOL_SIZE'], '32');
  assert.deepEqual(withLargePool({ UV_THREADPOOL_SIZE: '2', A: 'b' }), { UV_THREADPOOL_SIZE: '8', A: 'b' });
});

/** Threads of a process whose pool has had something to do, as the process counts them. */
async function threadsWith(env: Readonly<Record<string, string | undefined>>): Promise<number> {
  const script = `
    import { readdirSync } from 'node:fs';
    import { stat } from 'node:fs/promises';
    await Promise.all(Array.from({ length: 100 }, () => stat('/')));
    console.log(readdirSync('/proc/self/task').length);`;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', script], {
    env: { ...process.env, ...env },
  });
  return Number(stdout);
}

const isLinux = process.platform === 'linux' && readdirSync('/proc').includes('self');

test('the variable is in force if it is there when the process starts', async () => {
  // only Linux lists its threads; elsewhere the rule is the same and nobody can count
  if (!isLinux) return;
  const [small, large] = await Promise.all([
    threadsWith({ UV_THREADPOOL_SIZE: '4' }),
    threadsWith(withLargePool({ UV_THREADPOOL_SIZE: undefined })),
  ]);
  assert.equal(large - small, 4);
});
