import { setTimeout as delay } from 'node:timers/promises';
import { Option } from 'commander';
import type { Command } from 'commander';
import type { Client, Explanation, Stall, TopicPartition } from '../../../clients/typescript/src/index.ts';
import { withClient } from '../connection.ts';
import { groupStalls, notGettingOn } from '../group-stalls.ts';
import type { GroupStall } from '../group-stalls.ts';
import { spanMs } from '../option-values.ts';
import { formatOption, int64, printOne } from '../output-format.ts';
import type { Format, Json } from '../output-format.ts';
import { facts, wrapped } from '../output-table.ts';
import type { Layout } from '../output-table.ts';
import { partitionArgument } from '../partition-argument.ts';
import { repairOf } from '../stall-repair.ts';

/** Between two looks at what a group commits, milliseconds. */
const lookMsDefault = 2_000;
/** Partitions that are asked why, those that wait longest first. */
const explainedMax = 20;

export function addWhy(program: Command): void {
  const command = program
    .command('why')
    .summary('what waits, and the repair')
    .description('say why a partition, or "group <name>", waits, and what to do')
    .usage('<topic/n> | group <group> [options]')
    .addArgument(partitionArgument())
    .addOption(formatOption())
    .action(why);
  command
    .command('group <group>')
    .summary('the same of a consumer group')
    .description('say why a group does not get on, and what to do')
    .addOption(new Option('--watch-for <span>', 'how long to look at what it commits (2s)').argParser(spanMs))
    .addOption(formatOption())
    .action(whyGroup);
}

async function why(at: TopicPartition, options: { readonly output: Format }, command: Command): Promise<void> {
  await withClient(command, async ({ admin }) => {
    const explained = await admin.explain(at);
    await printOne(options.output, explanationJson(at, explained), (layout) => explanationText(at, explained, layout));
  });
}

const explanationJson = (at: TopicPartition, explained: Explanation): Json => ({
  topicId: explained.topicId,
  answeredBy: explained.answeredBy,
  leader: explained.leader,
  leaderEpoch: explained.leaderEpoch,
  logStartOffset: int64(explained.logStartOffset),
  highWatermark: int64(explained.highWatermark),
  endOffset: int64(explained.endOffset),
  stalls: explained.stalls.map((stall) => ({
    reason: stall.reason,
    message: stall.message,
    blocksProduce: stall.blocksProduce,
    blocksFetch: stall.blocksFetch,
    missingBrokers: [...stall.missingBrokers],
    done: int64(stall.done),
    total: int64(stall.total),
    repair: repairOf(stall, at, explained.answeredBy),
  })),
});

/** The sentences first: they are what was asked for. */
function explanationText(at: TopicPartition, explained: Explanation, layout: Layout): string {
  const { leader, leaderEpoch } = explained;
  const sentences = explained.stalls.map((stall) => {
    const counted = stall.done === null ? '' : ` (${stall.done} of ${stall.total ?? '?'})`;
    const sentence = `${capital(stall.message)}${counted}.${blocked(stall)}`;
    return told(`${stall.reason}: ${sentence}`, repairOf(stall, at, explained.answeredBy), layout);
  });
  const marks = facts(
    [
      ['partition', `${at.topic}/${at.partition}, seen by broker ${explained.answeredBy}`],
      ['leader', leader === null ? 'none is known' : `${leader}, epoch ${leaderEpoch ?? '?'}`],
      ['log start', explained.logStartOffset ?? '?'],
      ['high watermark', explained.highWatermark ?? '?'],
      ['appended up to', explained.endOffset ?? '?'],
    ],
    layout,
  );
  return `${sentences.join('')}\n${marks}`;
}

function blocked({ blocksProduce, blocksFetch }: Stall): string {
  if (blocksProduce) return blocksFetch ? ' Produce and fetch wait for it.' : ' Produce waits for it.';
  return blocksFetch ? ' Fetch waits for it.' : ' Nothing waits for it.';
}

/** A sentence, and below it what to do. */
function told(sentence: string, repair: string | null, { width }: Layout): string {
  const lines = [...wrapped(sentence, width)];
  if (repair !== null) lines.push(...wrapped(`Repair: ${repair}`, width - 2).map((line) => `  ${line}`));
  return lines.map((line) => `${line}\n`).join('');
}

const capital = (text: string): string => `${text.charAt(0).toUpperCase()}${text.slice(1)}`;

async function whyGroup(name: string, _: unknown, command: Command): Promise<void> {
  // -o belongs to the command above as well, which takes it first
  const { watchFor = lookMsDefault, output } = command.optsWithGlobals<{ watchFor?: number; output: Format }>();
  await withClient(command, async (client) => {
    const stalls = await stallsOf(client, name, watchFor);
    await printOne(output, { group: name, stalls: stalls.map(stallJson) }, (layout) =>
      stalls.map(({ reason, message, repair }) => told(`${reason}: ${message}`, repair, layout)).join(''),
    );
  });
}

async function stallsOf({ admin, groups }: Client, name: string, betweenMs: number): Promise<readonly GroupStall[]> {
  await groups.describe(name); // a group that does not exist is told at once
  const before = new Map<string, number>();
  for (const { topic, partition, offset } of await admin.fetchCommitted(name))
    if (offset !== null) before.set(`${topic}/${partition}`, offset);
  await delay(betweenMs);
  const [group, lags] = await Promise.all([groups.describe(name), groups.lag(name)]);
  const still = notGettingOn(lags, before)
    .sort((a, b) => (b.lagMs ?? 0) - (a.lagMs ?? 0))
    .slice(0, explainedMax);
  const explained = await Promise.all(
    still.map(async (at): Promise<[string, Explanation]> => [`${at.topic}/${at.partition}`, await admin.explain(at)]),
  );
  return groupStalls({ group, lags, before, betweenMs, explained: new Map(explained) });
}

const stallJson = ({ reason, message, repair, blocks, memberId, partitions }: GroupStall): Json => ({
  reason,
  message,
  repair,
  blocks,
  memberId,
  partitions: partitions.map(({ topic, partition }) => ({ topic, partition })),
});
