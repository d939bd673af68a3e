/**
 * Which leaderships go back to where they belong: the first replica of a partition is its preferred leader, so that
 * placement spreads leaders and a restarted broker gets its own back. Pure.
 */
import type { GroupNumber, ReplicaId } from '../model/ids.ts';

/** A group that this broker leads although another broker's replica is preferred. */
export interface MisplacedLead {
  readonly group: GroupNumber;
  readonly preferred: ReplicaId;
  /** The preferred replica votes, was heard lately and has (almost) everything. */
  readonly ready: boolean;
}

export interface BalanceLimits {
  /** How long the preferred replica has to be ready without a break, milliseconds: who comes and goes gets nothing. */
  readonly leadershipReturnMs: number;
  /** Leaderships that one look gives back at most. */
  readonly leadershipReturnsMax: number;
}

export class LeadershipBalance {
  readonly #limits: BalanceLimits;
  /** Since when the preferred replica is ready, by group. Bounded by the groups led here. */
  #readySince = new Map<GroupNumber, number>();

  constructor(limits: BalanceLimits) {
    this.#limits = limits;
  }

  /** @returns what to hand over now */
  look(misplaced: readonly MisplacedLead[], nowMs: number): readonly MisplacedLead[] {
    const ready = misplaced.filter((one) => one.ready);
    this.#readySince = new Map(ready.map(({ group }) => [group, this.#readySince.get(group) ?? nowMs]));
    const due = ready.filter(
      ({ group }) => nowMs - (this.#readySince.get(group) ?? nowMs) >= this.#limits.leadershipReturnMs,
    );
    const handed = due.slice(0, this.#limits.leadershipReturnsMax);
    // a transfer may fail: it is tried again after as long
    for (const { group } of handed) this.#readySince.set(group, nowMs);
    return handed;
  }
}
