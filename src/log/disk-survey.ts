/**
 * What is on a broker's disk, read without changing a byte of it: for `sluice storage`, while no broker runs there. The
 * engine is opened for reading only, which replays its write-ahead files in memory, as a start would on the disk.
 */
import type { Crc32c } from '../model/crc32c.ts';
import { chainAfter } from '../model/entry.ts';
import type { GroupNumber, LogIndex, Offset, Term } from '../model/ids.ts';
import { nextIndex } from '../model/ids.ts';
import type { Identity, Start } from './data-directory.ts';
import { readDirectory } from './data-directory.ts';
import { readFloor } from './durable-floor.ts';
import type { FloorReading } from './durable-floor.ts';
import { GroupKeys } from './keys.ts';
import { listHeaders } from './group-logs.ts';
import type { GroupHeader } from './log.ts';
import { recoverLog } from './log-recovery.ts';
import { LogCorruption } from './reader.ts';
import type { RocksdbEngine } from './rocksdb-engine.ts';
import { openForReading, readMarks } from './rocksdb-store.ts';
import { StoredEntries } from './stored-entries.ts';

/** Entries that are held with their payloads at a time: 64 MiB at most. */
const entriesPerPage = 64;

/** A group's log; what is null could not be read because of `damage`. */
export interface SurveyedLog {
  readonly group: GroupNumber;
  readonly kind: GroupHeader['kind'];
  readonly firstIndex: LogIndex | null;
  readonly lastIndex: LogIndex | null;
  readonly term: Term | null;
  readonly logStart: Offset | null;
  readonly endOffset: Offset | null;
  /** Entries whose checksums, chain and payload were checked; 0 unless that was asked for. */
  readonly checkedEntries: number;
  readonly checkedBytes: number;
  /** The first thing that is wrong, one sentence; null: nothing was found. */
  readonly damage: string | null;
}

export interface DiskSurvey {
  readonly identity: Identity;
  /** Nothing was ever acknowledged from a directory whose founding is not complete. */
  readonly isFounding: boolean;
  /** The newest last. */
  readonly starts: readonly Start[];
  readonly floor: FloorReading;
  /** Number of the newest write that is there with nothing missing before it. */
  readonly recoveredCommit: number;
  /** It has everything that was acknowledged, as far as the floor tells. */
  readonly isWhole: boolean;
  readonly logs: readonly SurveyedLog[];
}

export interface SurveyOptions {
  /** Read every entry, and check it. */
  readonly checksEntries: boolean;
  /** Logs that are done, of how many, and the bytes of payload that were checked. */
  readonly onProgress: (done: number, total: number, bytes: number) => void;
}

/** What is on the disk is damaged in a place without which nothing of it can be told. */
export class StoreDamaged extends Error {
  override readonly name = 'StoreDamaged';
  readonly brokerId: number;

  constructor(brokerId: number, cause: Error) {
    super(cause.message, { cause });
    this.brokerId = brokerId;
  }
}

/** Rejects with StoreOpenError, whose message is one line that says what to do, or with StoreDamaged. */
export async function surveyDisk(path: string, crc32c: Crc32c, options: SurveyOptions): Promise<DiskSurvey> {
  const { identity, isFounding, starts, databasePath, floorPath } = await readDirectory(path, crc32c);
  const floor = await readFloor(floorPath, crc32c);
  const engine = await openForReading(path, databasePath);
  try {
    const { newest, complete } = await readMarks(engine, identity.incarnation);
    const logs = await surveyLogs(engine, crc32c, options);
    const known = floor.kind === 'floor' && floor.floor.incarnation === identity.incarnation ? floor.floor : null;
    const isWhole = isFounding || (complete && known !== null && known.state === 'healthy' && newest >= known.commit);
    return { identity, isFounding, starts, floor, recoveredCommit: newest, isWhole, logs };
  } catch (error) {
    if (isDamage(error)) throw new StoreDamaged(identity.brokerId, error);
    throw error;
  } finally {
    await engine.close();
  }
}

async function surveyLogs(engine: RocksdbEngine, crc32c: Crc32c, options: SurveyOptions): Promise<SurveyedLog[]> {
  const headers = await listHeaders(engine, crc32c);
  const logs: SurveyedLog[] = [];
  let bytes = 0;
  for (const header of headers) {
    options.onProgress(logs.length, headers.length, bytes);
    const log = await surveyLog(engine, header, crc32c, options.checksEntries);
    bytes += log.checkedBytes;
    logs.push(log);
  }
  options.onProgress(logs.length, headers.length, bytes);
  return logs;
}

async function surveyLog(
  engine: RocksdbEngine,
  header: GroupHeader,
  crc32c: Crc32c,
  checksEntries: boolean,
): Promise<SurveyedLog> {
  const { group, kind } = header;
  const keys = new GroupKeys(group);
  const entries = new StoredEntries(engine, keys, crc32c);
  const unknown = { firstIndex: null, lastIndex: null, term: null, logStart: null, endOffset: null };
  let told: Omit<SurveyedLog, 'damage' | 'checkedEntries' | 'checkedBytes'> = { group, kind, ...unknown };
  let checkedEntries = 0;
  let checkedBytes = 0;
  try {
    const { base, logStart, positions } = await recoverLog(engine, keys, header, entries, crc32c);
    const tail = positions.at(-1) ?? base;
    const first = nextIndex(base.index);
    told = {
      group,
      kind,
      firstIndex: first,
      lastIndex: tail.index,
      term: tail.term,
      logStart,
      endOffset: tail.endOffset,
    };
    let { chain } = base;
    for await (const page of checksEntries ? entries.pages(first, tail.index, entriesPerPage) : []) {
      for (const entry of await entries.withPayloads(page)) {
        if (chainAfter(chain, entry, crc32c) !== entry.chain)
          throw new LogCorruption(`group ${group}: entry ${entry.index} does not follow the one before it`);
        chain = entry.chain;
        checkedEntries += 1;
        checkedBytes += entry.payload.length;
      }
    }
    return { ...told, checkedEntries, checkedBytes, damage: null };
  } catch (error) {
    if (!isDamage(error)) throw error;
    return { ...told, checkedEntries, checkedBytes, damage: error.message };
  }
}

/** What we say of entries, and the engine of its own files, such as a block whose checksum does not match. */
const isDamage = (error: unknown): error is Error =>
  error instanceof LogCorruption ||
  (error instanceof Error && /^(Corruption|IO error)\b|checksum mismatch/.test(error.message));
