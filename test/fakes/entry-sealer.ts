/** Seals entries as a leader would: index, offset, stamps, checksums follow the ones before. */
import type { GroupLog } from '../../src/log/log.ts';
import { chainAfter, chainGenesis, entryEndOffset } from '../../src/model/entry.ts';
import type { ChainSeed, Entry, EntryKind } from '../../src/model/entry.ts';
import { indexZero, nextIndex, offsetZero, termZero, toLogIndex, toMillis, toTerm } from '../../src/model/ids.ts';
import type { Offset } from '../../src/model/ids.ts';
import { crc32c } from '../../src/runtime/crc32c.ts';

/** What a test says about an entry; the rest follows. */
export interface EntryWish {
  /** Default `batch`. */
  readonly kind?: EntryKind;
  /** Records of a batch. Default 1. */
  readonly count?: number;
  /** Default: a few bytes, none for a no-op. */
  readonly payload?: Uint8Array;
  readonly maxTimestampMs?: number;
  /** Default: the term of the entry before, at least 1. */
  readonly term?: number;
}

/** What the next entry follows. */
export type EntryTail = Pick<Entry, 'index' | 'term' | 'chain' | 'appendTimeMs'> & { readonly endOffset: Offset };

export const tailAfter = (entry: Entry): EntryTail => ({ ...entry, endOffset: entryEndOffset(entry) });

export const tailOf = (log: GroupLog): EntryTail => ({
  index: log.lastIndex,
  term: log.lastTerm,
  chain: log.lastChain,
  appendTimeMs: log.lastAppendTimeMs,
  endOffset: log.endOffset,
});

export const tailBeforeAll = (seed: ChainSeed): EntryTail => ({
  index: indexZero,
  term: termZero,
  chain: chainGenesis(seed, crc32c),
  appendTimeMs: toMillis(0),
  endOffset: offsetZero,
});

export function seal(before: EntryTail, wishes: readonly EntryWish[]): readonly Entry[] {
  let tail = before;
  return wishes.map((wish) => {
    const entry = sealOne(tail, wish);
    tail = tailAfter(entry);
    return entry;
  });
}

function sealOne(before: EntryTail, wish: EntryWish): Entry {
  const kind = wish.kind ?? 'batch';
  const index = nextIndex(before.index);
  const payload = wish.payload ?? (kind === 'no-op' ? new Uint8Array(0) : Buffer.from(`payload of ${index}`));
  const fields = {
    kind,
    count: kind === 'batch' ? (wish.count ?? 1) : 0,
    payload,
    maxTimestampMs: wish.maxTimestampMs === undefined ? null : toMillis(wish.maxTimestampMs),
    term: toTerm(wish.term ?? Math.max(1, before.term)),
    index,
    baseOffset: before.endOffset,
    appendTimeMs: toMillis(Math.max(1_700_000_000_000, before.appendTimeMs) + 1),
    payloadCrc: crc32c(payload),
  };
  return { ...fields, chain: chainAfter(before.chain, fields, crc32c) };
}

/** Appends, with the hard state that the terms ask for; in memory at once, durable when `done` resolves. */
export function append(
  log: GroupLog,
  wishes: readonly EntryWish[],
): { entries: readonly Entry[]; done: Promise<void> } {
  const entries = seal(tailOf(log), wishes);
  return { entries, done: write(log, null, entries) };
}

/** Drops the entries after `tail` and appends others, of the next term. */
export function replaceAfter(
  log: GroupLog,
  tail: EntryTail,
  wishes: readonly EntryWish[],
): { entries: readonly Entry[]; done: Promise<void> } {
  const term = log.hardState.term + 1;
  const entries = seal(
    tail,
    wishes.map((wish) => ({ term, ...wish })),
  );
  return { entries, done: write(log, tail.index, entries) };
}

/** Tells the log that everything through `index` is committed. */
export async function commit(log: GroupLog, index: number): Promise<void> {
  await log.append({ hardState: { ...log.hardState, commit: toLogIndex(index) }, truncateAfter: null, entries: [] });
}

async function write(log: GroupLog, truncateAfter: Entry['index'] | null, entries: readonly Entry[]): Promise<void> {
  const term = toTerm(Math.max(log.hardState.term, entries.at(-1)?.term ?? 0));
  const hardState = term === log.hardState.term ? null : { term, vote: null, commit: log.hardState.commit };
  await log.append({ hardState, truncateAfter, entries });
}
