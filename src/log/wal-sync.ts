/**
 * Makes durable what the engine has handed to the operating system (design D10). The binding has no sync option, so the
 * write-ahead files are synced from outside, each through a descriptor of our own.
 *
 * Why every live file and not only the current one: a flush or a compaction switches to a new file at any time, so the
 * write that has just returned may be in a file that is not current any more. It is in one numbered from the last one
 * synced to the current one, because writes are serialised and go to the current file only. A file that vanished was
 * written to tables, which the engine syncs before it deletes the file.
 */
import { open, readdir, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { hasCode, syncDirectory } from './durable-files.ts';

/** What was found on the way; see commit-ledger.ts. */
export interface WalSynced {
  /** Files that were not there at the last call, ascending. */
  readonly created: readonly number[];
  /** All write-ahead files that exist; null if no file was created, then nobody looked. */
  readonly live: readonly number[] | null;
}

/** A port, so that tests can leave out what makes it right and see the loss. */
export interface WalSync {
  /** Call after each engine write and before it is acknowledged. Rejects with the disk's error; never call it again then. */
  sync(): Promise<WalSynced>;
  /** Numbers of the write-ahead files that exist, ascending. */
  live(): Promise<readonly number[]>;
  close(): Promise<void>;
}

const nothingNew: WalSynced = { created: [], live: null };

export class LiveWalSync implements WalSync {
  readonly #directory: string;
  readonly #currentWal: () => Promise<number>;
  /** Files up to this number hold nothing that is not durable, but for the current one. */
  #synced = -1;
  /** The newest file, held open; null if it vanished before it could be opened. */
  #handle: FileHandle | null = null;

  /** @param currentWal asks the engine for the number of its current write-ahead file */
  constructor(directory: string, currentWal: () => Promise<number>) {
    this.#directory = directory;
    this.#currentWal = currentWal;
  }

  async sync(): Promise<WalSynced> {
    // in parallel: the file known as the newest is synced in any case
    const [number] = await Promise.all([this.#currentWal(), this.#handle?.datasync()]);
    if (number === this.#synced) return nothingNew;
    const live = await this.live();
    const created = live.filter((each) => each > this.#synced && each <= number);
    for (const each of created) {
      await this.#handle?.close();
      this.#handle = await this.#openAndSync(each);
    }
    await syncDirectory(this.#directory);
    this.#synced = number;
    return { created, live };
  }

  async live(): Promise<readonly number[]> {
    const names = await readdir(this.#directory);
    return names
      .filter((name) => /^\d+\.log$/.test(name))
      .map((name) => Number.parseInt(name, 10))
      .sort((a, b) => a - b);
  }

  async close(): Promise<void> {
    await this.#handle?.close();
    this.#handle = null;
  }

  /** Null if the file vanished meanwhile. */
  async #openAndSync(number: number): Promise<FileHandle | null> {
    let handle: FileHandle;
    try {
      // for writing, because some systems sync nothing else
      handle = await open(join(this.#directory, `${String(number).padStart(6, '0')}.log`), 'r+');
    } catch (error) {
      if (hasCode(error, 'ENOENT')) return null;
      throw error;
    }
    await handle.datasync();
    return handle;
  }
}
