/**
 * Runs a case in a process with mounts and a network of its own: what it mounts, and every interface and name that it
 * makes, is gone when its last process ends, and this machine has seen nothing of it.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CaseResult } from '../report.ts';

const program = join(import.meta.dirname, 'case-process.ts');

/** What the process is told, as its last argument, in JSON. */
export interface CaseOrder {
  readonly name: string;
  readonly short: boolean;
  /** An empty folder that is removed afterwards. */
  readonly folder: string;
}

export async function runInOwnNamespaces(name: string, short: boolean): Promise<CaseResult> {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-pods-'));
  const order: CaseOrder = { name, short, folder };
  const node = [process.execPath, '--import', 'tsx', program, JSON.stringify(order)];
  const child = spawn('unshare', ['--mount', '--net', ...node], { stdio: ['ignore', 2, 2, 'ipc'] });
  try {
    return await new Promise<CaseResult>((resolve, reject) => {
      child.on('message', (result) => resolve(result as CaseResult));
      child.on('error', reject);
      child.on('exit', (code, signal) => reject(new Error(`the case ended with ${code ?? signal ?? ''}`)));
    });
  } finally {
    child.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true, maxRetries: 10 });
  }
}
