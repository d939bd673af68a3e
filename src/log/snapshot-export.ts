/** Reads what a replica needs that lacks the beginning of a log (design D6): the state as of one entry, and its head. */
import type { Crc32c } from '../model/crc32c.ts';
import { indexZero, nextIndex } from '../model/ids.ts';
import type { TermStart } from '../model/raft-state.ts';
import { positionOf } from './entry-codec.ts';
import { appliedIndexCodec, logStartCodec, opaqueCodec, stateSpaceCodec, termStartCodec } from './group-records.ts';
import type { RecordCodec } from './group-records.ts';
import type { GroupKeys } from './keys.ts';
import { keyTags } from './keys.ts';
import type { GroupHeader, LogSnapshot, SnapshotHead } from './log.ts';
import type { LogPosition } from './log-position.ts';
import { genesisPosition } from './log-position.ts';
import { LogCorruption } from './reader.ts';
import { statePages } from './state-keys.ts';
import { encodePairs, streamHead } from './state-stream.ts';
import type { StoreEntry, StoreView } from './store.ts';
import { StoredEntries } from './stored-entries.ts';

/** A state that is in memory as a whole, such as a checkpoint. */
export function snapshotOf(
  head: Omit<SnapshotHead, 'byteLength' | 'checksum'>,
  state: Uint8Array,
  crc32c: Crc32c,
): LogSnapshot {
  return {
    head: { ...head, byteLength: state.length, checksum: crc32c(state) },
    async *chunks(bytesMax) {
      await Promise.resolve();
      for (let at = 0; at < state.length; at += bytesMax) yield state.subarray(at, at + bytesMax);
    },
    close: () => Promise.resolve(),
  };
}

/**
 * The state keys of a commands group, as `view` has them: everything about them is read from it, for the log goes on.
 * The state is read once for its length and checksum, and again for each `chunks`; never held as a whole. Null: nothing
 * was applied yet. The view is closed with the snapshot, or if there is none.
 */
export async function snapshotOfView(
  view: StoreView,
  keys: GroupKeys,
  header: GroupHeader,
  crc32c: Crc32c,
): Promise<LogSnapshot | null> {
  try {
    const from = new ViewReader(view, keys, header, crc32c);
    const position = await from.appliedPosition();
    if (position.index === indexZero) {
      await view.close();
      return null;
    }
    const range = keys.tagged(await from.stateSpace());
    const pieces = (): AsyncGenerator<Uint8Array> => encoded(view, range);
    const head = {
      position,
      logStart: position.endOffset,
      configuration: await from.configurationAt(position),
      terms: await from.termsAt(position),
      ...(await measured(pieces(), crc32c)),
    };
    return { head, chunks: (bytesMax) => inChunks(pieces(), bytesMax), close: () => view.close() };
  } catch (error) {
    await view.close().catch(() => undefined); // what failed first is reported
    throw error;
  }
}

class ViewReader {
  readonly #view: StoreView;
  readonly #keys: GroupKeys;
  readonly #header: GroupHeader;
  readonly #crc32c: Crc32c;

  constructor(view: StoreView, keys: GroupKeys, header: GroupHeader, crc32c: Crc32c) {
    this.#view = view;
    this.#keys = keys;
    this.#header = header;
    this.#crc32c = crc32c;
  }

  /** Position after the entry that the state keys are as of. */
  async appliedPosition(): Promise<LogPosition> {
    const applied = await this.#single('appliedIndex', appliedIndexCodec);
    const start = await this.#single('logStart', logStartCodec);
    const base = start?.base ?? genesisPosition(this.#header, this.#crc32c);
    if ((applied ?? 0) < base.index) {
      throw new LogCorruption(`group ${this.#keys.group}: the state is as of ${applied ?? 0}, the log begins later`);
    }
    if (applied === null || applied === base.index) return base;
    const entries = new StoredEntries(this.#view, this.#keys, this.#crc32c);
    const [entry] = await entries.metadata(applied, applied);
    if (entry === undefined) throw new LogCorruption(`group ${this.#keys.group}: entry ${applied} is missing`);
    return positionOf(entry);
  }

  async stateSpace(): Promise<(typeof keyTags)['state' | 'otherState']> {
    return (await this.#single('stateSpace', stateSpaceCodec)) ?? keyTags.state;
  }

  /** The configuration in force at the position; the founding one if none was committed since. */
  async configurationAt(position: LogPosition): Promise<Uint8Array> {
    const found = await this.#newest('configuration', position);
    return found === null ? this.#header.genesis : opaqueCodec.decode(found, this.#crc32c);
  }

  async termsAt(position: LogPosition): Promise<readonly TermStart[]> {
    const found = await this.#newest('termStart', position);
    return found === null ? [] : [termStartCodec.decode(found, this.#crc32c)];
  }

  async #single<T>(tag: 'appliedIndex' | 'logStart' | 'stateSpace', codec: RecordCodec<T>): Promise<T | null> {
    const key = this.#keys.single(keyTags[tag]);
    const [value] = await this.#view.getMany([key]);
    return value === undefined || value === null ? null : codec.decode({ key, value }, this.#crc32c);
  }

  /** The newest record of a kind at or below the position. */
  async #newest(tag: 'configuration' | 'termStart', { index }: LogPosition): Promise<StoreEntry | null> {
    const range = this.#keys.numberedRange(keyTags[tag], indexZero, nextIndex(index));
    const [found] = await this.#view.scan({ ...range, limit: 1, reverse: true });
    return found ?? null;
  }
}

async function* encoded(view: StoreView, range: ReturnType<GroupKeys['tagged']>): AsyncGenerator<Uint8Array> {
  yield streamHead();
  for await (const page of statePages(view, range)) yield encodePairs(page);
}

async function measured(
  pieces: AsyncIterable<Uint8Array>,
  crc32c: Crc32c,
): Promise<{ readonly byteLength: number; readonly checksum: number }> {
  let byteLength = 0;
  let checksum = 0;
  for await (const piece of pieces) {
    byteLength += piece.length;
    checksum = crc32c(piece, checksum);
  }
  return { byteLength, checksum };
}

/** The same bytes in pieces of another size. */
async function* inChunks(pieces: AsyncIterable<Uint8Array>, bytesMax: number): AsyncGenerator<Uint8Array> {
  let chunk = Buffer.allocUnsafe(bytesMax);
  let length = 0;
  for await (const piece of pieces) {
    for (let at = 0; at < piece.length;) {
      const taken = Math.min(piece.length - at, bytesMax - length);
      chunk.set(piece.subarray(at, at + taken), length);
      at += taken;
      length += taken;
      if (length < bytesMax) continue;
      yield chunk;
      chunk = Buffer.allocUnsafe(bytesMax);
      length = 0;
    }
  }
  if (length > 0) yield chunk.subarray(0, length);
}
