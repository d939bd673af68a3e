#!/usr/bin/env node
/** The `sluice` command: data on standard output, everything else on standard error, one line for an error. */
import { colored } from './color.ts';
import { brokersDefault } from './connection.ts';
import { failureOf } from './failure-line.ts';
import { buildProgram, pathOf } from './program.ts';
import { hasStuckWrite, note } from './standard-output.ts';

const program = buildProgram();

/** Says what went wrong; answers with the exit code. */
function explain(error: unknown): number {
  const { brokers = brokersDefault, debug = false } = program.opts<{ brokers?: string; debug?: boolean }>();
  const { exitCode, line } = failureOf(error, { brokers, command: pathOf(program, process.argv.slice(2)) });
  if (line !== null) note(`${colored(process.stderr, 'red', 'sluice:')} ${line}`);
  if (debug && line !== null) note(stackOf(error));
  return exitCode;
}

function stackOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const stack = error.stack ?? error.message;
  return error.cause === undefined ? stack : `${stack}\ncaused by: ${stackOf(error.cause)}`;
}

function end(exitCode: number): void {
  // A thread that is stuck in a write to a pipe that nobody reads would keep an orderly exit waiting for ever. The signal
  // ends the process all the same, and a shell shows the same 130.
  if (hasStuckWrite()) process.removeAllListeners('SIGINT').kill(process.pid, 'SIGINT');
  else process.exit(exitCode);
}

process.on('uncaughtException', (error) => end(explain(error)));
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => end(0)); // nobody listens any more

try {
  await program.parseAsync();
  end(0);
} catch (error) {
  end(explain(error));
}
