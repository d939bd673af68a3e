/**
 * What a disk may hold after a crash. Follows a recorded run and can, at every moment, make a state that an ordered
 * metadata journal (ext4, XFS) allows:
 *
 * - Names (create, rename, unlink) survive in their order: all up to some moment, at least those before the last sync of
 *   their directory.
 * - Bytes of a file that were synced survive. Of later writes, each piece of 512 or 4,096 bytes is as it was at some moment
 *   between the sync and the crash, each on its own; so is the file's size, and what is inside the size and was not
 *   written reads as zeros.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { SeededChance } from './random.ts';
import type { TraceChange, TraceEvent } from './trace.ts';

type FileChange =
  | {
      readonly kind: 'write';
      readonly offset: number;
      readonly data: Buffer;
      readonly entered: number;
      readonly returned: number;
    }
  | { readonly kind: 'truncate'; readonly size: number; readonly entered: number; readonly returned: number };

interface FileState {
  synced: Buffer;
  /** Changes since, in order. */
  pending: FileChange[];
}

type NameChange =
  | { readonly kind: 'link'; readonly path: string; readonly file: FileState }
  | { readonly kind: 'mkdir'; readonly path: string }
  | { readonly kind: 'unlink'; readonly path: string }
  | { readonly kind: 'rename'; readonly path: string; readonly to: string };

/** How the unsynced part of the state is chosen. */
export type CrashStyle = 'all' | 'nothing' | 'files' | 'tail' | 'pages' | 'sectors';
export const crashStyles: readonly CrashStyle[] = ['all', 'nothing', 'files', 'tail', 'pages', 'sectors'];

export class FileHistory {
  /** Names that are durable. */
  readonly #durable = new Map<string, FileState | 'directory'>();
  /** Names as the running process sees them. */
  readonly #current = new Map<string, FileState | 'directory'>();
  /** Changes of names that are not durable yet, in order. */
  #pendingNames: NameChange[] = [];
  readonly #positions = new Map<number, number>();

  apply({ change, entered, returned }: TraceEvent): void {
    switch (change.kind) {
      case 'open':
        this.#open(change, entered, returned);
        return;
      case 'write':
        this.#write(change, entered, returned);
        return;
      case 'truncate':
        this.#file(change.path)?.pending.push({ kind: 'truncate', size: change.size, entered, returned });
        return;
      case 'sync':
        this.#sync(change.path, entered);
        return;
      case 'rename':
      case 'unlink':
      case 'mkdir':
        this.#change(change);
        return;
      case 'said':
        return;
    }
  }

  /** Number of files of such a name that are not empty. */
  filesInUse(name: RegExp): number {
    const matching = [...this.#current].filter(([path]) => name.test(path));
    return matching.filter(([, file]) => file !== 'directory' && file.synced.length + file.pending.length > 0).length;
  }

  /** Writes one possible state into an empty directory. */
  materialise(target: string, style: CrashStyle, chance: SeededChance): void {
    const names = new Map(this.#durable);
    const survivors =
      style === 'all'
        ? this.#pendingNames.length
        : style === 'nothing'
          ? 0
          : chance.below(this.#pendingNames.length + 1);
    for (const change of this.#pendingNames.slice(0, survivors)) applyName(names, change);
    for (const [path, file] of [...names].sort(([a], [b]) => (a < b ? -1 : 1))) {
      const place = join(target, path);
      if (file === 'directory') mkdirSync(place, { recursive: true });
      else {
        mkdirSync(dirname(place), { recursive: true });
        writeFileSync(place, crashContent(file, style, chance));
      }
    }
  }

  #open(change: TraceChange & { readonly kind: 'open' }, entered: number, returned: number): void {
    this.#positions.set(change.fd, 0);
    const existing = this.#current.get(change.path);
    if (existing === undefined && change.creates) {
      this.#change({ kind: 'link', path: change.path, file: { synced: Buffer.alloc(0), pending: [] } });
    } else if (existing !== undefined && existing !== 'directory' && change.truncates) {
      existing.pending.push({ kind: 'truncate', size: 0, entered, returned });
    }
  }

  #write(change: TraceChange & { readonly kind: 'write' }, entered: number, returned: number): void {
    const position = this.#positions.get(change.fd) ?? 0;
    const offset = change.offset ?? position;
    if (change.offset === null) this.#positions.set(change.fd, position + change.data.length);
    this.#file(change.path)?.pending.push({ kind: 'write', offset, data: change.data, entered, returned });
  }

  /** Everything that had returned before the sync was entered is durable now. */
  #sync(path: string, entered: number): void {
    const file = this.#current.get(path);
    if (path === '' || file === 'directory') this.#syncNames();
    if (file === undefined || file === 'directory') return;
    const covered = file.pending.filter((change) => change.returned < entered);
    file.pending = file.pending.filter((change) => change.returned >= entered);
    file.synced = covered.reduce(applyToContent, file.synced);
  }

  /** An ordered journal commits names of all directories together. */
  #syncNames(): void {
    for (const change of this.#pendingNames) applyName(this.#durable, change);
    this.#pendingNames = [];
  }

  #change(change: NameChange): void {
    applyName(this.#current, change);
    this.#pendingNames.push(change);
  }

  #file(path: string): FileState | null {
    // the engine's account of itself is never synced and never read
    const file = path.endsWith('/LOG') ? undefined : this.#current.get(path);
    return file === undefined || file === 'directory' ? null : file;
  }
}

function applyName(names: Map<string, FileState | 'directory'>, change: NameChange): void {
  switch (change.kind) {
    case 'link':
      names.set(change.path, change.file);
      return;
    case 'mkdir':
      names.set(change.path, 'directory');
      return;
    case 'unlink':
      names.delete(change.path);
      return;
    case 'rename': {
      const file = names.get(change.path);
      names.delete(change.path);
      if (file !== undefined) names.set(change.to, file);
      return;
    }
  }
}

function applyToContent(content: Buffer, change: FileChange): Buffer {
  if (change.kind === 'truncate') return resized(content, change.size);
  const end = change.offset + change.data.length;
  const grown = end > content.length ? resized(content, end) : Buffer.from(content);
  change.data.copy(grown, change.offset);
  return grown;
}

function resized(content: Buffer, size: number): Buffer {
  const result = Buffer.alloc(size);
  content.copy(result, 0, 0, Math.min(size, content.length));
  return result;
}

function crashContent(file: FileState, style: CrashStyle, chance: SeededChance): Buffer {
  const all = file.pending.length;
  switch (style) {
    case 'all':
      return file.pending.reduce(applyToContent, file.synced);
    case 'nothing':
      return file.synced;
    case 'files':
      return chance.below(2) === 0 ? file.synced : file.pending.reduce(applyToContent, file.synced);
    case 'tail':
      return tornTail(file, chance);
    case 'pages':
      return all === 0 ? file.synced : torn(file, 4_096, chance);
    case 'sectors':
      return all === 0 ? file.synced : torn(file, 512, chance);
  }
}

/** Changes in their order up to one, of which only the beginning arrived. */
function tornTail({ synced, pending }: FileState, chance: SeededChance): Buffer {
  const count = chance.below(pending.length + 1);
  const content = pending.slice(0, count).reduce(applyToContent, synced);
  const last = pending[count];
  if (last?.kind !== 'write') return content;
  return applyToContent(content, { ...last, data: last.data.subarray(0, chance.below(last.data.length + 1)) });
}

function torn({ synced, pending }: FileState, pieceBytes: number, chance: SeededChance): Buffer {
  const versions = [synced];
  for (const change of pending) versions.push(applyToContent(versions.at(-1)!, change));
  const size = chance.pick(versions).length;
  const content = Buffer.alloc(size);
  for (let at = 0; at < size; at += pieceBytes) {
    const piece = chance.pick(versions).subarray(at, Math.min(at + pieceBytes, size));
    content.set(piece, at);
  }
  return content;
}
