import type { FetchedPartition } from '../../../src/broker/requests.ts';
import type { GroupNumber, Offset } from '../../../src/model/ids.ts';
import { recordsOf } from '../committed-logs.ts';
import { BrokerInvariant } from '../invariant.ts';
import type { SimBroker } from '../sim-broker.ts';
import type { SimProcess } from '../sim-process.ts';

interface Marks {
  highWatermark: number;
  logStart: number;
  leaderEpoch: number;
}

/**
 * inv-B6: a reader gets only what is committed, as it is committed, and nothing at or above the high watermark; a process
 * never takes back its high watermark, log start or leader epoch. Reliability 2.0 (Kafka's TLA+ ConsistentReadProperty).
 * Part of inv-B2 and inv-B9 too: an offset never means something else, and a topic id only its own records (P118).
 */
export class VisibleCommitted extends BrokerInvariant {
  readonly id = 'inv-B6';
  readonly #marks = new Map<SimProcess, Map<GroupNumber, Marks>>();

  override onVisible(broker: SimBroker, group: GroupNumber, highWatermark: Offset): void {
    const end = this.world.committed.endOffset(group);
    this.check(
      highWatermark <= end,
      `b${broker.number} shows group ${group} up to ${highWatermark}, committed is ${end}`,
    );
  }

  override onFetched({ number, process }: SimBroker, fetched: FetchedPartition): void {
    const { topicId, partition, highWatermark, logStart, leaderEpoch } = fetched;
    if (fetched.error !== null || process === null) return;
    const topic = this.world.catalog.topics.get(topicId);
    const group = topic?.groups[partition];
    this.check(topic !== undefined && group !== undefined, `b${number} answers for topic ${topicId}, which never was`);
    this.check(topic.name === fetched.topic, `b${number} calls topic ${topicId} ${fetched.topic}, it is ${topic.name}`);
    const { records } = this.world.committed.of(group);
    this.check(
      highWatermark === null || highWatermark <= records.length,
      `b${number} tells of a high watermark of ${highWatermark} in group ${group}, committed is ${records.length}`,
    );
    for (const bytes of fetched.batches) {
      for (const { batch, at, offset } of recordsOf(bytes)) {
        const there = records[offset];
        this.check(
          there?.batch === batch && there.at === at,
          `b${number} gives ${batch}/${at} at ${offset} of group ${group}, committed is ${there?.batch}/${there?.at}`,
        );
        this.check(
          offset < (highWatermark ?? 0),
          `b${number} gives offset ${offset} of group ${group} above ${highWatermark}`,
        );
      }
    }
    this.#compare(process, group, {
      highWatermark: highWatermark ?? 0,
      logStart: logStart ?? 0,
      leaderEpoch: leaderEpoch ?? 0,
    });
  }

  #compare(process: SimProcess, group: GroupNumber, now: Marks): void {
    const known = this.#marks.get(process) ?? new Map<GroupNumber, Marks>();
    this.#marks.set(process, known);
    const before = known.get(group);
    known.set(group, now);
    if (before === undefined) return;
    for (const name of ['highWatermark', 'logStart', 'leaderEpoch'] as const)
      this.check(now[name] >= before[name], `b${process.machine} took back the ${name} of group ${group}: ${before[name]}, then ${now[name]}`); // prettier-ignore
  }
}
