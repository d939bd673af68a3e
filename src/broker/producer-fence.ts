/**
 * The payload of a fence entry: it closes an epoch of a producer in one partition (design D14). Big-endian:
 *
 *     fence := producerId:int64 epoch:int16
 */
import { assert } from '../model/assert.ts';
import { int16At, int64At, putInt16, putInt64 } from '../model/big-endian.ts';
import type { ProducerEpoch, ProducerId } from '../model/ids.ts';
import { toProducerEpoch, toProducerId } from '../model/ids.ts';

const fenceBytes = 10;

export interface Fence {
  readonly producerId: ProducerId;
  readonly epoch: ProducerEpoch;
}

export function encodeFence({ producerId, epoch }: Fence): Uint8Array {
  const bytes = new Uint8Array(fenceBytes);
  putInt64(bytes, 0, producerId);
  putInt16(bytes, 8, epoch);
  return bytes;
}

/** @throws InvariantViolation if the bytes are not what `encodeFence` writes */
export function decodeFence(bytes: Uint8Array): Fence {
  const producerId = bytes.length === fenceBytes ? int64At(bytes, 0) : null;
  assert(producerId !== null, 'partition-5: every entry is of a known kind', `a fence of ${bytes.length} bytes`);
  return { producerId: toProducerId(producerId), epoch: toProducerEpoch(int16At(bytes, 8)) };
}
