/** What the process takes: CPU, memory, garbage collection, and how late its event loop is. */
import { constants, PerformanceObserver } from 'node:perf_hooks';
import type { PerformanceEntry } from 'node:perf_hooks';
import type { Registry } from 'prom-client';
import { Counter, Gauge, Histogram } from 'prom-client';
import type { LoopDelay } from '../broker/broker-facts.ts';
import { diskBuckets } from './buckets.ts';

const gcKinds: Readonly<Record<number, string>> = {
  [constants.NODE_PERFORMANCE_GC_MAJOR]: 'major',
  [constants.NODE_PERFORMANCE_GC_MINOR]: 'minor',
  [constants.NODE_PERFORMANCE_GC_INCREMENTAL]: 'incremental',
  [constants.NODE_PERFORMANCE_GC_WEAKCB]: 'weakcb',
};

export interface ProcessMetricsParts {
  readonly registry: Registry;
  readonly version: string;
  readonly brokerId: number;
  /** Of the newest span that is over; null: none is yet. */
  readonly loopDelay: () => LoopDelay | null;
}

/** Answers with what ends it. */
export function processMetrics({ registry, version, brokerId, loopDelay }: ProcessMetricsParts): () => void {
  const registers = [registry];
  new Gauge({
    name: 'sluice_build_info',
    help: 'Always 1; its labels tell the version, the version of Node, and the number of the broker.',
    labelNames: ['version', 'node', 'broker_id'],
    registers,
  }).set({ version, node: process.version, broker_id: String(brokerId) }, 1);
  new Gauge({
    name: 'sluice_process_start_time_seconds',
    help: 'When the process began, seconds since 1970.',
    registers,
  }).set(Math.round(Date.now() / 1_000 - process.uptime()));
  new Counter({
    name: 'sluice_process_cpu_seconds_total',
    help: 'CPU time of all threads.',
    registers,
    collect() {
      const { user, system } = process.cpuUsage();
      this.reset();
      this.inc((user + system) / 1e6);
    },
  });
  new Gauge({
    name: 'sluice_process_memory_bytes',
    help: 'Memory by kind: resident (all of it), heap_used and heap_total (JavaScript), external (buffers and more), array_buffers (part of external).',
    labelNames: ['kind'],
    registers,
    collect() {
      const { rss, heapUsed, heapTotal, external, arrayBuffers } = process.memoryUsage();
      const kinds = {
        resident: rss,
        heap_used: heapUsed,
        heap_total: heapTotal,
        external,
        array_buffers: arrayBuffers,
      };
      for (const [kind, bytes] of Object.entries(kinds)) this.set({ kind }, bytes);
    },
  });
  new Gauge({
    name: 'sluice_runtime_event_loop_delay_seconds',
    help: 'How late timers were in the last 10 s, by quantile; 1 is the longest delay.',
    labelNames: ['quantile'],
    registers,
    collect() {
      const delay = loopDelay();
      if (delay === null) return;
      this.set({ quantile: '0.5' }, delay.p50Ms / 1_000);
      this.set({ quantile: '0.99' }, delay.p99Ms / 1_000);
      this.set({ quantile: '1' }, delay.maxMs / 1_000);
    },
  });
  const pauses = new Histogram({
    name: 'sluice_runtime_gc_seconds',
    help: 'Garbage collections by kind: minor, major, incremental, weakcb.',
    labelNames: ['kind'],
    buckets: diskBuckets.filter((seconds) => seconds >= 0.0005 && seconds <= 1),
    registers,
  });
  const observer = new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) pauses.observe({ kind: gcKind(entry) }, entry.duration / 1_000);
  });
  observer.observe({ entryTypes: ['gc'] });
  return () => observer.disconnect();
}

function gcKind(entry: PerformanceEntry): string {
  const detail: unknown = 'detail' in entry ? entry.detail : null;
  const kind: unknown = typeof detail === 'object' && detail !== null && 'kind' in detail ? detail.kind : null;
  return (typeof kind === 'number' ? gcKinds[kind] : undefined) ?? 'other';
}
