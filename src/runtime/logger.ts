/**
 * JSON lines on standard output. A line is an event with fields: `msg` is a fixed phrase, what varies stands in fields of
 * its own, so that lines can be searched and counted. Nothing is logged per record or per request.
 */
import pino from 'pino';
import type { Config, Setting } from '../config.ts';

export interface Logger {
  debug(fields: object, event: string): void;
  info(fields: object, event: string): void;
  warn(fields: object, event: string): void;
  error(fields: object, event: string): void;
  /** A logger whose lines all carry these fields. */
  child(fields: object): Logger;
}

/** Writes synchronously: the last line before an exit is the one that matters most. */
export function createLogger(level: Config['log']['level'], write?: (line: string) => void): Logger {
  const destination = write === undefined ? pino.destination({ dest: 1, sync: true }) : { write };
  const formatters = { level: (label: string) => ({ level: label }) };
  return pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime, formatters }, destination);
}

/** One line with every setting that is not a default, and where it came from. */
export function logSettings(logger: Logger, settings: readonly Setting[]): void {
  const changed = settings.filter(({ source }) => source !== 'default');
  const shown = Object.fromEntries(changed.map(({ path, value, source }) => [path, { value, source }]));
  logger.info({ settings: shown, defaults: settings.length - changed.length }, 'settings in force');
}
