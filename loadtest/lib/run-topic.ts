/** The topic of a run: made before it, gone after it. */
import { sleep } from 'k6';
import { brokerAt, callNow } from './brokers.ts';
import type { Outcome } from './outcome.ts';
import { settings, topic } from './settings.ts';

const replicasMax = 3;
/** How long to wait until every partition has a leader, seconds. */
const leadersSecondsMax = 30;

/** What setup hands to every virtual user. */
export interface RunTopic {
  /** The broker that leads each partition, by its place in the list; where it is not known, any. */
  readonly leaders: readonly number[];
  /** The place of each broker id in the list of brokers, as pairs. */
  readonly brokers: readonly (readonly [id: number, broker: number])[];
}

/** Makes the topic and waits for its leaders. Throws why it can not. */
export function makeTopic(): RunTopic {
  const { partitions } = settings;
  const replicationFactor = Math.min(replicasMax, settings.brokers.length);
  answered('create the topic', callNow(0, 'CreateTopic', { name: topic, partitions, replicationFactor }));
  for (let second = 0; ; second++) {
    const { topic: description, brokers } = answered('describe it', callNow(0, 'DescribeTopic', { name: topic }));
    const leaderOf = (partition: number): number | undefined => description?.partitions[partition]?.leader;
    const all = Array.from({ length: partitions }, (_, partition) => leaderOf(partition));
    if (all.every((leader) => leader !== undefined) || second >= leadersSecondsMax) {
      const places = brokers.flatMap(({ brokerId, address }) => {
        const broker = brokerAt(address);
        return broker === null ? [] : [[brokerId, broker] as const];
      });
      const byId = new Map(places);
      return { leaders: all.map((leader, i) => byId.get(leader ?? -1) ?? i), brokers: places };
    }
    sleep(1);
  }
}

/** Deletes it, unless it was asked to stay. */
export function dropTopic(): void {
  if (!settings.keepTopic) callNow(0, 'DeleteTopic', { name: topic });
}

function answered<Message>(what: string, outcome: Outcome<Message>): Message {
  if (outcome.kind === 'answered') return outcome.message;
  throw new Error(`could not ${what} "${topic}": ${outcome.code}: ${outcome.text}`);
}
