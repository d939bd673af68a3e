/** Any error as one line that says what is wrong and what to do, with the exit code that belongs to it. */
import { CommanderError } from 'commander';
import { BrokerError } from '../../clients/typescript/src/errors.ts';
import type { ErrorCode } from '../../clients/typescript/src/index.ts';
import { BrokerProcessEnded, CommandError, Interrupted, OutputClosed } from './command-error.ts';
import { exitCodeOf, exitCodes } from './exit-codes.ts';

export interface Failure {
  /** 0 to 255. */
  readonly exitCode: number;
  /** Null: nothing is to be said. */
  readonly line: string | null;
}

/** What to do, where the broker's own sentence can not know it. */
const adviceByCode: Readonly<Partial<Record<ErrorCode, string>>> = {
  UNKNOWN_TOPIC_OR_PARTITION: '"sluice topic list" shows what there is, "sluice topic create" makes a topic.',
  GROUP_ID_NOT_FOUND: 'A group exists once "sluice consume -g" has used it.',
  TOPIC_ALREADY_EXISTS: 'Use it, choose another name, or pass --if-not-exists.',
  UNAVAILABLE: 'Start a broker with "sluice dev", or name another with --brokers or SLUICE_BROKERS.',
  REQUEST_TIMED_OUT: 'Try again, or allow more time with --timeout.',
  DELIVERY_TIMEOUT: 'Try again, or allow more time with --timeout.',
  OFFSET_OUT_OF_RANGE: 'Choose another place with --from; "sluice topic describe" shows where the log starts and ends.',
  NO_COMMITTED_OFFSET: 'Say where to begin with --from earliest or --from latest.',
};

const oneLine = (text: string): string => text.replace(/\s*\n\s*/g, ' ').trim();
const endSentence = (text: string): string => (/[.!?]\)?$/.test(text) ? text : `${text}.`);

export interface FailureContext {
  /** What the command was told to connect to. */
  readonly brokers: string;
  /** The command that ran, like "sluice topic create". */
  readonly command: string;
}

export function failureOf(error: unknown, { brokers, command }: FailureContext): Failure {
  if (error instanceof OutputClosed) return { exitCode: exitCodes.ok, line: null };
  if (error instanceof Interrupted) return { exitCode: exitCodes.interrupted, line: null };
  if (error instanceof BrokerProcessEnded) return { exitCode: error.exitCode, line: null };
  if (error instanceof CommandError) return { exitCode: error.exitCode, line: oneLine(error.message) };
  if (error instanceof CommanderError) return commanderFailure(error, command);
  if (BrokerError.is(error)) {
    return { exitCode: exitCodeOf(error.code, error.retriable), line: brokerErrorLine(error, brokers) };
  }
  const text = error instanceof Error ? error.message : String(error);
  return { exitCode: exitCodes.generic, line: `${endSentence(oneLine(text))} Run it again with --debug for more.` };
}

function commanderFailure(error: CommanderError, command: string): Failure {
  // help and version were asked for and are printed; a missing subcommand got the help as its answer
  if (error.exitCode === 0) return { exitCode: exitCodes.ok, line: null };
  if (error.code === 'commander.help') return { exitCode: exitCodes.usage, line: null };
  const what = endSentence(oneLine(error.message.replace(/^error: /, '')));
  return { exitCode: exitCodes.usage, line: `${what} See "${command} --help".` };
}

/** The broker's sentence and what to do about it. */
export function brokerErrorLine(error: BrokerError, brokers: string): string {
  const open = error.indeterminate ? ' It may have happened all the same.' : '';
  const advice = adviceByCode[error.code];
  const what =
    error.code === 'UNAVAILABLE'
      ? `No broker answers at ${brokers} (${oneLine(error.message).replace(/\.$/, '')})`
      : error.message;
  return `${endSentence(oneLine(what))}${open}${advice === undefined ? '' : ` ${advice}`}`;
}
