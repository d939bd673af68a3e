import { crc32c as wasmCrc32c } from '@platformatic/wasm-utils';
import type { Crc32c } from '../../../src/model/crc32c.ts';

/** CRC-32C in WASM, about 2 GB/s at 64 KiB; a continued one, which no batch needs, in JavaScript. */
export const crc32c: Crc32c = (bytes, previous = 0) => {
  if (bytes.length === 0) return previous;
  return previous === 0 ? wasmCrc32c(bytes) : continued(bytes, previous);
};

const polynomial = 0x82f63b78;
const table = Int32Array.from({ length: 256 }, (_, byte) => {
  let remainder = byte;
  for (let bit = 0; bit < 8; bit++) remainder = (remainder >>> 1) ^ ((remainder & 1) * polynomial);
  return remainder;
});

function continued(bytes: Uint8Array, previous: number): number {
  let remainder = ~previous;
  for (const byte of bytes) remainder = (table[(remainder ^ byte) & 0xff] ?? 0) ^ (remainder >>> 8);
  return ~remainder >>> 0;
}
