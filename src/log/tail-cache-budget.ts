/**
 * One limit in bytes for the tail caches of all groups. Each group may hold an equal share; what one does not use
 * others may, and beyond the limit whoever holds more than a share gives way first.
 */

/** A cache under the budget. */
export interface BudgetMember {
  readonly bytes: number;
  /** Lets its oldest entry go; returns the bytes, 0 if that entry is not durable yet. */
  evictOldest(): number;
}

export class TailCacheBudget {
  readonly bytesMax: number;
  #bytes = 0;
  /** Members that hold something. */
  readonly #members = new Set<BudgetMember>();
  /** Goes round the members, so that all give way in turn. */
  #hand: Iterator<BudgetMember>;

  /** @param bytesMax 0 keeps only what is not durable yet; 256 MiB serves most brokers */
  constructor(bytesMax: number) {
    this.bytesMax = bytesMax;
    this.#hand = this.#members.values();
  }

  /** Bytes held by all members. May exceed `bytesMax` by what is not durable yet (log-8). */
  get bytes(): number {
    return this.#bytes;
  }

  /** A member holds `delta` more bytes (or fewer); called after the change. */
  changed(member: BudgetMember, delta: number): void {
    this.#bytes += delta;
    if (member.bytes > 0) this.#members.add(member);
    else this.#members.delete(member);
  }

  /** Evicts until the limit holds or nothing can go. @param preferred is asked first: it is the one that grew */
  enforce(preferred: BudgetMember): void {
    while (this.#bytes > this.bytesMax) {
      const share = this.bytesMax / this.#members.size;
      if (preferred.bytes > share && preferred.evictOldest() > 0) continue;
      if (!this.#evictFromAnother(share)) return;
    }
  }

  /** One round over the members: first those above their share, else any. */
  #evictFromAnother(share: number): boolean {
    for (const least of [share, 0]) {
      for (let asked = this.#members.size; asked > 0; asked--) {
        const member = this.#nextMember();
        if (member.bytes > least && member.evictOldest() > 0) return true;
      }
    }
    return false;
  }

  #nextMember(): BudgetMember {
    let next = this.#hand.next();
    if (next.done === true) {
      this.#hand = this.#members.values();
      next = this.#hand.next();
    }
    return next.value as BudgetMember;
  }
}
