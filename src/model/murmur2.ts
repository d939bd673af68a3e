/**
 * MurmurHash2, 32 bits, with the seed of Kafka's clients: what decides a key's partition there and here, so that a
 * topic can be shared with, or moved from, programs that use theirs.
 */
export function murmur2(bytes: Uint8Array): number {
  const wordsEnd = bytes.length & ~3;
  let hash = seed ^ bytes.length;
  for (let at = 0; at < wordsEnd; at += 4) {
    let word = Math.imul(wordAt(bytes, at), multiplier);
    word = Math.imul(word ^ (word >>> rotation), multiplier);
    hash = Math.imul(hash, multiplier) ^ word;
  }
  if (wordsEnd < bytes.length) hash = Math.imul(hash ^ wordAt(bytes, wordsEnd), multiplier);
  hash = Math.imul(hash ^ (hash >>> 13), multiplier);
  return hash ^ (hash >>> 15);
}

const seed = 0x9747b28c | 0;
const multiplier = 0x5bd1e995;
const rotation = 24;

/** Four bytes, the lowest first; bytes past the end count as 0. */
const wordAt = (bytes: Uint8Array, at: number): number =>
  (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8) | ((bytes[at + 2] ?? 0) << 16) | ((bytes[at + 3] ?? 0) << 24);
