import { Option } from 'commander';
import type { Command } from 'commander';
import { BrokerError } from '../../../clients/typescript/src/errors.ts';
import { resumeTokenFile } from '../../../clients/typescript/src/resume-token.ts';
import type { Client } from '../../../clients/typescript/src/index.ts';
import { Interrupted, usageError } from '../command-error.ts';
import { globalOptions, withClient } from '../connection.ts';
import { brokerErrorLine } from '../failure-line.ts';
import { interruption, unlessInterrupted } from '../interruption.ts';
import { wholeNumber } from '../option-values.ts';
import { recordFormats, recordPrinter, templatePrinter } from '../record-output.ts';
import type { RecordFormat, RecordPrinter } from '../record-output.ts';
import { recordTemplate } from '../record-template.ts';
import type { RecordTemplate } from '../record-template.ts';
import { GroupSource, openReaders, ReaderSource } from '../record-source.ts';
import type { RecordSource } from '../record-source.ts';
import { claimTokenFile, stateDirDefault } from '../resume-token-claim.ts';
import { note, writeOut } from '../standard-output.ts';
import { startingPoint } from '../starting-point.ts';
import type { StartingPoint } from '../starting-point.ts';

interface Options {
  readonly group?: string;
  readonly from: StartingPoint;
  readonly partition?: number;
  readonly count?: number;
  readonly exit?: boolean;
  readonly output: RecordFormat;
  readonly keyDelimiter?: string;
  readonly format?: RecordTemplate;
  readonly stateDir?: string;
}

/** Records that are printed, and with a group committed, as one. */
const batchRecordsMax = 1_000;
/** How long a reader of our output may take for what is on its way when Ctrl-C comes, milliseconds. */
const lastWriteMs = 1_000;

export function addConsume(program: Command): void {
  program
    .command('consume <topic...>')
    .summary('print records')
    .description('print records; goes on with new ones until Ctrl-C')
    .option('-g, --group <group>', 'as a member of this group')
    .addOption(
      new Option('--from <where>', 'earliest, latest; without -g also OFFSET, -LAST, @TIME')
        .argParser(startingPoint)
        .default({ kind: 'earliest' }, 'earliest'),
    )
    .addOption(
      new Option('-p, --partition <number>', 'only this one').argParser(wholeNumber(0, 2 ** 31 - 1)).conflicts('group'),
    )
    .option('-n, --count <records>', 'stop after so many', wholeNumber(1, Number.MAX_SAFE_INTEGER))
    .option('-e, --exit', 'stop at what is the end now')
    .addOption(new Option('-o, --output <format>', 'form of the records').choices(recordFormats).default('value'))
    .option('-K, --key-delimiter <text>', 'with -o value: key and this before each value')
    .addOption(
      new Option('-f, --format <text>', 'as in kcat: %t %p %o %T %k %K %s %S %h \\n')
        .argParser(recordTemplate)
        .conflicts(['output', 'keyDelimiter']),
    )
    .option('--state-dir <directory>', 'with -g: where its resume token is kept')
    .action(consume);
}

async function consume(topics: readonly string[], options: Options, command: Command): Promise<void> {
  checkCombination(options);
  const { format, output, keyDelimiter = null } = options;
  const printer = format === undefined ? recordPrinter(output, keyDelimiter) : templatePrinter(format);
  const interrupted = interruption();
  try {
    await withClient(command, async (client) => {
      const source = await openSource(client, topics, options, command, interrupted);
      try {
        await copy(source, printer, options.count ?? Infinity, interrupted);
      } finally {
        await source.close();
      }
    });
  } catch (error) {
    // whoever wants out gets out, also when no broker takes the commit any more
    if (!interrupted.aborted || !BrokerError.is(error)) throw error;
    const why = brokerErrorLine(error, globalOptions(command).brokers);
    if (options.group !== undefined)
      note(`What was printed last may be printed again: it may not be committed. ${why}`);
  }
  if (interrupted.aborted) throw new Interrupted('interrupted');
}

function checkCombination({ group, from, output, keyDelimiter, stateDir }: Options): void {
  if (group !== undefined && from.kind !== 'earliest' && from.kind !== 'latest') {
    throw usageError('With --group, --from can be earliest or latest: a group goes on where it has committed.');
  }
  if (keyDelimiter !== undefined && output !== 'value') {
    throw usageError(`--key-delimiter goes with -o value; ${output} has the key in a field of its own.`);
  }
  if (stateDir !== undefined && group === undefined) throw usageError('--state-dir needs --group.');
}

async function openSource(
  client: Client,
  topics: readonly string[],
  options: Options,
  command: Command,
  interrupted: AbortSignal,
): Promise<RecordSource> {
  const { group, from, partition = null, exit: stopAtEnd = false } = options;
  if (group === undefined) {
    return new ReaderSource(await openReaders(client, { topics, partition, from, stopAtEnd }), interrupted);
  }
  const directory = options.stateDir ?? stateDirDefault();
  const consumer = client.consumer({
    group,
    topics,
    onNoOffset: from.kind === 'latest' ? 'latest' : 'earliest',
    resumeToken: resumeTokenFile(await claimTokenFile(directory, globalOptions(command).brokers, group)),
  });
  return new GroupSource(client, consumer, stopAtEnd, interrupted);
}

/** Copies records to standard output until there are enough, the end, or Ctrl-C. What is committed was written before. */
async function copy(
  source: RecordSource,
  printer: RecordPrinter,
  count: number,
  interrupted: AbortSignal,
): Promise<void> {
  const isEnough = (): boolean => left === 0 || interrupted.aborted;
  let left = count;
  let isUnfinished = false;
  await writeOut(printer.opening);
  while (!isEnough()) {
    const records = await nextOrNull(source, Math.min(left, batchRecordsMax), interrupted);
    if (records === null) break;
    left -= records.length;
    const written = writeOut(printer.print(records)).then(() => true);
    if ((await unlessInterrupted(written, interrupted, lastWriteMs)) === null) return; // stuck: nothing more to say
    isUnfinished = true;
  }
  await writeOut(printer.closing);
  if (isUnfinished) await source.finish();
}

/** Null also when Ctrl-C came first. */
async function nextOrNull(
  source: RecordSource,
  recordsMax: number,
  interrupted: AbortSignal,
): ReturnType<RecordSource['next']> {
  try {
    return await source.next(recordsMax);
  } catch (error) {
    if (interrupted.aborted && BrokerError.is(error, 'ABORTED')) return null;
    throw error;
  }
}
