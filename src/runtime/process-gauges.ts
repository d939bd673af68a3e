/** What the process takes: CPU, memory, and how late its event loop is. */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { LoopDelay, RuntimeFacts } from '../broker/broker-facts.ts';
import type { Clock, Timer } from '../model/clock.ts';
import { toMillis } from '../model/ids.ts';

/** How often the event loop is looked at, milliseconds: what it says is as fine as that. */
const resolutionMs = 5;
/** Length of a span whose delays are reported together, milliseconds. */
const spanMs = 10_000;

/** Delays are observed outside of JavaScript, so that observing costs nothing that would show. */
export class ProcessGauges {
  readonly #clock: Clock;
  readonly #histogram = monitorEventLoopDelay({ resolution: resolutionMs });
  readonly #startedAtMs = toMillis(Math.round(Date.now() - process.uptime() * 1_000));
  #newest: LoopDelay | null = null;
  #timer: Timer | null = null;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  start(): void {
    this.#histogram.enable();
    this.#schedule();
  }

  stop(): void {
    this.#timer?.cancel();
    this.#histogram.disable();
  }

  get facts(): RuntimeFacts {
    const { user, system } = process.cpuUsage();
    const { rss, heapUsed } = process.memoryUsage();
    return {
      pid: process.pid,
      nodeVersion: process.version,
      startedAtMs: this.#startedAtMs,
      cpuMs: Math.round((user + system) / 1_000),
      residentBytes: rss,
      heapUsedBytes: heapUsed,
      loopDelay: this.#newest,
    };
  }

  #schedule(): void {
    const beganMs = this.#clock.monotonicMs();
    this.#timer = this.#clock.setTimer(spanMs, () => {
      this.#newest = {
        p50Ms: delayOf(this.#histogram.percentile(50)),
        p99Ms: delayOf(this.#histogram.percentile(99)),
        maxMs: delayOf(this.#histogram.max),
        spanMs: this.#clock.monotonicMs() - beganMs,
      };
      this.#histogram.reset();
      this.#schedule();
    });
  }
}

/** The histogram has the time from one look to the next, in nanoseconds: what is over the resolution is delay. */
const delayOf = (nanoseconds: number): number => Math.max(0, Math.round(nanoseconds / 1e4 - resolutionMs * 100) / 100);
