/** The one gate between int64 on the wire and `number` inside (design D20). */
import { BrokerError } from './errors.ts';

/** A safe integer, or INTERNAL: no broker of ours sends more than 2^53-1. */
export function toNumber(value: bigint): number {
  const number = Number(value);
  if (!Number.isSafeInteger(number))
    throw new BrokerError('INTERNAL', `The broker sent ${value.toString()}, beyond 2^53-1.`);
  return number;
}

/** Absent stays absent, as null. */
export const toNumberOrNull = (value: bigint | undefined): number | null =>
  value === undefined ? null : toNumber(value);

/** For the wire; refuses what is not an integer from 0 to 2^53-1. */
export function toInt64(value: number, what: string): bigint {
  if (!Number.isSafeInteger(value) || value < 0)
    throw new BrokerError('INVALID_REQUEST', `${what} must be an integer from 0 to 2^53-1, not ${value}.`);
  return BigInt(value);
}
