/**
 * Counts what k6 wrote while it ran (`--out json`, a line a sample): what its own summary has not, because that has no time
 * and no tags beside those of thresholds.
 */

interface Point {
  readonly type: 'Point';
  readonly metric: string;
  readonly data: {
    readonly time: string;
    readonly value: number;
    readonly tags: Readonly<Record<string, string>>;
  };
}

/** One second of a run. */
export interface Second {
  recordsProduced: number;
  recordsConsumed: number;
  failures: number;
  /** Of the produce calls that were answered, milliseconds. */
  readonly produceMs: number[];
  /** The oldest record that was consumed, milliseconds; null: none was. */
  endToEndMsMax: number | null;
  /** The last that was seen; null: nobody looked. */
  lag: number | null;
  members: number | null;
}

export interface Failure {
  readonly method: string;
  readonly code: string;
  readonly count: number;
}

/** Counters that are added up over all tags. */
export type Total =
  'records_produced' | 'bytes_produced' | 'records_consumed' | 'bytes_fetched' | 'outcomes_unknown' | 'script_errors';

/** A run is shorter than a day; a clock that jumped must not make a table of years. */
const timelineSecondsMax = 86_400;

export class Tally {
  private readonly seconds = new Map<number, Second>();
  private readonly samples = new Map<string, number>();
  private readonly byFailure = new Map<string, number>();
  private readonly totals = new Map<string, number>();
  private readonly called = new Set<string>();

  /** A line of k6's file. What is no sample means nothing here. */
  add(line: string): void {
    if (line === '') return;
    const entry = JSON.parse(line) as Point | { readonly type: 'Metric' };
    if (entry.type === 'Point') this.addPoint(entry);
  }

  /** Samples of a metric, or of a part of it: `name{tag:value}`, as thresholds name it. */
  samplesOf(metric: string): number {
    return this.samples.get(metric) ?? 0;
  }

  total(metric: Total): number {
    return this.totals.get(metric) ?? 0;
  }

  /** Most frequent first. */
  failures(): readonly Failure[] {
    return [...this.byFailure]
      .map(([key, count]) => {
        const [method = '', code = ''] = key.split(' ');
        return { method, code, count };
      })
      .sort((a, b) => b.count - a.count || a.method.localeCompare(b.method));
  }

  /** Methods that were called, ascending. */
  methods(): readonly string[] {
    return [...this.called].sort();
  }

  /** Every second from the first in which a scenario ran to the last. */
  timeline(): readonly Second[] {
    if (this.seconds.size === 0) return [];
    const all = [...this.seconds.keys()];
    const first = Math.min(...all);
    const length = Math.min(Math.max(...all) - first + 1, timelineSecondsMax);
    return Array.from({ length }, (_, i) => this.seconds.get(first + i) ?? quiet());
  }

  private addPoint({ metric, data: { time, value, tags } }: Point): void {
    increase(this.samples, metric, 1);
    for (const [tag, text] of Object.entries(tags)) increase(this.samples, `${metric}{${tag}:${text}}`, 1);
    increase(this.totals, metric, value);
    const { method = '', code = '', scenario } = tags;
    if (metric === 'failures') increase(this.byFailure, `${method} ${code}`, value);
    if (metric === 'grpc_req_duration' || metric === 'grpc_streams') this.called.add(method);
    // what setup and teardown do belongs to no second
    if (scenario !== undefined) this.addTo(this.secondAt(time), metric, value, tags);
  }

  private addTo(second: Second, metric: string, value: number, tags: Readonly<Record<string, string>>): void {
    switch (metric) {
      case 'records_produced':
        second.recordsProduced += value;
        return;
      case 'records_consumed':
        second.recordsConsumed += value;
        return;
      case 'failures':
        second.failures += value;
        return;
      case 'consumer_lag_records':
        second.lag = value;
        return;
      case 'group_members':
        second.members = value;
        return;
      case 'end_to_end_ms':
        second.endToEndMsMax = Math.max(second.endToEndMsMax ?? 0, value);
        return;
      case 'grpc_req_duration':
        if (tags['method'] === 'Produce' && tags['status'] === '0') second.produceMs.push(value);
        return;
      default:
    }
  }

  private secondAt(time: string): Second {
    const at = Math.floor(Date.parse(time) / 1_000);
    const second = this.seconds.get(at) ?? quiet();
    this.seconds.set(at, second);
    return second;
  }
}

const quiet = (): Second => ({
  recordsProduced: 0,
  recordsConsumed: 0,
  failures: 0,
  produceMs: [],
  endToEndMsMax: null,
  lag: null,
  members: null,
});

function increase(counts: Map<string, number>, key: string, by: number): void {
  counts.set(key, (counts.get(key) ?? 0) + by);
}
