/**
 * CRC-32C (Castagnoli) of `bytes`, an unsigned 32-bit integer. `previous` (default 0) continues an earlier checksum:
 * `crc(b, crc(a))` equals the checksum of a followed by b. Injected, so that model/ needs no package.
 */
export type Crc32c = (bytes: Uint8Array, previous?: number) => number;
