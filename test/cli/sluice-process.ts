/** Runs the `sluice` command as users do: built, as a process of its own. */
import { execFileSync, spawn } from 'node:child_process';
import type { ChildProcessWithoutNullStreams } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';

const root = path.dirname(path.dirname(import.meta.dirname));
const program = path.join(root, 'dist/src/cli/main.js');

/** Builds if a source is newer, as every npm script does. */
export function ensureBuilt(): void {
  execFileSync(process.execPath, [path.join(root, 'scripts/ensure.mjs'), '--build'], { stdio: ['ignore', 2, 2] });
}

export interface Ended {
  /** Null: a signal ended it. */
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A `sluice` that runs. */
export class SluiceProcess {
  readonly child: ChildProcessWithoutNullStreams;
  readonly ended: Promise<Ended>;
  readonly #stdout: Buffer[] = [];
  readonly #stderr: Buffer[] = [];
  #isOver = false;
  #onOutput: () => void = () => undefined;

  /** @param readsOutput false: standard output is a pipe that nobody reads */
  constructor(args: readonly string[], env: NodeJS.ProcessEnv, readsOutput = true) {
    const child = spawn(process.execPath, [program, ...args], { env: { ...process.env, NO_COLOR: '1', ...env } });
    this.child = child;
    if (readsOutput) {
      child.stdout.on('data', (bytes: Buffer) => {
        this.#stdout.push(bytes);
        this.#onOutput();
      });
    }
    child.stderr.on('data', (bytes: Buffer) => this.#stderr.push(bytes));
    child.stdin.on('error', () => undefined); // it may end before it has read everything
    this.ended = new Promise((resolve, reject) => {
      child.on('error', reject);
      const end = readsOutput ? 'close' : 'exit';
      child.on(end, (code: number | null, signal: NodeJS.Signals | null) => {
        this.#isOver = true;
        this.#onOutput();
        resolve({ code, signal, stdout: this.stdout, stderr: Buffer.concat(this.#stderr).toString() });
      });
    });
  }

  get stdout(): string {
    return Buffer.concat(this.#stdout).toString();
  }

  /** Resolves once the output holds as much; rejects if the process ends before. */
  async until(isEnough: (stdout: string) => boolean): Promise<string> {
    while (!isEnough(this.stdout)) {
      if (this.#isOver) throw new Error(`sluice ended too early: ${JSON.stringify(await this.ended)}`);
      await new Promise<void>((resolve) => {
        this.#onOutput = resolve;
      });
    }
    return this.stdout;
  }
}

/** A broker started by `sluice dev`, with what commands need to find it and a place for their state. */
export class DevBroker {
  readonly address: string;
  readonly #process: SluiceProcess;
  readonly #directory: string;

  private constructor(process: SluiceProcess, address: string, directory: string) {
    this.#process = process;
    this.address = address;
    this.#directory = directory;
  }

  static async start(): Promise<DevBroker> {
    const directory = mkdtempSync(path.join(os.tmpdir(), 'sluice-cli-test-'));
    const dev = new SluiceProcess(['dev', '--port', '0'], { TMPDIR: directory });
    const ready = await dev.until((text) => text.includes('ready on'));
    return new DevBroker(dev, /ready on (\S+:\d+)/.exec(ready)?.[1] ?? '', directory);
  }

  get env(): NodeJS.ProcessEnv {
    return { SLUICE_BROKERS: this.address, XDG_STATE_HOME: path.join(this.#directory, 'state') };
  }

  /** Of commands' state, and of the broker's temporary data. */
  get directory(): string {
    return this.#directory;
  }

  /** Starts a command. */
  start(...args: readonly string[]): SluiceProcess {
    return new SluiceProcess(args, this.env);
  }

  /** Runs a command to its end. */
  run(args: readonly string[], stdin: string | Uint8Array = ''): Promise<Ended> {
    const process = new SluiceProcess(args, this.env);
    process.child.stdin.end(stdin);
    return process.ended;
  }

  /** Ctrl-C. */
  async stop(): Promise<Ended> {
    this.#process.child.kill('SIGINT');
    return this.#process.ended;
  }

  remove(): void {
    rmSync(this.#directory, { recursive: true, force: true });
  }
}
