/**
 * The data directory: which broker it belongs to, and whether this process may use it.
 *
 *   identity   whose it is (below); its last line of defence is `incarnation`, which peers remember (design D4)
 *   floor      the durable floor (durable-floor.ts)
 *   boot       how often it was started, and by which processes lately (design D4)
 *   peers      what is remembered of other brokers (peer-memory-file.ts)
 *   ballast    space that is freed when the disk is full (disk-reserve.ts)
 *   db/        the engine; its LOCK keeps a second process out
 *
 * A directory is founded in this order: `founding` (the identity to be), floor, db, then `founding` is renamed to
 * `identity`. Nothing is acknowledged before that, so an interrupted founding goes on where it was. With an identity,
 * everything else must be there: what is missing or unreadable is reported and never made anew, because an emptied disk
 * under an old identity would forget its votes (reliability P96).
 */
import { mkdir, readFile, readdir, rename, stat, access } from 'node:fs/promises';
import { constants } from 'node:fs';
import { dirname, join } from 'node:path';
import { assert } from '../model/assert.ts';
import type { Crc32c } from '../model/crc32c.ts';
import type { BrokerId } from '../model/ids.ts';
import { hasCode, syncDirectory, writeFileDurably } from './durable-files.ts';
import { StoreOpenError } from './store.ts';

export interface Identity {
  /** Version of the layout of the directory and of everything in it. */
  readonly formatVersion: number;
  /** UUID of the cluster; null until the broker has joined or founded one. */
  readonly clusterId: string | null;
  readonly brokerId: BrokerId;
  /** UUID made when the directory was founded; another one is another disk. */
  readonly incarnation: string;
}

/** One start of the directory. */
export interface Start {
  /** From 1; rises by one with each. */
  readonly bootNumber: number;
  /** UUID of the process. */
  readonly processNonce: string;
  /** Number of the newest engine write that it found. */
  readonly recoveredCommit: number;
}

export interface DataDirectoryOptions {
  readonly path: string;
  readonly brokerId: BrokerId;
  /** The cluster this broker is configured for; null if any will do. */
  readonly clusterId: string | null;
  /** Whether an empty directory may be taken into use. */
  readonly mayFound: boolean;
  /** Makes the UUID of a new directory. */
  readonly newIncarnation: () => string;
  readonly crc32c: Crc32c;
}

/** The newest layout that this version reads. */
export const directoryFormatVersion = 1;

const identityName = 'identity';
const foundingName = 'founding';
const bootName = 'boot';
/** Starts that are kept, the present one included: as many as fit into what a broker says of itself to its peers. */
export const startsKeptMax = 32;
/** What a new file system may hold and still count as empty. */
const ignoredNames: readonly string[] = ['lost+found', `${foundingName}.new`];

export class DataDirectory {
  readonly path: string;
  readonly #crc32c: Crc32c;
  #identity: Identity;
  #founding: boolean;

  private constructor(path: string, identity: Identity, founding: boolean, crc32c: Crc32c) {
    this.path = path;
    this.#identity = identity;
    this.#founding = founding;
    this.#crc32c = crc32c;
  }

  /** Checks that the directory is this broker's. Rejects with StoreOpenError. */
  static async open(options: DataDirectoryOptions): Promise<DataDirectory> {
    const { path, crc32c } = options;
    const names = await listDirectory(options);
    const identity = names.includes(identityName) ? await readIdentity(join(path, identityName), crc32c) : null;
    if (identity !== null) {
      checkOwner(identity, options);
      return new DataDirectory(path, identity, false, crc32c);
    }
    const founding = names.includes(foundingName) ? await readIdentity(join(path, foundingName), crc32c) : null;
    if (founding !== null) {
      checkOwner(founding, options);
      return new DataDirectory(path, founding, true, crc32c);
    }
    return new DataDirectory(path, await found(options, names), true, crc32c);
  }

  get identity(): Identity {
    return this.#identity;
  }

  /** Whether the founding is not complete: nothing was ever acknowledged from this directory. */
  get isFounding(): boolean {
    return this.#founding;
  }

  get floorPath(): string {
    return join(this.path, 'floor');
  }

  get databasePath(): string {
    return join(this.path, 'db');
  }

  get ballastPath(): string {
    return join(this.path, 'ballast');
  }

  /** The store is there and durable: from now on everything must be there. */
  async completeFounding(): Promise<void> {
    assert(this.#founding, 'directory-1: a directory is founded once');
    await rename(join(this.path, foundingName), join(this.path, identityName));
    await syncDirectory(this.path);
    this.#founding = false;
  }

  /**
   * Counts this start; resolves, once it is durable, with all starts that are kept: this one is the last, and the first
   * one ever has number 1. Called once a start, by whoever holds the engine's lock. Peers refuse a number that they have
   * heard from another process, and a directory that has had another process under a number that they heard: so a copy
   * that is started too is found. Rejects with StoreOpenError.
   */
  async countBoot(start: Omit<Start, 'bootNumber'>): Promise<readonly Start[]> {
    assert(!this.#founding, 'directory-3: a directory is started once it is founded');
    const boots = await readBoots(join(this.path, bootName), this.#crc32c);
    const bootNumber = boots.bootNumber + 1;
    const starts = [...boots.starts, { bootNumber, ...start }].slice(-startsKeptMax);
    await writeFileDurably(this.path, bootName, withChecksum(JSON.stringify({ bootNumber, starts }), this.#crc32c));
    return starts;
  }

  /** Binds the directory to the cluster that the broker has joined; once. */
  async bindCluster(clusterId: string): Promise<void> {
    assert(!this.#founding, 'directory-1: a directory is founded once');
    if (this.#identity.clusterId === clusterId) return;
    assert(this.#identity.clusterId === null, 'directory-2: a directory belongs to one cluster for good', clusterId);
    const identity = { ...this.#identity, clusterId };
    await writeFileDurably(this.path, identityName, encodeIdentity(identity, this.#crc32c));
    this.#identity = identity;
  }
}

/** What a directory says of itself, for whoever only looks. */
export interface DirectoryReading {
  readonly identity: Identity;
  readonly isFounding: boolean;
  /** The newest last. */
  readonly starts: readonly Start[];
  readonly floorPath: string;
  readonly databasePath: string;
}

/** Changes nothing. Rejects with StoreOpenError. */
export async function readDirectory(path: string, crc32c: Crc32c): Promise<DirectoryReading> {
  let names: readonly string[];
  try {
    names = await readdir(path);
  } catch (error) {
    throw openError(path, error);
  }
  for (const name of [identityName, foundingName]) {
    const identity = names.includes(name) ? await readIdentity(join(path, name), crc32c) : null;
    if (identity === null) continue;
    const { starts } = await readBoots(join(path, bootName), crc32c);
    const places = { floorPath: join(path, 'floor'), databasePath: join(path, 'db') };
    return { identity, isFounding: name === foundingName, starts, ...places };
  }
  throw new StoreOpenError(
    `${path} has no readable identity: it is not the data directory of a broker, or it is damaged.`,
  );
}

async function listDirectory({ path, mayFound }: DataDirectoryOptions): Promise<readonly string[]> {
  try {
    if (mayFound) await makeDirectory(path);
    const entry = await stat(path);
    if (!entry.isDirectory())
      throw new StoreOpenError(`The data directory ${path} is not a directory: set another path.`);
    const names = await readdir(path);
    await access(path, constants.R_OK | constants.W_OK | constants.X_OK);
    return names;
  } catch (error) {
    throw openError(path, error);
  }
}

/** One level at a time: Node's own recursive form never returns where nothing can be made, as under /proc. */
async function makeDirectory(path: string): Promise<void> {
  try {
    await mkdir(path, { mode: 0o750 });
  } catch (error) {
    if (hasCode(error, 'EEXIST')) return;
    if (!hasCode(error, 'ENOENT') || dirname(path) === path) throw error;
    await makeDirectory(dirname(path));
    await mkdir(path, { mode: 0o750 });
  }
}

function openError(path: string, error: unknown): StoreOpenError {
  if (error instanceof StoreOpenError) return error;
  const because = { cause: error };
  if (hasCode(error, 'ENOENT')) {
    return new StoreOpenError(
      `The data directory ${path} does not exist: mount the disk, or allow this broker to found a new one (storage.mayFound=true).`,
      because,
    );
  }
  if (hasCode(error, 'ENOTDIR', 'EEXIST')) {
    return new StoreOpenError(`The data directory ${path} is not a directory: set another path.`, because);
  }
  if (hasCode(error, 'EACCES', 'EPERM', 'EROFS')) {
    return new StoreOpenError(
      `The data directory ${path} can not be read and written by this user: change its owner or its mount options.`,
      because,
    );
  }
  const detail = error instanceof Error ? error.message : String(error);
  return new StoreOpenError(`The data directory ${path} can not be opened (${detail}): check the disk.`, because);
}

/** Writes the identity to be, as `founding`. */
async function found(options: DataDirectoryOptions, names: readonly string[]): Promise<Identity> {
  const { path, brokerId, clusterId, crc32c } = options;
  // an unreadable `founding` alone is a power cut in the very first step: nothing else was made before it was durable
  const strangers = names.filter((name) => !ignoredNames.includes(name) && name !== foundingName);
  if (strangers.length > 0) {
    const some = strangers.slice(0, 3).join(', ');
    throw new StoreOpenError(
      `The data directory ${path} has files (${some}) but no readable identity: give the path of this broker's data, restore the file "identity", or replace the broker with an empty directory.`,
    );
  }
  if (!options.mayFound) {
    throw new StoreOpenError(
      `The data directory ${path} is empty: mount this broker's disk, or allow it to found a new one and join as a new broker (storage.mayFound=true).`,
    );
  }
  const incarnation = options.newIncarnation();
  const identity: Identity = { formatVersion: directoryFormatVersion, clusterId, brokerId, incarnation };
  try {
    await writeFileDurably(path, foundingName, encodeIdentity(identity, crc32c));
    await syncDirectory(join(path, '..'));
  } catch (error) {
    throw openError(path, error);
  }
  return identity;
}

function checkOwner(identity: Identity, { path, brokerId, clusterId }: DataDirectoryOptions): void {
  if (identity.brokerId !== brokerId) {
    throw new StoreOpenError(
      `The data directory ${path} belongs to broker ${identity.brokerId} and this is broker ${brokerId}: give the right path or the right broker id.`,
    );
  }
  if (clusterId !== null && identity.clusterId !== null && identity.clusterId !== clusterId) {
    throw new StoreOpenError(
      `The data directory ${path} belongs to cluster ${identity.clusterId} and this broker is configured for ${clusterId}: give the right path or the right cluster.`,
    );
  }
}

/** One line of JSON with a checksum over the line without it: people can read it, and damage shows. */
function encodeIdentity(identity: Identity, crc32c: Crc32c): Uint8Array {
  const { formatVersion, clusterId, brokerId, incarnation } = identity;
  return withChecksum(JSON.stringify({ formatVersion, clusterId, brokerId, incarnation }), crc32c);
}

const withChecksum = (body: string, crc32c: Crc32c): Uint8Array =>
  Buffer.from(`${body}\n${checksumLine(body, crc32c)}\n`);

const checksumLine = (body: string, crc32c: Crc32c): string =>
  `crc32c ${crc32c(Buffer.from(body)).toString(16).padStart(8, '0')}`;

/** Null if the file is damaged. Rejects if a newer version wrote it: that is not damage. */
async function readIdentity(path: string, crc32c: Crc32c): Promise<Identity | null> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    throw openError(path, error);
  }
  const [body = '', checksum] = text.split('\n');
  return checksum === checksumLine(body, crc32c) ? parseIdentity(path, body) : null;
}

function parseIdentity(path: string, body: string): Identity | null {
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch {
    return null; // the checksum held, so another program wrote it: as good as damaged
  }
  if (typeof value !== 'object' || value === null || !('formatVersion' in value)) return null;
  const { formatVersion } = value;
  if (typeof formatVersion === 'number' && formatVersion > directoryFormatVersion) {
    throw new StoreOpenError(
      `${path} has format ${formatVersion} and this version reads up to ${directoryFormatVersion}: start the newer version.`,
    );
  }
  return isIdentity(value) ? value : null;
}

interface Boots {
  /** Of the newest start; 0: there was none. */
  readonly bootNumber: number;
  /** The newest last; fewer than there were if a version that only counted came before. */
  readonly starts: readonly Start[];
}

/** Nothing if there is no file: the directory was never started by a version that counts. */
async function readBoots(path: string, crc32c: Crc32c): Promise<Boots> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return { bootNumber: 0, starts: [] };
    throw openError(path, error);
  }
  const [body = '', checksum] = text.split('\n');
  if (checksum === checksumLine(body, crc32c)) {
    // the checksum held, so this program wrote it, or its version that knew the number alone
    const { bootNumber, starts = [] } = JSON.parse(body) as Pick<Boots, 'bootNumber'> & Partial<Boots>;
    return { bootNumber, starts };
  }
  throw new StoreOpenError(
    `${path} is damaged, so nobody can tell how often this broker was started: restore the file, or replace this broker.`,
  );
}

function isIdentity(value: object): value is Identity {
  if (!('formatVersion' in value && 'clusterId' in value && 'brokerId' in value && 'incarnation' in value))
    return false;
  const { formatVersion, clusterId, brokerId, incarnation } = value;
  return (
    formatVersion === directoryFormatVersion &&
    (clusterId === null || typeof clusterId === 'string') &&
    Number.isSafeInteger(brokerId) &&
    typeof incarnation === 'string' &&
    /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(incarnation)
  );
}
