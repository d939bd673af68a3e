/**
 * Takes the snapshot that a leader sends to this replica of one group: chunk by chunk to the log, and at the end, when
 * nothing is being applied, in place of everything that is here.
 *
 * Invariants:
 * - receiver-1: chunks of two snapshots never mix: a chunk counts only in its place behind those of the same id (P46).
 * - receiver-2: the state machine changes after the disk did, and nothing is applied in between (P47).
 * - receiver-3: a snapshot that can not be taken changes nothing, and is never taken for an empty one (P48).
 */
import type { Clock, Timer } from '../model/clock.ts';
import type { GroupLog, SnapshotReceipt } from '../log/log.ts';
import { SnapshotRefused } from '../log/snapshot-refused.ts';
import type { SnapshotChunk } from './core/messages.ts';
import type { SnapshotMeta } from './core/snapshot.ts';
import type { DriverLimits } from './driver-limits.ts';
import { headOf } from './snapshot-meta.ts';
import type { SnapshotSlots } from './snapshot-slots.ts';

export interface ReceiverHooks {
  /** Resolves when nothing is applied any more, and nothing will be until `installed`. */
  pause(): Promise<void>;
  /** It was not installed after all: what is committed is applied again. */
  resume(): void;
  /** The log begins after the snapshot, durably: brings the state machine there. Resolves when it is. */
  installed(meta: SnapshotMeta): Promise<void>;
  /** Counted; what is damaged or too large is for people to look at, too. */
  refused(why: 'snapshot-slots' | 'snapshot-out-of-place' | 'snapshot-damaged', detail: string): void;
}

/** What came of a chunk. */
export type ChunkResult = 'more' | 'installed' | 'refused';

interface Incoming {
  readonly meta: SnapshotMeta;
  readonly receipt: SnapshotReceipt;
  /** Bytes so far. */
  position: number;
  /** All of it is here, and it can not be given up any more. */
  installing: boolean;
  stall: Timer;
}

export class SnapshotReceiver {
  readonly #log: GroupLog;
  readonly #limits: DriverLimits;
  readonly #slots: SnapshotSlots;
  readonly #clock: Clock;
  readonly #hooks: ReceiverHooks;
  #incoming: Incoming | null = null;
  #closed = false;
  /** Settles when the newest chunk is taken. */
  #newest: Promise<unknown> = Promise.resolve();

  constructor(log: GroupLog, limits: DriverLimits, slots: SnapshotSlots, clock: Clock, hooks: ReceiverHooks) {
    this.#log = log;
    this.#limits = limits;
    this.#slots = slots;
    this.#clock = clock;
    this.#hooks = hooks;
  }

  /** The log is, or is about to be, ahead of the core. */
  get isInstalling(): boolean {
    return this.#incoming?.installing ?? false;
  }

  /**
   * Takes the next chunk. Resolves when it is where it belongs, so that its sender hears of it no sooner than the disk can
   * take more. Rejects only with what ends the group or the process.
   */
  take(chunk: SnapshotChunk): Promise<ChunkResult> {
    const taken = this.#take(chunk);
    this.#newest = taken.catch(() => undefined); // its caller is told
    return taken;
  }

  /** Gives up what has not come in as a whole; resolves when nothing is under way any more. */
  async close(): Promise<void> {
    this.#closed = true;
    if (this.#incoming?.installing === false) this.#end(this.#incoming);
    await this.#newest;
  }

  async #take(chunk: SnapshotChunk): Promise<ChunkResult> {
    const incoming = this.#placeOf(chunk);
    if (incoming === null) return 'refused';
    try {
      incoming.position += chunk.bytes.length;
      await incoming.receipt.add(chunk.bytes);
      if (!chunk.last) return 'more';
      await this.#install(incoming);
      this.#end(incoming);
      return 'installed';
    } catch (error) {
      this.#end(incoming);
      if (!(error instanceof SnapshotRefused)) throw error;
      this.#hooks.refused('snapshot-damaged', `${chunk.meta.id}: ${error.message}`);
      return 'refused';
    }
  }

  /** What the chunk continues or begins; null: it was refused (receiver-1). */
  #placeOf({ meta, position }: SnapshotChunk): Incoming | null {
    const incoming = position === 0 ? this.#begin(meta) : this.#incoming;
    if (incoming !== null && incoming.meta.id === meta.id && incoming.position === position) {
      this.#watch(incoming);
      return incoming;
    }
    if (position > 0) this.#hooks.refused('snapshot-out-of-place', `${meta.id} at ${position}`);
    return null;
  }

  /** Null: it was refused. */
  #begin(meta: SnapshotMeta): Incoming | null {
    if (this.#incoming !== null) this.#end(this.#incoming);
    if (!this.#slots.take()) {
      this.#hooks.refused('snapshot-slots', meta.id);
      return null;
    }
    try {
      const receipt = this.#log.receiveSnapshot(headOf(meta));
      this.#incoming = { meta, receipt, position: 0, installing: false, stall: noTimer };
    } catch (error) {
      this.#slots.give();
      if (!(error instanceof SnapshotRefused)) throw error;
      this.#hooks.refused('snapshot-damaged', `${meta.id}: ${error.message}`);
    }
    return this.#incoming;
  }

  async #install(incoming: Incoming): Promise<void> {
    incoming.installing = true;
    await this.#hooks.pause();
    if (this.#closed) throw new SnapshotRefused('the group is being stopped');
    try {
      await incoming.receipt.install();
    } catch (error) {
      if (error instanceof SnapshotRefused) this.#hooks.resume();
      throw error;
    }
    await this.#hooks.installed(incoming.meta);
  }

  /** A sender that is gone must not hold a place for ever. */
  #watch(incoming: Incoming): void {
    incoming.stall.cancel();
    incoming.stall = this.#clock.setTimer(this.#limits.snapshotStallMs, () => {
      if (!incoming.installing) this.#end(incoming);
    });
  }

  #end(incoming: Incoming): void {
    if (this.#incoming !== incoming) return;
    this.#incoming = null;
    incoming.stall.cancel();
    incoming.receipt.abandon();
    this.#slots.give();
  }
}

const noTimer: Timer = { cancel: () => undefined };
