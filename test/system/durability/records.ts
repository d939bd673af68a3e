/**
 * Numbered values whose every byte follows from the number, so that a checker needs no memory of what was written. Sizes
 * are mixed: most below the blob limit, some above, some larger than a write-ahead block.
 */
import type { StoreChange } from '../../../src/log/store.ts';

const dataPrefix = 'd'.charCodeAt(0);
export const dataRange = { from: Buffer.from('d'), to: Buffer.from('e') };
/** Holds the lowest number that was not trimmed. */
export const trimKey = Buffer.from('trim');

export function keyOf(number: number): Buffer {
  const key = Buffer.alloc(9);
  key[0] = dataPrefix;
  key.writeBigUInt64BE(BigInt(number), 1);
  return key;
}

export const numberOf = (key: Uint8Array): number => Number(Buffer.from(key).readBigUInt64BE(1));

export function valueOf(number: number): Buffer {
  let state = Math.imul(number + 1, 0x9e3779b1) | 1;
  const next = (): number => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
  const value = Buffer.alloc(sizeOf(next(), next()));
  value.writeBigUInt64BE(BigInt(number), 0);
  for (let at = 8; at + 4 <= value.length; at += 4) value.writeUInt32LE(next(), at);
  return value;
}

function sizeOf(kind: number, size: number): number {
  const share = kind % 100;
  if (share < 70) return 12 + (size % 300);
  if (share < 92) return 1_000 + (size % 7_000);
  return 20_000 + (size % 60_000);
}

export const putOf = (number: number): StoreChange => ({ kind: 'put', key: keyOf(number), value: valueOf(number) });

/** Deletes all numbers below `number`, and says so. */
export function trimTo(number: number): readonly StoreChange[] {
  const value = Buffer.alloc(8);
  value.writeBigUInt64BE(BigInt(number));
  return [
    { kind: 'delete-range', from: keyOf(0), to: keyOf(number) },
    { kind: 'put', key: trimKey, value },
  ];
}
