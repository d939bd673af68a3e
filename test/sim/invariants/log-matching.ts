import type { Entry } from '../../../src/model/entry.ts';
import { Invariant } from '../invariant.ts';

/**
 * inv-I3: two logs that have an entry of the same index and term are the same up to there. Raft paper, figure 3, "Log
 * Matching". The chain covers the whole prefix, so comparing it per (group, index, term) is enough.
 */
export class LogMatching extends Invariant {
  readonly id = 'inv-I3';
  readonly #chains = new Map<string, number>();
  readonly #seen = new Map<string, Entry>();

  override afterEvent(): void {
    for (const node of this.world.nodes) {
      for (const [group, image] of node.disk.cached) {
        const key = `${node.number}/${group}`;
        const last = image.entries.at(-1);
        if (last === undefined || this.#seen.get(key) === last) continue;
        for (let at = image.entries.length - 1; at >= 0; at--) {
          const entry = image.entries[at];
          if (entry === undefined || entry === this.#seen.get(key)) break;
          if (!this.#compare(group, entry)) break;
        }
        this.#seen.set(key, last);
      }
    }
  }

  /** False: the entry was known, and so is everything before it. */
  #compare(group: number, entry: Entry): boolean {
    const place = `${group}/${entry.index}/${entry.term}`;
    const known = this.#chains.get(place);
    if (known === undefined) {
      this.#chains.set(place, entry.chain);
      return true;
    }
    this.check(known === entry.chain, `group/index/term ${place} has two histories`);
    return false;
  }
}
