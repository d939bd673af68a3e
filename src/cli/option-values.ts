/** Values of flags, checked where they are read, so that a mistake is told before anything is done. */
import { InvalidArgumentError } from 'commander';

const spanUnits: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };
/** Longest time limit, milliseconds: a day. */
const spanMsMax = 86_400_000;

/** A span with its unit, like 500ms, 10s or 2m, as milliseconds. */
export function spanMs(text: string): number {
  const [, count = '', unit = ''] = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/.exec(text) ?? [];
  const value = Math.round(Number(count) * (spanUnits[unit] ?? NaN));
  if (value >= 1 && value <= spanMsMax) return value;
  throw new InvalidArgumentError('Write a time from 1ms to 24h with its unit, like 500ms, 10s or 2m.');
}

/** A whole number in a range. */
export const wholeNumber =
  (from: number, through: number) =>
  (text: string): number => {
    const value = /^\d+$/.test(text) ? Number(text) : NaN;
    if (value >= from && value <= through) return value;
    throw new InvalidArgumentError(`Write a whole number from ${from} to ${through}.`);
  };

/** A flag that can be given several times. */
export const collected = (text: string, before: readonly string[] | undefined): readonly string[] => [
  ...(before ?? []),
  text,
];
