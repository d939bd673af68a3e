/**
 * What happened, one record an event: time, node, group, event, detail. The records are hashed as they come, so that two
 * runs of a seed can be compared without keeping them; the last ones are kept for a failure. The legend is in
 * docs/TESTING.md.
 */
import type { Entry } from '../../src/model/entry.ts';
import type { GroupNumber } from '../../src/model/ids.ts';
import { describeMessage } from '../../src/raft/core/describe.ts';
import type { BeatDelivery, Delivery } from './sim-network.ts';
import type { SimScheduler } from './sim-scheduler.ts';

export interface TraceRecord {
  /** Virtual ms since the beginning of the run. */
  readonly ms: number;
  /** 0: nobody, such as the network or the catalog. */
  readonly node: number;
  readonly group: GroupNumber | null;
  readonly event: string;
  readonly detail: string;
}

const recordsKept = 100_000;

export class Trace {
  readonly #scheduler: SimScheduler;
  readonly #records: TraceRecord[] = [];
  #next = 0;
  #hash = 0x811c9dc5;
  /** Whether records are kept; the hash is in any case. */
  verbose = false;

  constructor(scheduler: SimScheduler) {
    this.#scheduler = scheduler;
  }

  /** Equal for two runs in which the same happened at the same time. */
  get hash(): string {
    return this.#hash.toString(16).padStart(8, '0');
  }

  /** Oldest first. */
  get records(): readonly TraceRecord[] {
    return [...this.#records.slice(this.#next), ...this.#records.slice(0, this.#next)];
  }

  say(node: number, group: GroupNumber | null, event: string, detail: string): void {
    this.#mix(this.#scheduler.now * 1000);
    this.#mix(node * 1009 + (group ?? -1));
    for (let i = 0; i < event.length; i++) this.#mix(event.charCodeAt(i));
    for (let i = 0; i < detail.length; i++) this.#mix(detail.charCodeAt(i));
    this.#keep(node, group, event, detail);
  }

  /** Without making a detail that nobody reads. */
  applied(node: number, group: GroupNumber, { index, term }: Entry): void {
    this.#mix(node * 1009 + group);
    this.#mix(index * 64 + term);
    if (this.verbose) this.#keep(node, group, 'apply', `i${index} t${term}`);
  }

  message({ from, to, group, message }: Delivery): void {
    this.#mix(from * 64 + to);
    this.#mix(message.kind.length * 1009 + message.term);
    if (this.verbose) this.#keep(from, group, 'send', `to n${to}: ${describeMessage(message)}`);
  }

  beat({ from, to, frame }: BeatDelivery): void {
    this.#mix(from * 64 + to);
    this.#mix(frame.sequence);
    if (this.verbose) this.#keep(from, null, 'beat', `to n${to}: ${JSON.stringify(frame)}`);
  }

  #mix(value: number): void {
    this.#hash = Math.imul(this.#hash ^ (value | 0), 0x01000193) >>> 0;
  }

  #keep(node: number, group: GroupNumber | null, event: string, detail: string): void {
    if (!this.verbose) return;
    this.#records[this.#next] = { ms: this.#scheduler.now, node, group, event, detail };
    this.#next = (this.#next + 1) % recordsKept;
  }
}

/** In fixed columns, for people. */
export function renderRecord({ ms, node, group, event, detail }: TraceRecord): string {
  const who = (node === 0 ? '-' : `n${node}`).padEnd(3);
  const where = (group === null ? '' : `g${group}`).padEnd(3);
  return `${(ms / 1000).toFixed(4).padStart(9)} ${who} ${where} ${event.padEnd(13)} ${detail}`;
}
