import { readdirSync } from 'node:fs';

/** Every script, by its path below this folder, in order. */
export function scriptFiles(): string[] {
  return readdirSync(import.meta.dirname, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.txt'))
    .sort();
}
