/** What k6 hands to a script's `handleSummary`, as far as it is read. */

export interface K6Metric {
  readonly type: 'counter' | 'gauge' | 'rate' | 'trend';
  readonly values: Readonly<Record<string, number>>;
  readonly thresholds?: Readonly<Record<string, { readonly ok: boolean }>>;
}

export interface K6Summary {
  readonly state: { readonly testRunDurationMs: number };
  readonly metrics: Readonly<Record<string, K6Metric>>;
}

/** Throws if it is something else. */
export function parseK6Summary(text: string): K6Summary {
  const data = JSON.parse(text) as Partial<K6Summary>;
  const { state, metrics } = data;
  if (typeof state?.testRunDurationMs !== 'number' || typeof metrics !== 'object')
    throw new Error('this is not what k6 gives to handleSummary');
  return { state, metrics };
}
