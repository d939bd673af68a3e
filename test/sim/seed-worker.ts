/** A process that runs the ranges of seeds it is sent, one after the other, and sends back what they showed. */
import type { SeedRange } from './seed-range.ts';
import { runRange } from './seed-range.ts';

process.on('message', (range: SeedRange) => {
  runRange(range).then(
    (result) => process.send?.(result),
    (error: unknown) => {
      console.error(error);
      process.exit(1);
    },
  );
});
