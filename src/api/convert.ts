/**
 * The gate between generated messages and the model: the only place where a bigint becomes a number and back (design
 * D20), and where presence, ranges and forms are checked. What is absent stays absent: nothing here stands in with 0 or
 * -1 (reliability P117).
 *
 * `FieldChecks` reads the fields of one request and remembers the first complaint; `finish` hands the converted request
 * out only if there is none, so the placeholders that a bad field leaves behind are never seen.
 */
import type { ErrorCode, Refused, Result } from '../model/errors.ts';
import { ok, refuse } from '../model/errors.ts';
import type { BrokerId, MemberEpoch, Millis, Offset, ProducerEpoch, ProducerId, Sequence, Term } from '../model/ids.ts';
import {
  toBrokerId,
  toMemberEpoch,
  toMillis,
  toOffset,
  toProducerEpoch,
  toProducerId,
  toSequence,
  toTerm,
} from '../model/ids.ts';
import { assert } from '../model/assert.ts';

/** A closed range of integers, with the unit for people. */
export interface Range {
  readonly from: number;
  readonly through: number;
  readonly unit?: string;
}

const int64Max: Range = { from: 0, through: Number.MAX_SAFE_INTEGER };
const int32Max: Range = { from: 0, through: 2 ** 31 - 1 };
/** Longest name of a topic, a group or a client, in characters. */
export const nameCharsMax = 249;
const namePattern = /^[A-Za-z0-9._-]{1,249}$/;
const uuidPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

const nameRule = `must be 1 to ${nameCharsMax} characters of [A-Za-z0-9._-]`;

export class FieldChecks {
  #first: Refused | null = null;
  #list: string | null = null;
  #item = 0;

  /** The fields that follow are those of an item of a list; null: of the request itself. Costs nothing until one is bad. */
  within(list: string | null, item = 0): this {
    this.#list = list;
    this.#item = item;
    return this;
  }

  /** Remembers a complaint about a field, if it is the first. */
  complain(
    field: string,
    rule: string,
    actual: string,
    code: ErrorCode = 'INVALID_REQUEST',
    more: Readonly<Record<string, string>> = {},
  ): void {
    if (this.#first !== null) return;
    const path = this.#list === null ? field : `${this.#list}[${this.#item}].${field}`;
    const given = shorten(actual);
    this.#first = refuse(code, `${path} ${rule}; it is ${given}.`, { fields: { field: path, actual: given, ...more } });
  }

  /** The converted request, or the first complaint about it. */
  finish<T>(value: T): Result<T> {
    return this.#first ?? ok(value);
  }

  integer(field: string, value: number, range: Range): number {
    if (Number.isInteger(value) && value >= range.from && value <= range.through) return value;
    this.complain(field, `must be from ${range.from} to ${range.through}${unitOf(range)}`, String(value), undefined, {
      from: String(range.from),
      through: String(range.through),
    });
    return range.from;
  }

  /** An optional integer with a default that the contract states. */
  integerOr(field: string, value: number | undefined, range: Range, fallback: number): number {
    return value === undefined ? fallback : this.integer(field, value, range);
  }

  /** A required int64, from 0 to 2^53-1 or in a narrower range. */
  int64(field: string, value: bigint | undefined, range: Range = int64Max): number {
    if (value === undefined) {
      this.complain(field, 'is required', 'absent');
      return range.from;
    }
    if (value >= BigInt(range.from) && value <= BigInt(range.through)) return Number(value);
    this.complain(field, `must be from ${range.from} to ${range.through}${unitOf(range)}`, String(value), undefined, {
      from: String(range.from),
      through: String(range.through),
    });
    return range.from;
  }

  offset(field: string, value: bigint | undefined): Offset {
    return toOffset(this.int64(field, value));
  }

  millis(field: string, value: bigint | undefined): Millis {
    return toMillis(this.int64(field, value));
  }

  producerId(field: string, value: bigint): ProducerId {
    return toProducerId(this.int64(field, value));
  }

  producerEpoch(field: string, value: number): ProducerEpoch {
    return toProducerEpoch(this.integer(field, value, { from: 0, through: 32_767 }));
  }

  sequence(field: string, value: number): Sequence {
    return toSequence(this.integer(field, value, int32Max));
  }

  memberEpoch(field: string, value: number): MemberEpoch {
    return toMemberEpoch(this.integer(field, value, int32Max));
  }

  leaderEpoch(field: string, value: number | undefined): Term | null {
    return value === undefined ? null : toTerm(this.integer(field, value, int32Max));
  }

  brokerId(field: string, value: number): BrokerId {
    return toBrokerId(this.integer(field, value, int32Max));
  }

  partition(field: string, value: number): number {
    return this.integer(field, value, int32Max);
  }

  topic(field: string, name: string): string {
    if (!namePattern.test(name) || name === '.' || name === '..') this.complain(field, nameRule, name, 'INVALID_TOPIC');
    return name;
  }

  group(field: string, name: string): string {
    if (!namePattern.test(name)) this.complain(field, nameRule, name, 'INVALID_GROUP_ID');
    return name;
  }

  /** Null: by name alone. */
  topicId(field: string, value: string | undefined): string | null {
    return this.uuid(field, value);
  }

  /** In lower case; null: absent. */
  uuid(field: string, value: string | undefined): string | null {
    if (value === undefined) return null;
    if (!uuidPattern.test(value)) this.complain(field, 'must be a UUID', value);
    return value.toLowerCase();
  }

  text(field: string, value: string, charsMax: number): string {
    if (value.length > charsMax) this.complain(field, `must be at most ${charsMax} characters`, `${value.length} long`);
    return value;
  }

  /** As the setting `broker.rack`. */
  rack(field: string, name: string): string {
    if (name.length < 1 || name.length > nameCharsMax)
      this.complain(field, `must be 1 to ${nameCharsMax} characters`, `${name.length} long`);
    return name;
  }

  count(field: string, items: readonly unknown[], range: Range): void {
    if (items.length >= range.from && items.length <= range.through) return;
    this.complain(field, `must have ${range.from} to ${range.through} items`, `${items.length} items`, undefined, {
      from: String(range.from),
      through: String(range.through),
    });
  }
}

const unitOf = (range: Range): string => (range.unit === undefined ? '' : ` ${range.unit}`);

const actualCharsMax = 100;
const shorten = (text: string): string =>
  text === '' ? 'empty' : text.length <= actualCharsMax ? text : `${text.slice(0, actualCharsMax)}...`;

/** A quantity for an int64 field. */
export function toInt64(value: number): bigint {
  assert(Number.isSafeInteger(value), 'convert-1: only safe integers leave', String(value));
  return BigInt(value);
}

/** The same where the field may be absent. */
export const toInt64OrAbsent = (value: number | null): bigint | undefined =>
  value === null ? undefined : toInt64(value);

/** A quantity for an int32 field. */
export function toInt32(value: number): number {
  assert(Number.isInteger(value) && value >= -(2 ** 31) && value < 2 ** 31, 'convert-2: fits int32', String(value));
  return value;
}

/** The same where the field may be absent. */
export const toInt32OrAbsent = (value: number | null): number | undefined =>
  value === null ? undefined : toInt32(value);
