/** Sizes and spans as people write them: "64MiB", "5s". A bare number is bytes or milliseconds. */

const byteUnits: Readonly<Record<string, number>> = {
  B: 1,
  kB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
};

const spanUnits: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

function parse(text: string, units: Readonly<Record<string, number>>): number | null {
  const match = /^(\d+(?:\.\d+)?)\s*([A-Za-z]*)$/.exec(text.trim());
  if (match === null) return null;
  const [, amount = '', unit = ''] = match;
  const factor = unit === '' ? 1 : units[unit];
  if (factor === undefined) return null;
  const value = Number(amount) * factor;
  return Number.isSafeInteger(value) ? value : null;
}

/** Bytes; null if it can not be read or is not whole. */
export const parseBytes = (text: string): number | null => parse(text, byteUnits);
/** Milliseconds; null if it can not be read or is not whole. */
export const parseSpanMs = (text: string): number | null => parse(text, spanUnits);

export const byteUnitNames: readonly string[] = Object.keys(byteUnits);
export const spanUnitNames: readonly string[] = Object.keys(spanUnits);
