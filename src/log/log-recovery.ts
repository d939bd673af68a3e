/**
 * Opens a log: finds out what there is without scanning it (log-3). The number of keys that are read depends on the
 * number of terms and configurations and on the uncommitted tail, never on the length of the log.
 */
import type { Crc32c } from '../model/crc32c.ts';
import type { LogIndex } from '../model/ids.ts';
import { indexZero, offsetZero, termZero, toLogIndex } from '../model/ids.ts';
import type { HardState, TermStart } from '../model/raft-state.ts';
import { positionOf } from './entry-codec.ts';
import type { LogStart, RecordCodec } from './group-records.ts';
import {
  appliedIndexCodec,
  checkpointListCodec,
  hardStateCodec,
  logStartCodec,
  opaqueCodec,
  stateSpaceCodec,
  termStartCodec,
} from './group-records.ts';
import type { GroupKeys, StateTag } from './keys.ts';
import { indexOfKey, keyTags } from './keys.ts';
import type { GroupHeader } from './log.ts';
import type { LogPosition } from './log-position.ts';
import { genesisPosition } from './log-position.ts';
import type { ConfigurationEntry } from './log-shape.ts';
import { tailPositionsMax } from './log-shape.ts';
import { LogCorruption } from './reader.ts';
import { otherThan } from './state-keys.ts';
import type { StoreReads } from './store.ts';
import type { StoredEntries } from './stored-entries.ts';

/** All that is known of a log after it was opened. */
export interface RecoveredLog extends LogStart {
  readonly hardState: HardState;
  readonly checkpoints: readonly LogPosition[];
  readonly appliedIndex: LogIndex;
  /** Where the state keys of a commands group lie. */
  readonly stateTag: StateTag;
  /** Something lies in the other place: a snapshot that was not installed. */
  readonly isStateStaged: boolean;
  readonly terms: readonly TermStart[];
  readonly configurations: readonly ConfigurationEntry[];
  /** Position after the newest entry known to be committed, and after each entry behind it. Empty: an empty log. */
  readonly positions: readonly LogPosition[];
}

/** Small records fetched at a time. */
const pageMax = 1_024;
const noHardState: HardState = { term: termZero, vote: null, commit: indexZero };

/** @throws LogCorruption */
export async function recoverLog(
  store: StoreReads,
  keys: GroupKeys,
  header: GroupHeader,
  entries: StoredEntries,
  crc32c: Crc32c,
): Promise<RecoveredLog> {
  const [singles, last, { terms, configurations }] = await Promise.all([
    readSingles(store, keys, genesisPosition(header, crc32c), crc32c),
    entries.last(),
    readHistory(store, keys, crc32c),
  ]);
  const tail = last === null ? singles.base : positionOf(last);
  // a data group has no state keys
  const hasState = header.kind === 'commands';
  const staged = hasState ? await store.scan({ ...keys.tagged(otherThan(singles.stateTag)), limit: 1 }) : [];
  const recovered = { ...singles, isStateStaged: staged.length > 0, terms, configurations };
  checkAgreement(keys, recovered, tail);
  return { ...recovered, positions: await readPositions(entries, recovered, tail) };
}

type Singles = Pick<RecoveredLog, 'logStart' | 'base' | 'hardState' | 'checkpoints' | 'appliedIndex' | 'stateTag'>;

async function readSingles(store: StoreReads, keys: GroupKeys, genesis: LogPosition, crc32c: Crc32c): Promise<Singles> {
  const singleKeys = [
    keys.single(keyTags.hardState),
    keys.single(keyTags.logStart),
    keys.single(keyTags.checkpointList),
    keys.single(keyTags.appliedIndex),
    keys.single(keyTags.stateSpace),
  ] as const;
  const values = await store.getMany(singleKeys);
  const decoded = <T>(at: 0 | 1 | 2 | 3 | 4, codec: RecordCodec<T>, absent: T): T => {
    const value = values[at] ?? null;
    return value === null ? absent : codec.decode({ key: singleKeys[at], value }, crc32c);
  };
  return {
    hardState: decoded(0, hardStateCodec, noHardState),
    ...decoded(1, logStartCodec, { logStart: offsetZero, base: genesis }),
    checkpoints: decoded(2, checkpointListCodec, []),
    appliedIndex: decoded(3, appliedIndexCodec, indexZero),
    stateTag: decoded<StateTag>(4, stateSpaceCodec, keyTags.state),
  };
}

/** The terms and configurations: neighbours in the store, so that one scan finds both; scans are what opening costs. */
async function readHistory(
  store: StoreReads,
  keys: GroupKeys,
  crc32c: Crc32c,
): Promise<Pick<RecoveredLog, 'terms' | 'configurations'>> {
  const terms: TermStart[] = [];
  const configurations: ConfigurationEntry[] = [];
  const { to: border } = keys.tagged(keyTags.termStart);
  const { to } = keys.tagged(keyTags.configuration);
  let { from } = keys.tagged(keyTags.termStart);
  for (;;) {
    const page = await store.scan({ from, to, limit: pageMax });
    for (const stored of page) {
      if (Buffer.compare(stored.key, border) < 0) terms.push(termStartCodec.decode(stored, crc32c));
      else configurations.push({ index: indexOfKey(stored.key), payload: opaqueCodec.decode(stored, crc32c) });
    }
    const last = page.at(-1);
    if (page.length < pageMax || last === undefined) return { terms, configurations };
    from = Buffer.concat([last.key, Buffer.alloc(1)]);
  }
}

/** Newest index that is known to be committed. */
const settledIndex = (log: Omit<RecoveredLog, 'positions'>): LogIndex =>
  toLogIndex(
    Math.max(log.hardState.commit, log.base.index, log.appliedIndex, log.checkpoints.at(-1)?.index ?? indexZero),
  );

/** What was acknowledged together must be there together: the store loses a suffix of the writes or nothing. */
function checkAgreement(keys: GroupKeys, log: Omit<RecoveredLog, 'positions'>, tail: LogPosition): void {
  const newestTerm = log.terms.at(-1);
  const complaint =
    tail.index < settledIndex(log)
      ? `ends at entry ${tail.index} but ${settledIndex(log)} was committed`
      : tail.endOffset < log.logStart
        ? `ends at offset ${tail.endOffset} but starts at ${log.logStart}`
        : tail.index > log.base.index && newestTerm?.term !== tail.term
          ? `has no start of term ${tail.term}`
          : log.hardState.term < tail.term
            ? `has entries of term ${tail.term} but knows only term ${log.hardState.term}`
            : null;
  if (complaint !== null) throw new LogCorruption(`group ${keys.group}: the log ${complaint}`);
}

async function readPositions(
  entries: StoredEntries,
  log: Omit<RecoveredLog, 'positions'>,
  tail: LogPosition,
): Promise<readonly LogPosition[]> {
  const from = Math.max(settledIndex(log), tail.index - tailPositionsMax + 1);
  // everything is known to be committed, as after an orderly stop
  if (from === tail.index) return [tail];
  const positions: LogPosition[] = from === log.base.index ? [log.base] : [];
  const first = toLogIndex(from + positions.length);
  for await (const page of entries.pages(first, tail.index)) positions.push(...page.map(positionOf));
  return positions;
}
