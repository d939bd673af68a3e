/**
 * How hard each script works in each profile. Sized for two cores that run three brokers and k6 beside them: see
 * docs/LOADTEST.md for larger machines.
 */
import type { Load } from './load.ts';
import { burst, constant } from './load.ts';
import type { ProfileName, ScriptName } from './names.ts';

export interface ProducePlan {
  readonly producers: Load;
}

export interface FetchPlan {
  /** Produce calls that fill the topic before. */
  readonly fillCalls: number;
  readonly readers: Load;
}

export interface EndToEndPlan {
  readonly producers: Load;
  /** Members of the consumer group. */
  readonly members: number;
  /** How fast the members work, all together, records a second. Null: as fast as they can. */
  readonly recordsPerSecondMax: number | null;
  /** How long the members go on after the last record was produced, seconds. */
  readonly drainSeconds: number;
}

export interface GroupChurnPlan {
  readonly seconds: number;
  /** Members that stay. */
  readonly steady: number;
  /** Members that come and go. */
  readonly comers: number;
  /** How long a comer stays each time, seconds. */
  readonly staySeconds: number;
  /** How long all comers wait before they come the first time, together; seconds. */
  readonly quietSeconds: number;
}

interface Plans {
  readonly produce: ProducePlan;
  readonly fetch: FetchPlan;
  readonly 'end-to-end': EndToEndPlan;
  readonly 'group-churn': GroupChurnPlan;
}

export const plans: { readonly [S in ScriptName]: Readonly<Record<ProfileName, Plans[S]>> } = {
  produce: {
    smoke: { producers: constant(20, 8, 50) },
    baseline: { producers: constant(160, 60, 60) },
    spike: { producers: burst(50, 400, [10, 10, 20], 100) },
  },
  fetch: {
    smoke: { fillCalls: 100, readers: constant(20, 8, 50) },
    baseline: { fillCalls: 2_000, readers: constant(160, 60, 60) },
    spike: { fillCalls: 2_000, readers: burst(50, 400, [10, 10, 20], 100) },
  },
  'end-to-end': {
    smoke: { producers: constant(20, 8, 50), members: 2, recordsPerSecondMax: null, drainSeconds: 4 },
    baseline: { producers: constant(60, 60, 40), members: 3, recordsPerSecondMax: null, drainSeconds: 5 },
    // 11 s above what the consumers can take leave some 8,000 records, which go at 600 a second
    spike: { producers: burst(20, 150, [10, 10, 40], 150), members: 3, recordsPerSecondMax: 800, drainSeconds: 8 },
  },
  'group-churn': {
    smoke: { seconds: 12, steady: 2, comers: 1, staySeconds: 2, quietSeconds: 1 },
    baseline: { seconds: 60, steady: 6, comers: 3, staySeconds: 4, quietSeconds: 2 },
    spike: { seconds: 40, steady: 4, comers: 16, staySeconds: 10, quietSeconds: 10 },
  },
};
