/** xxHash, 32 bits, seed 0: the checksum of lz4 frames (xxHash specification 0.1.1, section 2). */
export function xxh32(bytes: Uint8Array): number {
  const stripesEnd = bytes.length - (bytes.length % 16);
  let hash = bytes.length < 16 ? prime5 : hashStripes(bytes, stripesEnd);
  hash = (hash + bytes.length) | 0;
  let at = stripesEnd;
  for (; at + 4 <= bytes.length; at += 4) {
    hash = Math.imul(rotate((hash + Math.imul(wordAt(bytes, at), prime3)) | 0, 17), prime4);
  }
  for (; at < bytes.length; at++) {
    hash = Math.imul(rotate((hash + Math.imul(bytes[at] ?? 0, prime5)) | 0, 11), prime1);
  }
  return avalanche(hash);
}

const prime1 = 0x9e3779b1 | 0;
const prime2 = 0x85ebca77 | 0;
const prime3 = 0xc2b2ae3d | 0;
const prime4 = 0x27d4eb2f | 0;
const prime5 = 0x165667b1 | 0;

function hashStripes(bytes: Uint8Array, end: number): number {
  let a = (prime1 + prime2) | 0;
  let b = prime2;
  let c = 0;
  let d = -prime1 | 0;
  for (let at = 0; at < end; at += 16) {
    a = round(a, wordAt(bytes, at));
    b = round(b, wordAt(bytes, at + 4));
    c = round(c, wordAt(bytes, at + 8));
    d = round(d, wordAt(bytes, at + 12));
  }
  return (rotate(a, 1) + rotate(b, 7) + rotate(c, 12) + rotate(d, 18)) | 0;
}

function avalanche(hash: number): number {
  let mixed = Math.imul(hash ^ (hash >>> 15), prime2);
  mixed = Math.imul(mixed ^ (mixed >>> 13), prime3);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}

const round = (lane: number, word: number): number =>
  Math.imul(rotate((lane + Math.imul(word, prime2)) | 0, 13), prime1);
const rotate = (value: number, bits: number): number => (value << bits) | (value >>> (32 - bits));
const wordAt = (bytes: Uint8Array, at: number): number =>
  (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8) | ((bytes[at + 2] ?? 0) << 16) | ((bytes[at + 3] ?? 0) << 24);
