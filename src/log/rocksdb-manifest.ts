/**
 * A power cut can tear the record that the engine was just appending to its MANIFEST, the list of its tables. The engine
 * then refuses to open, although the record was not synced and nothing depends on it. Here such a tail is cut off.
 *
 * Damage to a record that had been synced looks the same. Cutting that one makes the engine forget a flush or a
 * compaction: then either a table is missing and it still refuses, or writes are missing and the marks (commit-ledger.ts)
 * show the gap, so the store opens as `lost`. A copy of the uncut file is kept beside the database.
 *
 *   file = blocks of 32 KiB; record in a block = crc32c (masked):4le length:2le type:1 payload
 *   type = 1 whole, 2 first, 3 middle, 4 last part of a longer record; less than 7 bytes at a block's end are padding
 */
import { copyFile, open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Crc32c } from '../model/crc32c.ts';
import { syncDirectory } from './durable-files.ts';

const blockBytes = 32_768;
const headerBytes = 7;
/** One append is rarely over 4 KiB. A longer tail is no torn append, and cutting it would forget too much. */
const tornBytesMax = 64 << 10;

const whole = 1;
const first = 2;
const last = 4;

/** Cuts a torn tail off; resolves with whether there was one. A refusal to cut is no error: the caller has its own. */
export async function cutTornManifest(databasePath: string, crc32c: Crc32c): Promise<boolean> {
  const manifest = await readManifest(databasePath);
  if (manifest === null) return false;
  const { name, bytes } = manifest;
  const path = join(databasePath, name);
  const intact = intactBytes(bytes, crc32c);
  if (intact === 0 || intact === bytes.length || bytes.length - intact > tornBytesMax) return false;
  await copyFile(path, join(databasePath, '..', `${name}.torn`));
  const handle = await open(path, 'r+');
  try {
    await handle.truncate(intact);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await syncDirectory(databasePath);
  return true;
}

/** Null if it can not be read: the engine's own refusal says it better. */
async function readManifest(databasePath: string): Promise<{ readonly name: string; readonly bytes: Buffer } | null> {
  try {
    const name = (await readFile(join(databasePath, 'CURRENT'), 'latin1')).trimEnd();
    return /^MANIFEST-\d+$/.test(name) ? { name, bytes: await readFile(join(databasePath, name)) } : null;
  } catch {
    return null;
  }
}

/** Where the last record ends before which all is intact. */
function intactBytes(bytes: Buffer, crc32c: Crc32c): number {
  return recordEnds(bytes, crc32c).at(-1) ?? 0;
}

/** Where the records of a file in this format (the write-ahead files have it too) end, up to the first damage. */
export function recordEnds(bytes: Buffer, crc32c: Crc32c): readonly number[] {
  const ends: number[] = [];
  let at = 0;
  let inside = false;
  for (;;) {
    if (blockBytes - (at % blockBytes) < headerBytes) at += blockBytes - (at % blockBytes);
    const type = typeOfRecord(bytes, at, crc32c);
    if (type === null || inside === (type === whole || type === first)) return ends;
    at += headerBytes + bytes.readUInt16LE(at + 4);
    inside = type !== whole && type !== last;
    if (!inside) ends.push(at);
  }
}

/** Null if there is no intact record at this place. */
function typeOfRecord(bytes: Buffer, at: number, crc32c: Crc32c): number | null {
  if (at + headerBytes > bytes.length) return null;
  const end = at + headerBytes + bytes.readUInt16LE(at + 4);
  const type = bytes[at + 6] ?? 0;
  if (end > bytes.length || end > at + blockBytes - (at % blockBytes) || type < whole || type > last) return null;
  return unmasked(bytes.readUInt32LE(at)) === crc32c(bytes.subarray(at + 6, end)) ? type : null;
}

/** The engine stores checksums rotated and shifted, so that a checksum over checksums stays useful. */
function unmasked(stored: number): number {
  const rotated = (stored - 0xa282ead8) >>> 0;
  return ((rotated >>> 17) | (rotated << 15)) >>> 0;
}
