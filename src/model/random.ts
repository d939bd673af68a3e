/** Chance as an argument: seeded in the core and the simulator, the system's own for secrets and UUIDs. */
export interface Random {
  /** A uniform integer in [0, bound); bound from 1 to 2^32. */
  below(bound: number): number;
  /** `count` (0 to 65,536) random bytes. */
  bytes(count: number): Uint8Array;
}

/** A version 4 UUID (RFC 9562) in its canonical 36 characters. */
export function randomUuid(random: Pick<Random, 'bytes'>): string {
  const bytes = random.bytes(16);
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}
