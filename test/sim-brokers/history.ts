/** What clients did and what they were told: the truth that the invariants compare with. */
import type { BatchProducer } from '../../src/model/record-batch.ts';

/** A batch that a client sent, with all its retries. Each record's value names the batch and its place in it. */
export interface SentBatch {
  readonly id: number;
  readonly client: string;
  readonly topic: string;
  /** Null: sent by name alone. */
  readonly topicId: string | null;
  readonly partition: number;
  readonly count: number;
  readonly producer: BatchProducer | null;
  /** Virtual ms. */
  readonly startedAt: number;
  /** `refused`: every attempt was answered with certainty that it did not and will not take effect. */
  state: 'open' | 'acked' | 'unknown' | 'refused';
  /** One attempt at least may have taken effect, or may still. */
  mayBe: boolean;
}

/** A batch that was acknowledged as committed. */
export interface Ack {
  readonly batch: SentBatch;
  readonly topicId: string;
  /** Null: a duplicate that is older than the window. */
  readonly offset: number | null;
  readonly at: number;
}

export const valueOf = (batch: Pick<SentBatch, 'id'>, at: number): string => `${batch.id}/${at}`;

/** Null: no client made it. */
export function recordOf(value: Uint8Array | null): { readonly batch: number; readonly at: number } | null {
  const [, batch, at] = /^(\d+)\/(\d+)$/.exec(value === null ? '' : Buffer.from(value).toString()) ?? [];
  return batch === undefined || at === undefined ? null : { batch: Number(batch), at: Number(at) };
}

export class History {
  readonly batches = new Map<number, SentBatch>();
  readonly acks: Ack[] = [];
  #next = 1;

  begin(sent: Omit<SentBatch, 'id' | 'state' | 'mayBe'>): SentBatch {
    const batch: SentBatch = { ...sent, id: this.#next++, state: 'open', mayBe: false };
    this.batches.set(batch.id, batch);
    return batch;
  }
}
