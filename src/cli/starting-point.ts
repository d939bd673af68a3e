/** What `--from` can say. */
import { InvalidArgumentError } from 'commander';

export type StartingPoint =
  | { readonly kind: 'earliest' }
  | { readonly kind: 'latest' }
  /** The same offset in each partition. */
  | { readonly kind: 'offset'; readonly offset: number }
  /** That many records before the end of each partition. */
  | { readonly kind: 'last'; readonly count: number }
  /** The first record of each partition that is as late. */
  | { readonly kind: 'time'; readonly timestampMs: number };

export function startingPoint(text: string): StartingPoint {
  if (text === 'earliest' || text === 'latest') return { kind: text };
  const number = /^-?\d+$/.test(text) ? Number(text) : NaN;
  if (Number.isSafeInteger(number)) {
    return text.startsWith('-') ? { kind: 'last', count: -number } : { kind: 'offset', offset: number };
  }
  const timestampMs = text.startsWith('@') ? timeOf(text.slice(1)) : NaN;
  if (Number.isSafeInteger(timestampMs) && timestampMs >= 0) return { kind: 'time', timestampMs };
  throw new InvalidArgumentError(
    'Write earliest, latest, an offset like 100, the last records like -10, or a time like @2026-01-31T12:00Z.',
  );
}

const timeOf = (text: string): number => (/^\d+$/.test(text) ? Number(text) : Date.parse(text));
