/** Everything that k6 holds a run to. */
import { methodThresholds } from './methods.ts';
import type { Thresholds } from './methods.ts';
import type { ProfileName, ScriptName } from './names.ts';

/** Beside the methods: what must hold whatever the speed. */
const promises: Readonly<Record<ScriptName, Thresholds>> = {
  produce: { records_produced: ['count>0'] },
  fetch: { records_consumed: ['count>0'], offset_gaps: ['count==0'] },
  'end-to-end': {
    records_produced: ['count>0'],
    records_consumed: ['count>0'],
    offset_gaps: ['count==0'],
    // a gauge's last value: everything was consumed and committed in the end
    consumer_lag_records: ['value==0'],
  },
  'group-churn': {
    rebalance_ms: ['p(99)<10000'],
    partitions_assigned_twice: ['count==0'],
    fenced_commits_accepted: ['count==0'],
    joined_in_vain: ['count==0'],
  },
};

/** The scenario with the open load: nothing of it may be left out. */
const openScenario: Readonly<Partial<Record<ScriptName, string>>> = {
  produce: 'producers',
  fetch: 'readers',
  'end-to-end': 'producers',
};

export function thresholdsOf(script: ScriptName, profile: ProfileName): Thresholds {
  const scenario = openScenario[script];
  return {
    ...methodThresholds(script, profile),
    ...promises[script],
    script_errors: ['count==0'],
    ...(scenario === undefined ? {} : { [`dropped_iterations{scenario:${scenario}}`]: ['count==0'] }),
  };
}
