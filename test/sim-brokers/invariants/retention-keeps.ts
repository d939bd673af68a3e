import type { TopicConfig } from '../../../src/broker/topic-config.ts';
import type { Entry } from '../../../src/model/entry.ts';
import type { GroupNumber } from '../../../src/model/ids.ts';
import { decodeLogStart } from '../../../src/raft/log-start.ts';
import { BrokerInvariant } from '../invariant.ts';
import type { BrokerWorld } from '../broker-world.ts';

/**
 * inv-R1: retention drops whole batches, nothing that is not committed, and nothing that every configuration which the
 * topic ever had would keep; the log start never falls. Semantics R1 to R3; src/broker/retention.ts, retention-2. Ages are
 * not compared: the simulated clocks jump, and nobody tells the leader that they do.
 */
export class RetentionKeeps extends BrokerInvariant {
  readonly id = 'inv-R1';
  readonly #starts = new Map<GroupNumber, number>();

  constructor(world: BrokerWorld) {
    super(world);
    world.committed.onCommitted.push((group, entry) => {
      if (entry.kind === 'log-start') this.#moved(group, decodeLogStart(entry.payload));
    });
  }

  #moved(group: GroupNumber, start: number): void {
    const before = this.#starts.get(group) ?? 0;
    // two leaders may have asked for it, one after the other: the older one's word changes nothing
    if (start <= before) return;
    this.#starts.set(group, start);
    this.world.count('logStartsMoved');
    const { entries, records } = this.world.committed.of(group);
    this.check(start <= records.length, `group ${group} starts at ${start}, committed is ${records.length}`);
    const batches = entries.filter((entry) => entry.kind === 'batch');
    const isEdge = start === records.length || batches.some((entry) => entry.baseOffset === start);
    this.check(isEdge, `group ${group} starts at ${start}, in the middle of a batch`);
    const configs = this.world.catalog.topicOfGroup.get(group)?.configs ?? [];
    const first = batches.find((entry) => entry.baseOffset >= start);
    // as topic-config.ts says, the few bytes of entries without records count too
    const kept = first === undefined ? [] : entries.slice(first.index - 1);
    this.check(
      configs.some((config) => allows(config, kept, records.length - start)),
      `group ${group} starts at ${start} of ${records.length}, where ${kept.map((entry) => entry.payload.length).join('+')} bytes are, which no configuration allows: ${JSON.stringify(configs)}`,
    );
  }
}

function allows(config: TopicConfig, kept: readonly Entry[], records: number): boolean {
  if (config['retention.ms'] !== null) return true;
  const bytesMin = config['retention.bytes'];
  const recordsMin = config['retention.records'];
  const bytes = kept.reduce((sum, entry) => sum + entry.payload.length, 0);
  const hasBytes = bytesMin !== null && bytes >= bytesMin;
  return kept.length > 0 && (hasBytes || (recordsMin !== null && records >= recordsMin));
}
