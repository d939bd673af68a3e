/** What a broker tells of its own process and machine; measured at the edges, where it is not here nobody knows it. */
import type { BrokerId, Millis } from '../model/ids.ts';

/** The disk of the data directory (design D10). */
export interface DiskFacts {
  /** `low`: leaders refuse new records; `critical`: followers take no more bulk either. */
  readonly level: 'ample' | 'low' | 'critical';
  /** What may still be taken, bytes. */
  readonly freeBytes: number;
  /** Free bytes below which it is `low`, and below which it is `critical`. */
  readonly softReserveBytes: number;
  readonly hardReserveBytes: number;
  /** The file that is given up so that a full disk can recover has its full size. */
  readonly ballastWhole: boolean;
}

/** How late the event loop's timers were in one span of time, milliseconds. */
export interface LoopDelay {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
  /** Length of the span. */
  readonly spanMs: number;
}

export interface RuntimeFacts {
  /** Number of the process on its machine. */
  readonly pid: number;
  /** "v22.1.0". */
  readonly nodeVersion: string;
  readonly startedAtMs: Millis;
  /** CPU time of all threads since the start, milliseconds. */
  readonly cpuMs: number;
  readonly residentBytes: number;
  readonly heapUsedBytes: number;
  /** Of the newest span that is over; null: none is yet. */
  readonly loopDelay: LoopDelay | null;
}

/** Another broker as seen from here. */
export interface PeerFacts {
  /** There is a connection to it on which it has proven who it is. */
  readonly connected: boolean;
  /** How long ago it was heard for the groups that it shares with this broker, milliseconds; null: never. */
  readonly heardAgoMs: number | null;
  /** What waits to be sent to it, bytes. */
  readonly unsentBytes: number;
}

export interface BrokerFacts {
  disk(): DiskFacts | null;
  runtime(): RuntimeFacts | null;
  peer(broker: BrokerId): PeerFacts | null;
}

/** Where nothing is measured. */
export const noFacts: BrokerFacts = { disk: () => null, runtime: () => null, peer: () => null };
