/**
 * Carries out what operators ask of the cluster, where the catalog leads: from whichever broker was asked it goes there
 * once (design D15), is planned (operation-plan.ts) with what brokers tell of their replicas, and decided in its turn.
 */
import { InvariantViolation } from '../model/assert.ts';
import type { Clock } from '../model/clock.ts';
import type { Refused, Result } from '../model/errors.ts';
import { ok, refuse } from '../model/errors.ts';
import type { BrokerId, GroupNumber, Millis } from '../model/ids.ts';
import { millisPlus } from '../model/ids.ts';
import type { PeerIdentity } from '../raft/peer-identity.ts';
import type { PeerRpc } from '../raft/peer-rpc.ts';
import type { Catalog } from './catalog.ts';
import type { CatalogCommand } from './catalog-commands.ts';
import type { CatalogState } from './catalog-state.ts';
import type { ClusterOperation, OperationReport } from './cluster-operation.ts';
import { decodeOperationCall, decodeReport, encodeOperationCall, encodeReport } from './cluster-operation.ts';
import type { BrokerLimits } from './limits.ts';
import { impactOf } from './operation-impact.ts';
import type { OperationContext, OperationPlan } from './operation-plan.ts';
import { planOperation } from './operation-plan.ts';
import type { ReplicaFact, ReplicaFacts } from './replica-facts.ts';

const operateMethod = 'catalog.operate';

/** How often it is looked whether a leadership has moved, milliseconds. */
const lookMs = 50;
/** What is left of a call's time for its answer, milliseconds. */
const answerMsMin = 200;

interface OperationDeskDeps {
  readonly clusterId: string;
  readonly brokerId: BrokerId;
  readonly catalog: Catalog;
  /** The broker that leads the catalog; null: not known. */
  readonly leader: () => BrokerId | null;
  /** Null unless this broker leads the catalog. */
  readonly context: () => OperationContext | null;
  readonly facts: ReplicaFacts;
  readonly clock: Clock;
  readonly limits: BrokerLimits;
  /** Null: there are no other brokers. */
  readonly rpc: PeerRpc | null;
}

export class OperationDesk {
  readonly #deps: OperationDeskDeps;

  constructor(deps: OperationDeskDeps) {
    this.#deps = deps;
    deps.rpc?.serve(operateMethod, (from, payload, timeoutMs) => this.#onOperate(from, payload, timeoutMs));
  }

  /** The effect is visible here when it resolves. */
  async carryOut(operation: ClusterOperation, dryRun: boolean, deadlineMs: Millis): Promise<Result<OperationReport>> {
    const { catalog, leader, brokerId, rpc } = this.#deps;
    if (catalog.unavailable === null || rpc === null) return this.#decide(operation, dryRun, deadlineMs);
    const to = leader();
    if (to === null || to === brokerId) return this.#noLeader();
    const timeoutMs = Math.max(1, Math.ceil(deadlineMs - this.#deps.clock.monotonicMs()));
    const payload = encodeOperationCall({ operation, dryRun });
    const reply = await rpc.call({ kind: 'broker', broker: to }, operateMethod, payload, Math.min(600_000, timeoutMs));
    if (reply.kind === 'not-sent') return this.#noLeader();
    if (reply.kind === 'unknown') return unanswered(reply.why);
    const report = understood(reply.payload);
    if (report.kind === 'refused') return report;
    const seen = await catalog.whenApplied(report.value.index, deadlineMs);
    return seen ? report : unanswered('this broker did not see it in time');
  }

  async #onOperate(from: PeerIdentity, payload: Uint8Array, timeoutMs: number): Promise<Uint8Array> {
    if (from.clusterId !== this.#deps.clusterId) return encodeReport(otherCluster);
    const { operation, dryRun } = decodeOperationCall(payload);
    const deadlineMs = millisPlus(this.#deps.clock.monotonicMs(), timeoutMs);
    return encodeReport(await this.#decide(operation, dryRun, deadlineMs));
  }

  async #decide(operation: ClusterOperation, dryRun: boolean, deadlineMs: Millis): Promise<Result<OperationReport>> {
    const { catalog, context, facts } = this.#deps;
    const unavailable = catalog.unavailable;
    const before = context();
    if (unavailable !== null || before === null) return unavailable ?? this.#noLeader();
    const first = planOperation(catalog.state, operation, before);
    const groups = [...new Set([...first.copies, ...first.leadLeaves.keys()])];
    const told = groups.length === 0 ? [] : await facts.ask(groups, this.#sizesMs(deadlineMs));
    if (dryRun) return this.#rehearse(operation, told, deadlineMs);
    let plan = first;
    const decision = (state: CatalogState): Result<CatalogCommand | null> => {
      const seen = context();
      if (seen === null) return this.#noLeader();
      plan = planOperation(state, operation, seen);
      const [refused] = plan.refusals;
      return refused ?? ok(isDone(state, operation, told) ? null : plan.command);
    };
    const done = await catalog.execute(decision, deadlineMs);
    if (done.kind === 'refused') return done;
    if (operation.kind === 'transfer-leadership' && done.value.command !== null) {
      const late = await this.#whenLeads(plan.affected, operation.brokerId, deadlineMs);
      if (late !== null) return late;
    }
    const { index, command } = done.value;
    return ok({ ...this.#report(operation, plan, told, false, command), index });
  }

  /** Answers as the newest catalog has it, and changes nothing. */
  async #rehearse(
    operation: ClusterOperation,
    told: readonly ReplicaFact[],
    deadlineMs: Millis,
  ): Promise<Result<OperationReport>> {
    const { catalog, context } = this.#deps;
    const index = await catalog.readIndex(deadlineMs);
    if (index.kind === 'refused') return index;
    if (!(await catalog.whenApplied(index.value, deadlineMs))) return this.#noLeader();
    const seen = context();
    if (seen === null) return this.#noLeader();
    const plan = planOperation(catalog.state, operation, seen);
    const command = plan.refusals.length === 0 && !isDone(catalog.state, operation, told) ? plan.command : null;
    return ok({ ...this.#report(operation, plan, told, true, command), index: catalog.appliedIndex });
  }

  #report(
    operation: ClusterOperation,
    plan: OperationPlan,
    told: readonly ReplicaFact[],
    dryRun: boolean,
    command: CatalogCommand | null,
  ): Omit<OperationReport, 'index'> {
    const { state } = this.#deps.catalog;
    const replicasLeft = operation.kind === 'decommission-broker' ? replicasOn(state, operation.brokerId) : null;
    const removed = operation.kind === 'decommission-broker' && !state.brokers.has(operation.brokerId);
    const incarnation =
      operation.kind === 'replace-broker' ? (state.brokers.get(operation.brokerId)?.incarnation ?? null) : null;
    const raised = command?.kind === 'raise-active-version' ? command.activeVersion : null;
    const activeVersion = operation.kind === 'finalize-upgrade' ? (raised ?? state.head?.activeVersion ?? null) : null;
    return { impact: impactOf(plan, told, dryRun), replicasLeft, removed, incarnation, activeVersion };
  }

  /** Null: the broker leads them. */
  async #whenLeads(groups: readonly GroupNumber[], broker: BrokerId, deadlineMs: Millis): Promise<Refused | null> {
    const { clock, facts, catalog } = this.#deps;
    while (clock.monotonicMs() < deadlineMs - answerMsMin && !catalog.closed) {
      const told = await facts.askOne(broker, groups, this.#sizesMs(deadlineMs));
      if (groups.every((group) => told.some((one) => one.group === group && one.leads))) return null;
      await new Promise<void>((resolve) => void clock.setTimer(lookMs, resolve));
    }
    const what = `broker ${broker} is preferred from now on, and does not lead yet: it will as soon as it can`;
    return refuse('REQUEST_TIMED_OUT', what);
  }

  #sizesMs(deadlineMs: Millis): number {
    const { clock, limits } = this.#deps;
    const left = (deadlineMs - clock.monotonicMs()) / 2;
    return Math.max(1, Math.floor(Math.min(limits.sizesMsMax, left)));
  }

  #noLeader(): Refused {
    const { retryAfterMs } = this.#deps.limits;
    return refuse('LEADER_NOT_AVAILABLE', 'the leader of the catalog can not be reached; try again', { retryAfterMs });
  }
}

/** The replicas that are placed on a broker, or still leaving it. */
export function replicasOn(state: CatalogState, brokerId: BrokerId): number {
  const places = [...state.topics.values()].flatMap((topic) => topic.partitions);
  const held = places.flatMap(({ replicas, leaving }) => [...replicas, ...leaving]);
  return held.filter((replica) => replica.brokerId === brokerId).length;
}

/** The leadership that is asked for is there already. */
function isDone(state: CatalogState, operation: ClusterOperation, told: readonly ReplicaFact[]): boolean {
  if (operation.kind !== 'transfer-leadership') return false;
  const { tenant, topic, partition, brokerId } = operation;
  const place = state.topicNamed(tenant, topic)?.partitions[partition];
  if (place?.replicas[0]?.brokerId !== brokerId) return false;
  return told.some((one) => one.group === place.group && one.brokerId === brokerId && one.leads);
}

function understood(payload: Uint8Array): Result<OperationReport> {
  try {
    return decodeReport(payload);
  } catch (error) {
    if (!(error instanceof InvariantViolation)) throw error;
    return unanswered(`its answer is not understood: ${error.message}`);
  }
}

const unanswered = (why: string): Refused =>
  refuse('REQUEST_TIMED_OUT', `the catalog's leader was asked, and what became of it is not known (${why})`);

const otherCluster: Refused = refuse('INVALID_REQUEST', 'the request comes from another cluster');
