/**
 * SIGTERM under load: every append in flight is answered, truthfully. What was said to have failed, or was left unanswered
 * on a stream that ended with "the broker is stopping", is not in the log; the exit code is 0.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { newSeed, SeededChance } from '../durability/random.ts';
import type { CaseResult } from '../report.ts';
import { figuresOf } from './audit.ts';
import { Lives } from './lives.ts';
import { patience, wait } from './patience.ts';

/** Until the last answer and the end of the process, on an idle machine. */
const endMsMax = 10_000;
/** What the broker itself allows before it calls the shutdown failed. */
const shutdownMsMax = 30_000;

export async function runBrokerShutdown(runs: number): Promise<CaseResult> {
  const seed = newSeed();
  const chance = new SeededChance(seed);
  const directory = mkdtempSync(join(tmpdir(), 'sluice-broker-term-'));
  const figures = { runs: 0, inFlight: 0, refusedInFlight: 0, endedTyped: 0, slowestEndMs: 0 };
  const lives = await Lives.begin({ dataDir: join(directory, 'data'), chance });
  try {
    while (figures.runs < runs) {
      const label = `stop ${++figures.runs} (seed ${seed})`;
      const stopped = await stopOnce(lives, chance, label);
      figures.inFlight += stopped.inFlight;
      figures.refusedInFlight += stopped.refused;
      figures.endedTyped += stopped.endedTyped;
      figures.slowestEndMs = Math.max(figures.slowestEndMs, stopped.endedMs);
      if (!(await lives.restart(label))) break;
    }
    await lives.finish('the end');
  } finally {
    await lives.end();
    rmSync(directory, { recursive: true, force: true });
  }
  if (figures.inFlight === 0) lives.problems.push('nothing was in flight at any SIGTERM: this proves nothing');
  return {
    figures: { ...figures, ...lives.ledger.counts, ...figuresOf(lives.findings), seed },
    problems: lives.problems,
  };
}

interface Stopped {
  /** Batches of the raw streams that waited for their answer when the signal was sent. */
  readonly inFlight: number;
  readonly refused: number;
  /** Streams that ended with the typed reason. */
  readonly endedTyped: number;
  readonly endedMs: number;
}

async function stopOnce(lives: Lives, chance: SeededChance, label: string): Promise<Stopped> {
  const { broker, load, ledger } = lives;
  const problem = (what: string): number => lives.problems.push(`${label}: ${what}: ${broker.lastWords}`);
  load.resume();
  await wait(200 + chance.below(800));
  const { refused } = ledger.counts;
  const inFlight = load.streams.reduce((sum, stream) => sum + stream.inFlight, 0);
  for (const stream of load.streams) stream.ends.length = 0;
  const signalledAt = performance.now();
  broker.signal('SIGTERM');
  const ending = await broker.end(shutdownMsMax + 5_000);
  const endedMs = Math.round(performance.now() - signalledAt);
  await load.pause();
  if (ending?.code !== 0) problem(`ended with ${ending?.code ?? ending?.signal ?? 'kill -9 by this test'}`);
  if (endedMs > endMsMax * patience()) problem(`it took ${endedMs} ms to end`);
  if (broker.errors.length > 0) problem(`error lines: ${JSON.stringify(broker.errors)}`);
  // what a writer opened afterwards may have met a closed door
  const ends = load.streams.flatMap(({ ends: [first] }) => (first === undefined ? [] : [first]));
  const endedTyped = ends.filter(({ code }) => code === 'BROKER_SHUTTING_DOWN').length;
  for (const { code, message } of ends)
    if (code !== 'BROKER_SHUTTING_DOWN') problem(`a stream ended with ${code} ${message}`);
  return { inFlight, refused: ledger.counts.refused - refused, endedTyped, endedMs };
}
