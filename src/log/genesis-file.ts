/**
 * The founding that this disk holds (design D4), in the file `genesis` of the data directory: what founding decided, opaque
 * here, with a checksum over it. Written durably before the catalog's group is made, and never replaced by another one.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Crc32c } from '../model/crc32c.ts';
import { hasCode, writeFileDurably } from './durable-files.ts';
import { StoreOpenError } from './store.ts';

const fileName = 'genesis';

export class GenesisFile {
  readonly #directory: string;
  readonly #crc32c: Crc32c;

  /** @param directory the data directory */
  constructor(directory: string, crc32c: Crc32c) {
    this.#directory = directory;
    this.#crc32c = crc32c;
  }

  /** Null: it holds none. Rejects with StoreOpenError if what it holds is damaged. */
  async read(): Promise<Uint8Array | null> {
    const path = join(this.#directory, fileName);
    let text: string;
    try {
      text = await readFile(path, 'utf8');
    } catch (error) {
      if (hasCode(error, 'ENOENT')) return null;
      throw new StoreOpenError(`${path} can not be read: check the disk.`, { cause: error });
    }
    const [body = '', checksum] = text.split('\n');
    const content = Buffer.from(body, 'utf8');
    if (checksum === this.#line(content)) return content;
    throw new StoreOpenError(`${path} is damaged: restore the file, or have this broker replaced.`);
  }

  /** @param content one line of text in UTF-8; durable when it resolves */
  async write(content: Uint8Array): Promise<void> {
    const line = Buffer.from(`\n${this.#line(content)}\n`);
    await writeFileDurably(this.#directory, fileName, Buffer.concat([content, line]));
  }

  #line(content: Uint8Array): string {
    return `crc32c ${this.#crc32c(content).toString(16).padStart(8, '0')}`;
  }
}
