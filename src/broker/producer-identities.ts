/**
 * Gives producer identities (design D14). New ids come from a block that the catalog reserved for this broker with one
 * entry of its log, so most grants cost no entry; what is left of a block at a restart is never used. A raised epoch is
 * an entry of its own, since older ones must stay fenced; secrets are computed, not stored (producer-secret.ts).
 */
import { assert, must } from '../model/assert.ts';
import type { Clock } from '../model/clock.ts';
import type { Refused, Result } from '../model/errors.ts';
import { ok, refuse } from '../model/errors.ts';
import type { Millis, ProducerEpoch, ProducerId } from '../model/ids.ts';
import { millisPlus, toProducerEpoch, toProducerId } from '../model/ids.ts';
import type { Catalog } from './catalog.ts';
import type { CatalogLink } from './catalog-link.ts';
import type { CatalogState } from './catalog-state.ts';
import { answerBy } from './deadline.ts';
import type { BrokerLimits } from './limits.ts';
import { isSecretOf, secretOf } from './producer-secret.ts';
import type { ProducerGrant } from './requests.ts';

/** A reservation serves all who wait for it, so it does not end with the deadline of one of them. */
const reserveMsMax = 30_000;

/** An identity that somebody shows. */
export interface ShownIdentity {
  readonly producerId: ProducerId;
  readonly producerEpoch: ProducerEpoch;
  readonly secret: Uint8Array;
}

export class ProducerIdentities {
  readonly #catalog: Catalog;
  readonly #link: CatalogLink;
  readonly #clock: Clock;
  readonly #limits: BrokerLimits;
  /** Reserved and not given yet: [next, end). */
  #next = 0;
  #end = 0;
  /** The reservation under way, which all who found the block empty wait for. */
  #reserving: Promise<Refused | null> | null = null;

  constructor(catalog: Catalog, link: CatalogLink, clock: Clock, limits: BrokerLimits) {
    this.#catalog = catalog;
    this.#link = link;
    this.#clock = clock;
    this.#limits = limits;
  }

  /** A new identity, or the next epoch of the one that is shown. */
  async grant(previous: ShownIdentity | null, deadlineMs: Millis): Promise<Result<ProducerGrant>> {
    return previous === null ? this.#grantNew(deadlineMs) : this.#grantNext(previous, deadlineMs);
  }

  async #grantNew(deadlineMs: Millis): Promise<Result<ProducerGrant>> {
    while (this.#next === this.#end) {
      this.#reserving ??= this.#reserve();
      const refused = await answerBy(this.#clock, deadlineMs, this.#reserving, tooLate);
      if (refused !== null) return refused;
    }
    return ok(this.#sign(toProducerId(this.#next++), toProducerEpoch(0)));
  }

  async #reserve(): Promise<Refused | null> {
    const count = this.#limits.producerIdBlock;
    const deadlineMs = millisPlus(this.#clock.monotonicMs(), reserveMsMax);
    const done = await this.#link.submit({ kind: 'reserve-producer-ids', count }, deadlineMs);
    this.#reserving = null;
    if (done.kind === 'refused') return done;
    const { command } = done.value;
    assert(command?.kind === 'reserve-producer-ids', 'a reservation always has something to do');
    this.#next = command.from;
    this.#end = command.from + command.count;
    return null;
  }

  /** Null: the secret proves the identity. */
  refuseSecret({ producerId, producerEpoch, secret }: ShownIdentity): Refused | null {
    const key = headOf(this.#catalog.state).producerKey;
    if (isSecretOf(secret, key, producerId, producerEpoch)) return null;
    return refuse(
      'INVALID_PRODUCER_SECRET',
      `the secret is not that of producer ${producerId}, epoch ${producerEpoch}`,
    );
  }

  async #grantNext(previous: ShownIdentity, deadlineMs: Millis): Promise<Result<ProducerGrant>> {
    const refused = this.refuseSecret(previous);
    if (refused !== null) return refused;
    const { producerId, producerEpoch } = previous;
    const done = await this.#link.submit({ kind: 'raise-epoch', producerId, producerEpoch }, deadlineMs);
    if (done.kind === 'refused') return done;
    const { command } = done.value;
    if (command?.kind !== 'raise-producer-epoch') return this.#grantNew(deadlineMs);
    return ok(this.#sign(producerId, command.producerEpoch));
  }

  #sign(producerId: ProducerId, producerEpoch: ProducerEpoch): ProducerGrant {
    const { producerKey } = headOf(this.#catalog.state);
    return { producerId, producerEpoch, secret: secretOf(producerKey, producerId, producerEpoch) };
  }
}

const headOf = (state: CatalogState): NonNullable<CatalogState['head']> =>
  must(state.head, 'a catalog that serves was founded');

const tooLate = (): Refused => refuse('REQUEST_TIMED_OUT', 'the deadline came before an identity could be given');
