/**
 * Scrapes of a broker with 1,000 partitions: how long both pages take, and for how long nothing else is answered meanwhile,
 * which probes on connections of their own tell; beside it the longest such wait of a time without scrapes, which is what
 * the machine does by itself. A machine that others use can not be held to times: there only the CPU time is judged.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { Agent, get } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from '../../../clients/typescript/src/index.ts';
import { BrokerProcess, freePort } from '../broker/broker-process.ts';
import { patience, wait } from '../broker/patience.ts';
import { Pauses } from '../cluster/pauses.ts';
import type { CaseResult } from '../report.ts';

const partitionsCount = 1_000;
const pages = ['/metrics', '/metrics/partitions'] as const;
const rounds = { short: 10, long: 50 };
/** Between two scrapes, so that each begins in quiet. */
const pauseMs = 200;
/** The goals for both pages, for half of the times, and for what a probe waits, 99 of 100; milliseconds. */
const goalMs = { scrape: 100, stall: 20 };
const createMsMax = 60_000;

export async function runScrapes(short: boolean): Promise<CaseResult> {
  const dataDir = mkdtempSync(join(tmpdir(), 'sluice-scrapes-'));
  const [port, httpPort] = [await freePort(), await freePort()];
  const settings = { 'listen.http.port': httpPort, 'storage.ballastBytes': '1MiB' };
  const broker = new BrokerProcess({ dataDir, port, settings });
  const client = new Client({ brokers: [`127.0.0.1:${port}`] });
  try {
    if (!(await broker.ready())) return { figures: {}, problems: [`the broker does not serve: ${broker.lastWords}`] };
    const wish = { name: 'orders', partitions: partitionsCount, replicationFactor: 1 };
    await client.admin.createTopic(wish, { timeoutMs: createMsMax * patience() });
    return await measured(httpPort, short ? rounds.short : rounds.long);
  } finally {
    await client.close().catch(() => undefined);
    await broker.kill();
    rmSync(dataDir, { recursive: true, force: true });
  }
}

async function measured(httpPort: number, count: number): Promise<CaseResult> {
  const scraping = new Agent({ keepAlive: true });
  const probing = new Agent({ keepAlive: true });
  const [scrapes, stalls, floors] = [new Pauses(), new Pauses(), new Pauses()];
  let [bytes, lines] = [0, 0];
  try {
    for (const page of pages) await taken(scraping, httpPort, page); // the first one makes what later ones use
    const cpuMs = await cpuOf(scraping, httpPort, count);
    for (let round = 0; round < count; round++) {
      await wait(pauseMs);
      const scraped = Promise.all(pages.map((page) => taken(scraping, httpPort, page)));
      await probed(probing, httpPort, stalls, scraped);
      const both = await scraped;
      scrapes.add(Math.max(...both.map(({ ms }) => ms)));
      bytes = both.reduce((sum, { text }) => sum + text.length, 0);
      lines = (both[1]?.text ?? '').split('\n').filter((line) => line.startsWith('sluice_partition_leader{')).length;
      await probed(probing, httpPort, floors, wait(pauseMs));
    }
    const problems: string[] = [];
    if (lines < partitionsCount) problems.push(`the page has ${lines} partitions`);
    if (cpuMs > goalMs.scrape) problems.push(`both pages take ${cpuMs} ms of CPU`);
    const isQuiet = floors.at(0.99) <= goalMs.stall;
    if (isQuiet && scrapes.at(0.5) > goalMs.scrape) problems.push(`half of the scrapes take ${scrapes.at(0.5)} ms`);
    if (isQuiet && stalls.at(0.99) > goalMs.stall)
      problems.push(`a scrape keeps the broker from answering for ${stalls.at(0.99)} ms`);
    const figures = { ...scrapes.figures('scrape'), ...stalls.figures('stall'), ...floors.figures('floor') };
    return {
      figures: { partitions: lines, bytes, cpuMs, timesAreJudged: isQuiet ? 'yes' : 'no', ...figures },
      problems,
    };
  } finally {
    for (const agent of [scraping, probing]) agent.destroy();
  }
}

/** CPU time of the broker for both pages, milliseconds, its background included. */
async function cpuOf(agent: Agent, port: number, count: number): Promise<number> {
  const soFar = async (): Promise<number> => {
    const { text } = await taken(agent, port, '/metrics');
    return Number(/^sluice_process_cpu_seconds_total (\S+)$/m.exec(text)?.[1]) * 1_000;
  };
  const before = await soFar();
  for (let n = 0; n < count; n++) for (const page of pages) await taken(agent, port, page);
  return Math.round(((await soFar()) - before) / (count + 0.5));
}

/** Asks for something that costs nothing, again and again until `end`, and notes how long each answer took. */
async function probed(agent: Agent, port: number, waits: Pauses, end: Promise<unknown>): Promise<void> {
  const ended = { isOver: false };
  void end.then(() => (ended.isOver = true));
  while (!ended.isOver) waits.add((await taken(agent, port, '/livez')).ms);
}

function taken(agent: Agent, port: number, path: string): Promise<{ readonly ms: number; readonly text: string }> {
  const began = performance.now();
  return new Promise((resolve, reject) => {
    const request = get({ agent, port, path, host: '127.0.0.1' }, (response) => {
      const parts: Buffer[] = [];
      response.on('data', (part: Buffer) => parts.push(part));
      response.on('end', () => resolve({ ms: performance.now() - began, text: Buffer.concat(parts).toString() }));
    });
    request.on('error', reject);
  });
}
