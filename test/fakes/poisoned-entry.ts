/** Plants an entry that no broker of this version can apply, as a disk that was written by a newer one has it. */
import assert from 'node:assert/strict';
import { GroupKeys, keyTags } from '../../src/log/keys.ts';
import { metadataLength } from '../../src/log/entry-codec.ts';
import type { Store } from '../../src/log/store.ts';
import { putInt32, putInt64 } from '../../src/model/big-endian.ts';
import type { GroupNumber } from '../../src/model/ids.ts';
import { crc32c } from '../../src/runtime/crc32c.ts';

export type Poison = 'unknown kind' | 'wrong base offset' | 'broken checksum';

const kindAt = 1;
const baseOffsetAt = 16;
const sealAt = metadataLength - 4;

/**
 * Rewrites the metadata of an entry of the group.
 * @param from the end of the log that it is counted from: 0 is the last entry, 1 the one before
 */
export async function poisonEntry(store: Store, group: GroupNumber, poison: Poison, from = 0): Promise<void> {
  const entries = await store.scan({ ...new GroupKeys(group).tagged(keyTags.metadata), limit: 10_000 });
  const found = entries.at(-1 - from);
  assert.ok(found, `group ${group} has an entry to poison`);
  const { key } = found;
  const value = Uint8Array.from(found.value);
  if (poison === 'unknown kind') value[kindAt] = 99;
  if (poison === 'wrong base offset') putInt64(value, baseOffsetAt, 1_000_000);
  // sealed anew: the bytes are what somebody wrote, not what a disk made of them
  if (poison === 'broken checksum') value[sealAt] = (value[sealAt] ?? 0) ^ 1;
  else putInt32(value, sealAt, crc32c(value.subarray(0, sealAt), crc32c(key)));
  await store.write([{ kind: 'put', key, value }]);
}
