/**
 * The leaderships of this broker that concern one other broker, with what that broker knows of them (design D3). Pure.
 *
 * Invariants:
 * - led-1: `#entries` and `#changes` are in the order of their revisions, each of which is used once.
 * - led-2: everything in the set with a revision above `#base` is in `#changes`, and so is everything that left the set
 *   since; so a receiver that holds the set at `#base` or later, and takes a frame, holds it at the frame's revision,
 *   as far as nothing changed again: what did has a newer revision than the frame's.
 * - led-3: `#base` is a revision that the receiver said it holds, or 0.
 */
import { assert, must } from '../model/assert.ts';
import type { BeatLead, BeatRequest, BeatTarget } from './beat-frame.ts';
import { beatChangesMax } from './beat-frame.ts';

/** One leadership of the set. */
export interface Led {
  readonly lead: BeatLead;
  /** Of its newest change. */
  revision: number;
}

interface Ended {
  readonly lead: BeatTarget;
  readonly revision: number;
  readonly ended: true;
}

export const targetKey = ({ group, target }: BeatTarget): string => `${group}/${target}`;

export class LedSet<Entry extends Led> {
  readonly #entries = new Map<string, Entry>();
  readonly #changes = new Map<string, Entry | Ended>();
  #revision = 0;
  #base = 0;

  get size(): number {
    return this.#entries.size;
  }

  get entries(): Iterable<Entry> {
    return this.#entries.values();
  }

  get({ group, target }: BeatTarget): Entry | undefined {
    return this.#entries.get(targetKey({ group, target }));
  }

  /** Takes the leadership into the set; or says again that it is there, so that the receiver looks at it anew. */
  announce(entry: Entry): void {
    const key = targetKey(entry.lead);
    entry.revision = ++this.#revision;
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    this.#changes.delete(key);
    this.#changes.set(key, entry);
  }

  /** The leadership is over, unless another one took its place already. */
  end(entry: Entry): void {
    const key = targetKey(entry.lead);
    if (this.#entries.get(key) !== entry) return;
    this.#entries.delete(key);
    this.#changes.delete(key);
    this.#changes.set(key, { lead: entry.lead, revision: ++this.#revision, ended: true });
    // who remembers more that is over than is there is told from the beginning: this bounds what is remembered
    if (this.#changes.size > 2 * this.#entries.size + beatChangesMax) this.restart();
  }

  /** The next request. What is more than a frame takes goes with later ones. */
  request(process: number, sequence: number): BeatRequest {
    const announced: BeatLead[] = [];
    const ended: BeatTarget[] = [];
    let revision = this.#base;
    let room = beatChangesMax;
    for (const change of this.#changes.values()) {
      if (room-- === 0) break;
      assert(change.revision > revision, 'led-1: changes are in order', `${change.revision}`);
      revision = change.revision;
      if ('ended' in change) ended.push({ group: change.lead.group, target: change.lead.target });
      else announced.push(change.lead);
    }
    return { kind: 'request', process, sequence, base: this.#base, revision, announced, ended };
  }

  /** The receiver holds the set at this revision. False: it lost what it held, and is told from the beginning. */
  acknowledged(holds: number): boolean {
    if (holds < this.#base || holds > this.#revision) {
      this.restart();
      return false;
    }
    this.#base = holds;
    for (const [key, { revision }] of this.#changes) {
      if (revision > holds) break;
      this.#changes.delete(key);
    }
    return true;
  }

  /** Tells everything from the beginning. */
  restart(): void {
    this.#base = 0;
    this.#changes.clear();
    for (const [key, entry] of this.#entries) this.#changes.set(key, must(entry, 'led-1'));
  }
}
