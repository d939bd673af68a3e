/**
 * The state keys of one commands group. They lie in one of two spaces; the other one takes what a snapshot brings, piece
 * by piece, until one small write makes it the one in use. Nothing of it is seen before, and a crash on the way leaves
 * something that is deleted with the first change that follows (log-12).
 */
import type { StateChange, StatePair } from '../model/raft-state.ts';
import type { GroupKeys, KeyRange, StateTag } from './keys.ts';
import { keyTags, stateKeyOf } from './keys.ts';
import type { LogChanges } from './log-changes.ts';
import { stateSpaceCodec } from './group-records.ts';
import type { StoreReads } from './store.ts';

/** Keys fetched at a time, at most. */
const pageMax = 256;
/** Keys fetched first, and whenever nothing is known of their size. */
const pageUsual = 64;
/** Bytes that a page should not exceed by much: values differ in size, so the next page is as long as this one lets it. */
const pageBytesAim = 256 * 1024;

export class StateKeys {
  readonly #keys: GroupKeys;
  #tag: StateTag;
  /** The space that is not in use. `leftover`: something lies there that nobody wants any more. */
  #other: 'empty' | 'leftover' | 'filling';

  constructor(keys: GroupKeys, tag: StateTag, other: 'empty' | 'leftover') {
    this.#keys = keys;
    this.#tag = tag;
    this.#other = other;
  }

  /** Adds changes to a write. */
  change(changes: readonly StateChange[], write: LogChanges): void {
    if (this.#other === 'leftover') this.#clearOther(write);
    for (const change of changes) write.list.push({ ...change, key: this.#keys.state(change.key, this.#tag) });
  }

  /** All pairs, ascending, in pages, as `store` has them. */
  pages(store: StoreReads): AsyncGenerator<readonly StatePair[]> {
    return statePages(store, this.#keys.tagged(this.#tag));
  }

  /** A snapshot begins to come in; what an earlier one left goes with the write that follows. */
  beginStaging(write: LogChanges): void {
    if (this.#other !== 'empty') this.#clearOther(write);
    this.#other = 'filling';
  }

  /** Pairs of a snapshot go where they are not seen. They may be views: the store has them from now on. */
  stage(pairs: readonly StatePair[], write: LogChanges): void {
    const tag = otherThan(this.#tag);
    for (const { key, value } of pairs) write.list.push({ kind: 'put', key: this.#keys.state(key, tag), value });
  }

  /** Nobody wants what was staged. */
  abandonStaged(): void {
    this.#other = 'leftover';
  }

  /** What was staged takes the place of what was in use, by the write that follows. */
  adoptStaged(write: LogChanges): void {
    write.deleteRange(this.#keys.tagged(this.#tag));
    this.#tag = otherThan(this.#tag);
    this.#other = 'empty';
    write.put(this.#keys.single(keyTags.stateSpace), this.#tag, stateSpaceCodec);
  }

  #clearOther(write: LogChanges): void {
    write.deleteRange(this.#keys.tagged(otherThan(this.#tag)));
    this.#other = 'empty';
  }
}

export const otherThan = (tag: StateTag): StateTag => (tag === keyTags.state ? keyTags.otherState : keyTags.state);

/** The pairs of a range, ascending, in pages of about 256 KiB. */
export async function* statePages(
  store: StoreReads,
  { from: first, to }: KeyRange,
): AsyncGenerator<readonly StatePair[]> {
  let limit = pageUsual;
  for (let from: Uint8Array | null = first; from !== null;) {
    const page: readonly StatePair[] = await store.scan({ from, to, limit });
    if (page.length > 0) yield page.map(({ key, value }) => ({ key: stateKeyOf(key), value }));
    const last: StatePair | undefined = page.length < limit ? undefined : page.at(-1);
    from = last === undefined ? null : Buffer.concat([last.key, Buffer.alloc(1)]);
    limit = nextLimit(page);
  }
}

function nextLimit(page: readonly StatePair[]): number {
  const bytes = page.reduce((sum, { key, value }) => sum + key.length + value.length, 0);
  if (bytes === 0) return pageUsual;
  return Math.max(1, Math.min(pageMax, Math.floor((pageBytesAim * page.length) / bytes)));
}
