/** A broker's log line (JSON) in a short form for people. */
import { colored } from './color.ts';

interface LogLine {
  readonly event: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** Longest value that is shown, characters. */
const valueMax = 160;

/** Null: it is no log line of a broker. */
export function parseLogLine(line: string): LogLine | null {
  try {
    const { msg, ...fields } = JSON.parse(line) as Record<string, unknown>;
    return typeof msg === 'string' ? { event: msg, fields } : null;
  } catch {
    return null;
  }
}

/** `12:00:01 info  event  name=value ...` */
export function shortLogLine({ event, fields }: LogLine): string {
  const { level, time, ...rest } = fields;
  const name = typeof level === 'string' ? level : 'info';
  const clock = typeof time === 'string' ? time.slice(11, 19) : '';
  const shown = Object.entries(rest).map(([field, value]) => `${field}=${textOf(value)}`);
  const line = [clock, name.padEnd(5), event, ...shown].join(' ');
  if (name === 'error' || name === 'fatal') return colored(process.stderr, 'red', line);
  return colored(process.stderr, name === 'warn' ? 'yellow' : 'dim', line);
}

function textOf(value: unknown): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return text.length > valueMax ? `${text.slice(0, valueMax)}...` : text;
}
