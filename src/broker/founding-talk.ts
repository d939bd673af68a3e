/**
 * Asks the other founders and answers them, until it is clear how this broker comes into a cluster (founding-agreement.ts
 * decides). Goes on answering afterwards: others may still have to learn of the genesis.
 */
import { assert, InvariantViolation, must } from '../model/assert.ts';
import type { Clock } from '../model/clock.ts';
import type { BrokerId } from '../model/ids.ts';
import { catalogGroup, toBrokerId } from '../model/ids.ts';
import type { Random } from '../model/random.ts';
import { randomUuid } from '../model/random.ts';
import type { RaftHost } from '../raft/group.ts';
import type { PeerRpc } from '../raft/peer-rpc.ts';
import { BrokerStartError } from './broker-identity.ts';
import type { FounderInfo, FoundingAnswer, FoundingState, FoundingStep, Genesis } from './founding-agreement.ts';
import { foundingBrokers, names, nextFoundingStep } from './founding-agreement.ts';
import type { JsonFields } from './json-fields.ts';
import { decodeJson, encodeJson } from './json-fields.ts';

const whoMethod = 'founding.who';
/** How long one founder may take to answer, milliseconds. */
const attemptMsMax = 2_000;
/** Between two rounds, milliseconds. */
const pauseMs = 200;

export interface HeldGenesis {
  readonly genesis: Genesis;
  /** The catalog's replica was made on this disk: from then on a missing one is a loss (local-2). */
  readonly begun: boolean;
}

/** The genesis on this disk. */
export interface GenesisStore {
  read(): Promise<HeldGenesis | null>;
  /** Durable when it resolves. Never another genesis than the one that is held (founding-1). */
  write(held: HeldGenesis): Promise<void>;
}

export interface Founder {
  readonly brokerId: BrokerId;
  readonly peerAddress: string;
}

interface FoundingTalkDeps {
  readonly self: FounderInfo;
  /** All founders by the settings; 1 to 7, each id once. Empty: this broker founds nothing and only answers. */
  readonly founders: readonly Founder[];
  readonly store: GenesisStore;
  /** The cluster that this disk belongs to; null: none yet. */
  readonly clusterId: () => string | null;
  /** Null: there is nobody to ask; the list names this broker alone. */
  readonly rpc: PeerRpc | null;
  readonly clock: Clock;
  readonly random: Random;
  /** Told what keeps it waiting, when that changes. */
  readonly waiting: (why: string) => void;
  readonly signal: AbortSignal;
}

/** How this broker comes into its cluster. */
export type FoundingOutcome =
  { readonly kind: 'founds'; readonly genesis: Genesis } | { readonly kind: 'joins'; readonly clusterId: string };

export class FoundingTalk {
  readonly #deps: FoundingTalkDeps;
  readonly #heard = new Map<BrokerId, FoundingAnswer>();
  #genesis: Genesis | null = null;
  /** A genesis that is being kept: nobody is told "none" any more. */
  #keeping: Promise<void> | null = null;

  constructor(deps: FoundingTalkDeps) {
    this.#deps = deps;
  }

  /** Reads what the disk holds, and answers others from now on. Once. */
  async open(): Promise<void> {
    const { store, self, rpc } = this.#deps;
    this.#genesis = (await store.read())?.genesis ?? null;
    const named = this.#genesis === null || names(this.#genesis, self);
    if (!named)
      throw new BrokerStartError('the data directory holds the founding of a cluster that names another disk');
    rpc?.serve(whoMethod, async () => {
      await this.#keeping;
      return encodeAnswer(this.#answer());
    });
  }

  /** Resolves when it is clear. @throws BrokerStartError if the broker is stopped meanwhile */
  async settle(): Promise<FoundingOutcome> {
    assert(this.#deps.founders.length > 0, 'who founds nothing has nothing to settle');
    for (let told = ''; ;) {
      if (this.#deps.signal.aborted) throw new BrokerStartError('the broker was stopped while its cluster was founded');
      const step = nextFoundingStep(this.#state());
      const outcome = await this.#take(step);
      if (outcome !== null) return outcome;
      if (step.kind !== 'wait' && step.kind !== 'contradiction') continue;
      const why = step.kind === 'wait' ? `waits for founder ${step.for.join(', ')}` : step.why;
      if (why !== told) this.#deps.waiting(why);
      told = why;
      await this.#askAll();
    }
  }

  async #take(step: FoundingStep): Promise<FoundingOutcome | null> {
    switch (step.kind) {
      case 'begin':
        return { kind: 'founds', genesis: step.genesis };
      case 'keep':
        await this.#keep(step.genesis);
        return null;
      case 'make':
        await this.#keep({ clusterId: randomUuid(this.#deps.random), founders: step.founders });
        return null;
      case 'join':
        return { kind: 'joins', clusterId: step.clusterId };
      case 'wait':
      case 'contradiction':
        return null;
    }
  }

  async #keep(genesis: Genesis): Promise<void> {
    assert(this.#genesis === null && this.#keeping === null, 'founding-1: a disk holds one genesis');
    assert(names(genesis, this.#deps.self), 'founding-1: a genesis that is kept names the disk');
    this.#keeping = this.#deps.store.write({ genesis, begun: false });
    await this.#keeping;
    this.#genesis = genesis;
    this.#keeping = null;
  }

  /** Everybody at once, so that one who does not answer holds up nobody. What was heard before counts no more. */
  async #askAll(): Promise<void> {
    const { founders, self, clock } = this.#deps;
    const others = founders.filter((founder) => founder.brokerId !== self.brokerId);
    await Promise.all(others.map((founder) => this.#ask(founder)));
    // only while some did not answer, or the lowest has not made it: else there is something to do at once
    const step = nextFoundingStep(this.#state());
    if (step.kind === 'wait' || step.kind === 'contradiction') await new Promise<void>((resolve) => clock.setTimer(pauseMs, resolve)); // prettier-ignore
  }

  async #ask({ brokerId, peerAddress }: Founder): Promise<void> {
    const { rpc } = this.#deps;
    const to = { kind: 'address', address: peerAddress } as const;
    const reply = await rpc?.call(to, whoMethod, new Uint8Array(), attemptMsMax);
    this.#heard.delete(brokerId);
    if (reply?.kind !== 'answered') return;
    const answer = understood(reply.payload);
    if (answer === null) return;
    // another broker at a founder's address is no founder, and neither is one that speaks for another disk
    const { from } = reply;
    const isWho = answer.kind === 'member' || (answer.self.brokerId === from.brokerId && answer.self.incarnation === from.incarnation); // prettier-ignore
    if (isWho && from.brokerId === brokerId) this.#heard.set(brokerId, answer);
  }

  #answer(): FoundingAnswer {
    const clusterId = this.#deps.clusterId();
    if (this.#genesis === null && clusterId !== null) return { kind: 'member', clusterId };
    const { list, self, genesis } = this.#state();
    return { kind: 'founder', list, self, genesis };
  }

  #state(): FoundingState {
    const { self, founders } = this.#deps;
    const list = founders.map((founder) => founder.brokerId);
    return { self, list, genesis: this.#genesis, heard: this.#heard };
  }
}

const encodeAnswer = (answer: FoundingAnswer): Uint8Array => encodeJson(answer);

function understood(payload: Uint8Array): FoundingAnswer | null {
  try {
    return readAnswer(decodeJson(payload, 'founding'));
  } catch (error) {
    if (error instanceof InvariantViolation) return null;
    throw error;
  }
}

function readAnswer(fields: JsonFields): FoundingAnswer {
  if (fields.text('kind') === 'member') return { kind: 'member', clusterId: fields.text('clusterId') };
  const list = fields.numbers('list').map(toBrokerId);
  const genesis = fields.isNull('genesis') ? null : fields.object('genesis', readGenesis);
  return { kind: 'founder', list, self: fields.object('self', readFounder), genesis };
}

const readFounder = (fields: JsonFields): FounderInfo => ({
  brokerId: toBrokerId(fields.number('brokerId')),
  address: fields.text('address'),
  peerAddress: fields.textOrNull('peerAddress'),
  rack: fields.textOrNull('rack'),
  incarnation: fields.text('incarnation'),
  version: fields.text('version'),
});

const readGenesis = (fields: JsonFields): Genesis => ({
  clusterId: fields.text('clusterId'),
  founders: fields.list('founders', readFounder),
});

/** The stored form of a genesis. */
export const encodeHeldGenesis = (held: HeldGenesis): Uint8Array => encodeJson(held);

/** @throws InvariantViolation for what `encodeHeldGenesis` did not make */
export function decodeHeldGenesis(bytes: Uint8Array): HeldGenesis {
  const fields = decodeJson(bytes, 'genesis');
  return { genesis: fields.object('genesis', readGenesis), begun: fields.flag('begun') };
}

/**
 * Makes a founder's replica of the catalog, before it takes part: the log first, then the note that it was there, so that
 * a disk that loses it later is not taken for one that never had it (P61).
 * @throws BrokerStartError if it was there and is gone
 */
export async function beginGenesis(host: RaftHost, store: GenesisStore, self: FounderInfo): Promise<void> {
  const held = must(await store.read(), 'founding-1: a genesis is kept before it begins');
  const exists = (await host.existing()).some((replica) => replica.group === catalogGroup);
  if (!exists && held.begun) {
    const what = `the disk of broker ${self.brokerId} founded the cluster and has lost its replica of the catalog`;
    throw new BrokerStartError(`${what}; have the broker replaced`);
  }
  const brokers = foundingBrokers(held.genesis);
  const own = must(
    brokers.find((broker) => broker.brokerId === self.brokerId),
    'founding-1: a genesis that is kept names the disk',
  );
  const voters = brokers.map((broker) => broker.catalogReplica);
  if (!exists) await host.create({ group: catalogGroup, replicaId: own.catalogReplica, voters }, 'commands');
  if (!held.begun) await store.write({ ...held, begun: true });
}
