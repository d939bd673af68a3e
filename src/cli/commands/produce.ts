import { setTimeout as delay } from 'node:timers/promises';
import { InvalidArgumentError, Option } from 'commander';
import type { Command } from 'commander';
import type { Bytes, Client, OutRecord } from '../../../clients/typescript/src/index.ts';
import { CommandError, Interrupted, usageError } from '../command-error.ts';
import { globalOptions, withClient } from '../connection.ts';
import { exitCodes } from '../exit-codes.ts';
import { linesOf } from '../input-lines.ts';
import type { InputLine } from '../input-lines.ts';
import { interruption } from '../interruption.ts';
import { DeliveryTally } from '../delivery-tally.ts';
import { wholeNumber } from '../option-values.ts';
import { printOne } from '../output-format.ts';
import { recordFromJson, RecordJsonError } from '../record-json.ts';
import { note } from '../standard-output.ts';

const acksChoices = ['all', 'leader', 'none'] as const;
const compressionChoices = ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const;

interface Options {
  readonly keyDelimiter?: string;
  readonly jsonl?: boolean;
  readonly key?: string;
  readonly header?: readonly (readonly [string, string])[];
  readonly partition?: number;
  /** Records in a second. */
  readonly rate?: number;
  readonly compression: (typeof compressionChoices)[number];
  readonly acks: (typeof acksChoices)[number];
  readonly output: 'text' | 'json';
}

const rateMax = 1_000_000;
/** Shorter waits than this are not waited, milliseconds: a timer is no more exact. */
const paceMsMin = 10;

type ReadRecord = (line: InputLine) => OutRecord<Bytes, Bytes> | null;

export function addProduce(program: Command): void {
  program
    .command('produce <topic>')
    .summary('lines become records')
    .description('send each line of standard input as a record')
    .option('-K, --key-delimiter <text>', 'a line is a key, this text, and a value')
    .addOption(
      new Option('--jsonl', 'a line is an object: key, value, headers...').conflicts([
        'keyDelimiter',
        'key',
        'header',
        'partition',
      ]),
    )
    .addOption(new Option('-k, --key <text>', 'key of every record').conflicts('keyDelimiter'))
    .addOption(new Option('-H, --header <name=value>', 'header of every record (repeatable)').argParser(header))
    .option('-p, --partition <number>', 'to this one, whatever the key', wholeNumber(0, 2 ** 31 - 1))
    .option('--rate <count/s>', 'at most so many records in a second', recordRate)
    .addOption(new Option('-z, --compression <type>', 'of batches').choices(compressionChoices).default('none'))
    .addOption(new Option('--acks <level>', 'what counts as written').choices(acksChoices).default('all'))
    .addOption(new Option('-o, --output <format>', 'form of summary').choices(['text', 'json']).default('text'))
    .action(produce);
}

function header(
  text: string,
  before: readonly (readonly [string, string])[] = [],
): readonly (readonly [string, string])[] {
  const at = text.indexOf('=');
  if (at < 1) throw new InvalidArgumentError('Write a name and a value, like -H source=import.');
  return [...before, [text.slice(0, at), text.slice(at + 1)]];
}

function recordRate(text: string): number {
  const [, count = ''] = /^(\d+)(?:\/s)?$/.exec(text) ?? [];
  if (count !== '' && Number(count) >= 1 && Number(count) <= rateMax) return Number(count);
  throw new InvalidArgumentError(`Write records in a second from 1/s to ${rateMax}/s, like 100/s.`);
}

async function produce(topic: string, options: Options, command: Command): Promise<void> {
  if (options.keyDelimiter === '') throw usageError('--key-delimiter must not be empty. Write for example -K :');
  const read = recordReader(options);
  await withClient(command, async (client) => {
    await client.admin.describeTopic(topic); // what can not work is told before a line is read
    const tally = new DeliveryTally();
    const interrupted = interruption(); // before anything is said: whoever reads it may press Ctrl-C at once
    if (process.stdin.isTTY) note('A record per line; Ctrl-D ends.');
    const trouble = await sendAll(client, topic, read, options, { tally, interrupted, command });
    if (options.output === 'json') await printOne('json', tally.json(topic), () => '');
    report(topic, tally, trouble, globalOptions(command).brokers, options.output === 'text');
    if (interrupted.aborted) throw new Interrupted('interrupted');
  });
}

interface Surroundings {
  readonly tally: DeliveryTally;
  readonly interrupted: AbortSignal;
  readonly command: Command;
}

/** Sends lines until the input ends, a record fails or Ctrl-C; resolves, with what was wrong in the input, when all is settled. */
async function sendAll(
  client: Client,
  topic: string,
  read: ReadRecord,
  options: Options,
  { tally, interrupted, command }: Surroundings,
): Promise<CommandError | null> {
  const { timeout } = globalOptions(command);
  const producer = client.producer({
    acks: options.acks,
    compression: options.compression,
    ...(timeout === undefined ? {} : { deliveryTimeoutMs: timeout }),
  });
  const stop = (): void => void process.stdin.destroy();
  interrupted.addEventListener('abort', stop);
  tally.onFailure = stop;
  let trouble: CommandError | null = null;
  try {
    const beganMs = performance.now();
    let sent = 0;
    for await (const lines of linesOf(process.stdin)) {
      for (const line of lines) {
        const record = read(line);
        const { rate } = options;
        if (rate !== undefined && !(await untilDue(beganMs + (1_000 * sent++) / rate, interrupted))) break;
        if (record !== null) tally.add(line.number, producer.send(topic, record));
        if (producer.isFull) await producer.room();
        if (interrupted.aborted || tally.failure !== null) break;
      }
    }
  } catch (error) {
    if (error instanceof CommandError) trouble = error;
    else if (!interrupted.aborted && tally.failure === null) trouble = inputError(error);
  }
  await producer.close().catch(() => undefined); // each record's promise told the tally
  await tally.settled();
  return trouble;
}

/** Waits until a moment of performance.now(). False: Ctrl-C came first. */
async function untilDue(dueMs: number, interrupted: AbortSignal): Promise<boolean> {
  const restMs = dueMs - performance.now();
  if (restMs >= paceMsMin) await delay(restMs, undefined, { signal: interrupted }).catch(() => undefined);
  return !interrupted.aborted;
}

function inputError(error: unknown): CommandError {
  const why = error instanceof Error ? error.message : String(error);
  return new CommandError(exitCodes.generic, `Standard input can not be read: ${why}.`, error);
}

function recordReader({ jsonl, keyDelimiter, key, header: headers = [], partition }: Options): ReadRecord {
  if (jsonl === true) return readJson;
  const common = {
    ...(key === undefined ? {} : { key: Buffer.from(key) }),
    ...(headers.length === 0 ? {} : { headers }),
    ...(partition === undefined ? {} : { partition }),
  };
  if (keyDelimiter === undefined) return ({ bytes }) => ({ ...common, value: bytes });
  const delimiter = Buffer.from(keyDelimiter);
  return (line) => ({ ...common, ...readKeyed(line, delimiter, keyDelimiter) });
}

/** Null: an empty line, which is no record. */
function readJson({ bytes, number }: InputLine): OutRecord<Bytes, Bytes> | null {
  if (bytes.length === 0) return null;
  try {
    return recordFromJson(bytes);
  } catch (error) {
    if (!(error instanceof RecordJsonError)) throw error;
    throw new CommandError(exitCodes.generic, `Line ${number}: ${error.message}.`, error);
  }
}

function readKeyed({ bytes, number }: InputLine, delimiter: Uint8Array, shown: string): OutRecord<Bytes, Bytes> {
  const line = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const at = line.indexOf(delimiter);
  if (at >= 0) return { key: line.subarray(0, at), value: line.subarray(at + delimiter.length) };
  throw new CommandError(exitCodes.generic, `Line ${number} has no key delimiter "${shown}".`);
}

/** Says what became of the records; throws if not all of them are written. */
function report(
  topic: string,
  tally: DeliveryTally,
  trouble: CommandError | null,
  brokers: string,
  told: boolean,
): void {
  const { failure } = tally;
  if (trouble === null && failure === null) {
    if (told) note(`${tally.summary()} to "${topic}".`);
    return;
  }
  const reasons = [trouble?.message ?? null, failure === null ? null : tally.failureLine(brokers)];
  const why = reasons.filter((reason) => reason !== null).join(' ');
  const exitCode = tally.acknowledged > 0 ? exitCodes.partial : (tally.failureExitCode() ?? exitCodes.generic);
  throw new CommandError(exitCode, `${why} Before that: ${tally.summary()}.`, failure?.error ?? trouble);
}
