/**
 * Why nothing comes of partitions, for streams: asks the broker, and tells only what has changed since it was told. What is
 * counted, and the sentence for people, may change without that being news.
 */
import type { PartitionStalls } from '../gen/sluice/v1/log.ts';
import type { Stall } from '../broker/explain.ts';
import type { BrokerApi, PartitionRef, RequestContext } from '../broker/requests.ts';
import { toInt32 } from './convert.ts';
import { toWireStall } from './explain.ts';
import { partitionKey } from './fetch.ts';

/** How long a stream may be silent before it says why. */
export const explainMsRange = { from: 100, through: 60_000, unit: 'ms' };

export class StallTeller {
  readonly #broker: BrokerApi;
  /** What was told of each partition, by its key. */
  readonly #told = new Map<string, string>();

  constructor(broker: BrokerApi) {
    this.#broker = broker;
  }

  /**
   * Null: it is as it was told, or nobody knows.
   * @param own reasons of the front door itself, which come first
   */
  async news(ref: PartitionRef, context: RequestContext, own: readonly Stall[] = []): Promise<PartitionStalls | null> {
    const explained = await this.#broker.explain(ref, context);
    if (explained.kind === 'refused') return null;
    const stalls = [...own, ...explained.value.stalls];
    const essence = stalls.map(essenceOf).join(';');
    const key = partitionKey(ref);
    if (this.#told.get(key) === essence) return null;
    this.#told.set(key, essence);
    const { topicId } = explained.value;
    return { topic: ref.topic, topicId, partition: toInt32(ref.partition), stalls: stalls.map(toWireStall) };
  }

  /** Something came: whatever stalls it next is news. */
  forget(ref: { readonly topic: string; readonly partition: number }): void {
    this.#told.delete(partitionKey(ref));
  }
}

const essenceOf = ({ reason, blocksProduce, blocksFetch, missing }: Stall): string =>
  `${reason} ${blocksProduce} ${blocksFetch} ${missing.join()}`;
