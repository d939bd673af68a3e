/** Asking again what may be asked again, with growing pauses, for what the broker does on its own account. */
import type { Clock } from '../model/clock.ts';
import type { Result } from '../model/errors.ts';
import { errorTraits } from '../model/errors.ts';
import { millisPlus } from '../model/ids.ts';
import type { Catalog } from './catalog.ts';
import { answerBy } from './deadline.ts';

const pauseMsMin = 50;
const pauseMsMax = 2_000;

/**
 * Resolves when the attempt succeeds, is refused for good, or the catalog is closed. A pause ends early when the catalog
 * changes: there may be a leader now.
 */
export async function retry<T>(
  attempt: () => Promise<Result<T>>,
  { clock, catalog }: { readonly clock: Clock; readonly catalog: Catalog },
): Promise<Result<T>> {
  for (let pauseMs = pauseMsMin; ; pauseMs = Math.min(2 * pauseMs, pauseMsMax)) {
    const changed = catalog.whenChanged();
    const result = await attempt();
    if (result.kind === 'ok' || !errorTraits[result.error.code].retriable || catalog.closed) return result;
    await answerBy(clock, millisPlus(clock.monotonicMs(), pauseMs), changed, () => undefined);
  }
}
