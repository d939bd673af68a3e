/** Real brokers as child processes: what `npm run build` made of src/main.ts. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';

const program = fileURLToPath(new URL('../../dist/src/main.js', import.meta.url));

/** What a test has started. */
const started = new WeakMap<TestContext, BrokerProcess[]>();

/**
 * A data directory that goes when the test ends, after all brokers of the test: hooks run in the order in which they were
 * set, and a broker that lives writes files into what is being removed.
 */
export function dataDirectory(t: TestContext): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'sluice-e2e-'));
  t.after(async () => {
    for (const broker of started.get(t) ?? []) await broker.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  });
  return folder;
}

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A line of the log that says who the broker is. */
export interface Identified {
  readonly address: string;
  readonly clusterId: string;
}

export class BrokerProcess {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
  #stdout = '';
  #stderr = '';

  constructor(child: ChildProcess) {
    this.child = child;
    child.stdout?.setEncoding('utf8').on('data', (text: string) => (this.#stdout += text));
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (this.#stderr += text));
    this.ended = new Promise((resolve) => {
      child.on('close', (code, signal) => resolve({ code, signal, stdout: this.#stdout, stderr: this.#stderr }));
    });
  }

  /** Lines of the log so far. */
  get log(): readonly Record<string, unknown>[] {
    const lines = this.#stdout.split('\n').slice(0, -1);
    return lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  }

  /** The line that says where it listens. */
  ready(): Promise<Identified> {
    return this.line('ready');
  }

  /** Waits for a line of the log. Rejects if the broker ends before. */
  async line(event: string): Promise<Identified> {
    for (;;) {
      const line = this.log.find(({ msg }) => msg === event);
      if (line !== undefined) return line as never;
      if (this.child.exitCode !== null || this.child.signalCode !== null)
        throw new Error(`the broker ended before "${event}": ${this.#stdout}${this.#stderr}`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  async kill(signal: NodeJS.Signals): Promise<Ended> {
    this.child.kill(signal);
    return this.ended;
  }
}

/** Starts a broker on a free port; it is killed when the test ends. */
export function startBroker(
  t: TestContext,
  settings: Readonly<Record<string, string | number>>,
  env: Readonly<Record<string, string>> = { UV_THREADPOOL_SIZE: '8' },
): BrokerProcess {
  if (!existsSync(program)) throw new Error('dist/src/main.js is missing: run npm run build, as npm test does');
  const all = {
    'listen.client.port': 0,
    'listen.broker.port': 0,
    'listen.http.port': 0,
    'storage.ballastBytes': '1MiB',
    ...settings,
  };
  const args = Object.entries(all).flatMap(([setting, value]) => ['--set', `${setting}=${value}`]);
  const inherited = { ...process.env };
  delete inherited['UV_THREADPOOL_SIZE'];
  const child = spawn(process.execPath, [program, ...args], {
    env: { ...inherited, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const broker = new BrokerProcess(child);
  started.set(t, [...(started.get(t) ?? []), broker]);
  t.after(() => broker.kill('SIGKILL'));
  return broker;
}
