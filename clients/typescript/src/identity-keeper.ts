/** Gets a producer's identity, and a higher epoch of it when a lane can not go on under the old one. */
import { toProducerEpoch, toProducerId } from '../../../src/model/ids.ts';
import { backoffMs, pause } from './backoff.ts';
import type { Brokers } from './brokers.ts';
import { asBrokerError } from './errors.ts';
import type { BrokerError } from './errors.ts';
import type { InitProducerResponse } from './gen/sluice/v1/log.ts';
import { toInt64, toNumber } from './int64.ts';
import { methods } from './methods.ts';
import type { ProducerIdentity } from './producer-identity.ts';

/** Grants whose replies were lost, one after the other, that are made good before a new id is taken. */
const lostGrantsMax = 8;

export interface IdentityEvents {
  readonly changed: () => void;
  /** It will be tried again. */
  readonly delayed: (error: BrokerError) => void;
  /** There will be none. */
  readonly refused: (error: BrokerError) => void;
}

export class IdentityKeeper {
  readonly #brokers: Brokers;
  readonly #events: IdentityEvents;
  readonly #stopped = new AbortController();
  #current: ProducerIdentity | null = null;
  #loading = false;

  constructor(brokers: Brokers, events: IdentityEvents) {
    this.#brokers = brokers;
    this.#events = events;
  }

  get current(): ProducerIdentity | null {
    return this.#current;
  }

  /** Starts to get an identity later than `outlived` (null: any), unless there is one or it is on its way. */
  need(outlived: ProducerIdentity | null): void {
    if (this.#loading || this.#stopped.signal.aborted) return;
    if (this.#current !== null && this.#current.generation > (outlived?.generation ?? 0)) return;
    this.#loading = true;
    void this.#load();
  }

  stop(): void {
    this.#stopped.abort();
  }

  /** Never rejects: it ends in one of the events. */
  async #load(): Promise<void> {
    for (let attempt = 0; !this.#stopped.signal.aborted; attempt++) {
      try {
        const answer = await this.#ask(this.#current);
        this.#take(answer);
        return;
      } catch (thrown) {
        const error = asBrokerError(thrown);
        if (!error.retriable && error.code !== 'ABORTED') {
          this.#loading = false;
          this.#events.refused(error);
          return;
        }
        this.#events.delayed(error);
        await pause(
          backoffMs(attempt, this.#brokers.backoff, this.#brokers.environment, error.retryAfterMs),
          this.#brokers.environment,
        );
      }
    }
    this.#loading = false;
  }

  async #ask(previous: ProducerIdentity | null): Promise<InitProducerResponse> {
    const options = { signal: this.#stopped.signal };
    const { initProducer } = methods;
    if (previous === null) return this.#brokers.call(initProducer, {}, options);
    const { id, epoch, secret } = previous;
    // A grant whose reply was lost has raised the epoch already: what this client holds is then behind by one.
    for (let lost = 0; lost <= lostGrantsMax; lost++) {
      const wire = { producerId: toInt64(id, 'producer id'), producerEpoch: epoch + lost, baseSequence: 0 };
      try {
        return await this.#brokers.call(initProducer, { previous: wire, secret }, options);
      } catch (error) {
        const forgotten = asBrokerError(error);
        if (forgotten.code === 'UNKNOWN_PRODUCER_ID') break;
        if (forgotten.code !== 'INVALID_PRODUCER_EPOCH') throw error;
      }
    }
    return this.#brokers.call(initProducer, {}, options);
  }

  #take(answer: InitProducerResponse): void {
    this.#loading = false;
    this.#current = {
      id: toProducerId(toNumber(answer.producerId)),
      epoch: toProducerEpoch(answer.producerEpoch),
      secret: answer.secret,
      generation: (this.#current?.generation ?? 0) + 1,
    };
    this.#events.changed();
  }
}
