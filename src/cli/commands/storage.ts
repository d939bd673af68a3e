import type { Command } from 'commander';
import { CommandError } from '../command-error.ts';
import { exitCodes } from '../exit-codes.ts';
import { formatOption, int64, printOne } from '../output-format.ts';
import type { Format, Json } from '../output-format.ts';
import { facts, table } from '../output-table.ts';
import type { Column, Layout } from '../output-table.ts';
import { progress } from '../progress.ts';
import type { DiskSurvey, SurveyedLog } from '../../runtime/offline/storage.ts';

interface Options {
  readonly output: Format;
}

export function addStorage(storage: Command): void {
  storage
    .command('inspect <directory>')
    .description('show whose data directory it is and what is in it; reads no entry')
    .addOption(formatOption())
    .action((directory: string, options: Options) => look(directory, false, options));
  storage
    .command('verify <directory>')
    .description('read every entry and check it; exit code 8 if something is damaged or missing')
    .addOption(formatOption())
    .action((directory: string, options: Options) => look(directory, true, options));
}

async function look(directory: string, checksEntries: boolean, { output }: Options): Promise<void> {
  const survey = await surveyed(directory, checksEntries);
  await printOne(output, surveyJson(directory, survey), (layout) => surveyText(directory, survey, layout));
  const damaged = survey.logs.filter(({ damage }) => damage !== null);
  if (survey.isWhole && damaged.length === 0) return;
  const what = [
    ...(survey.isWhole ? [] : ['acknowledged writes are missing']),
    ...(damaged.length === 0 ? [] : [`${damaged.length} of ${survey.logs.length} logs are damaged`]),
  ].join(', and ');
  throw new CommandError(exitCodes.unhealthy, `${directory}: ${what}. ${advice(survey.identity.brokerId)}`);
}

const advice = (brokerId: number): string =>
  `Keep it as it is, and give the broker an empty disk with "sluice broker replace ${brokerId}".`;

async function surveyed(directory: string, checksEntries: boolean): Promise<DiskSurvey> {
  // the storage engine is loaded by these commands alone
  const { inspectStorage, StoreDamaged, StoreOpenError } = await import('../../runtime/offline/storage.ts');
  const bar = progress(checksEntries ? 'verifies' : 'reads');
  try {
    const onProgress = (done: number, total: number, bytes: number): void =>
      bar.show(done, total, `${(bytes / 2 ** 20).toFixed(0)} MiB`);
    return await inspectStorage(directory, { checksEntries, onProgress });
  } catch (error) {
    if (error instanceof StoreDamaged) {
      const text = `the storage engine can not read its files: ${error.message}`;
      throw new CommandError(exitCodes.unhealthy, `${directory}: ${text}. ${advice(error.brokerId)}`, error);
    }
    if (error instanceof StoreOpenError) throw new CommandError(exitCodes.generic, error.message, error);
    throw error;
  } finally {
    bar.end();
  }
}

function floorOf({ floor }: DiskSurvey): { readonly state: string; readonly commit: number | null } {
  return floor.kind === 'floor'
    ? { state: floor.floor.state, commit: floor.floor.commit }
    : { state: floor.kind, commit: null };
}

function surveyJson(directory: string, survey: DiskSurvey): Json {
  const { identity, isFounding, starts, recoveredCommit, isWhole, logs } = survey;
  const floor = floorOf(survey);
  return {
    directory,
    brokerId: identity.brokerId,
    clusterId: identity.clusterId,
    incarnation: identity.incarnation,
    formatVersion: identity.formatVersion,
    founding: isFounding,
    bootNumber: starts.at(-1)?.bootNumber ?? 0,
    whole: isWhole,
    floorState: floor.state,
    floorCommit: int64(floor.commit),
    recoveredCommit: int64(recoveredCommit),
    logs: logs.map((log) => ({
      group: int64(log.group),
      kind: log.kind,
      firstIndex: int64(log.firstIndex),
      lastIndex: int64(log.lastIndex),
      term: int64(log.term),
      logStartOffset: int64(log.logStart),
      endOffset: int64(log.endOffset),
      checkedEntries: int64(log.checkedEntries),
      checkedBytes: int64(log.checkedBytes),
      damage: log.damage,
    })),
  };
}

const columns: readonly Column<SurveyedLog>[] = [
  { title: 'group', align: 'right', cell: ({ group }) => group },
  { title: 'kind', cell: ({ group, kind }) => (group === 0 ? 'catalog' : kind) },
  { title: 'first', align: 'right', cell: ({ firstIndex }) => firstIndex },
  { title: 'last', align: 'right', cell: ({ lastIndex }) => lastIndex },
  { title: 'term', align: 'right', cell: ({ term }) => term },
  { title: 'log start', align: 'right', cell: ({ logStart }) => logStart },
  { title: 'end offset', align: 'right', cell: ({ endOffset }) => endOffset },
  { title: 'checked', align: 'right', cell: ({ checkedEntries }) => checkedEntries },
  { title: 'damage', cell: ({ damage }) => damage },
];

function surveyText(directory: string, survey: DiskSurvey, layout: Layout): string {
  const { identity, isFounding, starts, recoveredCommit, isWhole, logs } = survey;
  const floor = floorOf(survey);
  const told = facts(
    [
      ['directory', directory],
      ['broker', identity.brokerId],
      ['cluster', identity.clusterId ?? 'none yet'],
      ['incarnation', identity.incarnation],
      ['starts', starts.at(-1)?.bootNumber ?? 0],
      ['acknowledged', `up to write ${floor.commit ?? '?'} (${floor.state})`],
      ['found', `up to write ${recoveredCommit}`],
      ['whole', isFounding ? 'being founded' : isWhole ? 'yes' : 'no'],
    ],
    layout,
  );
  return `${told}\n${table(columns, logs, layout)}`;
}
