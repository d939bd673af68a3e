/** Moves the log start of data groups now and then, as retention would: whoever leads is asked to. */
import { toOffset } from '../../src/model/ids.ts';
import type { GroupNumber } from '../../src/model/ids.ts';
import { logStartDraft } from '../../src/raft/log-start.ts';
import type { SimRandom } from './sim-random.ts';
import type { SimWorld } from './sim-world.ts';

export class Retention {
  readonly #world: SimWorld;
  readonly #random: SimRandom;
  readonly #pauseMsMean: number;
  #running = false;

  /** @param pauseMsMean between two moves, in ms; Infinity: none */
  constructor(world: SimWorld, random: SimRandom, pauseMsMean: number) {
    this.#world = world;
    this.#random = random;
    this.#pauseMsMean = pauseMsMean;
  }

  start(): void {
    this.#running = this.#pauseMsMean < Infinity;
    if (this.#running) this.#next();
  }

  stop(): void {
    this.#running = false;
  }

  #next(): void {
    this.#world.scheduler.after(this.#random.exponential(this.#pauseMsMean), () => {
      if (!this.#running) return;
      const groups = this.#world.groups.filter((group) => this.#world.planOf(group).kind === 'data');
      if (groups.length > 0) this.#move(this.#random.pick(groups));
      this.#next();
    });
  }

  #move(group: GroupNumber): void {
    const leaders = this.#world.nodes.filter((node) => node.groups.get(group)?.role.role === 'leader');
    if (leaders.length === 0) return;
    const node = this.#random.pick(leaders);
    const { life } = node;
    const part = this.#random.pick([0.3, 0.9, 1]);
    node.enter('input', () => {
      const raft = node.groups.get(group);
      if (node.life !== life || raft === undefined) return;
      const { highWatermark, log } = raft;
      const logStart = toOffset(log.logStart + Math.floor((highWatermark - log.logStart) * part));
      const proposed = raft.propose(logStartDraft(logStart), { outcome: () => undefined });
      if (proposed.kind === 'accepted') this.#world.trace.say(node.number, group, 'log start', `${logStart}`);
    });
  }
}
