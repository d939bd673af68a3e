/**
 * How the other brokers judge this very process (design D4, reliability P87): who knows it as healthy, and whether one
 * has found that its disk is an old copy.
 */
import type { BrokerId } from '../model/ids.ts';
import type { Refusal, RefusalCode } from './peer-admission.ts';

/** What can be wrong with a data directory, as others see it. */
export type CondemningCode = Extract<RefusalCode, 'old-boot' | 'boot-reused' | 'rolled-back'>;

/** A broker has proven the cluster secret and says that this process runs on a disk that is not what it was. */
export interface Condemnation {
  readonly by: BrokerId;
  readonly code: CondemningCode;
  /** One sentence for people. */
  readonly detail: string;
}

/** Null: the refusal is about something else than the disk. */
export function condemnationOf(by: BrokerId, { code, detail }: Refusal): Condemnation | null {
  switch (code) {
    case 'old-boot':
    case 'boot-reused':
    case 'rolled-back':
      return { by, code, detail };
    case 'protocol-version':
    case 'other-cluster':
    case 'wrong-secret':
    case 'wrong-broker':
    case 'other-incarnation':
    case 'malformed':
    case 'limit-reached':
    case 'no-cluster-yet':
      return null;
  }
}

export interface Standing {
  /**
   * Brokers that have taken this very process for healthy, each with the UUID of the data directory with which it did so
   * last: an emptied disk has forgotten whatever a former one of the broker knew. No broker ever leaves.
   */
  readonly welcomedBy: ReadonlyMap<BrokerId, string>;
  /** The first condemnation; null: none. Stays. */
  readonly condemnation: Condemnation | null;
  /** Sees to it that the broker is asked, now and whenever the connection to it is made anew. Never throws, never waits. */
  meet(broker: BrokerId): void;
  /** Called by the host once. Tells that `welcomedBy` has changed, or that there is a condemnation. */
  onChange(receive: () => void): void;
}

/** What a transport writes down of it. */
export class StandingRecord implements Standing {
  readonly #welcomedBy = new Map<BrokerId, string>();
  readonly #meet: (broker: BrokerId) => void;
  #condemnation: Condemnation | null = null;
  #changed: () => void = () => undefined;

  constructor(meet: (broker: BrokerId) => void) {
    this.#meet = meet;
  }

  get welcomedBy(): ReadonlyMap<BrokerId, string> {
    return this.#welcomedBy;
  }

  get condemnation(): Condemnation | null {
    return this.#condemnation;
  }

  meet(broker: BrokerId): void {
    this.#meet(broker);
  }

  onChange(receive: () => void): void {
    this.#changed = receive;
  }

  /** @param incarnation UUID of the data directory of the broker */
  welcomed(broker: BrokerId, incarnation: string): void {
    if (this.#welcomedBy.get(broker) === incarnation) return;
    this.#welcomedBy.set(broker, incarnation);
    this.#changed();
  }

  condemned(condemnation: Condemnation): void {
    if (this.#condemnation !== null) return;
    this.#condemnation = condemnation;
    this.#changed();
  }
}
