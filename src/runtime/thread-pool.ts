/**
 * The size of libuv's thread pool, on which RocksDB writes, reads and syncs. Node starts it with four threads and reads
 * UV_THREADPOOL_SIZE once, at the pool's first use, which for an ES module lies before its first line: loading the module
 * uses the pool. So the variable must be there when the process starts. `sluice dev` and `sluice server start` set it;
 * a main.ts that was started without it starts itself again with it.
 */
import { spawn } from 'node:child_process';

/** One write or sync in flight, and reads and file calls beside it (design D9). */
export const poolThreadsMin = 8;
const poolVariable = 'UV_THREADPOOL_SIZE';
/** Tells a child that it stands in for its parent. */
const standInVariable = 'SLUICE_STANDS_IN';

export type Environment = Readonly<Record<string, string | undefined>>;

/** Whether the pool of a process with this environment is big enough. */
export function poolIsLarge(env: Environment): boolean {
  const threads = Number(env[poolVariable]);
  return Number.isInteger(threads) && threads >= poolThreadsMin;
}

/** The environment with a pool that is big enough. */
export const withLargePool = (env: Environment): Record<string, string | undefined> =>
  poolIsLarge(env) ? { ...env } : { ...env, [poolVariable]: String(poolThreadsMin) };

type Execve = (file: string, args: readonly string[], env: Record<string, string | undefined>) => never;

/**
 * Starts this program again with a large pool. Where Node can, the process is replaced (same pid, nothing left behind).
 * Elsewhere a child does the work: it gets our signals and our output, we end as it ends, and if we are killed it dies too.
 */
export function restartWithLargePool(): void {
  const args = [...process.execArgv, ...process.argv.slice(1)];
  const env = withLargePool(process.env);
  // not in Node 20, and not on Windows
  const { execve } = process as unknown as { readonly execve?: Execve };
  if (execve !== undefined && process.platform !== 'win32')
    execve.call(process, process.execPath, [process.execPath, ...args], env);

  const child = spawn(process.execPath, args, {
    env: { ...env, [standInVariable]: '1' },
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
  });
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGUSR2'] as const)
    process.on(signal, () => child.kill(signal));
  child.on('exit', (code, signal) => {
    if (signal !== null) process.removeAllListeners(signal).kill(process.pid, signal);
    else process.exit(code ?? 1);
  });
}

/**
 * In the child of `restartWithLargePool`: whoever kills the parent means us. Losing the channel is the sign, and SIGKILL
 * the answer, because the parent was given no time to say goodbye either.
 */
export function dieWithParent(): void {
  if (process.channel === undefined || process.env[standInVariable] === undefined) return;
  process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));
  process.channel.unref();
}
