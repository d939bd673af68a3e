/** A broker's data directory, for the command to look at while no broker runs there. */
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { surveyDisk } from '../../log/disk-survey.ts';
import type { DiskSurvey, SurveyOptions } from '../../log/disk-survey.ts';
import { hasCode } from '../../log/durable-files.ts';
import { StoreOpenError } from '../../log/store.ts';
import { crc32c } from '../crc32c.ts';

export { StoreDamaged } from '../../log/disk-survey.ts';
export { StoreOpenError } from '../../log/store.ts';
export type { DiskSurvey, SurveyedLog } from '../../log/disk-survey.ts';

/** Rejects with StoreOpenError, whose message is one line that says what to do, or with StoreDamaged. */
export async function inspectStorage(path: string, options: SurveyOptions): Promise<DiskSurvey> {
  const pid = await lockHolder(join(path, 'db', 'LOCK'));
  if (pid !== null) {
    const text = `The data directory ${path} is in use by process ${pid}: stop that broker first, or ask it with "sluice broker describe".`;
    throw new StoreOpenError(text);
  }
  return surveyDisk(path, crc32c, options);
}

/**
 * Pid of the process that holds a POSIX lock on a file. The engine takes no lock to read, so it would not notice a broker
 * that writes meanwhile. Null: nobody does, or this system does not tell (only Linux does).
 */
async function lockHolder(file: string): Promise<number | null> {
  try {
    const [{ ino }, locks] = await Promise.all([stat(file), readFile('/proc/locks', 'utf8')]);
    const [, pid] = new RegExp(` (\\d+) [0-9a-f]+:[0-9a-f]+:${ino} `).exec(locks) ?? [];
    return pid === undefined ? null : Number(pid);
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR', 'EACCES')) return null; // what is missing there is told by what opens it
    throw error;
  }
}
