/**
 * The state keys of a commands group as a stream of bytes, for a snapshot. A version byte, then pairs in ascending order
 * of their keys, each as:
 *
 *     key length (4)   value length (4)   key   value              integers big-endian
 *
 * Equal states give equal bytes, whatever the sizes of the pieces that the stream is cut into.
 */
import { putInt32, uint32At } from '../model/big-endian.ts';
import type { StatePair } from '../model/raft-state.ts';
import { SnapshotRefused } from './snapshot-refused.ts';

const formatVersion = 1;
const pairHeadLength = 8;

/** Bytes of one key and value together: what a receiver keeps in memory until the pair is whole. 16 MiB. */
export const statePairBytesMax = 16 * 1024 * 1024;

/** What begins every stream. */
export const streamHead = (): Uint8Array => Uint8Array.of(formatVersion);

/** Some pairs, one after the other. */
export function encodePairs(pairs: readonly StatePair[]): Uint8Array {
  const length = pairs.reduce((sum, { key, value }) => sum + pairHeadLength + key.length + value.length, 0);
  const bytes = Buffer.allocUnsafe(length);
  let at = 0;
  for (const { key, value } of pairs) {
    putInt32(bytes, at, key.length);
    putInt32(bytes, at + 4, value.length);
    bytes.set(key, at + pairHeadLength);
    bytes.set(value, at + pairHeadLength + key.length);
    at += pairHeadLength + key.length + value.length;
  }
  return bytes;
}

/** Takes the stream in pieces of any size and gives back the pairs that are whole. Holds at most one pair. */
export class StateStreamReader {
  /** The beginning of a pair that is not whole yet. */
  #rest: Uint8Array = new Uint8Array(0);
  #started = false;

  /** True if nothing is missing at the end: the stream may end here. */
  get isComplete(): boolean {
    return this.#started && this.#rest.length === 0;
  }

  /**
   * The pairs that `bytes` completes. They are views of it.
   * @throws SnapshotRefused for bytes that no sender makes
   */
  push(bytes: Uint8Array): readonly StatePair[] {
    let at = 0;
    const all = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    if (!this.#started && all.length > 0) {
      if (all[0] !== formatVersion) throw new SnapshotRefused(`the state has format ${all[0]}: upgrade this broker`);
      this.#started = true;
      at = 1;
    }
    const pairs: StatePair[] = [];
    for (let next = pairAt(all, at); next !== null; next = pairAt(all, at)) {
      pairs.push(next.pair);
      at = next.end;
    }
    this.#rest = at === all.length ? new Uint8Array(0) : Uint8Array.from(all.subarray(at));
    return pairs;
  }
}

/** Null: it is not whole. */
function pairAt(bytes: Uint8Array, at: number): { readonly pair: StatePair; readonly end: number } | null {
  if (at + pairHeadLength > bytes.length) return null;
  const keyLength = uint32At(bytes, at);
  const valueLength = uint32At(bytes, at + 4);
  if (keyLength + valueLength > statePairBytesMax) {
    throw new SnapshotRefused(`a state key and its value have ${keyLength + valueLength} bytes, over the limit`);
  }
  const valueAt = at + pairHeadLength + keyLength;
  const end = valueAt + valueLength;
  if (end > bytes.length) return null;
  return { pair: { key: bytes.subarray(at + pairHeadLength, valueAt), value: bytes.subarray(valueAt, end) }, end };
}
