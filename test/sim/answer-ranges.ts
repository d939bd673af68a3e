/** The part of a process that runs the ranges of seeds it is sent, one after the other, and sends back what they showed. */
import type { SeedRange, Simulate } from './seed-range.ts';
import { runRange } from './seed-range.ts';

export function answerRanges(simulate: Simulate): void {
  process.on('message', (range: SeedRange) => {
    runRange(range, simulate).then(
      (result) => process.send?.(result),
      (error: unknown) => {
        console.error(error);
        process.exit(1);
      },
    );
  });
}
