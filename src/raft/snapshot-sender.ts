/**
 * Reads what a leader sends to the replicas of one group that need entries which its log does not have any more. Holds one
 * chunk per replica; the state itself stays on disk.
 *
 * Invariants:
 * - sender-1: what is sent under one id is one state, whatever the group does meanwhile (P46, P47).
 * - sender-2: a broker sends at most snapshotsSentMax at a time, and nothing holds a place that does not move (P80).
 */
import type { Clock, Timer } from '../model/clock.ts';
import type { ReplicaId } from '../model/ids.ts';
import type { GroupLog, LogSnapshot } from '../log/log.ts';
import type { RaftEvent } from './core/events.ts';
import type { Ready } from './core/ready.ts';
import type { SnapshotMeta } from './core/snapshot.ts';
import type { DriverLimits } from './driver-limits.ts';
import { metaOf } from './snapshot-meta.ts';
import type { SnapshotSlots } from './snapshot-slots.ts';

type Request = Ready['snapshotsToSend'][number];
export type SnapshotRead = Extract<RaftEvent, { kind: 'snapshot-read' }>;

export interface SenderHooks {
  /** A chunk for the core. */
  read(event: SnapshotRead): void;
  /** A request that is not answered now; the core asks again. */
  dropped(why: 'snapshot-slots' | 'snapshot-not-kept'): void;
  /** The state can not be read: the group is not fit to lead (P48). */
  failed(error: unknown): void;
}

interface Chunk {
  readonly position: number;
  readonly bytes: Uint8Array;
}

/** One snapshot on its way to one replica. */
class Sending {
  readonly meta: SnapshotMeta;
  readonly #snapshot: LogSnapshot;
  readonly #chunkBytes: number;
  #chunks: AsyncIterator<Uint8Array>;
  /** The newest chunk that was read: it is asked for again if it was lost on the way. */
  #newest: Chunk | null = null;

  constructor(meta: SnapshotMeta, snapshot: LogSnapshot, chunkBytes: number) {
    this.meta = meta;
    this.#snapshot = snapshot;
    this.#chunkBytes = chunkBytes;
    this.#chunks = snapshot.chunks(chunkBytes)[Symbol.asyncIterator]();
  }

  /** The chunk at `position`, or the first one if that is neither the newest nor the one after it. */
  async at(position: number): Promise<Chunk> {
    const newest = this.#newest;
    if (newest?.position === position) return newest;
    if (position === 0 || newest === null || position !== newest.position + newest.bytes.length) await this.#restart();
    const next = await this.#chunks.next();
    const { position: before, bytes } = this.#newest ?? { position: 0, bytes: new Uint8Array(0) };
    const read: Uint8Array = next.done === true ? new Uint8Array(0) : next.value;
    this.#newest = { position: before + bytes.length, bytes: read };
    return this.#newest;
  }

  async close(): Promise<void> {
    await this.#chunks.return?.();
    await this.#snapshot.close();
  }

  async #restart(): Promise<void> {
    if (this.#newest === null) return;
    await this.#chunks.return?.();
    this.#chunks = this.#snapshot.chunks(this.#chunkBytes)[Symbol.asyncIterator]();
    this.#newest = null;
  }
}

/** The place of one replica, from its first request to the end. */
interface Place {
  readonly to: ReplicaId;
  sending: Sending | null;
  /** What is being read; requests meanwhile are not needed, the core repeats them. */
  reading: Promise<void> | null;
  over: boolean;
  /** Ends it if nothing more is asked for. */
  stall: Timer;
}

export class SnapshotSender {
  readonly #log: GroupLog;
  readonly #limits: DriverLimits;
  readonly #slots: SnapshotSlots;
  readonly #clock: Clock;
  readonly #hooks: SenderHooks;
  /** By receiver; bounded by the broker's slots. */
  readonly #places = new Map<ReplicaId, Place>();
  /** Settles when what was ended holds nothing any more. */
  #closed: Promise<unknown> = Promise.resolve();
  #opened = 0;

  constructor(log: GroupLog, limits: DriverLimits, slots: SnapshotSlots, clock: Clock, hooks: SenderHooks) {
    this.#log = log;
    this.#limits = limits;
    this.#slots = slots;
    this.#clock = clock;
    this.#hooks = hooks;
  }

  get idle(): boolean {
    return this.#places.size === 0;
  }

  /** Reads the chunk that the core asks for; the answer goes to `read`, or there is none. */
  ask(request: Request): void {
    const place = this.#places.get(request.to) ?? this.#newPlace(request.to);
    if (place === null) this.#hooks.dropped('snapshot-slots');
    if (place === null || place.reading !== null) return;
    place.stall.cancel();
    place.stall = this.#stallTimer(place);
    place.reading = this.#answer(place, request).catch((error: unknown) => {
      const wanted = !place.over;
      this.#end(place);
      if (wanted) this.#hooks.failed(error);
    });
  }

  /** Ends what goes to anybody else. */
  keepOnly(targets: readonly ReplicaId[]): void {
    for (const place of [...this.#places.values()]) if (!targets.includes(place.to)) this.#end(place);
  }

  /** Ends everything; resolves when nothing is held any more. */
  async close(): Promise<void> {
    this.keepOnly([]);
    await this.#closed;
  }

  #newPlace(to: ReplicaId): Place | null {
    if (!this.#slots.take()) return null;
    const place: Place = { to, sending: null, reading: null, over: false, stall: noTimer };
    this.#places.set(to, place);
    return place;
  }

  #stallTimer(place: Place): Timer {
    return this.#clock.setTimer(this.#limits.snapshotStallMs, () => {
      this.#end(place);
    });
  }

  async #answer(place: Place, { to, position, snapshotId }: Request): Promise<void> {
    if (place.sending === null || place.sending.meta.id !== snapshotId) await this.#reopen(place);
    const { sending } = place;
    if (sending === null) {
      this.#end(place);
      this.#hooks.dropped('snapshot-not-kept');
      return;
    }
    const chunk = await sending.at(sending.meta.id === snapshotId ? position : 0);
    place.reading = null;
    if (place.over) return;
    const last = chunk.position + chunk.bytes.length >= sending.meta.byteLength;
    this.#hooks.read({ kind: 'snapshot-read', to, meta: sending.meta, ...chunk, last });
  }

  /** The newest state takes the place of one that was refused, or that nobody knows any more. */
  async #reopen(place: Place): Promise<void> {
    const before = place.sending;
    place.sending = null;
    await before?.close();
    const snapshot = await this.#log.openSnapshot();
    if (snapshot === null) return;
    const { position, checksum } = snapshot.head;
    const id = `${this.#log.header.replicaId}.${position.index}.${checksum.toString(16)}.${++this.#opened}`;
    place.sending = new Sending(metaOf(id, snapshot.head), snapshot, this.#limits.snapshotChunkBytes);
  }

  #end(place: Place): void {
    if (place.over) return;
    place.over = true;
    place.stall.cancel();
    this.#places.delete(place.to);
    this.#slots.give();
    this.#closed = Promise.all([this.#closed, this.#close(place)]);
  }

  /** Lets go of the state once nothing reads it. A store that is closed or broken has let go of it already. */
  async #close(place: Place): Promise<void> {
    await place.reading;
    await place.sending?.close().catch(() => undefined);
  }
}

const noTimer: Timer = { cancel: () => undefined };
