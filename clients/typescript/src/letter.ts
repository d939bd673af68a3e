/** Records on their way to a retry or dead-letter topic: what their headers tell of where they come from, and why. */
import type { StoredRecord } from '../../../src/model/record.ts';
import type { TopicPartition } from './admin.ts';
import { BrokerError } from './errors.ts';
import type { OutRecord } from './record.ts';
import type { Bytes } from './serde.ts';

/** Headers of letters; all begin with this. */
const prefix = 'sluice-';
const names = {
  topic: `${prefix}origin-topic`,
  partition: `${prefix}origin-partition`,
  offset: `${prefix}origin-offset`,
  timestampMs: `${prefix}origin-timestamp-ms`,
  group: `${prefix}group`,
  attempts: `${prefix}attempts`,
  notBeforeMs: `${prefix}not-before-ms`,
  error: `${prefix}error`,
} as const;
const ours: ReadonlySet<string> = new Set(Object.values(names));
/** Characters of an error that go along. */
const errorTextMax = 1_000;

/** What a letter tells, or the record itself if it is none. */
export interface LetterHead {
  readonly origin: TopicPartition & { readonly offset: number };
  /** Create time at the origin, milliseconds since 1970; null: none. */
  readonly timestampMs: number | null;
  /** How often it was tried before. */
  readonly attempts: number;
  /** Wall-clock time before which it is not tried again; 0: at once. */
  readonly notBeforeMs: number;
}

const decoder = new TextDecoder();

/** Reads the headers of a record. What they lack, or tell wrongly, is taken from the record. */
export function letterHead(stored: StoredRecord, where: TopicPartition): LetterHead {
  const here = { origin: { ...where, offset: stored.offset }, timestampMs: stored.timestampMs };
  if (!stored.headers.some(({ name }) => name === names.attempts)) return { ...here, attempts: 0, notBeforeMs: 0 };
  const told = (name: string): string | null => {
    const value = stored.headers.findLast((header) => header.name === name)?.value;
    return value === undefined || value === null ? null : decoder.decode(value);
  };
  const [partition, offset] = [numberOf(told(names.partition)), numberOf(told(names.offset))];
  const topic = told(names.topic);
  const origin = topic === null || partition === null || offset === null ? here.origin : { topic, partition, offset };
  return {
    origin,
    timestampMs: numberOf(told(names.timestampMs)),
    attempts: numberOf(told(names.attempts)) ?? 0,
    notBeforeMs: numberOf(told(names.notBeforeMs)) ?? 0,
  };
}

/** The letter about a record: its bytes and its headers, with ours. */
export function letterOf(
  stored: StoredRecord,
  head: LetterHead,
  group: string,
  failure: unknown,
): OutRecord<Bytes, Bytes> {
  const { origin, timestampMs, attempts, notBeforeMs } = head;
  const kept = stored.headers.filter(({ name }) => !ours.has(name)).map(({ name, value }) => [name, value] as const);
  const added: [string, string][] = [
    [names.topic, origin.topic],
    [names.partition, String(origin.partition)],
    [names.offset, String(origin.offset)],
    ...(timestampMs === null ? [] : [[names.timestampMs, String(timestampMs)] as [string, string]]),
    [names.group, group],
    [names.attempts, String(attempts)],
    ...(notBeforeMs === 0 ? [] : [[names.notBeforeMs, String(notBeforeMs)] as [string, string]]),
    [names.error, textOf(failure).slice(0, errorTextMax)],
  ];
  return { key: stored.key, value: stored.value, headers: [...kept, ...added] };
}

function textOf(failure: unknown): string {
  if (failure instanceof BrokerError) return `${failure.code}: ${failure.message}`;
  return failure instanceof Error ? `${failure.name}: ${failure.message}` : String(failure);
}

function numberOf(text: string | null): number | null {
  if (text === null || !/^\d{1,16}$/.test(text)) return null;
  const value = Number(text);
  return Number.isSafeInteger(value) ? value : null;
}
