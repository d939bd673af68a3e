/** What the front door reports: requests by method and outcome, and how long they took. */
import type { Registry } from 'prom-client';
import { Counter, Histogram } from 'prom-client';
import type { ApiObserver } from '../api/observer.ts';
import { requestBuckets } from './buckets.ts';

/** Histogram of seconds within requests, which several layers fill; labels `method` and `phase`. */
export type PhaseSeconds = Histogram<'method' | 'phase'>;

export function phaseSeconds(registry: Registry): PhaseSeconds {
  return new Histogram({
    name: 'sluice_request_phase_seconds',
    help: 'Where the time of requests goes. Produce: queue (from its arrival until the leader accepts it, where that is the broker that was asked), append (from then until the sync begins that carries it: it waits for its group, which the engine then writes), fsync (that sync, on the disk of the leader), replicate (from then until committed and applied), respond (on streams, from the outcome until the reply has left). Fetch: wait (for data), read (the rest).',
    labelNames: ['method', 'phase'],
    buckets: [...requestBuckets],
    registers: [registry],
  });
}

/** Limits by which single requests are refused: a series that begins with 1 shows no increase. */
const limitsOfRequests = ['callsInFlightMax', 'requestBytesInFlightMax', 'replyBytesUnsentMax'] as const;

/** @param moment now, seconds on a clock that never goes back */
export function apiMetrics(registry: Registry, moment: () => number, phases: PhaseSeconds): ApiObserver {
  const requests = new Counter({
    name: 'sluice_requests_total',
    help: 'Requests that were answered: unary calls, and messages of streams. Code OK, CANCELLED, or one of docs/ERRORS.md.',
    labelNames: ['method', 'code'],
    registers: [registry],
  });
  const seconds = new Histogram({
    name: 'sluice_request_duration_seconds',
    help: 'From the arrival of a request to its answer. A Fetch may wait for data: see sluice_request_phase_seconds.',
    labelNames: ['method'],
    buckets: [...requestBuckets],
    registers: [registry],
  });
  const rejections = new Counter({
    name: 'sluice_limit_rejections_total',
    help: 'Requests that were refused because a limit of the front door was reached, by its name.',
    labelNames: ['limit'],
    registers: [registry],
  });
  for (const limit of limitsOfRequests) rejections.inc({ limit }, 0);
  return {
    moment,
    answered: (method, code, began) => {
      requests.inc({ method, code });
      if (began !== null) seconds.observe({ method }, moment() - began);
    },
    replied: (_, known) => phases.observe({ method: 'Produce', phase: 'respond' }, moment() - known),
    limitReached: (limit) => rejections.inc({ limit }),
  };
}
