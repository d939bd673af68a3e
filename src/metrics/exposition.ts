/** The text format of Prometheus, written in turns: a page of thousands of lines must not hold the event loop. */
import { performance } from 'node:perf_hooks';
import type { Registry } from 'prom-client';

/** Lets everything else that waits for the event loop go first. */
export type Pause = () => Promise<void>;

export const pauseTurn: Pause = () => new Promise((resolve) => setImmediate(resolve));

/** Writing goes on for so long before others get their turn, milliseconds. */
const turnMsMax = 5;

/** Every metric of a registry. One metric is written in one go: those with many series are capped where they are made. */
export async function exposition(registry: Registry, pause: Pause): Promise<string> {
  const parts: string[] = [];
  let turnBegan = performance.now();
  for (const { name } of registry.getMetricsAsArray()) {
    parts.push(await registry.getSingleMetricAsString(name));
    if (performance.now() - turnBegan < turnMsMax) continue;
    await pause();
    turnBegan = performance.now();
  }
  return `${parts.join('\n\n')}\n`;
}

/** Characters of a label's value that would end it, or the line. */
export const escapeLabel = (value: string): string =>
  value.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('"', '\\"');
