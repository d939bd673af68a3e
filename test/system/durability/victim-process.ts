/** The parent's side of the victim: starts it, remembers what it was promised, ends it. */
import { spawn, type ChildProcess, type StdioOptions } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Writable } from 'node:stream';
import { decodeLine, type VictimOptions, type VictimSays } from './victim-options.ts';

const victimPath = fileURLToPath(new URL('./victim.ts', import.meta.url));

/** What the store has promised over the life of a directory; carried from one victim to the next. */
export interface Promised {
  /** Highest number acknowledged; -1: none. */
  acked: number;
  /** All numbers below were deleted and that was acknowledged. */
  trimmed: number;
}

export const nothingPromised = (): Promised => ({ acked: -1, trimmed: 0 });

export const victimDefaults: Omit<VictimOptions, 'path'> = {
  sync: 'live',
  writeBufferBytes: 1 << 20,
  reclaim: true,
  inFlight: 24,
  stopAfter: null,
  end: 'close',
  keep: 3_000,
  reserve: null,
  cutOn: 'nothing',
};

export class Victim {
  readonly promised: Promised;
  readonly exited: Promise<{ readonly code: number | null; readonly signal: string | null }>;
  readonly #child: ChildProcess;
  readonly #heard: VictimSays[] = [];
  #waiting: (() => void)[] = [];
  #lastAckAt = 0;
  #rest = '';

  /**
   * @param prefix a command that runs the victim, for example strace with its options
   * @param cutter takes the byte by which the victim asks for a power cut
   */
  constructor(
    options: VictimOptions,
    promised: Promised,
    prefix: readonly string[] = [],
    cutter: Writable | null = null,
  ) {
    this.promised = promised;
    const [command, ...args] = [...prefix, process.execPath, '--import', 'tsx', victimPath, JSON.stringify(options)];
    const stdio: StdioOptions = ['ignore', 'pipe', process.env['VICTIM_STDERR'] === undefined ? 'ignore' : 'inherit'];
    if (cutter !== null) stdio.push(cutter);
    this.#child = spawn(command, args, { stdio, env: { ...process.env, UV_THREADPOOL_SIZE: '8' } });
    this.#child.stdout?.setEncoding('latin1').on('data', (text: string) => this.#hear(text));
    // 'close' comes after the last byte of the pipe, 'exit' may come before
    this.exited = once(this.#child, 'close').then(([code, signal]) => {
      this.#wake();
      return { code: code as number | null, signal: signal as string | null };
    });
  }

  get pid(): number {
    return this.#child.pid!;
  }

  get faults(): readonly string[] {
    return this.#heard.flatMap((says) => (says.kind === 'fault' ? [says.message] : []));
  }

  get refusals(): number {
    return this.#heard.filter((says) => says.kind === 'refused').length;
  }

  /** When the last acknowledgement arrived, on the clock of performance.now(). */
  get lastAckAt(): number {
    return this.#lastAckAt;
  }

  /** Waits until something was said, or the victim has ended; resolves with whether it was said. */
  async heard(matches: (says: VictimSays) => boolean): Promise<boolean> {
    while (!this.#heard.some(matches)) {
      if (this.#child.exitCode !== null || this.#child.signalCode !== null) return false;
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    return true;
  }

  /** kill -9, and every word that it had got out. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.exited;
  }

  #hear(text: string): void {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines) {
      const says = decodeLine(line);
      if (says === null) throw new Error(`the victim said ${line}`);
      this.#note(says);
    }
    this.#wake();
  }

  #note(says: VictimSays): void {
    if (says.kind === 'acked') {
      this.promised.acked = Math.max(this.promised.acked, says.number);
      this.#lastAckAt = performance.now();
      if (this.#heard.at(-1)?.kind === 'acked') this.#heard.pop(); // only the last one is worth keeping
    }
    if (says.kind === 'trimmed') this.promised.trimmed = Math.max(this.promised.trimmed, says.number);
    this.#heard.push(says);
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const wake of waiting) wake();
  }
}
