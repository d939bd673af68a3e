/**
 * Where `consume -g` keeps its resume token, so that it goes on at once after it was killed. A token is for one process:
 * the file's name carries the pid of the one that uses it, and a new process takes over the file of a dead one by
 * renaming it, which only one of several can succeed with. A second consumer of the group finds nothing to take and
 * joins as a member of its own.
 */
import { createHash } from 'node:crypto';
import { mkdir, readdir, rename } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { CommandError } from './command-error.ts';
import { exitCodes } from './exit-codes.ts';

/** $XDG_STATE_HOME/sluice, or ~/.local/state/sluice. */
export function stateDirDefault(env: NodeJS.ProcessEnv = process.env): string {
  const { XDG_STATE_HOME: base = '' } = env;
  return join(base === '' ? join(homedir(), '.local', 'state') : base, 'sluice');
}

/** The group's name for people, and a digest of everything for certainty. */
function stem(brokers: string, group: string): string {
  const digest = createHash('sha256')
    .update(JSON.stringify([brokers, group]))
    .digest('hex')
    .slice(0, 16);
  return `${group.replace(/[^A-Za-z0-9_-]/g, '_').slice(0, 40)}-${digest}`;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM'; // there, and somebody else's
  }
}

/** The path of this process's token file, which holds what a dead one left behind, if one did. */
export async function claimTokenFile(directory: string, brokers: string, group: string): Promise<string> {
  const mine = `${stem(brokers, group)}.${process.pid}.token`;
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    for (const name of await readdir(directory)) {
      const pid = pidIn(name, stem(brokers, group));
      if (pid === null || isAlive(pid)) continue;
      if (await renamed(join(directory, name), join(directory, mine))) break;
    }
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    const text = `The resume token can not be kept in ${directory} (${why}). Choose another directory with --state-dir.`;
    throw new CommandError(exitCodes.generic, text, error);
  }
  return join(directory, mine);
}

/** Pid in the name of a token file of the group; null: the file is something else. */
function pidIn(name: string, start: string): number | null {
  const [, pid] = name.startsWith(`${start}.`) ? (/\.(\d+)\.token$/.exec(name) ?? []) : [];
  return pid === undefined ? null : Number(pid);
}

/** False: another process was faster. */
async function renamed(from: string, to: string): Promise<boolean> {
  try {
    await rename(from, to);
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return false;
    throw error;
  }
}
