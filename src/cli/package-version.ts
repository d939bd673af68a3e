import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** The version in the nearest package.json that names Sluice: above src/cli and above dist/src/cli alike. */
export function packageVersion(from: string = import.meta.dirname): string {
  const parent = dirname(from);
  const found = readPackage(join(from, 'package.json'));
  if (found?.name === 'sluice' && typeof found.version === 'string') return found.version;
  return parent === from ? 'unknown' : packageVersion(parent);
}

function readPackage(file: string): { readonly name?: unknown; readonly version?: unknown } | null {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as { name?: unknown; version?: unknown };
  } catch {
    return null; // not in this folder: the next one up
  }
}
