/**
 * Makes a failing run simpler as long as it breaks the same invariant: nothing after the failure, a simpler world, then
 * fewer faults (delta debugging, Zeller and Hildebrandt 2002). Stops when the time is over; what it has by then counts.
 */
import type { TimedFault } from './faults.ts';
import type { SimResult } from './simulate.ts';
import { simulate } from './simulate.ts';
import type { WorldShape } from './world-shape.ts';

/** A run that can be repeated without drawing its faults. */
export interface Scenario {
  readonly seed: number;
  readonly shape: WorldShape;
  readonly schedule: readonly TimedFault[];
}

export interface Shrunk {
  readonly scenario: Scenario;
  readonly attempts: number;
  /** True: the scenario that was recorded does not fail by itself, so nothing could be taken away. */
  readonly isStuck: boolean;
}

export const scenarioOf = ({ seed, shape, schedule }: SimResult): Scenario => ({ seed, shape, schedule });

export async function shrink(failed: SimResult, budgetMs: number): Promise<Shrunk> {
  const shrinker = new Shrinker(failed, budgetMs);
  return shrinker.run();
}

class Shrinker {
  #best: Scenario;
  readonly #invariant: string;
  readonly #failedAtMs: number;
  readonly #deadline: number;
  #attempts = 0;

  constructor(failed: SimResult, budgetMs: number) {
    this.#best = scenarioOf(failed);
    this.#invariant = failed.violation?.invariant ?? '';
    this.#failedAtMs = failed.virtualMs;
    this.#deadline = Date.now() + budgetMs;
  }

  async run(): Promise<Shrunk> {
    const isStuck = !(await this.#fails(this.#best));
    if (!isStuck) {
      await this.#cutTheEnd();
      await this.#simplify();
      await this.#dropFaults();
      await this.#simplify();
      await this.#dropFaults();
    }
    return { scenario: this.#best, attempts: this.#attempts, isStuck };
  }

  /** Takes it if it still fails in the same way. */
  async #try(candidate: Scenario): Promise<boolean> {
    if (Date.now() >= this.#deadline || !(await this.#fails(candidate))) return false;
    this.#best = candidate;
    return true;
  }

  async #fails({ seed, shape, schedule }: Scenario): Promise<boolean> {
    this.#attempts++;
    return (await simulate(seed, { shape, schedule })).violation?.invariant === this.#invariant;
  }

  async #cutTheEnd(): Promise<void> {
    const { shape, schedule } = this.#best;
    const before = schedule.filter(({ at }) => at <= this.#failedAtMs);
    await this.#try({ ...this.#best, schedule: before });
    const last = before.at(-1)?.at ?? 0;
    if (last + 2_000 < shape.safetyMs) await this.#reshape({ safetyMs: Math.ceil(last) + 2_000 });
  }

  async #simplify(): Promise<void> {
    const { shape } = this.#best;
    await this.#reshape({ groups: 1 });
    await this.#reshape({ workload: { ...shape.workload, readShare: 0 } });
    await this.#reshape({ workload: { ...this.#best.shape.workload, clients: 1 } });
    await this.#reshape({ workload: { ...this.#best.shape.workload, payloadBytesMax: 1 } });
    await this.#reshape({ steady: true });
    for (let nodes = 3; nodes < shape.nodes; nodes++) {
      if (await this.#reshape({ nodes, voters: Math.min(nodes, this.#best.shape.voters) })) break;
    }
    if (shape.voters > 3) await this.#reshape({ voters: 3 });
  }

  #reshape(change: Partial<WorldShape>): Promise<boolean> {
    const shape = { ...this.#best.shape, ...change };
    if (JSON.stringify(shape) === JSON.stringify(this.#best.shape)) return Promise.resolve(false);
    return this.#try({ ...this.#best, shape });
  }

  /** ddmin: halves, quarters and so on are left out, as long as that helps. */
  async #dropFaults(): Promise<void> {
    let parts = 2;
    while (this.#best.schedule.length > 0 && parts <= 2 * this.#best.schedule.length) {
      const { schedule } = this.#best;
      const size = Math.ceil(schedule.length / parts);
      const start = await this.#firstDroppable(schedule, size);
      if (start === null) {
        if (size === 1 || Date.now() >= this.#deadline) return;
        parts *= 2;
      } else parts = Math.max(2, parts - 1);
    }
  }

  async #firstDroppable(schedule: readonly TimedFault[], size: number): Promise<number | null> {
    for (let start = 0; start < schedule.length; start += size) {
      const rest = [...schedule.slice(0, start), ...schedule.slice(start + size)];
      if (await this.#try({ ...this.#best, schedule: rest })) return start;
    }
    return null;
  }
}
