/**
 * Crash states rebuilt offline: one run is recorded, call by call, and from every moment of it states are made that a crash
 * could have left, with torn and missing pages in whatever was not synced. Each must open and hold what was acknowledged.
 */
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CaseResult } from '../report.ts';
import { checkStore } from './check-store.ts';
import { crashStyles, FileHistory } from './file-history.ts';
import { newSeed, SeededChance } from './random.ts';
import { readTrace, traceCommand, type TraceEvent } from './trace.ts';
import { decodeLine, type VictimOptions } from './victim-options.ts';
import { nothingPromised, Victim, victimDefaults, type Promised } from './victim-process.ts';

/**
 * Records some lives of one directory: each founds or recovers the store, writes, trims, flushes, compacts, and is killed;
 * the last one closes. So crashes during a recovery are among the states, too.
 */
export async function recordRun(directory: string, numbers: number, lives = 1): Promise<readonly TraceEvent[]> {
  const path = join(directory, 'data');
  const events: TraceEvent[] = [];
  for (let life = 1; life <= lives; life++) {
    const output = join(directory, `trace-${life}`);
    const options: VictimOptions = {
      ...{ ...victimDefaults, path, writeBufferBytes: 256 << 10, inFlight: 12, keep: Math.floor(numbers / 6) },
      stopAfter: Math.floor((numbers * life) / lives),
      end: life === lives ? 'close' : 'kill',
    };
    const victim = new Victim(options, nothingPromised(), traceCommand(output));
    const { code, signal } = await victim.exited;
    if (life === lives ? code !== 0 : signal !== 'SIGKILL') {
      throw new Error(`life ${life} of the recorded run ended with ${code ?? signal ?? '?'}`);
    }
    const { returned: before = 0 } = events.at(-1) ?? {};
    for (const event of await readTrace(output, path)) {
      events.push({ ...event, entered: event.entered + before, returned: event.returned + before });
    }
  }
  return events;
}

/** What was promised by the time of an event. */
export function note(promised: Promised, text: string): void {
  for (const line of text.split('\n')) {
    const says = decodeLine(line);
    if (says?.kind === 'acked') promised.acked = Math.max(promised.acked, says.number);
    if (says?.kind === 'trimmed') promised.trimmed = Math.max(promised.trimmed, says.number);
  }
}

const livesRecorded = 3;

export async function runCrashStates(states: number, numbers: number): Promise<CaseResult> {
  const seed = newSeed();
  const chance = new SeededChance(seed);
  const directory = mkdtempSync(join(tmpdir(), 'sluice-crash-'));
  const problems: string[] = [];
  const figures = {
    states: 0,
    events: 0,
    acked: 0,
    beyondFloor: 0,
    lost: 0,
    wrong: 0,
    misplaced: 0,
    refused: 0,
    manifestsCut: 0,
    seed,
  };
  try {
    const events = await recordRun(directory, numbers, livesRecorded);
    figures.events = events.length;
    const moments = Array.from({ length: states }, () => chance.below(events.length)).sort((a, b) => a - b);
    const history = new FileHistory();
    const promised = nothingPromised();
    const target = join(directory, 'state');
    for (const [at, event] of events.entries()) {
      history.apply(event);
      if (event.change.kind === 'said') note(promised, event.change.text);
      for (; moments[0] === at; moments.shift()) {
        const style = chance.pick(crashStyles);
        rmSync(target, { recursive: true, force: true });
        mkdirSync(target);
        history.materialise(target, style, chance);
        const found = await checkStore(target, promised);
        figures.states++;
        figures.lost += found.lost;
        figures.wrong += found.wrong;
        figures.misplaced += found.misplaced;
        figures.beyondFloor += found.beyondFloor;
        if (found.opened === 'refused') figures.refused++;
        if (readdirSync(target).some((name) => name.endsWith('.torn'))) figures.manifestsCut++;
        if (found.opened !== 'healthy' || found.lost + found.wrong + found.misplaced + found.rejectedReads > 0) {
          problems.push(`event ${at} (${style}, seed ${seed}): ${JSON.stringify({ ...promised, ...found })}`);
        }
      }
    }
    figures.acked = promised.acked + 1;
  } finally {
    if (problems.length === 0 || process.env['KEEP'] === undefined) rmSync(directory, { recursive: true, force: true });
    else console.log(`       kept ${directory}`);
  }
  return { figures, problems };
}
