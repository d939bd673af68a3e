import type { ExitCode } from './exit-codes.ts';
import { exitCodes } from './exit-codes.ts';

/** Ends the command with one line for people and an exit code. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
  readonly exitCode: ExitCode;

  /** @param message what is wrong and what to do, one sentence or two, no line break */
  constructor(exitCode: ExitCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.exitCode = exitCode;
  }
}

/** A flag or a value makes no sense. */
export const usageError = (message: string): CommandError => new CommandError(exitCodes.usage, message);

/** Ctrl-C or SIGTERM, after everything was brought to an orderly end. Nothing is printed. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted';
}

/** The reader of our standard output is gone (EPIPE), as with `| head`. Not an error: it had enough. */
export class OutputClosed extends Error {
  override readonly name = 'OutputClosed';
}

/** Ends with the exit code of a broker process that the command stood for. Nothing is printed. */
export class BrokerProcessEnded extends Error {
  override readonly name = 'BrokerProcessEnded';
  /** 0 to 255. */
  readonly exitCode: number;

  constructor(exitCode: number) {
    super(`the broker ended with exit code ${exitCode}`);
    this.exitCode = exitCode;
  }
}
