import { crc32c as native } from '@node-rs/crc32';
import type { Crc32c } from '../model/crc32c.ts';

/** CRC-32C with the processor's own instruction: about 10 GB/s from 64 KiB on. */
export const crc32c: Crc32c = (bytes, previous = 0) => native(bytes, previous);
