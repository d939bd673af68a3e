import type { TopicConfig } from '../../../src/broker/topic-config.ts';
import type { Entry } from '../../../src/model/entry.ts';
import type { GroupNumber } from '../../../src/model/ids.ts';
import { decodeLogStart } from '../../../src/raft/log-start.ts';
import { BrokerInvariant } from '../invariant.ts';
import type { BrokerWorld } from '../broker-world.ts';
import { clockStrayMsMax } from '../sim-broker.ts';

/** How long a batch may take from its stamp to its commit, ms: longer than any run's faults. */
const commitMsMax = 120_000;

/**
 * inv-R1: retention drops whole batches, nothing that is not committed, and nothing that every configuration which the
 * topic ever had would keep; the log start never falls. By age nothing goes that is younger than the limit in true time, with
 * what clocks may be apart, as long as most clocks were right (design D23, P120). Semantics R1 to R3; src/broker/retention.ts,
 * retention-2.
 */
export class RetentionKeeps extends BrokerInvariant {
  readonly id = 'inv-R1';
  /** By group and index, virtual ms. */
  readonly #committedAt = new Map<GroupNumber, Map<number, number>>();
  readonly #starts = new Map<GroupNumber, number>();

  constructor(world: BrokerWorld) {
    super(world);
    world.committed.onCommitted.push((group, entry) => {
      if (entry.kind === 'log-start') this.#moved(group, decodeLogStart(entry.payload));
      if (entry.kind !== 'batch') return;
      const times = this.#committedAt.get(group) ?? new Map<number, number>();
      this.#committedAt.set(group, times);
      times.set(entry.index, world.scheduler.now);
    });
  }

  /** @param committedAt when the newest batch that went was first known to be committed */
  #mayBeTooOld(config: TopicConfig, committedAt: number | undefined): boolean {
    const { scheduler, hadNoClock } = this.world;
    const limitMs = config['retention.ms'];
    if (limitMs === null || committedAt === undefined) return false;
    // the clocks of who stamped it and of who lets it go may each be off by that much, and it was stamped before
    const slackMs = 2 * clockStrayMsMax + commitMsMax;
    return hadNoClock || scheduler.now - committedAt + slackMs >= limitMs;
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
    const dropped = batches.findLast((entry) => entry.baseOffset < start);
    const ages = this.#committedAt.get(group) ?? new Map<number, number>();
    const first = batches.find((entry) => entry.baseOffset >= start);
    // as topic-config.ts says, the few bytes of entries without records count too, those before the first batch as well
    const kept = first === undefined ? [] : entries.slice(dropped?.index ?? 0);
    this.check(
      configs.some(
        (config) =>
          this.#mayBeTooOld(config, ages.get(dropped?.index ?? 0)) || allows(config, kept, records.length - start),
      ),
      `group ${group} starts at ${start} of ${records.length}, where ${kept.map((entry) => entry.payload.length).join('+')} bytes are, which no configuration allows: ${JSON.stringify(configs)}`,
    );
  }
}

function allows(config: TopicConfig, kept: readonly Entry[], records: number): boolean {
  const bytesMin = config['retention.bytes'];
  const recordsMin = config['retention.records'];
  const bytes = kept.reduce((sum, entry) => sum + entry.payload.length, 0);
  const hasBytes = bytesMin !== null && bytes >= bytesMin;
  return kept.length > 0 && (hasBytes || (recordsMin !== null && records >= recordsMin));
}
