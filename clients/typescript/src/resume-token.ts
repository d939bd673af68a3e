/** Where a consumer keeps what lets it come back to its group at once after its process died. */
import { randomUUID } from 'node:crypto';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';

/** Keeps one token. What it throws reaches the caller as RESUME_TOKEN_STORAGE_FAILED. */
export interface ResumeTokenStorage {
  /** The token that was saved last; null: none. */
  load(): Promise<Uint8Array | null>;
  /** Called after joining, before the first record: the token must have been kept when it resolves. */
  save(token: Uint8Array): Promise<void>;
  /** Called after leaving: the token is of no more use. */
  clear?(): Promise<void>;
}

/** Keeps the token in a file of its own. Two consumers that run at the same time need two files. */
export const resumeTokenFile = (file: string): ResumeTokenStorage => ({
  async load() {
    try {
      return await readFile(file);
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
      throw error;
    }
  },
  async save(token) {
    await mkdir(path.dirname(file), { recursive: true });
    // Written beside and renamed, so that a crash leaves the old token or the new one.
    const beside = `${file}.${randomUUID()}`;
    await writeFile(beside, token, { mode: 0o600 });
    await rename(beside, file);
  },
  async clear() {
    await rm(file, { force: true });
  },
});
