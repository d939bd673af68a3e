/**
 * The key layout of a broker's store (design D11). Keys sort as unsigned bytes, integers are big-endian and of fixed
 * width, so the order of the keys is the order of the numbers.
 *
 *     group (8 bytes, first two 0)  tag  rest                      value
 *     ──────────────────────────────────────────────────────────── ─────────────────────────────────────────
 *     00 00 gg gg gg gg gg gg       01                             hard state: term, vote, commit
 *                                   02                             log start, and the position before the log
 *                                   03                             positions of the checkpoints
 *                                   04                             applied index (commands groups)
 *                                   05                             which of 40 and 41 holds the state keys; absent: 40
 *                                   10   index (8)                 checkpoint: the state as of the index
 *                                   11   start index (8)           a term and where it starts
 *                                   12   index (8)                 payload of a configuration entry
 *                                   20   index (8)                 an entry: metadata, small payload (entry-codec.ts)
 *                                   21   index (8)                 payload of an entry, if it is not small
 *                                   30   base offset (8)           sparse: index of the batch that starts there
 *                                   31   timestamp (8) index (8)   sparse: running maximum of the timestamps
 *                                   40   any bytes                 state keys (commands groups)
 *                                   41   any bytes                 state keys of a snapshot that comes in, then the other way round
 *     01 00 00 gg gg gg gg gg gg                                   header of a group
 *
 * Headers stand apart so that listing the groups reads nothing else, and removing a group is one range and one key.
 * Group numbers end at 2^48-1, so the first byte of all else is 00. Nothing else is stored under 00 and 01.
 */
import { int64At, putInt64 } from '../model/big-endian.ts';
import type { GroupNumber, LogIndex, Millis, Offset } from '../model/ids.ts';
import { toLogIndex } from '../model/ids.ts';
import { LogCorruption } from './reader.ts';

/** Keys in [from, to). */
export interface KeyRange {
  readonly from: Uint8Array;
  readonly to: Uint8Array;
}

/** The byte after the group number. Never reused. */
export const keyTags = {
  hardState: 0x01,
  logStart: 0x02,
  checkpointList: 0x03,
  appliedIndex: 0x04,
  stateSpace: 0x05,
  checkpoint: 0x10,
  termStart: 0x11,
  configuration: 0x12,
  metadata: 0x20,
  payload: 0x21,
  offsetIndex: 0x30,
  timeIndex: 0x31,
  state: 0x40,
  otherState: 0x41,
} as const;
type Tag = (typeof keyTags)[keyof typeof keyTags];
/** Tags that one number follows. */
type NumberedTag = Exclude<Tag, 0x01 | 0x02 | 0x03 | 0x04 | 0x05 | 0x31 | 0x40 | 0x41>;

/** Where state keys may lie: one of the two is in use, the other one takes what a snapshot brings. */
export type StateTag = (typeof keyTags)['state' | 'otherState'];

/** Bytes of the group number and the tag. */
const prefixLength = 9;
/** Bytes of a key that ends with one number. */
export const numberedKeyLength = prefixLength + 8;
const headerSpace = 0x01;

export class GroupKeys {
  readonly group: GroupNumber;

  constructor(group: GroupNumber) {
    this.group = group;
  }

  /** Key of what there is once in a group. */
  single(
    tag: (typeof keyTags)['hardState' | 'logStart' | 'checkpointList' | 'appliedIndex' | 'stateSpace'],
  ): Uint8Array {
    return this.#withPrefix(tag, prefixLength);
  }

  /** Key of what there is once per index (or per offset). */
  numbered(tag: NumberedTag, number: LogIndex | Offset): Uint8Array {
    const key = new Uint8Array(numberedKeyLength);
    this.writeNumbered(key, 0, tag, number);
    return key;
  }

  /** Writes what `numbered` returns, numberedKeyLength bytes, into `target`. */
  writeNumbered(target: Uint8Array, at: number, tag: NumberedTag, number: LogIndex | Offset): void {
    putInt64(target, at, this.group);
    target[at + 8] = tag;
    putInt64(target, at + prefixLength, number);
  }

  /** Keys from the number `from` on, below the number `until`. */
  numberedRange(tag: NumberedTag, from: LogIndex | Offset, until: LogIndex | Offset): KeyRange {
    return { from: this.numbered(tag, from), to: this.numbered(tag, until) };
  }

  timePoint(timestampMs: Millis, index: LogIndex): Uint8Array {
    const key = this.#withPrefix(keyTags.timeIndex, prefixLength + 16);
    putInt64(key, prefixLength, timestampMs);
    putInt64(key, prefixLength + 8, index);
    return key;
  }

  state(key: Uint8Array, tag: StateTag = keyTags.state): Uint8Array {
    const stored = this.#withPrefix(tag, prefixLength + key.length);
    stored.set(key, prefixLength);
    return stored;
  }

  /** All keys with a tag. */
  tagged(tag: Tag): KeyRange {
    return { from: this.#withPrefix(tag, prefixLength), to: this.#withPrefix(tag + 1, prefixLength) };
  }

  /** Entries, checkpoints, and all that is kept beside them per index, offset or timestamp; not what there is once. */
  entriesAndCheckpoints(): KeyRange {
    return { from: this.tagged(keyTags.checkpoint).from, to: this.tagged(keyTags.state).from };
  }

  /** All keys of the group but its header. */
  all(): KeyRange {
    const from = new Uint8Array(8);
    const to = new Uint8Array(8);
    putInt64(from, 0, this.group);
    putInt64(to, 0, this.group + 1);
    return { from, to };
  }

  #withPrefix(tag: number, length: number): Uint8Array {
    const key = new Uint8Array(length);
    putInt64(key, 0, this.group);
    key[8] = tag;
    return key;
  }
}

/** Key of the header of a group. */
export function headerKey(group: GroupNumber): Uint8Array {
  const key = new Uint8Array(prefixLength);
  key[0] = headerSpace;
  putInt64(key, 1, group);
  return key;
}

/** The headers of all groups. */
export const headerRange = (): KeyRange => ({ from: Uint8Array.of(headerSpace), to: Uint8Array.of(headerSpace + 1) });

/** The key of a state as the state machine wrote it. */
export const stateKeyOf = (key: Uint8Array): Uint8Array => key.subarray(prefixLength);

/** The index (or the number of whatever kind) that a key ends with. */
export function indexOfKey(key: Uint8Array): LogIndex {
  const index = key.length < numberedKeyLength ? null : int64At(key, key.length - 8);
  if (index === null || index < 0) throw new LogCorruption(`a key of ${key.length} bytes ends with no index`);
  return toLogIndex(index);
}
