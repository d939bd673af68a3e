/**
 * The way to the catalog's leader, wherever it is (design D15, D17): requests are decided there and seen here before
 * they are answered; a barrier makes sure that what is not known here is not known at all. A request is passed on once;
 * what may have been carried out is told as unknown and never sent again by who passed it on (D18).
 */
import type { Clock } from '../model/clock.ts';
import { InvariantViolation } from '../model/assert.ts';
import type { Refused, Result } from '../model/errors.ts';
import { ok, refuse } from '../model/errors.ts';
import type { BrokerId, LogIndex, Millis } from '../model/ids.ts';
import { millisPlus } from '../model/ids.ts';
import type { PeerIdentity } from '../raft/peer-identity.ts';
import type { PeerReply, PeerRpc, PeerTarget } from '../raft/peer-rpc.ts';
import type { BrokerIdentity } from './broker-identity.ts';
import type { Catalog } from './catalog.ts';
import type { DecisionContext } from './catalog-decisions.ts';
import { decide } from './catalog-decisions.ts';
import type { CatalogRequest, Executed } from './catalog-requests.ts';
import {
  decodeForwarded,
  decodeOutcome,
  decodeQuiet,
  decodeReadIndex,
  encodeForwarded,
  encodeOutcome,
  encodeQuiet,
  encodeReadIndex,
} from './catalog-requests.ts';
import { answerBy } from './deadline.ts';
import type { BrokerLimits } from './limits.ts';
import type { ReplicaDirectory } from './replica-directory.ts';

/** Carries a Forwarded; answers with an outcome. */
export const executeMethod = 'catalog.execute';
const readIndexMethod = 'catalog.read-index';
/** Answers with the brokers that the leader does not hear of. */
const quietMethod = 'catalog.quiet';

/** Longest that a peer call may take, milliseconds. */
const callMsMax = 600_000;
/** How long a barrier may take, whoever waits for it, milliseconds. */
const barrierMsMax = 5_000;

interface CatalogLinkDeps {
  readonly identity: BrokerIdentity;
  readonly catalog: Catalog;
  readonly clock: Clock;
  readonly limits: BrokerLimits;
  /** Null: there are no other brokers. */
  readonly rpc: PeerRpc | null;
  readonly directory: ReplicaDirectory;
  /** Brokers that are not heard of; null unless this broker leads the catalog. */
  readonly quiet: () => ReadonlySet<BrokerId> | null;
  /** What decisions here take into account. */
  readonly context: () => DecisionContext;
}

export class CatalogLink {
  readonly #deps: CatalogLinkDeps;
  /** The barrier under way, and the one that begins after it, for those who came meanwhile. */
  #barrier: Promise<Refused | null> | null = null;
  #nextBarrier: Promise<Refused | null> | null = null;
  /** When the newest barrier began that was passed; null: none was. */
  #passedMs: Millis | null = null;

  constructor(deps: CatalogLinkDeps) {
    this.#deps = deps;
    deps.rpc?.serve(executeMethod, (from, payload, timeoutMs) => this.#onExecute(from, payload, timeoutMs));
    deps.rpc?.serve(quietMethod, (from) => Promise.resolve(this.#onQuiet(from)));
    deps.rpc?.serve(readIndexMethod, (from, _payload, timeoutMs) => this.#onReadIndex(from, timeoutMs));
  }

  /** The broker whose replica leads the catalog, as far as this one knows; null: nobody does. */
  get leader(): BrokerId | null {
    const replica = this.#deps.catalog.role?.leader ?? null;
    return replica === null ? null : this.#deps.directory.brokerOf(replica);
  }

  /** Null: nobody leads that could be asked; this broker itself may be about to. */
  get #leaderElsewhere(): BrokerId | null {
    const { leader } = this;
    return leader === this.#deps.identity.brokerId ? null : leader;
  }

  /** True: a barrier that began this long ago or later was passed. Infinity: one that this process began. */
  isCurrent(withinMs: number): boolean {
    const { catalog, clock } = this.#deps;
    if (catalog.unavailable === null) return true;
    return this.#passedMs !== null && this.#passedMs >= clock.monotonicMs() - withinMs;
  }

  /** Has the request decided by the leader; its effect is visible here when this resolves. */
  async submit(request: CatalogRequest, deadlineMs: Millis): Promise<Result<Executed>> {
    const { catalog } = this.#deps;
    const here = catalog.unavailable === null || this.#deps.rpc === null;
    const done = here ? await this.#execute(request, deadlineMs) : await this.#pass(request, 0, deadlineMs);
    if (done.kind === 'refused') return done;
    return (await catalog.whenApplied(done.value.index, deadlineMs)) ? done : notSeen;
  }

  /** Asks somebody who may be in the cluster, for a broker that does not know the leader. Its effect is not awaited. */
  async submitThrough(address: string, request: CatalogRequest, deadlineMs: Millis): Promise<Result<Executed>> {
    return this.#call({ kind: 'address', address }, request, 1, deadlineMs);
  }

  /** Brokers that the catalog's leader does not hear of; refused: it could not be asked, and nobody else knows. */
  async quiet(deadlineMs: Millis): Promise<Result<readonly BrokerId[]>> {
    const here = this.#deps.quiet();
    if (here !== null) return ok([...here]);
    const leader = this.#leaderElsewhere;
    if (leader === null || this.#deps.rpc === null) return this.#noLeader();
    const to = { kind: 'broker', broker: leader } as const;
    const reply = await this.#deps.rpc.call(to, quietMethod, new Uint8Array(), this.#timeoutMs(deadlineMs));
    return reply.kind === 'answered' ? understood(() => decodeQuiet(reply.payload)) : this.#noLeader();
  }

  /** Null: everything that was committed before this call is applied here. */
  barrier(deadlineMs: Millis): Promise<Refused | null> {
    return answerBy(this.#deps.clock, deadlineMs, this.#pastBarrier(), () => this.#noLeader());
  }

  #pastBarrier(): Promise<Refused | null> {
    if (this.#nextBarrier !== null) return this.#nextBarrier;
    if (this.#barrier === null) return this.#beginBarrier();
    this.#nextBarrier = this.#barrier.then(() => {
      this.#nextBarrier = null;
      return this.#beginBarrier();
    });
    return this.#nextBarrier;
  }

  #beginBarrier(): Promise<Refused | null> {
    const began = this.#deps.clock.monotonicMs();
    const barrier = this.#runBarrier(millisPlus(began, barrierMsMax)).then((refused) => {
      if (refused === null) this.#passedMs = began;
      this.#barrier = null;
      return refused;
    });
    this.#barrier = barrier;
    return barrier;
  }

  async #runBarrier(deadlineMs: Millis): Promise<Refused | null> {
    const { catalog } = this.#deps;
    const here = catalog.unavailable === null || this.#deps.rpc === null;
    const index = here ? await catalog.readIndex(deadlineMs) : await this.#askReadIndex(deadlineMs);
    if (index.kind === 'refused') return index;
    return (await catalog.whenApplied(index.value, deadlineMs)) ? null : this.#noLeader();
  }

  async #askReadIndex(deadlineMs: Millis): Promise<Result<LogIndex>> {
    const leader = this.#leaderElsewhere;
    if (leader === null || this.#deps.rpc === null) return this.#noLeader();
    const to = { kind: 'broker', broker: leader } as const;
    const reply = await this.#deps.rpc.call(to, readIndexMethod, new Uint8Array(), this.#timeoutMs(deadlineMs));
    if (reply.kind !== 'answered') return this.#noLeader();
    return understood(() => decodeReadIndex(reply.payload));
  }

  #execute(request: CatalogRequest, deadlineMs: Millis): Promise<Result<Executed>> {
    const { catalog, context } = this.#deps;
    return catalog.execute((state) => decide(state, request, context()), deadlineMs);
  }

  async #pass(request: CatalogRequest, hops: number, deadlineMs: Millis): Promise<Result<Executed>> {
    const leader = this.#leaderElsewhere;
    if (leader === null) return this.#noLeader();
    return this.#call({ kind: 'broker', broker: leader }, request, hops, deadlineMs);
  }

  async #call(to: PeerTarget, request: CatalogRequest, hops: number, deadlineMs: Millis): Promise<Result<Executed>> {
    const { rpc } = this.#deps;
    if (rpc === null) return this.#noLeader();
    const payload = encodeForwarded({ hops, request });
    const reply: PeerReply = await rpc.call(to, executeMethod, payload, this.#timeoutMs(deadlineMs));
    switch (reply.kind) {
      case 'answered':
        return understood(() => decodeOutcome(reply.payload));
      case 'not-sent':
        return this.#noLeader();
      case 'unknown':
        return refuse('REQUEST_TIMED_OUT', `the catalog's leader did not answer (${reply.why}): it may take effect`);
    }
  }

  #timeoutMs(deadlineMs: Millis): number {
    return Math.min(callMsMax, Math.max(1, Math.ceil(deadlineMs - this.#deps.clock.monotonicMs())));
  }

  #noLeader(): Refused {
    const { retryAfterMs } = this.#deps.limits;
    return refuse('LEADER_NOT_AVAILABLE', 'the leader of the catalog can not be reached; try again', { retryAfterMs });
  }

  // ---- what others ask ----

  async #onExecute(from: PeerIdentity, payload: Uint8Array, timeoutMs: number): Promise<Uint8Array> {
    const { hops, request } = decodeForwarded(payload);
    const refused = this.#refuseSender(from, request);
    if (refused !== null) return encodeOutcome(refused);
    const { catalog, clock } = this.#deps;
    const deadlineMs = millisPlus(clock.monotonicMs(), timeoutMs);
    if (catalog.unavailable === null) return encodeOutcome(await this.#execute(request, deadlineMs));
    return encodeOutcome(hops > 0 ? await this.#pass(request, hops - 1, deadlineMs) : this.#notLeader());
  }

  async #onReadIndex(from: PeerIdentity, timeoutMs: number): Promise<Uint8Array> {
    const { catalog, clock, identity } = this.#deps;
    if (from.clusterId !== identity.clusterId) return encodeReadIndex(otherCluster);
    return encodeReadIndex(await catalog.readIndex(millisPlus(clock.monotonicMs(), timeoutMs)));
  }

  #onQuiet(from: PeerIdentity): Uint8Array {
    if (from.clusterId !== this.#deps.identity.clusterId) return encodeQuiet(otherCluster);
    const quiet = this.#deps.quiet();
    return encodeQuiet(quiet === null ? this.#notLeader() : ok([...quiet]));
  }

  /** Who is in no cluster may ask to be let in, for itself; and what is on a disk only its broker can tell. */
  #refuseSender(from: PeerIdentity, request: CatalogRequest): Refused | null {
    const isNew = from.clusterId === null && request.kind === 'join';
    if (from.clusterId !== this.#deps.identity.clusterId && !isNew) return otherCluster;
    const about = isNew ? request.broker : aboutOwnDisk(request);
    const speaksForItself = about?.brokerId === from.brokerId && about.incarnation === from.incarnation;
    return about === null || speaksForItself ? null : otherDisk;
  }

  #notLeader(): Refused {
    const { catalog, limits } = this.#deps;
    const known = this.leader === null ? undefined : catalog.state.brokers.get(this.leader);
    const hint =
      known === undefined || catalog.role === null
        ? {}
        : { leaderHint: { brokerId: known.brokerId, address: known.address, leaderEpoch: catalog.role.term } };
    const what = 'this broker does not lead the catalog (any more); try again';
    return refuse('LEADER_NOT_AVAILABLE', what, { retryAfterMs: limits.retryAfterMs, ...hint });
  }
}

const aboutOwnDisk = (request: CatalogRequest): { readonly brokerId: BrokerId; readonly incarnation: string } | null =>
  request.kind === 'replicas-opened' || request.kind === 'removal-done' ? request : null;

/** What another version sent is not guessed at; it was carried out or not. */
function understood<T>(read: () => Result<T>): Result<T> {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof InvariantViolation)) throw error;
    return refuse('REQUEST_TIMED_OUT', `the answer of the catalog's leader is not understood: ${error.message}`);
  }
}

const otherCluster: Refused = refuse('INVALID_REQUEST', 'the request comes from another cluster');
const otherDisk: Refused = refuse('INVALID_REQUEST', 'a broker speaks for its own disk only');
const notSeen: Refused = refuse('REQUEST_TIMED_OUT', 'it took effect, but this broker did not see it in time');
