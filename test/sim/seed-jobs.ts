/** Shares a range of seeds out to processes beside each other. The first violation stops the sharing out. */
import type { ChildProcess } from 'node:child_process';
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { RangeResult, SeedRange, Simulate } from './seed-range.ts';
import { added, noResult, runRange } from './seed-range.ts';

const chunkSeeds = 20;

/** What runs the seeds: here, or in a process of its own that answers as seed-worker.ts does. */
export interface Runner {
  readonly simulate: Simulate;
  readonly worker: URL;
}

/** `onProgress` hears of every part that is done. */
export async function runJobs(
  range: SeedRange,
  jobs: number,
  { simulate, worker }: Runner,
  onProgress: (total: RangeResult) => void,
): Promise<RangeResult> {
  let total = noResult();
  let next = range.from;
  const end = range.from + range.seeds;
  const take = (): SeedRange | null => {
    if (next >= end || total.failure !== null) return null;
    const chunk = { ...range, from: next, seeds: Math.min(chunkSeeds, end - next) };
    next += chunk.seeds;
    return chunk;
  };
  const work = async (run: (chunk: SeedRange) => Promise<RangeResult>): Promise<void> => {
    for (let chunk = take(); chunk !== null; chunk = take()) {
      const part = await run(chunk);
      total = added(total, part);
      onProgress(total);
    }
  };
  if (jobs === 1) await work((chunk) => runRange(chunk, simulate));
  else await Promise.all(Array.from({ length: jobs }, () => inProcess(worker, work)));
  return total;
}

async function inProcess(
  worker: URL,
  work: (run: (chunk: SeedRange) => Promise<RangeResult>) => Promise<void>,
): Promise<void> {
  const child = fork(fileURLToPath(worker));
  try {
    await work((chunk) => ask(child, chunk));
  } finally {
    child.kill();
  }
}

function ask(child: ChildProcess, chunk: SeedRange): Promise<RangeResult> {
  return new Promise((resolve, reject) => {
    const onExit = (code: number | null): void => {
      reject(new Error(`the process for seeds ${chunk.from} on ended with ${code}`));
    };
    child.once('exit', onExit);
    child.once('message', (result: RangeResult) => {
      child.off('exit', onExit);
      resolve(result);
    });
    child.send(chunk);
  });
}
