/** A share of one processor for a process, by the cpu controller of cgroup v1. */
import { existsSync, mkdirSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const controller = '/sys/fs/cgroup/cpu';
const periodUs = 100_000;

export class CpuShare {
  readonly #path: string;

  /** @param cores for example 0.5 */
  constructor(cores: number) {
    if (!existsSync(join(controller, 'cpu.cfs_quota_us')))
      throw new Error(`this needs the cpu controller of cgroup v1: there is none at ${controller}`);
    this.#path = join(controller, `sluice-${process.pid}-${Math.trunc(performance.now())}`);
    mkdirSync(this.#path);
    writeFileSync(join(this.#path, 'cpu.cfs_period_us'), String(periodUs));
    writeFileSync(join(this.#path, 'cpu.cfs_quota_us'), String(Math.round(cores * periodUs)));
  }

  /** Holds a process to it, with all of its threads. */
  hold(pid: number): void {
    writeFileSync(join(this.#path, 'cgroup.procs'), String(pid));
  }

  /** Once no process is in it any more. */
  remove(): void {
    rmdirSync(this.#path);
  }
}
