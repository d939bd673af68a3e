/** One pod as the kubelet treats it: its container, what is run in it beside the broker, its probe, and its end. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { namespace } from '../../deploy/pod-spec.ts';
import type { PodSpec } from '../../deploy/pod-spec.ts';
import { BrokerProcess } from '../broker/broker-process.ts';
import { patience } from '../broker/patience.ts';
import type { PodNetwork, PodPlace } from './pod-network.ts';
import { mountPodRoot, unmountPodRoot } from './pod-root.ts';

export interface CommandEnd {
  /** Null: a signal ended it. */
  readonly code: number | null;
  readonly output: string;
}

/** How a pod was stopped. */
export interface PodEnd {
  /** Of the hook; null: it was cut off. */
  readonly hook: CommandEnd | null;
  /** Of the broker; null: it had to be killed. */
  readonly code: number | null;
  readonly ms: number;
}

export class Pod {
  readonly ordinal: number;
  readonly name: string;
  readonly #spec: PodSpec;
  readonly #network: PodNetwork;
  readonly #place: PodPlace;
  readonly #root: string;
  /** What each process of its container said last that ended and was started again. */
  readonly endings: string[] = [];
  #broker: BrokerProcess;
  #stopping = false;

  /** @param folder of what all pods keep; a claim in it outlives its pod */
  static async create(spec: PodSpec, ordinal: number, folder: string, network: PodNetwork): Promise<Pod> {
    const host = `${nameOf(spec, ordinal)}.${spec.serviceName}`;
    const place = await network.add([host, `${host}.${namespace}.svc`]);
    const root = join(folder, 'roots', place.netns);
    const claim = claimOf(folder, spec, ordinal);
    mkdirSync(claim, { recursive: true });
    await mountPodRoot(root, spec, claim, network.hostsFile);
    return new Pod(spec, ordinal, root, network, place);
  }

  private constructor(spec: PodSpec, ordinal: number, root: string, network: PodNetwork, place: PodPlace) {
    this.ordinal = ordinal;
    this.name = nameOf(spec, ordinal);
    this.#spec = spec;
    this.#network = network;
    this.#place = place;
    this.#root = root;
    this.#broker = this.#start();
  }

  get broker(): BrokerProcess {
    return this.#broker;
  }

  /** Whoever ends its container from now on does so on purpose. */
  get isStopping(): boolean {
    return this.#stopping;
  }

  /** Where clients find it, whatever address it has. */
  get address(): string {
    return `${this.name}.${this.#spec.serviceName}:${this.#spec.clientPort}`;
  }

  /** The container ended: the kubelet starts it again, with the same volumes. */
  restart(): void {
    this.endings.push(this.#broker.lastWords);
    this.#broker = this.#start();
  }

  /** Asks the readiness probe once. */
  async isReady(): Promise<boolean> {
    const { path, port, timeoutMs } = this.#spec.readiness;
    const signal = AbortSignal.timeout(Math.round(timeoutMs * patience()));
    const answer = await fetch(`http://${this.#place.address}:${port}${path}`, { signal }).catch(() => null);
    await answer?.arrayBuffer().catch(() => null);
    return answer !== null && answer.status >= 200 && answer.status < 400;
  }

  /** Runs a command in the container, as `kubectl exec` and hooks do. Null: it took too long and was killed. */
  async exec(command: readonly string[], limitMs: number): Promise<CommandEnd | null> {
    const [first = '', ...args] = this.#inside(command);
    const child = spawn(first, args, { env: this.#environment(), stdio: ['ignore', 'pipe', 'pipe'] });
    const said: Buffer[] = [];
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (bytes: Buffer) => said.push(bytes));
    const timer = setTimeout(() => child.kill('SIGKILL'), limitMs);
    const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
    clearTimeout(timer);
    return signal === 'SIGKILL' ? null : { code, output: Buffer.concat(said).toString().trim() };
  }

  /** The hook, SIGTERM, and SIGKILL when the grace period is over, which begins with the hook. Then the pod is gone. */
  async stop(): Promise<PodEnd> {
    const { graceMs } = this.#spec;
    this.#stopping = true;
    const beganMs = performance.now();
    const hook = await this.exec(this.#spec.preStop, graceMs);
    this.#broker.signal('SIGTERM');
    const leftMs = Math.max(0, graceMs - (performance.now() - beganMs));
    const killed = setTimeout(() => this.#broker.signal('SIGKILL'), leftMs);
    const { code } = await this.#broker.exited;
    clearTimeout(killed);
    const ms = Math.round(performance.now() - beganMs);
    await this.#remove();
    return { hook, code, ms };
  }

  /** Its node is gone, and the pod with it. */
  async kill(): Promise<void> {
    this.#stopping = true;
    await this.#broker.kill();
    await this.#remove();
  }

  #start(): BrokerProcess {
    return new BrokerProcess({ command: this.#inside(this.#spec.command), env: this.#environment() });
  }

  #inside(command: readonly string[]): readonly string[] {
    const { uid } = this.#spec;
    return ['ip', 'netns', 'exec', this.#place.netns, 'chroot', `--userspec=${uid}:${uid}`, this.#root, ...command];
  }

  #environment(): Readonly<Record<string, string>> {
    const path = `${dirname(process.execPath)}:/usr/sbin:/usr/bin:/sbin:/bin`;
    return { PATH: path, HOME: '/tmp', ...this.#spec.environment(this.ordinal) };
  }

  async #remove(): Promise<void> {
    await unmountPodRoot(this.#root);
    await this.#network.remove(this.#place);
  }
}

const nameOf = (spec: PodSpec, ordinal: number): string => `${spec.name}-${ordinal}`;

/** The folder that stands for the volume of a pod. */
export const claimOf = (folder: string, spec: PodSpec, ordinal: number): string =>
  join(folder, 'claims', nameOf(spec, ordinal));
