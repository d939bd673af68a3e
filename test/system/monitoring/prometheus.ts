/** A real Prometheus that scrapes brokers of a test: started in a folder of its own, asked over HTTP, killed at the end. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { accessSync, constants, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { freePort } from '../broker/broker-process.ts';
import { until } from '../broker/patience.ts';

const root = join(import.meta.dirname, '../../..');
const unpacked = join(root, '.cache/prometheus/root/usr/bin');
const readyMsMax = 30_000;

/** Where a program of the Prometheus package is. Throws where it is not, and says how to get it. */
export function prometheusProgram(name: 'prometheus' | 'promtool'): string {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), unpacked];
  const found = folders.map((folder) => join(folder, name)).find(isExecutable);
  if (found === undefined) throw new Error(`There is no ${name}: run scripts/prometheus.sh, or install Prometheus.`);
  return found;
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

export interface Sample {
  readonly metric: Readonly<Record<string, string>>;
  readonly value: readonly [number, string];
}

/** A line: points of seconds since 1970 and the value; without those where there was none. */
export interface Series {
  readonly metric: Readonly<Record<string, string>>;
  readonly values: readonly (readonly [seconds: number, value: number])[];
}

/** Seconds since 1970, and between two points. */
export interface RangeOf {
  readonly from: number;
  readonly to: number;
  readonly stepSeconds: number;
}

export interface Alert {
  readonly labels: Readonly<Record<string, string>>;
  readonly state: 'pending' | 'firing';
}

export interface RuleState {
  readonly name: string;
  readonly health: string;
  readonly lastError?: string;
}

interface PrometheusOptions {
  /** Text of the rules. */
  readonly rules: string;
  /** Ports on this machine that are scraped as job "sluice". */
  readonly targets: readonly number[];
}

export class Prometheus {
  readonly url: string;
  readonly #folder: string;
  readonly #child: ChildProcess;
  #said = '';

  static async start({ rules, targets }: PrometheusOptions): Promise<Prometheus> {
    const folder = mkdtempSync(join(tmpdir(), 'sluice-prometheus-'));
    const list = targets.map((port) => `"127.0.0.1:${port}"`).join(', ');
    writeFileSync(join(folder, 'rules.yaml'), rules);
    writeFileSync(
      join(folder, 'prometheus.yaml'),
      `global: { scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s }
rule_files: [rules.yaml]
scrape_configs:
  - job_name: sluice
    static_configs: [{ targets: [${list}] }]
`,
    );
    const prometheus = new Prometheus(folder, await freePort());
    const isReady = await until(() => prometheus.#answers(), readyMsMax);
    if (isReady) return prometheus;
    await prometheus.end();
    throw new Error(`Prometheus does not start: ${prometheus.#said.slice(-500)}`);
  }

  private constructor(folder: string, port: number) {
    this.#folder = folder;
    this.url = `http://127.0.0.1:${port}`;
    this.#child = spawn(
      prometheusProgram('prometheus'),
      [
        `--config.file=${join(folder, 'prometheus.yaml')}`,
        `--storage.tsdb.path=${join(folder, 'data')}`,
        `--web.listen-address=127.0.0.1:${port}`,
      ],
      { stdio: ['ignore', 'ignore', 'pipe'] },
    );
    this.#child.stderr?.on('data', (chunk: Buffer) => (this.#said += chunk.toString()));
  }

  /** What a query gives now. Rejects if it is wrong. */
  async query(expr: string): Promise<readonly Sample[]> {
    const { result } = (await this.#get(`query?query=${encodeURIComponent(expr)}`)) as { result: readonly Sample[] };
    return result;
  }

  /** What a query gives over time. Rejects if it is wrong. */
  async range(expr: string, { from, to, stepSeconds }: RangeOf): Promise<readonly Series[]> {
    const at = `start=${from}&end=${to}&step=${stepSeconds}`;
    const { result } = (await this.#get(`query_range?query=${encodeURIComponent(expr)}&${at}`)) as {
      result: readonly { metric: Series['metric']; values: readonly [number, string][] }[];
    };
    return result.map(({ metric, values }) => ({
      metric,
      values: values
        .map(([seconds, text]) => [seconds, Number(text)] as const)
        .filter(([, value]) => Number.isFinite(value)),
    }));
  }

  async alerts(): Promise<readonly Alert[]> {
    return ((await this.#get('alerts')) as { alerts: readonly Alert[] }).alerts;
  }

  /** Names of the alerts that fire, ascending. */
  async firing(): Promise<readonly string[]> {
    const firing = (await this.alerts()).filter(({ state }) => state === 'firing');
    return [...new Set(firing.map(({ labels }) => labels['alertname'] ?? ''))].sort();
  }

  async rules(): Promise<readonly RuleState[]> {
    const { groups } = (await this.#get('rules')) as { groups: readonly { rules: readonly RuleState[] }[] };
    return groups.flatMap((group) => group.rules);
  }

  async end(): Promise<void> {
    const exited = new Promise((resolve) => this.#child.once('exit', resolve));
    if (this.#child.exitCode === null && this.#child.kill('SIGKILL')) await exited;
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #answers(): Promise<boolean> {
    try {
      return (await fetch(`${this.url}/-/ready`)).ok;
    } catch {
      // it does not listen yet
      return false;
    }
  }

  async #get(path: string): Promise<unknown> {
    const response = await fetch(`${this.url}/api/v1/${path}`);
    const answer = (await response.json()) as { status: string; error?: string; data: unknown };
    if (answer.status !== 'success') throw new Error(`${path}: ${answer.error ?? response.status}`);
    return answer.data;
  }
}
