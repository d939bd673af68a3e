/** A shell in a terminal of a given size, and what its screen shows. */
import { execFileSync } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';

/** How often the screen is looked at, milliseconds. */
const lookMs = 50;
/** How long a command may take on a busy machine, milliseconds. */
const commandMsMax = 60_000;

export interface Screen {
  /** As it is shown, without empty lines at the end. */
  readonly lines: readonly string[];
  /** With lines joined that the terminal has wrapped. */
  readonly joined: readonly string[];
  /** What `$?` was. */
  readonly exitCode: number;
}

export class Terminal {
  /** Of a tmux server of its own, which ends with it. */
  readonly #socket: string;
  #commands = 0;

  constructor(columns: number, rows: number, env: Readonly<Record<string, string>>) {
    this.#socket = `sluice-test-${process.pid}-${Math.floor(performance.now())}`;
    const size = ['-x', String(columns), '-y', String(rows)];
    const settings = Object.entries({ ...env, PS1: '', TERM: 'xterm-256color' }).map(
      ([name, value]) => `${name}=${value}`,
    );
    this.#tmux('-f', '/dev/null', 'new-session', '-d', ...size, 'env', ...settings, 'sh');
  }

  /** Types a command and waits for its end. */
  async run(command: string): Promise<Screen> {
    const mark = this.type(command);
    return this.#until(mark);
  }

  /** Types a command; `ended` waits for its end. */
  type(command: string): string {
    const mark = `ended-${++this.#commands}`;
    // the mark is written in two parts, so that the typed line itself does not hold it
    this.#tmux('send-keys', '-l', `clear; ${command}; echo "ended-""${this.#commands}:$?:"`);
    this.#tmux('send-keys', 'Enter');
    return mark;
  }

  ended(mark: string): Promise<Screen> {
    return this.#until(mark);
  }

  /** Waits until the screen shows a text. */
  async shows(text: string): Promise<void> {
    const deadline = performance.now() + commandMsMax;
    while (!this.#capture().includes(text)) {
      if (performance.now() > deadline) throw new Error(`the screen never showed ${text}:\n${this.#capture()}`);
      await sleep(lookMs);
    }
  }

  /** A key as tmux names it, `C-c`. */
  press(key: string): void {
    this.#tmux('send-keys', key);
  }

  close(): void {
    this.#tmux('kill-server');
  }

  async #until(mark: string): Promise<Screen> {
    await this.shows(`${mark}:`);
    const before = (text: string): readonly string[] =>
      text
        .slice(0, text.indexOf(`${mark}:`))
        .trimEnd()
        .split('\n');
    const shown = this.#capture();
    const exitCode = Number(new RegExp(`${mark}:(\\d+):`).exec(shown)?.[1]);
    return { lines: before(shown), joined: before(this.#capture('-J')).map((line) => line.trimEnd()), exitCode };
  }

  #capture(...flags: readonly string[]): string {
    return this.#tmux('capture-pane', '-p', ...flags);
  }

  #tmux(...args: readonly string[]): string {
    return execFileSync('tmux', ['-L', this.#socket, ...args], { encoding: 'utf8' });
  }
}
