import { setTimeout as delay } from 'node:timers/promises';
import { Option } from 'commander';
import type { Command } from 'commander';
import type { Admin, BrokerReport } from '../../../clients/typescript/src/index.ts';
import { BrokerError } from '../../../clients/typescript/src/errors.ts';
import { describeTopics } from '../all-topics.ts';
import { problemsOf } from '../cluster-problems.ts';
import type { Problem } from '../cluster-problems.ts';
import { CommandError, Interrupted, usageError } from '../command-error.ts';
import { withClient } from '../connection.ts';
import { exitCodes } from '../exit-codes.ts';
import { interruption } from '../interruption.ts';
import { spanMs } from '../option-values.ts';
import { formatOption, printOne } from '../output-format.ts';
import type { Format, Json } from '../output-format.ts';
import { wrapped } from '../output-table.ts';
import type { Layout } from '../output-table.ts';

/** Between two looks, milliseconds. */
const lookMs = 1_000;
const withinMsDefault = 60_000;

interface Options {
  readonly watch?: boolean;
  readonly exitWhenHealthy?: boolean;
  /** Milliseconds. */
  readonly within?: number;
  readonly output: Format;
}

export function addClusterHealth(cluster: Command): void {
  cluster
    .command('health')
    .description('say what is wrong with the cluster, and what to do; exit code 8 if something is')
    .addOption(new Option('--watch', 'go on, and say what changes').conflicts('exitWhenHealthy'))
    .option('--exit-when-healthy', 'wait until nothing is wrong')
    .addOption(
      new Option('--within <span>', 'with --exit-when-healthy: give up after this time (60s)').argParser(spanMs),
    )
    .addOption(formatOption())
    .action(health);
}

async function health(options: Options, command: Command): Promise<void> {
  const { watch = false, exitWhenHealthy = false, within, output } = options;
  if (within !== undefined && !exitWhenHealthy) throw usageError('--within goes with --exit-when-healthy.');
  if (watch && output === 'json') throw usageError('With --watch there is no end of an array: pass -o jsonl.');
  const interrupted = watch || exitWhenHealthy ? interruption() : AbortSignal.any([]);
  const deadlineMs = performance.now() + (within ?? withinMsDefault);
  await withClient(command, async ({ admin }) => {
    for (let told = ''; ;) {
      const problems = await look(admin, watch || exitWhenHealthy);
      const isOver = !watch && (!exitWhenHealthy || problems.length === 0 || performance.now() >= deadlineMs);
      const state = JSON.stringify(problems);
      if (state !== told && (watch || isOver)) await show(output, problems);
      told = state;
      if (isOver && problems.length > 0) throw new CommandError(exitCodes.unhealthy, summary(problems));
      if (isOver) return;
      await delay(lookMs, undefined, { signal: interrupted }).catch(() => undefined);
      if (interrupted.aborted) throw new Interrupted('interrupted');
    }
  });
}

const summary = (problems: readonly Problem[]): string =>
  `The cluster is not healthy: ${problems.length} ${problems.length === 1 ? 'problem' : 'problems'}, told on standard output.`;

/** @param goesOn that no broker answers is a problem like others, and not the end */
async function look(admin: Admin, goesOn: boolean): Promise<readonly Problem[]> {
  try {
    const cluster = await admin.describeCluster();
    const [topics, reports] = await Promise.all([
      describeTopics(admin, { includeInternal: true }),
      Promise.all(cluster.brokers.map(({ brokerId }) => reportOrNull(admin, brokerId))),
    ]);
    return problemsOf({ cluster, topics, reports: reports.filter((report) => report !== null) });
  } catch (error) {
    if (!goesOn || !BrokerError.is(error) || !(error.retriable || error.indeterminate)) throw error;
    const repair = 'Start brokers again, or name others with --brokers.';
    return [{ kind: 'broker-unhealthy', message: `No broker answers: ${error.message}`, repair }];
  }
}

/** Null: it can not be reached; the cluster says so as well. */
async function reportOrNull(admin: Admin, brokerId: number): Promise<BrokerReport | null> {
  try {
    return await admin.describeBroker(brokerId);
  } catch (error) {
    if (BrokerError.is(error)) return null;
    throw error;
  }
}

function show(output: Format, problems: readonly Problem[]): Promise<void> {
  const json: Json = {
    healthy: problems.length === 0,
    problems: problems.map(({ kind, message, repair }) => ({ kind, message, repair })),
  };
  return printOne(output, json, (layout) => textOf(problems, layout));
}

const textOf = (problems: readonly Problem[], { width }: Layout): string =>
  problems.length === 0
    ? 'healthy\n'
    : problems
        .flatMap(({ kind, message, repair }) => [
          ...wrapped(`${kind}: ${message}`, width),
          ...wrapped(`Repair: ${repair}`, width - 2).map((line) => `  ${line}`),
        ])
        .map((line) => `${line}\n`)
        .join('');
