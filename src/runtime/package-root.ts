import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** The folder of the package, from src/ and from dist/src/ alike: the one that holds the contract. */
export function packageRoot(from: string = import.meta.dirname): string {
  if (existsSync(join(from, 'proto', 'sluice.binpb'))) return from;
  const parent = dirname(from);
  if (parent === from) throw new Error('proto/sluice.binpb is missing: this installation of Sluice is not complete');
  return packageRoot(parent);
}

/** The contract as a FileDescriptorSet. */
export const readDescriptors = (): Uint8Array => readFileSync(join(packageRoot(), 'proto', 'sluice.binpb'));

/** Version of Sluice, as package.json says. */
export function packageVersion(): string {
  const { version } = JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8')) as { version?: unknown };
  return typeof version === 'string' ? version : 'unknown';
}
