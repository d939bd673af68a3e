import type { Entry } from '../../../src/model/entry.ts';
import type { ReplicaId } from '../../../src/model/ids.ts';
import { Invariant } from '../invariant.ts';
import type { SimNode } from '../sim-node.ts';

/**
 * inv-I3: two logs that have an entry of the same index and term are the same up to there. Raft paper, figure 3, "Log
 * Matching". The chain covers the whole prefix, so comparing it per (group, index, term) is enough.
 */
export class LogMatching extends Invariant {
  readonly id = 'inv-I3';
  /** By group, index and term. */
  readonly #chains = new Map<string, number>();
  /** The last entry of each log when it was looked at. */
  readonly #seen = new Map<ReplicaId, Entry>();

  override onTouched(node: SimNode): void {
    for (const [group, image] of node.disk.cached) {
      const replica = image.header.replicaId;
      const last = image.entries.at(-1);
      const seen = this.#seen.get(replica);
      if (last === undefined || seen === last) continue;
      for (let at = image.entries.length - 1; at >= 0; at--) {
        const entry = image.entries[at];
        if (entry === undefined || entry === seen) break;
        if (!this.#compare(group, entry)) break;
      }
      this.#seen.set(replica, last);
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
