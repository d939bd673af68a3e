/**
 * What happened, one line an event, in fixed columns: time, node, group, event, detail. The lines are hashed as they
 * come, so that two runs of a seed can be compared without keeping them; the last ones are kept for a failure.
 */
import type { Entry } from '../../src/model/entry.ts';
import type { GroupNumber } from '../../src/model/ids.ts';
import type { BeatDelivery, Delivery } from './sim-network.ts';
import type { SimScheduler } from './sim-scheduler.ts';

const linesKept = 4_000;

export class Trace {
  readonly #scheduler: SimScheduler;
  readonly #lines: string[] = [];
  #next = 0;
  #hash = 0x811c9dc5;
  /** Whether lines are rendered; the hash is kept in any case. */
  verbose = false;

  constructor(scheduler: SimScheduler) {
    this.#scheduler = scheduler;
  }

  /** Equal for two runs in which the same happened at the same time. */
  get hash(): string {
    return this.#hash.toString(16).padStart(8, '0');
  }

  get lines(): readonly string[] {
    return [...this.#lines.slice(this.#next), ...this.#lines.slice(0, this.#next)];
  }

  say(node: number, group: GroupNumber | null, event: string, detail: string): void {
    this.#mix(this.#scheduler.now * 1000);
    this.#mix(node * 1009 + (group ?? -1));
    for (let i = 0; i < event.length; i++) this.#mix(event.charCodeAt(i));
    for (let i = 0; i < detail.length; i++) this.#mix(detail.charCodeAt(i));
    if (!this.verbose) return;
    const time = (this.#scheduler.now / 1000).toFixed(4).padStart(10);
    this.#keep(`${time} n${node} ${(group === null ? '' : `g${group}`).padEnd(4)} ${event.padEnd(18)} ${detail}`);
  }

  /** Without making a line that nobody reads. */
  applied(node: number, group: GroupNumber, { index, term }: Entry): void {
    this.#mix(node * 1009 + group);
    this.#mix(index * 64 + term);
    if (this.verbose) this.say(node, group, 'apply', `i${index} t${term}`);
  }

  message({ from, to, group, message }: Delivery): void {
    this.#mix(from * 64 + to);
    this.#mix(message.kind.length * 1009 + message.term);
    if (!this.verbose) return;
    this.say(from, group, message.kind, `-> n${to} ${JSON.stringify(message, shorten)}`);
  }

  beat({ from, to, frame }: BeatDelivery): void {
    this.#mix(from * 64 + to);
    this.#mix(frame.sequence);
    if (!this.verbose) return;
    this.say(from, null, `beat ${frame.kind}`, `-> n${to} ${JSON.stringify(frame, shorten)}`);
  }

  #mix(value: number): void {
    this.#hash = Math.imul(this.#hash ^ (value | 0), 0x01000193) >>> 0;
  }

  #keep(line: string): void {
    this.#lines[this.#next] = line;
    this.#next = (this.#next + 1) % linesKept;
  }
}

function shorten(key: string, value: unknown): unknown {
  if (value instanceof Uint8Array) return `${value.byteLength} bytes`;
  if (key === 'entries' && Array.isArray(value))
    return (value as { index: number; term: number }[]).map((e) => `${e.index}/${e.term}`).join(' ');
  return key === 'kind' ? undefined : value;
}
