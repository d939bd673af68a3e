import { readBatchHeader } from '../../../src/model/record-batch.ts';
import { recordsOf } from '../committed-logs.ts';
import { BrokerInvariant } from '../invariant.ts';
import type { BrokerWorld } from '../broker-world.ts';

/**
 * inv-B3: a batch is in the log at most once, however often it was sent, and so is each (producer, epoch, sequence) of a
 * partition. Reliability 2.0 (NoDup); Jepsen's duplicate.
 */
export class NoDuplicate extends BrokerInvariant {
  readonly id = 'inv-B3';
  readonly #records = new Set<string>();
  readonly #sequences = new Set<string>();

  constructor(world: BrokerWorld) {
    super(world);
    world.committed.onCommitted.push((group, entry) => {
      if (entry.kind !== 'batch') return;
      for (const { batch, at } of recordsOf(entry.payload)) {
        this.check(!this.#records.has(`${batch}/${at}`), `record ${batch}/${at} is twice in the log of group ${group}`);
        this.#records.add(`${batch}/${at}`);
      }
      const header = readBatchHeader(entry.payload);
      if (header.kind === 'refused' || header.value.producer === null) return;
      const { id, epoch, baseSequence } = header.value.producer;
      for (let i = 0; i < entry.count; i++) {
        const key = `${group}/${id}/${epoch}/${baseSequence + i}`;
        this.check(!this.#sequences.has(key), `group/producer/epoch/sequence ${key} is twice in the log`);
        this.#sequences.add(key);
      }
    });
  }
}
