/** Waiting with an end: on the monotonic clock, with the timer gone as soon as there is an answer. */
import type { Clock } from '../model/clock.ts';
import type { Millis } from '../model/ids.ts';

const timerMsMax = 2 ** 31 - 1;

/** Milliseconds from now to a deadline, as a timer takes them: 0 if it has passed. */
export const delayUntil = (clock: Clock, deadlineMs: Millis): number =>
  Math.min(timerMsMax, Math.max(0, deadlineMs - clock.monotonicMs()));

/** What `answer` resolves to, or `late()` if the deadline comes first. `answer` goes on all the same. */
export function answerBy<T, Late>(
  clock: Clock,
  deadlineMs: Millis,
  answer: Promise<T>,
  late: () => Late,
): Promise<T | Late> {
  return new Promise((resolve, reject) => {
    const timer = clock.setTimer(delayUntil(clock, deadlineMs), () => {
      resolve(late());
    });
    const settle = (act: () => void): void => {
      timer.cancel();
      act();
    };
    answer.then(
      (value) => {
        settle(() => {
          resolve(value);
        });
      },
      (reason: unknown) => {
        settle(() => {
          reject(reason instanceof Error ? reason : new Error(String(reason)));
        });
      },
    );
  });
}
