/**
 * `npm run loadtest -- produce --profile smoke`: runs k6 against three brokers of its own or a cluster that runs already, and
 * writes what came of it as JSON and as Markdown. docs/LOADTEST.md says how to read it.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import type { Target } from './cluster.ts';
import { targetOf } from './cluster.ts';
import { exits, LoadtestEnds } from './exit.ts';
import type { K6 } from './k6-run.ts';
import { findK6, runK6 } from './k6-run.ts';
import type { RunOptions } from './options.ts';
import { parseOptions, usage } from './options.ts';
import type { ScriptName } from './plans/names.ts';
import type { Settings } from './plans/settings.ts';
import { environmentOf } from './plans/settings.ts';
import { factsName, headline, markdownOf } from './report/markdown.ts';
import type { Summary } from './report/summary.ts';
import { summaryOf } from './report/summary.ts';

const root = path.dirname(import.meta.dirname);
const interrupted = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, () => interrupted.abort());

async function main(args: readonly string[]): Promise<number> {
  const options = parseOptions(args);
  if (options.kind === 'help') {
    process.stdout.write(usage);
    return exits.met;
  }
  if (options.kind === 'wrong')
    throw new LoadtestEnds(exits.usage, `${options.message} See npm run loadtest -- --help.`);
  const k6 = findK6();
  const target = await targetOf(options.brokers, interrupted.signal);
  try {
    const command = `npm run loadtest -- ${args.join(' ')}`;
    let code: number = exits.met;
    for (const script of options.scripts) {
      if (interrupted.signal.aborted) return exits.interrupted;
      const summary = await run(k6, target, options, script, command);
      if (summary.verdict === 'missed') code = exits.missed;
    }
    return interrupted.signal.aborted ? exits.interrupted : code;
  } finally {
    await target.stop();
  }
}

async function run(k6: K6, target: Target, options: RunOptions, script: ScriptName, command: string): Promise<Summary> {
  const scratch = await mkdtemp(path.join(os.tmpdir(), 'sluice-loadtest-'));
  const started = new Date();
  const { acks, partitions, records, valueBytes, profile, keepTopic } = options;
  const { brokers } = target;
  const topic = `loadtest-${script}-${started.getTime().toString(36)}`;
  const settings: Settings = { brokers, profile, acks, partitions, records, valueBytes, topic, keepTopic };
  const loadBefore = os.loadavg()[0] ?? 0;
  try {
    const environment = environmentOf(settings);
    const result = await runK6(k6, {
      script,
      environment,
      scratch,
      prometheus: options.prometheus,
      signal: interrupted.signal,
    });
    const facts = {
      ...{ script, profile, command, startedAt: started.toISOString(), commit: commit() },
      settings: { brokers, acks, partitions, records, valueBytes },
      ...{ ownBrokers: target.own, brokerVersion: target.version, k6: k6.version, node: process.versions.node },
      ...{ cores: os.availableParallelism(), cpu: os.cpus()[0]?.model ?? 'unknown' },
      load: [loadBefore, os.loadavg()[0] ?? 0] as const,
    };
    const summary = summaryOf(facts, result.summary, result.tally);
    write(summary, options.out, started);
    return summary;
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

function write(summary: Summary, folder: string, started: Date): void {
  mkdirSync(folder, { recursive: true });
  const stamp = started.toISOString().slice(0, 19).replaceAll(/[-:]/g, '').replace('T', '-');
  const file = path.join(folder, `${stamp}-${factsName(summary.facts)}`);
  const markdown = markdownOf(summary);
  writeFileSync(`${file}.json`, `${JSON.stringify(summary, null, 2)}\n`);
  writeFileSync(`${file}.md`, markdown);
  process.stdout.write(`${markdown}\n`);
  console.error(`loadtest: ${headline(summary)}\nloadtest: written to ${file}.json and .md`);
}

function commit(): string {
  try {
    const git = (...args: string[]): string => execFileSync('git', args, { cwd: root, encoding: 'utf8' }).trim();
    return git('rev-parse', '--short', 'HEAD') + (git('status', '--porcelain') === '' ? '' : '+');
  } catch {
    return 'unknown';
  }
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof LoadtestEnds)) throw error;
  if (error.message !== '') console.error(`loadtest: ${error.message}`);
  process.exitCode = error.code;
}
