/**
 * Does with pods what the controller of a StatefulSet and the kubelet do: podManagementPolicy Parallel, RollingUpdate from
 * the highest ordinal on, one pod at a time, the next once the one before was ready for as long as is demanded.
 */
import { rmSync } from 'node:fs';
import type { PodSpec } from '../../deploy/pod-spec.ts';
import { patience, wait } from '../broker/patience.ts';
import { claimOf, Pod } from './pod.ts';
import type { PodEnd } from './pod.ts';
import { PodNetwork } from './pod-network.ts';

/** Of an idle machine: from a pod's start until it is ready. */
const readyMsMax = 60_000;
/** The kubelet waits so long before it starts a container again that ended, doubled each time; its own begins with 10 s. */
const backOffMs = { first: 1_000, max: 10_000 };

/** What the StatefulSet is told apart from its manifest. */
export interface Pace {
  /** How much more often than by its manifest readiness is asked, and how much shorter it has to last. 1: as there. */
  readonly hurry: number;
}

export class StatefulSet {
  readonly spec: PodSpec;
  readonly problems: string[] = [];
  readonly #folder: string;
  readonly #pace: Pace;
  readonly #network: PodNetwork;
  readonly #pods: Pod[] = [];
  readonly #watched = new Set<Promise<void>>();
  #ended = false;

  static async begin(spec: PodSpec, folder: string, pace: Pace): Promise<StatefulSet> {
    return new StatefulSet(spec, folder, pace, await PodNetwork.begin(folder));
  }

  private constructor(spec: PodSpec, folder: string, pace: Pace, network: PodNetwork) {
    this.spec = spec;
    this.#folder = folder;
    this.#pace = pace;
    this.#network = network;
  }

  get ordinals(): readonly number[] {
    return this.#pods.map((_, ordinal) => ordinal);
  }

  pod(ordinal: number): Pod {
    const pod = this.#pods[ordinal];
    if (pod === undefined) throw new RangeError(`there is no pod ${ordinal}`);
    return pod;
  }

  /** Starts or stops pods until there are so many; resolves when all are ready. Volumes stay. */
  async scale(replicas: number): Promise<readonly PodEnd[]> {
    const surplus = this.#pods.splice(replicas);
    const ends = await Promise.all(surplus.map((pod) => pod.stop()));
    while (this.#pods.length < replicas) await this.create(this.#pods.length);
    await Promise.all(this.#pods.map((pod) => this.ready(pod)));
    return ends;
  }

  /** Every pod once, as after a change of the template. */
  async roll(): Promise<readonly PodEnd[]> {
    const ends: PodEnd[] = [];
    for (const ordinal of this.ordinals.toReversed()) {
      ends.push(await this.pod(ordinal).stop());
      await this.ready(await this.create(ordinal));
      await wait(this.spec.minReadyMs / this.#pace.hurry);
    }
    return ends;
  }

  /** A new pod with the volume of the one before, or an empty one if there was none. */
  async create(ordinal: number): Promise<Pod> {
    const pod = await Pod.create(this.spec, ordinal, this.#folder, this.#network);
    this.#pods[ordinal] = pod;
    const watching = this.#keepRunning(pod);
    this.#watched.add(watching);
    void watching.finally(() => this.#watched.delete(watching));
    return pod;
  }

  /** The claim of a pod that does not run is deleted, and its volume with it. */
  deleteClaim(ordinal: number): void {
    rmSync(claimOf(this.#folder, this.spec, ordinal), { recursive: true });
  }

  /** Resolves with whether the readiness probe succeeded in time; if not, it is a problem. */
  async ready(pod: Pod): Promise<boolean> {
    const deadline = performance.now() + readyMsMax * patience();
    while (!(await pod.isReady())) {
      if (performance.now() > deadline) {
        this.problems.push(`${pod.name} does not become ready: ${pod.broker.lastWords}`);
        return false;
      }
      await wait(this.spec.readiness.periodMs / this.#pace.hurry);
    }
    return true;
  }

  async end(): Promise<void> {
    this.#ended = true;
    await Promise.all(this.#pods.splice(0).map((pod) => pod.kill()));
    await Promise.all(this.#watched);
  }

  /** restartPolicy Always, as long as the pod is there. */
  async #keepRunning(pod: Pod): Promise<void> {
    const isThere = (): boolean => !this.#ended && this.#pods[pod.ordinal] === pod && !pod.isStopping;
    for (let pauseMs = backOffMs.first; ; pauseMs = Math.min(backOffMs.max, 2 * pauseMs)) {
      await pod.broker.exited;
      if (!isThere()) return;
      await wait(pauseMs);
      if (!isThere()) return;
      pod.restart();
    }
  }
}
