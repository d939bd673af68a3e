/**
 * What the leader of the catalog does on its own account, while it leads: founds the cluster once, makes the internal
 * topic, and keeps the catalog's own group in order (catalog-plan.ts).
 */
import type { Clock, Timer } from '../model/clock.ts';
import type { Result } from '../model/errors.ts';
import { ok } from '../model/errors.ts';
import type { BrokerId, Millis, ReplicaId } from '../model/ids.ts';
import { millisPlus } from '../model/ids.ts';
import type { Random } from '../model/random.ts';
import { randomUuid } from '../model/random.ts';
import type { Configuration } from '../raft/core/configuration.ts';
import type { RoleState } from '../raft/core/ready.ts';
import type { Catalog } from './catalog.ts';
import type { BrokerEntry, CatalogCommand } from './catalog-commands.ts';
import type { DecisionContext } from './catalog-decisions.ts';
import { decide, decideCreateTopic, decideInternalGrowth, groupsTopic } from './catalog-decisions.ts';
import type { CatalogView } from './catalog-plan.ts';
import { heardMs, planCatalogMembers } from './catalog-plan.ts';
import type { CatalogState } from './catalog-state.ts';
import type { BrokerLimits } from './limits.ts';
import type { OperationContext } from './operation-plan.ts';
import { newProducerKey } from './producer-secret.ts';
import { retry } from './retry.ts';
import { noConfigChange } from './topic-config.ts';
import { planUpkeep } from './upkeep-plan.ts';

const stepMsMax = 60_000;

interface CatalogKeeperDeps {
  readonly clusterId: string;
  readonly brokerId: BrokerId;
  /** Newest format that this broker's software writes and reads. */
  readonly formatVersion: number;
  /** The brokers that found the cluster, as genesis has them; empty for a broker that joined. */
  readonly founders: readonly BrokerEntry[];
  readonly catalog: Catalog;
  readonly clock: Clock;
  readonly random: Random;
  readonly limits: BrokerLimits;
  /** A step of the founding was refused for good. */
  readonly failed: (why: string) => void;
}

export class CatalogKeeper {
  readonly #deps: CatalogKeeperDeps;
  #leaderSinceMs = 0;
  #replacedMs = -Infinity;
  #preparing: Promise<void> | null = null;
  #completing: Promise<void> | null = null;
  #timer: Timer | null = null;

  constructor(deps: CatalogKeeperDeps) {
    this.#deps = deps;
    deps.catalog.onRole((role) => {
      this.#follow(role);
    });
  }

  /** Null unless this broker leads the catalog: nobody else hears of all brokers. */
  get quiet(): ReadonlySet<BrokerId> | null {
    return this.#unheardFor(this.#deps.limits.brokerQuietMs);
  }

  /** Brokers that were not heard of for long; none where that is not known. */
  get dead(): ReadonlySet<BrokerId> {
    return this.#unheardFor(this.#deps.limits.brokerDeadMs) ?? new Set();
  }

  /** What operators' orders take into account; null unless this broker leads the catalog. */
  get operationContext(): OperationContext | null {
    if (this.#deps.catalog.group === null || this.quiet === null) return null;
    return { ...this.context, catalogVoters: this.#brokersOf((configuration) => configuration.voters) };
  }

  /** What decisions here take into account. */
  get context(): DecisionContext {
    const { catalog, limits } = this.#deps;
    const { quiet } = this;
    const brokers = [...catalog.state.brokers.keys()];
    return { limits, dead: this.dead, heard: new Set(brokers.filter((broker) => quiet?.has(broker) !== true)) };
  }

  /** Resolves when nothing is under way here any more. */
  async close(): Promise<void> {
    this.#timer?.cancel();
    this.#timer = null;
    await Promise.all([this.#preparing, this.#completing]);
  }

  #follow(role: RoleState): void {
    if (!role.serving) {
      this.#timer?.cancel();
      this.#timer = null;
    } else if (this.#timer === null) {
      this.#leaderSinceMs = this.#deps.clock.monotonicMs();
      this.#preparing ??= this.#prepare().finally(() => {
        this.#preparing = null;
      });
      this.#schedule();
    }
  }

  #schedule(): void {
    this.#timer = this.#deps.clock.setTimer(this.#deps.limits.upkeepIntervalMs, () => {
      this.#lookAtMembers();
      this.#complete();
      this.#schedule();
    });
  }

  /** Each step is a decision of its own, so that a crash between two of them is finished by the next leader. */
  async #prepare(): Promise<void> {
    const { catalog } = this.#deps;
    for (const step of [this.#found, this.#createGroupsTopic]) {
      const attempt = (): Promise<Result<unknown>> =>
        catalog.unavailable === null
          ? catalog.execute((state) => step.call(this, state), this.#deadline())
          : Promise.resolve(ok(null));
      const done = await retry(attempt, this.#deps);
      if (done.kind === 'refused' && !catalog.closed) this.#deps.failed(done.error.message);
    }
  }

  #found(state: CatalogState): Result<CatalogCommand | null> {
    const { clusterId, formatVersion, founders, clock, random } = this.#deps;
    if (state.head !== null || founders.length === 0) return ok(null);
    const createdAtMs = clock.wallMs();
    const producerKey = newProducerKey(random);
    return ok({ kind: 'found', clusterId, createdAtMs, activeVersion: formatVersion, producerKey, founders });
  }

  #createGroupsTopic(state: CatalogState): Result<CatalogCommand | null> {
    if (state.topicNamed(0, groupsTopic) !== null) return ok(null);
    const { random, clock, limits } = this.#deps;
    const partitions = limits.groupsPartitions;
    const fixed = { tenant: 0, name: groupsTopic, internal: true, replicationFactor: null } as const;
    const wish = { ...fixed, partitions, topicId: randomUuid(random), nowMs: clock.wallMs(), config: noConfigChange };
    return decideCreateTopic(state, wish, this.context);
  }

  #lookAtMembers(): void {
    const { catalog, limits } = this.#deps;
    const view = this.#view();
    if (view === null || catalog.group === null) return;
    const plan = planCatalogMembers(view, limits);
    if (plan === null) return;
    // refused or lost: the next look finds it again
    const proposed = catalog.group.changeConfiguration(plan.target, { outcome: () => undefined });
    if (proposed.kind === 'accepted' && plan.replaces) this.#replacedMs = view.nowMs;
  }

  /**
   * What has no end yet: internal topics that have too few replicas (the state of consumer groups shall survive a broker as
   * soon as there are enough of them), disks that were replaced, brokers that go. One command a look.
   */
  #complete(): void {
    const { catalog } = this.#deps;
    const next = (state: CatalogState): Result<CatalogCommand | null> => {
      const request = decideInternalGrowth(state, this.dead);
      if (request !== null) return decide(state, request, this.context);
      const self = this.#deps.brokerId;
      const { heard } = this.context;
      const { replicasMovingMax } = this.#deps.limits;
      const catalogVoters = new Set(this.#brokersOf(({ voters, outgoing }) => [...voters, ...outgoing]));
      return ok(planUpkeep(state, { heard, self, catalogVoters, replicasMovingMax }));
    };
    const first = this.#completing === null ? next(catalog.state) : null;
    if (first === null || first.kind === 'refused' || first.value === null) return;
    this.#completing = catalog.execute(next, this.#deadline()).then(() => {
      this.#completing = null;
    });
  }

  /** Brokers of replicas in the catalog's own configuration. */
  #brokersOf(replicas: (configuration: Configuration) => readonly ReplicaId[]): readonly BrokerId[] {
    const { group, state } = this.#deps.catalog;
    const chosen = group === null ? [] : replicas(group.membership.configuration);
    return chosen.map((replica) => state.brokerOf(replica)).filter((broker) => broker !== null);
  }

  #view(): CatalogView | null {
    const { catalog, clock } = this.#deps;
    const { group, role, state } = catalog;
    if (group === null || role?.serving !== true || role.leader === null || state.head === null) return null;
    return {
      brokers: [...state.brokers.values()],
      self: role.leader,
      membership: group.membership,
      commitIndex: group.commitIndex,
      followers: group.followers,
      nowMs: clock.monotonicMs(),
      leaderSinceMs: this.#leaderSinceMs,
      replacedMs: this.#replacedMs,
    };
  }

  #unheardFor(spanMs: number): ReadonlySet<BrokerId> | null {
    const view = this.#view();
    if (view === null) return null;
    const quiet = view.brokers.filter((broker) => view.nowMs - heardMs(view, broker.catalogReplica) >= spanMs);
    return new Set(quiet.map((broker) => broker.brokerId));
  }

  #deadline(): Millis {
    return millisPlus(this.#deps.clock.monotonicMs(), stepMsMax);
  }
}
