/** What one disk holds of one group: plain data that writes are applied to. The cached and the synced image are two of it. */
import type { Entry } from '../../src/model/entry.ts';
import { entryEndOffset } from '../../src/model/entry.ts';
import type { LogIndex, Millis, Offset, Term } from '../../src/model/ids.ts';
import { indexZero, nextIndex, offsetZero, termZero, toLogIndex, toMillis } from '../../src/model/ids.ts';
import type { HardState, StateChange, TermStart } from '../../src/model/raft-state.ts';
import type { Checkpoint, GroupHeader, LogWrite } from '../../src/log/log.ts';

export type DiskOperation =
  | { readonly kind: 'write'; readonly write: LogWrite }
  | { readonly kind: 'log-start'; readonly logStart: Offset }
  | { readonly kind: 'checkpoint'; readonly checkpoint: Checkpoint }
  | { readonly kind: 'state'; readonly applied: LogIndex; readonly changes: readonly StateChange[] }
  | { readonly kind: 'compact'; readonly through: LogIndex };

/** What precedes the first entry that is still there. */
interface Before {
  readonly index: LogIndex;
  readonly term: Term;
  readonly endOffset: Offset;
  readonly chain: number;
}

const keyOf = (key: Uint8Array): string => Buffer.from(key).toString('latin1');

export class GroupImage {
  readonly header: GroupHeader;
  hardState: HardState = { term: termZero, vote: null, commit: indexZero };
  before: Before;
  entries: Entry[] = [];
  logStart: Offset = offsetZero;
  terms: TermStart[] = [];
  configurations: { readonly index: LogIndex; readonly payload: Uint8Array }[] = [];
  checkpoint: Checkpoint | null = null;
  appliedIndex: LogIndex = indexZero;
  state = new Map<string, { readonly key: Uint8Array; readonly value: Uint8Array }>();

  constructor(header: GroupHeader, genesisChain: number) {
    this.header = header;
    this.before = { index: indexZero, term: termZero, endOffset: offsetZero, chain: genesisChain };
  }

  get firstIndex(): LogIndex {
    return nextIndex(this.before.index);
  }

  get last(): Before & { readonly appendTimeMs: Millis } {
    const entry = this.entries.at(-1);
    if (entry === undefined) return { ...this.before, appendTimeMs: toMillis(0) };
    const { index, term, chain, appendTimeMs } = entry;
    return { index, term, chain, appendTimeMs, endOffset: entryEndOffset(entry) };
  }

  at(index: LogIndex): Entry | undefined {
    return this.entries[index - this.firstIndex];
  }

  apply(operation: DiskOperation): void {
    switch (operation.kind) {
      case 'write':
        this.#write(operation.write);
        return;
      case 'log-start':
        this.logStart = operation.logStart;
        if (this.checkpoint !== null) this.#dropPrefix(this.#entriesBelow(operation.logStart, this.checkpoint.index));
        return;
      case 'checkpoint':
        this.checkpoint = operation.checkpoint;
        this.#dropPrefix(this.#entriesBelow(this.logStart, operation.checkpoint.index));
        return;
      case 'state':
        this.#state(operation.applied, operation.changes);
        return;
      case 'compact':
        this.#dropPrefix(Math.max(0, operation.through - this.before.index));
        return;
    }
  }

  /** A copy that later operations do not reach; entries are shared, for they never change. */
  clone(): GroupImage {
    const copy = new GroupImage(this.header, 0);
    copy.hardState = this.hardState;
    copy.before = this.before;
    copy.entries = [...this.entries];
    copy.logStart = this.logStart;
    copy.terms = [...this.terms];
    copy.configurations = [...this.configurations];
    copy.checkpoint = this.checkpoint;
    copy.appliedIndex = this.appliedIndex;
    copy.state = new Map(this.state);
    return copy;
  }

  #write({ hardState, truncateAfter, entries }: LogWrite): void {
    if (hardState !== null) this.hardState = hardState;
    if (truncateAfter !== null) this.#truncate(truncateAfter);
    for (const entry of entries) {
      if (this.terms.at(-1)?.term !== entry.term) {
        this.terms.push({ term: entry.term, startIndex: entry.index, startOffset: entry.baseOffset });
      }
      if (entry.kind === 'configuration') this.configurations.push({ index: entry.index, payload: entry.payload });
      this.entries.push(entry);
    }
  }

  #truncate(after: LogIndex): void {
    this.entries.length = Math.max(0, after - this.before.index);
    this.terms = this.terms.filter(({ startIndex }) => startIndex <= after);
    this.configurations = this.configurations.filter(({ index }) => index <= after);
  }

  #state(applied: LogIndex, changes: readonly StateChange[]): void {
    this.appliedIndex = applied;
    for (const change of changes) {
      if (change.kind === 'put') this.state.set(keyOf(change.key), { key: change.key, value: change.value });
      else this.state.delete(keyOf(change.key));
    }
  }

  #entriesBelow(logStart: Offset, through: LogIndex): number {
    let count = 0;
    // entries without records at the very beginning lie below no offset
    if (logStart === 0) return count;
    for (const entry of this.entries) {
      if (entry.index > through || entryEndOffset(entry) > logStart) break;
      count++;
    }
    return count;
  }

  #dropPrefix(count: number): void {
    const last = this.entries[count - 1];
    if (last === undefined) return;
    this.before = { index: last.index, term: last.term, endOffset: entryEndOffset(last), chain: last.chain };
    this.entries = this.entries.slice(count);
    const first = toLogIndex(this.before.index);
    while ((this.terms[1]?.startIndex ?? Infinity) <= first) this.terms.shift();
  }
}
