/**
 * What another broker leads, as far as it concerns replicas here, and when it last said so (design D3). Pure.
 *
 * Invariant peer-leads-1: the set is the sender's (process `#process`) at revision `#revision`: requests are taken in
 * the order of their sequence, and only on a base that is held.
 */
import type { BeatLead, BeatRequest } from './beat-frame.ts';
import { beatLeadsMax } from './beat-frame.ts';
import { targetKey } from './led-set.ts';

/** A leadership on the peer. */
export interface Heard {
  readonly lead: BeatLead;
}

export type Taken<Entry> =
  /** Older than what was taken, or twice the same: it says nothing. */
  | { readonly kind: 'stale' }
  /** Rests on a set that is not held: nothing was taken, and the sender must begin from nothing. */
  | { readonly kind: 'unknown-base' }
  /** More than is remembered of one peer. */
  | { readonly kind: 'too-many' }
  | { readonly kind: 'taken'; readonly announced: readonly Entry[] };

export class PeerLeads<Entry extends Heard> {
  readonly #make: (lead: BeatLead) => Entry;
  /** Called for an entry that is replaced or over, before the new time of hearing counts. */
  readonly #dropped: (entry: Entry) => void;
  readonly #entries = new Map<string, Entry>();
  #process: number | null = null;
  #sequence = 0;
  #revision = 0;
  /** Monotonic time of the newest request that was taken: everything in the set was heard then. */
  heardMs = -Infinity;

  constructor(make: (lead: BeatLead) => Entry, dropped: (entry: Entry) => void) {
    this.#make = make;
    this.#dropped = dropped;
  }

  get all(): IterableIterator<Entry> {
    return this.#entries.values();
  }

  get size(): number {
    return this.#entries.size;
  }

  /** The revision that is held of the process's set; 0: none. */
  holds(process: number): number {
    return process === this.#process ? this.#revision : 0;
  }

  take(request: BeatRequest, now: number): Taken<Entry> {
    const known = request.process === this.#process;
    if (known && request.sequence <= this.#sequence) return { kind: 'stale' };
    if (request.base > 0 && (!known || request.base > this.#revision)) return { kind: 'unknown-base' };
    const before = request.base === 0 ? 0 : this.#entries.size;
    if (before + request.announced.length > beatLeadsMax) return { kind: 'too-many' };
    if (request.base === 0) this.#clear();
    this.#process = request.process;
    this.#sequence = request.sequence;
    this.#revision = request.revision;
    for (const target of request.ended) this.#remove(targetKey(target));
    const announced = request.announced.map((lead) => {
      const key = targetKey(lead);
      this.#remove(key);
      const entry = this.#make(lead);
      this.#entries.set(key, entry);
      return entry;
    });
    this.heardMs = now;
    return { kind: 'taken', announced };
  }

  #remove(key: string): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    this.#entries.delete(key);
    this.#dropped(entry);
  }

  #clear(): void {
    for (const key of [...this.#entries.keys()]) this.#remove(key);
  }
}
