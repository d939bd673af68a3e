/** k6 goes on after an exception and counts it nowhere: a script with a mistake would pass. */
import { scriptErrors } from './metrics.ts';

/** `work`, with what it throws counted. */
export function guarded<Run>(work: (run: Run) => Promise<void>): (run: Run) => Promise<void> {
  return async (run) => {
    try {
      await work(run);
      scriptErrors.add(0);
    } catch (error) {
      scriptErrors.add(1);
      console.error(error instanceof Error ? `${error.message}\n${error.stack ?? ''}` : String(error));
    }
  };
}
