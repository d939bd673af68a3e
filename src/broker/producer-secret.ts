/**
 * What proves a producer identity: 16 bytes of HMAC-SHA-256 over (producer id, epoch) under a key that the cluster got
 * when it was founded. Nothing is stored for a producer, and every broker can check every identity.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { putInt16, putInt64 } from '../model/big-endian.ts';
import type { ProducerEpoch, ProducerId } from '../model/ids.ts';
import type { Random } from '../model/random.ts';

const keyBytes = 32;
export const secretBytes = 16;
const purpose = 'sluice producer 1';

/** A key for a new cluster, in hex. */
export const newProducerKey = (random: Random): string => Buffer.from(random.bytes(keyBytes)).toString('hex');

export function secretOf(key: string, producerId: ProducerId, epoch: ProducerEpoch): Uint8Array {
  const subject = new Uint8Array(10);
  putInt64(subject, 0, producerId);
  putInt16(subject, 8, epoch);
  const mac = createHmac('sha256', Buffer.from(key, 'hex')).update(purpose).update(subject).digest();
  return new Uint8Array(mac.subarray(0, secretBytes));
}

/** Takes the same time whatever is wrong with `secret`. */
export function isSecretOf(secret: Uint8Array, key: string, producerId: ProducerId, epoch: ProducerEpoch): boolean {
  const expected = secretOf(key, producerId, epoch);
  return secret.length === expected.length && timingSafeEqual(secret, expected);
}
