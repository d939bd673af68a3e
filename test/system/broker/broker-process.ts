/** A broker as users run it, dist/src/main.js, in a process of its own that can be killed. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { newSeed, SeededChance } from '../durability/random.ts';
import { patience, wait } from './patience.ts';

const program = fileURLToPath(new URL('../../../dist/src/main.js', import.meta.url));
/** Below the range from which Linux picks ports by itself, so that a restart finds its port free. */
const portRange = { from: 12_000, count: 18_000 };
/** Of an idle machine. */
const readyMsMax = 15_000;

export interface BrokerOptions {
  readonly dataDir: string;
  readonly port: number;
  /** Path to value, as for --set. */
  readonly settings?: Readonly<Record<string, string | number>>;
  /** A command that runs the broker, for example strace with its options. */
  readonly prefix?: readonly string[];
}

/** A command line that runs a broker, and what its environment has beside this process's own. */
export interface BrokerCommand {
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/** One line of the broker's log. */
export interface LogLine {
  readonly level: string;
  readonly msg: string;
  readonly [field: string]: unknown;
}

export interface Ending {
  readonly code: number | null;
  readonly signal: string | null;
}

export class BrokerProcess {
  readonly exited: Promise<Ending>;
  readonly #child: ChildProcess;
  readonly #log: LogLine[] = [];
  readonly #said: string[] = [];
  #ended = false;

  constructor(options: BrokerOptions | BrokerCommand) {
    const { command: line, env } = 'command' in options ? options : commandOf(options);
    const [command = '', ...args] = line;
    this.#child = spawn(command, args, {
      // with a channel that says so it dies with this process
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      env: { ...process.env, UV_THREADPOOL_SIZE: '8', SLUICE_STANDS_IN: '1', ...env },
    });
    this.#child.on('error', () => undefined); // the channel of a killed process
    eachLine(this.#child.stdout, (line) => this.#log.push(JSON.parse(line) as LogLine));
    eachLine(this.#child.stderr, (line) => this.#said.push(line));
    this.exited = once(this.#child, 'close').then(([code, signal]) => {
      this.#ended = true;
      return { code: code as number | null, signal: signal as string | null };
    });
  }

  /** What it wrote to its log. */
  get log(): readonly LogLine[] {
    return this.#log;
  }

  /** What it wrote to its standard error. */
  get said(): readonly string[] {
    return this.#said;
  }

  get hasEnded(): boolean {
    return this.#ended;
  }

  /** Lines that say that something is broken. */
  get errors(): readonly LogLine[] {
    return this.#log.filter(({ level }) => level === 'error' || level === 'fatal');
  }

  lines(msg: string): readonly LogLine[] {
    return this.#log.filter((line) => line.msg === msg);
  }

  /** Resolves with whether it serves; false: it ended, or took too long. */
  async ready(): Promise<boolean> {
    const deadline = performance.now() + readyMsMax * patience();
    while (this.lines('ready').length === 0) {
      if (this.#ended || this.isSetApart || performance.now() > deadline) return false;
      await wait(10);
    }
    return true;
  }

  /** Whether it found that its disk lost acknowledged writes. */
  get isSetApart(): boolean {
    return this.#log.some(({ msg }) => msg.startsWith('set apart'));
  }

  /** Its own number, also below a prefix; 0 until it is ready. */
  get pid(): number {
    return Number(this.lines('ready')[0]?.['pid'] ?? 0);
  }

  signal(name: NodeJS.Signals): void {
    if (this.#ended) return;
    if (this.pid > 0) process.kill(this.pid, name);
    else this.#child.kill(name);
  }

  /** kill -9, and every word that it had got out. */
  async kill(): Promise<void> {
    this.signal('SIGKILL');
    await this.exited;
  }

  /** Resolves with how it ended by itself, or null if it had to be killed after `limitMs` of an idle machine. */
  async end(limitMs: number): Promise<Ending | null> {
    const giveUp = new AbortController();
    const late = new Promise<null>((resolve) => {
      const timer = setTimeout(() => resolve(null), limitMs * patience());
      giveUp.signal.addEventListener('abort', () => clearTimeout(timer));
    });
    const ending = await Promise.race([this.exited, late]);
    giveUp.abort();
    if (ending === null) await this.kill();
    return ending;
  }

  /** What it said last, for people. */
  get lastWords(): string {
    return [...this.#log.slice(-3).map((line) => JSON.stringify(line)), ...this.#said.slice(-3)].join(' | ');
  }
}

function commandOf({ dataDir, port, settings = {}, prefix = [] }: BrokerOptions): BrokerCommand {
  const all = {
    'listen.client.port': port,
    'listen.broker.port': 0,
    'listen.http.port': 0,
    'storage.dataDir': dataDir,
    ...settings,
  };
  const sets = Object.entries(all).flatMap(([path, value]) => ['--set', `${path}=${value}`]);
  return { command: [...prefix, process.execPath, program, ...sets], env: {} };
}

function eachLine(stream: NodeJS.ReadableStream | null, take: (line: string) => void): void {
  let rest = '';
  stream?.setEncoding('utf8').on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) if (line !== '') take(line);
  });
}

/** A port that is free now and that nobody is given unasked. */
export async function freePort(): Promise<number> {
  const chance = new SeededChance(newSeed() ^ process.pid);
  for (;;) {
    const port = portRange.from + chance.below(portRange.count);
    const server = createServer();
    const listening = once(server, 'listening').then(
      () => true,
      () => false,
    );
    server.listen(port, '127.0.0.1');
    if (!(await listening)) continue;
    server.close();
    await once(server, 'close');
    return port;
  }
}
