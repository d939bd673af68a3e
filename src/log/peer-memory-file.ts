/**
 * What this broker remembers of others' disks (src/raft/peer-memory.ts says what for), in the file `peers` of the data
 * directory: one line of JSON with a checksum over it. It is replaced as a whole, one writer at a time: at once for a
 * start that was not heard of before, within `noteMs` for a commit number that has risen.
 *
 * Invariants:
 * - peers-1: of a data directory the boot number never falls, and one boot number belongs to one process.
 * - peers-2: of a data directory the commit number never falls.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { assert } from '../model/assert.ts';
import type { Clock, Timer } from '../model/clock.ts';
import type { Crc32c } from '../model/crc32c.ts';
import { hasCode, writeFileDurably } from './durable-files.ts';
import { StoreOpenError } from './store.ts';

/** One data directory that spoke to this broker. */
export interface PeerRecord {
  /** Its UUID. */
  readonly incarnation: string;
  /** The highest start that spoke, and the process that it was. */
  readonly bootNumber: number;
  readonly processNonce: string;
  /** The highest number of an engine write that it called durable. */
  readonly durableCommit: number;
}

export interface PeerMemoryOptions {
  readonly crc32c: Crc32c;
  readonly clock: Clock;
  /** Puts this in the place of the whole file; resolves once that is durable. Never called while it is under way. */
  readonly write: (bytes: Uint8Array) => Promise<void>;
  /** The disk failed; called once. A failed fsync is never retried (reliability P83): the process must end. */
  readonly onFault: (error: unknown) => void;
}

export interface PeerMemoryFileOptions extends Omit<PeerMemoryOptions, 'write'> {
  /** The data directory. */
  readonly directory: string;
}

const fileName = 'peers';
const formatVersion = 1;
/** Data directories that are remembered, one for every broker that ever was and every disk that one was given. */
export const peersRememberedMax = 1_000;
/** A commit number that has risen is durable after this time, milliseconds. */
export const noteMs = 1_000;

export class PeerMemoryFile {
  readonly #options: PeerMemoryOptions;
  readonly #peers: Map<string, PeerRecord>;
  /** Rises with every change; `#durable`: the last change that is on the disk. */
  #changes = 0;
  #durable = 0;
  #writing: Promise<void> | null = null;
  #timer: Timer | null = null;
  #failed = false;
  #closed = false;

  private constructor(options: PeerMemoryOptions, peers: readonly PeerRecord[]) {
    this.#options = options;
    this.#peers = new Map(peers.map((peer) => [peer.incarnation, peer]));
  }

  /** Reads the file; there is none before the first peer has spoken. Rejects with StoreOpenError. */
  static async open({ directory, ...options }: PeerMemoryFileOptions): Promise<PeerMemoryFile> {
    const path = join(directory, fileName);
    let text: string | null = null;
    try {
      text = await readFile(path, 'utf8');
    } catch (error) {
      if (!hasCode(error, 'ENOENT')) {
        throw new StoreOpenError(`${path} can not be read: check the disk.`, { cause: error });
      }
    }
    const write = (bytes: Uint8Array): Promise<void> => writeFileDurably(directory, fileName, bytes);
    const memory = PeerMemoryFile.from(text, { ...options, write });
    if (memory === null) {
      throw new StoreOpenError(
        `${path} is damaged: restore it, or delete it if you are sure that no other broker runs on an old copy of its disk.`,
      );
    }
    return memory;
  }

  /**
   * @param text of the file; null: there is none
   * @returns null if it is damaged
   */
  static from(text: string | null, options: PeerMemoryOptions): PeerMemoryFile | null {
    const peers = text === null ? [] : parse(text, options.crc32c);
    return peers === null ? null : new PeerMemoryFile(options, peers);
  }

  remembered(incarnation: string): PeerRecord | null {
    return this.#peers.get(incarnation) ?? null;
  }

  async remember(peer: PeerRecord): Promise<boolean> {
    const { incarnation, bootNumber, processNonce } = peer;
    const known = this.#peers.get(incarnation);
    if (known === undefined && this.#peers.size >= peersRememberedMax) return false;
    const isSame = known?.bootNumber === bootNumber && known.processNonce === processNonce;
    assert(known === undefined || isSame || known.bootNumber < bootNumber, 'peers-1: boot numbers rise', incarnation);
    const durableCommit = Math.max(peer.durableCommit, known?.durableCommit ?? 0);
    this.#peers.set(incarnation, { incarnation, bootNumber, processNonce, durableCommit });
    if (!isSame) this.#changes += 1;
    else if (durableCommit > known.durableCommit) this.#changeSoon();
    // even a peer that changes nothing waits for the write that is under way: it may hold this very start
    await this.#write(this.#changes);
    return true;
  }

  noteCommit(incarnation: string, durableCommit: number): void {
    const known = this.#peers.get(incarnation);
    if (known === undefined || durableCommit <= known.durableCommit) return;
    this.#peers.set(incarnation, { ...known, durableCommit });
    this.#changeSoon();
  }

  /** Writes what is not durable yet. */
  async close(): Promise<void> {
    this.#closed = true;
    const isDue = this.#timer !== null;
    this.#timer?.cancel();
    this.#timer = null;
    if (isDue) this.#changes += 1;
    await this.#write(this.#changes);
  }

  #changeSoon(): void {
    if (this.#timer !== null || this.#closed) return;
    this.#timer = this.#options.clock.setTimer(noteMs, () => {
      this.#timer = null;
      this.#changes += 1;
      this.#write(this.#changes).catch(() => undefined); // reported as a fault
    });
  }

  /** Resolves once this change is on the disk. */
  async #write(change: number): Promise<void> {
    while (this.#durable < change) {
      if (this.#failed) throw new Error('the disk failed');
      this.#writing ??= this.#writeOnce();
      await this.#writing;
    }
  }

  async #writeOnce(): Promise<void> {
    const { write, crc32c, onFault } = this.#options;
    const change = this.#changes;
    try {
      await write(encode([...this.#peers.values()], crc32c));
      this.#durable = change;
    } catch (error) {
      this.#failed = true;
      onFault(error);
    }
    this.#writing = null;
  }
}

function encode(peers: readonly PeerRecord[], crc32c: Crc32c): Uint8Array {
  const body = JSON.stringify({ formatVersion, peers });
  return Buffer.from(`${body}\n${checksumLine(body, crc32c)}\n`);
}

const checksumLine = (body: string, crc32c: Crc32c): string =>
  `crc32c ${crc32c(Buffer.from(body)).toString(16).padStart(8, '0')}`;

/** Null if it is damaged or of another format. */
function parse(text: string, crc32c: Crc32c): readonly PeerRecord[] | null {
  const [body = '', checksum] = text.split('\n');
  if (checksum !== checksumLine(body, crc32c)) return null;
  // the checksum held, so this program wrote it
  const file = JSON.parse(body) as { readonly formatVersion: number; readonly peers: readonly PeerRecord[] };
  return file.formatVersion === formatVersion ? file.peers : null;
}
