/**
 * One entry of a Raft log (design D7). The payload is opaque here: a record batch, a command, a configuration.
 *
 * Invariants:
 * - entry-1: `index` follows its predecessor's, `term` never falls, `baseOffset` equals the predecessor's end offset.
 * - entry-2: only `batch` entries have a count above 0, so offsets stay dense without a translation table.
 * - entry-3: `chain` = sealed CRC over (cluster, group, the predecessor's chain, every field, payload CRC), so that a
 *   swapped, misdirected or altered entry is found although its payload is intact (reliability P88).
 */
import type { Crc32c } from './crc32c.ts';
import type { GroupNumber, LogIndex, Millis, Offset, Term } from './ids.ts';
import { offsetPlus } from './ids.ts';

/** Version of the stored form of entries; an unknown one halts the group (design D7). */
export const entryFormatVersion = 1;

/** The stored number of each kind. Numbers are never reused; an unknown one halts the group. */
export const entryKindNumbers = {
  'no-op': 1,
  configuration: 2,
  batch: 3,
  'log-start': 4,
  fence: 5,
  command: 6,
} as const;
export type EntryKind = keyof typeof entryKindNumbers;

/** What the proposer decides about an entry; the rest is sealed in by the leader. */
export interface EntryDraft {
  readonly kind: EntryKind;
  /** Records in the payload; 0 for every kind but `batch`. */
  readonly count: number;
  /** Opaque; owned by the log from now on and never changed again. */
  readonly payload: Uint8Array;
  /** Largest timestamp of the payload's records, milliseconds since 1970; null if it has none. */
  readonly maxTimestampMs: Millis | null;
}

export interface Entry extends EntryDraft {
  readonly term: Term;
  readonly index: LogIndex;
  /** Offset of the first record; with count 0 the offset that the next record will get. */
  readonly baseOffset: Offset;
  /** The leader's wall clock at the append, never below the predecessor's (design D23). */
  readonly appendTimeMs: Millis;
  /** CRC-32C of the payload. */
  readonly payloadCrc: number;
  /** See entry-3. */
  readonly chain: number;
}

/** Offset after the entry's last record. */
export const entryEndOffset = (entry: Entry): Offset => offsetPlus(entry.baseOffset, entry.count);

/** What binds an entry to its place: 8 bytes of CRC state that differ between clusters and groups. */
export interface ChainSeed {
  readonly clusterId: string;
  readonly group: GroupNumber;
}

/** Chain value before the first entry of a group. */
export function chainGenesis(seed: ChainSeed, crc32c: Crc32c): number {
  const bytes = new Uint8Array(8 + seed.clusterId.length);
  const view = new DataView(bytes.buffer);
  writeUint64(view, 0, seed.group);
  for (let i = 0; i < seed.clusterId.length; i++) bytes[8 + i] = seed.clusterId.charCodeAt(i) & 0xff;
  return crc32c(bytes);
}

type Sealed = Omit<Entry, 'payload' | 'chain'>;

const sealBytes = new Uint8Array(60);
const sealView = new DataView(sealBytes.buffer);

/** Chain value of an entry, from its predecessor's (entry-3). */
export function chainAfter(previousChain: number, entry: Sealed, crc32c: Crc32c): number {
  sealView.setUint32(0, previousChain);
  sealView.setUint8(4, entryFormatVersion);
  sealView.setUint8(5, entryKindNumbers[entry.kind]);
  sealView.setUint16(6, entry.maxTimestampMs === null ? 0 : 1);
  writeUint64(sealView, 8, entry.term);
  writeUint64(sealView, 16, entry.index);
  writeUint64(sealView, 24, entry.baseOffset);
  sealView.setUint32(32, entry.count);
  writeUint64(sealView, 36, entry.appendTimeMs);
  sealView.setUint32(44, entry.payloadCrc);
  writeUint64(sealView, 48, entry.maxTimestampMs ?? 0);
  sealView.setUint32(56, 0);
  return crc32c(sealBytes, previousChain);
}

function writeUint64(view: DataView, at: number, value: number): void {
  view.setUint32(at, Math.floor(value / 2 ** 32));
  view.setUint32(at + 4, value % 2 ** 32);
}
