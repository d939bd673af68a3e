/**
 * Takes a snapshot that comes in, chunk by chunk, and checks it as a whole before it takes effect (log-12). The state of a
 * data group is small and waits in memory; the state keys of a commands group go to the store as they come, where nothing
 * sees them, and the next bytes are asked for when they are there.
 */
import type { Crc32c } from '../model/crc32c.ts';
import type { StatePair } from '../model/raft-state.ts';
import type { GroupKind, SnapshotHead, SnapshotReceipt } from './log.ts';
import { SnapshotRefused } from './snapshot-refused.ts';
import { StateStreamReader } from './state-stream.ts';

/** A state that is larger is refused. Bytes: what waits in memory for a data group, what lies on disk for the other kind. */
export const snapshotBytesMax: Readonly<Record<GroupKind, number>> = {
  data: 256 * 1024 * 1024,
  commands: 16 * 1024 * 1024 * 1024,
};

/** What the log does for a snapshot. */
export interface SnapshotTarget {
  /** Puts state keys where they are not seen; durable when it resolves. */
  stage(pairs: readonly StatePair[]): Promise<unknown>;
  /** The state takes the place of everything; null: that of a commands group, which is staged. */
  install(head: SnapshotHead, state: Uint8Array | null): Promise<unknown>;
  abandoned(): void;
}

/** Refuses what can not be a snapshot for this kind of group. */
export function checkHead(kind: GroupKind, head: SnapshotHead): void {
  const { position, logStart, byteLength } = head;
  if (byteLength > snapshotBytesMax[kind]) {
    throw new SnapshotRefused(`the state has ${byteLength} bytes; at most ${snapshotBytesMax[kind]} are taken`);
  }
  if (kind === 'data' && position.endOffset > logStart) {
    throw new SnapshotRefused(`log-13: the state is of offset ${position.endOffset}, but ${logStart} is retained`);
  }
  if (head.terms.some(({ term, startIndex }) => term > position.term || startIndex > position.index)) {
    throw new SnapshotRefused('a term starts above the last entry');
  }
}

export class SnapshotImport implements SnapshotReceipt {
  readonly #head: SnapshotHead;
  readonly #target: SnapshotTarget;
  readonly #crc32c: Crc32c;
  /** Null: the state is not made of state keys. */
  readonly #reader: StateStreamReader | null;
  readonly #pieces: Uint8Array[] = [];
  #received = 0;
  #checksum = 0;
  #over = false;

  constructor(kind: GroupKind, head: SnapshotHead, target: SnapshotTarget, crc32c: Crc32c) {
    this.#head = head;
    this.#target = target;
    this.#crc32c = crc32c;
    this.#reader = kind === 'commands' ? new StateStreamReader() : null;
  }

  async add(bytes: Uint8Array): Promise<void> {
    this.#checkOpen();
    this.#received += bytes.length;
    if (this.#received > this.#head.byteLength) throw this.#refused('it is longer than it was said to be');
    this.#checksum = this.#crc32c(bytes, this.#checksum);
    if (this.#reader === null) {
      this.#pieces.push(Uint8Array.from(bytes));
      return;
    }
    await this.#target.stage(this.#pairs(this.#reader, bytes));
  }

  async install(): Promise<void> {
    this.#checkOpen();
    const { byteLength, checksum } = this.#head;
    if (this.#received !== byteLength) throw this.#refused(`${this.#received} of ${byteLength} bytes came`);
    if (this.#checksum !== checksum) throw this.#refused('it does not match its checksum');
    if (this.#reader?.isComplete === false) throw this.#refused('its last state key is cut');
    this.#over = true;
    await this.#target.install(this.#head, this.#reader === null ? Buffer.concat(this.#pieces) : null);
  }

  abandon(): void {
    if (this.#over) return;
    this.#over = true;
    this.#pieces.length = 0;
    this.#target.abandoned();
  }

  #pairs(reader: StateStreamReader, bytes: Uint8Array): readonly StatePair[] {
    try {
      return reader.push(bytes);
    } catch (error) {
      this.abandon();
      throw error;
    }
  }

  #checkOpen(): void {
    if (this.#over) throw new SnapshotRefused('it was given up, or another one took its place');
  }

  #refused(why: string): SnapshotRefused {
    this.abandon();
    return new SnapshotRefused(why);
  }
}
