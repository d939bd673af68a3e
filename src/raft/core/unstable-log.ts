/**
 * The part of a log that the core holds in memory: where the log ends, its term table, and the recent entries. Entries
 * that were handed to the disk and are needed by no follower are released; older ones are read through the driver.
 *
 * Invariants (raft-log):
 * - raft-log-1: entries in memory are contiguous and end at lastIndex.
 * - raft-log-2: an entry leaves memory only after it was taken for persisting.
 * - raft-log-3: every entry follows entry-1 (index, term, base offset) and entry-3 (chain).
 */
import { assert, must } from '../../model/assert.ts';
import type { Crc32c } from '../../model/crc32c.ts';
import type { Entry, EntryDraft } from '../../model/entry.ts';
import { chainAfter, entryEndOffset } from '../../model/entry.ts';
import type { LogIndex, Millis, Offset, Term } from '../../model/ids.ts';
import { nextIndex, previousIndex, toLogIndex, toMillis } from '../../model/ids.ts';
import type { TermStart } from '../../model/raft-state.ts';
import { entryOverheadBytes } from './limits.ts';
import type { RecoveredState } from './ready.ts';
import type { SnapshotMeta } from './snapshot.ts';

/** The end of the entry at `index`. */
export interface Position {
  readonly index: LogIndex;
  readonly endOffset: Offset;
  /** Null: not known without a read. */
  readonly chain: number | null;
}

/** What must be written to disk. */
export interface Unsaved {
  readonly truncateAfter: LogIndex | null;
  readonly entries: readonly Entry[];
}

export const entryBytes = (entry: Entry): number => entry.payload.length + entryOverheadBytes;

export class UnstableLog {
  readonly #crc32c: Crc32c;
  /** First index of the log on disk. */
  #firstIndex: LogIndex;
  /** Term of the entry before firstIndex. */
  #boundaryTerm: Term;
  #boundaryChain: number;
  #lastIndex: LogIndex;
  #lastTerm: Term;
  #endOffset: Offset;
  #lastChain: number;
  #lastAppendTimeMs: Millis;
  /** Ascending; together they cover [firstIndex, lastIndex]. */
  #terms: TermStart[];
  /** Invariant: `#entries[#head]` has index `#before.index + 1` (raft-log-1). */
  #entries: Entry[];
  #head = 0;
  /** Where the entries in memory begin. */
  #before: Position;
  #memoryBytes = 0;
  /** Bytes above the commit index, as far as they are in memory. */
  #uncommittedBytes = 0;
  #committed: LogIndex;
  #takenThrough: LogIndex;
  #truncateAfter: LogIndex | null = null;

  constructor(recovered: RecoveredState, commit: LogIndex, crc32c: Crc32c) {
    this.#crc32c = crc32c;
    this.#firstIndex = recovered.firstIndex;
    this.#boundaryTerm = recovered.boundaryTerm;
    this.#boundaryChain = recovered.boundaryChain;
    this.#lastIndex = recovered.lastIndex;
    this.#lastTerm = recovered.lastTerm;
    this.#endOffset = recovered.endOffset;
    this.#lastChain = recovered.lastChain;
    this.#lastAppendTimeMs = recovered.lastAppendTimeMs;
    this.#terms = [...recovered.terms];
    this.#entries = [...recovered.recent];
    this.#takenThrough = recovered.lastIndex;
    this.#committed = commit;
    this.#before = beforeFirst(recovered);
    for (const entry of this.#entries) {
      this.#memoryBytes += entryBytes(entry);
      if (entry.index > commit) this.#uncommittedBytes += entryBytes(entry);
    }
    assert(this.#before.index + this.#entries.length === this.#lastIndex, 'raft-log-1: recent entries end the log');
  }

  get firstIndex(): LogIndex {
    return this.#firstIndex;
  }
  get lastIndex(): LogIndex {
    return this.#lastIndex;
  }
  get lastTerm(): Term {
    return this.#lastTerm;
  }
  get endOffset(): Offset {
    return this.#endOffset;
  }
  get lastChain(): number {
    return this.#lastChain;
  }
  get uncommittedBytes(): number {
    return this.#uncommittedBytes;
  }
  get memoryBytes(): number {
    return this.#memoryBytes;
  }
  /** First index that is in memory; lastIndex + 1 if none is. */
  get memoryFirst(): LogIndex {
    return nextIndex(this.#before.index);
  }
  get terms(): readonly TermStart[] {
    return this.#terms;
  }
  /** Chain value before firstIndex. */
  get boundaryChain(): number {
    return this.#boundaryChain;
  }

  /** Null: not in the log any more, or not yet. */
  termAt(index: LogIndex): Term | null {
    if (index === this.#lastIndex) return this.#lastTerm;
    if (index > this.#lastIndex || index < this.#firstIndex - 1) return null;
    if (index === this.#firstIndex - 1) return this.#boundaryTerm;
    for (let i = this.#terms.length - 1; i >= 0; i--) {
      const start = must(this.#terms[i], 'a term start');
      if (start.startIndex <= index) return start.term;
    }
    return this.#boundaryTerm;
  }

  /** The end of the entry at `index`; null: not known without a read. */
  positionAt(index: LogIndex): Position | null {
    if (index === this.#lastIndex) return { index, endOffset: this.#endOffset, chain: this.#lastChain };
    if (index === this.#before.index) return this.#before;
    const entry = this.entryAt(index);
    return entry === null ? null : { index, endOffset: entryEndOffset(entry), chain: entry.chain };
  }

  entryAt(index: LogIndex): Entry | null {
    if (index <= this.#before.index || index > this.#lastIndex) return null;
    return this.#entries[this.#head + index - this.#before.index - 1] ?? null;
  }

  /** Entries from `from` on, at least one, up to `bytesMax`; null: the first one is not in memory. */
  slice(from: LogIndex, bytesMax: number): readonly Entry[] | null {
    if (from <= this.#before.index || from > this.#lastIndex) return null;
    const first = this.#head + from - this.#before.index - 1;
    let end = first;
    for (let bytes = 0; end < this.#entries.length; end++) {
      bytes += entryBytes(must(this.#entries[end], 'raft-log-1'));
      if (bytes > bytesMax && end > first) break;
    }
    return this.#entries.slice(first, end);
  }

  /** Seals a draft as this term's next entry (entry-1, entry-3) and appends it. */
  seal(draft: EntryDraft, term: Term, wallMs: Millis): Entry {
    const sealed = {
      kind: draft.kind,
      count: draft.count,
      payload: draft.payload,
      maxTimestampMs: draft.maxTimestampMs,
      term,
      index: nextIndex(this.#lastIndex),
      baseOffset: this.#endOffset,
      appendTimeMs: toMillis(Math.max(this.#lastAppendTimeMs, wallMs)),
      payloadCrc: this.#crc32c(draft.payload),
      chain: 0,
    };
    sealed.chain = chainAfter(this.#lastChain, sealed, this.#crc32c);
    this.#push(sealed);
    return sealed;
  }

  /** Appends an entry that another leader sealed; the caller checked its bytes. */
  accept(entry: Entry): void {
    assert(entry.index === this.#lastIndex + 1, 'raft-log-3: entries follow each other', `${entry.index}`);
    assert(entry.baseOffset === this.#endOffset, 'raft-log-3: offsets are dense', `${entry.index}`);
    this.#push(entry);
  }

  /** Drops every entry above `position`, whose chain must be known. */
  truncateAfter(position: Position, term: Term): void {
    const { index } = position;
    assert(index >= this.#committed, 'raft-4: nothing committed is truncated', `${index} < ${this.#committed}`);
    assert(index < this.#lastIndex, 'raft-log-4: a truncation drops something', `${index}`);
    this.#dropMemoryAbove(position);
    while ((this.#terms.at(-1)?.startIndex ?? 0) > index) this.#terms.pop();
    this.#lastIndex = index;
    this.#lastTerm = term;
    this.#endOffset = position.endOffset;
    this.#lastChain = must(position.chain, 'raft-log-3: the chain at a truncation is known');
    if (index < this.#takenThrough) {
      this.#takenThrough = index;
      this.#truncateAfter = this.#truncateAfter === null ? index : toLogIndex(Math.min(this.#truncateAfter, index));
    }
  }

  /** Entries that were not handed out yet, and the truncation before them; null: nothing. */
  takeUnsaved(): Unsaved | null {
    if (this.#takenThrough === this.#lastIndex && this.#truncateAfter === null) return null;
    const first = this.#head + this.#takenThrough - this.#before.index;
    const unsaved = { truncateAfter: this.#truncateAfter, entries: this.#entries.slice(first) };
    assert(
      unsaved.entries.length === this.#lastIndex - this.#takenThrough,
      'raft-log-2: what is not on disk is in memory',
    );
    this.#takenThrough = this.#lastIndex;
    this.#truncateAfter = null;
    return unsaved;
  }

  /** The commit index rose. */
  committed(commit: LogIndex): void {
    for (let index = nextIndex(this.#committed); index <= commit; index = nextIndex(index)) {
      const entry = this.entryAt(index);
      if (entry !== null) this.#uncommittedBytes -= entryBytes(entry);
    }
    this.#committed = commit;
  }

  /**
   * Forgets entries in memory through `wanted`, and committed ones above it while memory holds more than `bytesMax`:
   * what was not taken for persisting, or is not committed, always stays.
   */
  release(wanted: LogIndex, bytesMax: number): void {
    const limit = Math.min(this.#takenThrough, this.#committed);
    while (this.#before.index < limit && (this.#before.index < wanted || this.#memoryBytes > bytesMax)) {
      const entry = must(this.#entries[this.#head], 'raft-log-1');
      this.#memoryBytes -= entryBytes(entry);
      this.#before = { index: entry.index, endOffset: entryEndOffset(entry), chain: entry.chain };
      this.#head++;
    }
    this.#compactArray();
  }

  /** The log's prefix below `firstIndex` is gone from the disk; `chain` is the chain value before it. */
  compacted(firstIndex: LogIndex, chain: number): void {
    assert(firstIndex <= this.#committed + 1, 'raft-log-5: only what is committed is dropped', `${firstIndex}`);
    if (firstIndex <= this.#firstIndex) return;
    const boundary = previousIndex(firstIndex);
    this.#boundaryTerm = must(this.termAt(boundary), 'raft-log-5');
    const known = this.positionAt(boundary)?.chain ?? chain;
    assert(known === chain, 'raft-log-6: the log was cut where it is, not where another one is', `${boundary}`);
    this.#boundaryChain = chain;
    this.#firstIndex = firstIndex;
    while ((this.#terms[1]?.startIndex ?? Infinity) <= firstIndex) this.#terms.shift();
    this.release(boundary, Infinity);
  }

  /** A snapshot took the place of the whole log: it is empty and begins after `position`. */
  reset(position: Position, { lastTerm: term, terms, appendTimeMs }: SnapshotMeta): void {
    this.#entries = [];
    this.#head = 0;
    this.#memoryBytes = 0;
    this.#uncommittedBytes = 0;
    this.#before = position;
    this.#lastIndex = position.index;
    this.#lastTerm = term;
    this.#endOffset = position.endOffset;
    this.#lastChain = must(position.chain, 'a snapshot knows its chain value');
    this.#lastAppendTimeMs = appendTimeMs;
    this.#terms = [...terms];
    this.#boundaryTerm = term;
    this.#boundaryChain = this.#lastChain;
    this.#firstIndex = nextIndex(position.index);
    this.#committed = position.index;
    this.#takenThrough = position.index;
    this.#truncateAfter = null;
  }

  /** The largest index at or below `index` whose term is at most `term`: a follower's or leader's back-off hint (P25). */
  lastIndexOfTerm(index: LogIndex, term: Term): LogIndex {
    let at = toLogIndex(Math.min(index, this.#lastIndex));
    for (let i = this.#terms.length - 1; i >= 0; i--) {
      const start = must(this.#terms[i], 'a term start');
      if (start.startIndex > at) continue;
      if (start.term <= term) return at;
      at = previousIndex(start.startIndex);
    }
    return toLogIndex(Math.max(at, this.#firstIndex - 1));
  }

  #push(entry: Entry): void {
    assert(entry.term >= this.#lastTerm, 'raft-log-3: terms never fall', `${entry.index}`);
    if (entry.term > this.#lastTerm) {
      this.#terms.push({ term: entry.term, startIndex: entry.index, startOffset: entry.baseOffset });
    }
    this.#entries.push(entry);
    this.#memoryBytes += entryBytes(entry);
    this.#uncommittedBytes += entryBytes(entry);
    this.#lastIndex = entry.index;
    this.#lastTerm = entry.term;
    this.#endOffset = entryEndOffset(entry);
    this.#lastChain = entry.chain;
    this.#lastAppendTimeMs = toMillis(Math.max(this.#lastAppendTimeMs, entry.appendTimeMs));
  }

  #dropMemoryAbove(position: Position): void {
    while (this.#entries.length > this.#head) {
      const entry = must(this.#entries.at(-1), 'raft-log-1');
      if (entry.index <= position.index) return;
      this.#memoryBytes -= entryBytes(entry);
      this.#uncommittedBytes -= entryBytes(entry);
      this.#entries.pop();
    }
    this.#before = position;
  }

  /** Cuts the released part off once it is the larger one, so that the cost per entry is constant. */
  #compactArray(): void {
    const empty = this.#head === this.#entries.length;
    if (this.#head === 0 || (!empty && (this.#head < 64 || this.#head * 2 < this.#entries.length))) return;
    this.#entries = this.#entries.slice(this.#head);
    this.#head = 0;
  }
}

function beforeFirst(recovered: RecoveredState): Position {
  const [first] = recovered.recent;
  if (first === undefined) {
    return { index: recovered.lastIndex, endOffset: recovered.endOffset, chain: recovered.lastChain };
  }
  return { index: previousIndex(first.index), endOffset: first.baseOffset, chain: null };
}
