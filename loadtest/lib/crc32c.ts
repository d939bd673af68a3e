/** CRC-32C in plain JavaScript, for k6, which has neither WASM nor Node's packages. A byte at a time: once per run. */
import type { Crc32c } from '../../src/model/crc32c.ts';

/** Castagnoli's polynomial, bits reversed. */
const polynomial = 0x82f63b78;

const table = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = (crc & 1) === 1 ? (crc >>> 1) ^ polynomial : crc >>> 1;
  return crc;
});

export const crc32c: Crc32c = (bytes, previous = 0) => {
  let crc = ~previous;
  for (const byte of bytes) crc = (crc >>> 8) ^ (table[(crc ^ byte) & 0xff] ?? 0);
  return ~crc >>> 0;
};
