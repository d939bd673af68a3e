/**
 * What the leader of a group does for it on its own account: brings its configuration to where the catalog wants it
 * (placement-plan.ts), and hands leadership to the preferred replica (leadership-balance.ts). Looks only at groups that
 * have something to be done, and at all that are led here every few seconds.
 */
import type { Clock, Timer } from '../model/clock.ts';
import type { GroupNumber } from '../model/ids.ts';
import { millisPlus } from '../model/ids.ts';
import type { RaftGroup } from '../raft/group.ts';
import type { Catalog } from './catalog.ts';
import type { CatalogCommand, PartitionPlace, ReplicaPlace } from './catalog-commands.ts';
import type { CatalogLink } from './catalog-link.ts';
import type { Departures } from './departures.ts';
import type { MisplacedLead } from './leadership-balance.ts';
import { LeadershipBalance } from './leadership-balance.ts';
import type { BrokerLimits } from './limits.ts';
import type { LocalGroups } from './local-groups.ts';
import { groupsInTurn } from './moving-turns.ts';
import { planPlacement } from './placement-plan.ts';
import { isAtRest } from './replica-assignment.ts';

/** How long one report to the catalog may take, milliseconds; it is made again. */
const reportMsMax = 10_000;

interface PlacementKeeperDeps {
  readonly catalog: Catalog;
  readonly link: CatalogLink;
  readonly localGroups: LocalGroups;
  readonly departures: Departures;
  readonly clock: Clock;
  readonly limits: BrokerLimits;
}

export class PlacementKeeper {
  readonly #deps: PlacementKeeperDeps;
  readonly #balance: LeadershipBalance;
  /** Groups whose placement is not reached, wherever they are led. */
  readonly #unreached = new Set<GroupNumber>();
  /** Groups that a report is under way for. */
  readonly #reporting = new Map<GroupNumber, Promise<void>>();
  /** Groups whose leadership an operator ordered to its preferred replica. Bounded by the groups of the catalog. */
  readonly #hurried = new Set<GroupNumber>();
  #timer: Timer | null = null;
  #balancedMs = -Infinity;
  #closed = false;

  constructor(deps: PlacementKeeperDeps) {
    this.#deps = deps;
    this.#balance = new LeadershipBalance(deps.limits);
  }

  /** From now on; the groups that are here run, or are being started. */
  start(): void {
    const { catalog } = this.#deps;
    const readAll = (): void => {
      for (const topic of catalog.state.topics.values()) for (const place of topic.partitions) this.#note(place);
    };
    readAll();
    catalog.onReplaced(readAll);
    catalog.onApplied((command) => {
      this.#follow(command);
    });
    this.#schedule();
  }

  /** Resolves when nothing is under way any more. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#timer?.cancel();
    await Promise.all(this.#reporting.values());
  }

  #follow(command: CatalogCommand): void {
    const placements = placementsOf(command);
    for (const { group } of placements) {
      const place = this.#deps.catalog.state.placeOf(group);
      if (place !== null) this.#note(place);
      if (command.kind === 'place-replicas' && command.leadNow) this.#hurried.add(group);
      else this.#hurried.delete(group);
    }
  }

  #note({ group, revision, reached }: PartitionPlace): void {
    if (reached < revision) this.#unreached.add(group);
  }

  #schedule(): void {
    if (this.#closed) return;
    const { clock, limits } = this.#deps;
    this.#timer = clock.setTimer(limits.upkeepIntervalMs, () => {
      this.#look();
      this.#schedule();
    });
  }

  #look(): void {
    const { catalog, localGroups, clock, limits } = this.#deps;
    const nowMs = clock.monotonicMs();
    const waiting: PartitionPlace[] = [];
    for (const group of this.#unreached) {
      const place = catalog.state.placeOf(group);
      if (place === null || isAtRest(place)) this.#unreached.delete(group);
      else waiting.push(place);
    }
    const inTurn = groupsInTurn(waiting, limits.replicasMovingMax);
    for (const place of waiting) if (inTurn.has(place.group)) this.#bringOn(place, localGroups.running(place.group));
    this.#hurry(nowMs);
    if (nowMs - this.#balancedMs < limits.leadershipCheckMs) return;
    this.#balancedMs = nowMs;
    for (const { group, preferred } of this.#balance.look(this.#misplaced(nowMs), nowMs)) {
      localGroups.running(group)?.transferLeadership(preferred);
    }
  }

  /** What operators ordered to the preferred replica goes there as soon as it can take it. */
  #hurry(nowMs: number): void {
    const { catalog, localGroups } = this.#deps;
    for (const group of this.#hurried) {
      const place = catalog.state.placeOf(group);
      const raft = localGroups.running(group);
      const home = place === null ? null : this.#home(place);
      if (place === null || raft === null || home === null || raft.role.leader === home.replicaId) {
        this.#hurried.delete(group);
      } else if (raft.role.serving && this.#isReady(place, raft, home, nowMs)) {
        raft.transferLeadership(home.replicaId);
      }
    }
  }

  #bringOn(place: PartitionPlace, raft: RaftGroup | null): void {
    if (raft?.role.serving !== true) return;
    const { membership, commitIndex, followers, log } = raft;
    const replicas = place.replicas.map((replica) => replica.replicaId);
    const { lastIndex } = log;
    const lagMax = this.#deps.limits.promotionLagMax;
    const { revision } = place;
    const step = planPlacement({ replicas, revision, membership, commitIndex, lastIndex, followers, lagMax });
    // what is refused or lost is found again by the next look
    if (step.kind === 'change') raft.changeConfiguration(step.target, { outcome: () => undefined });
    if (step.kind === 'reached') this.#report(place);
  }

  #report({ group, revision }: PartitionPlace): void {
    if (this.#reporting.has(group)) return;
    const { link, clock } = this.#deps;
    const request = { kind: 'placement-reached', group, revision } as const;
    const report = link.submit(request, millisPlus(clock.monotonicMs(), reportMsMax)).then(() => {
      this.#reporting.delete(group);
    });
    this.#reporting.set(group, report);
  }

  #misplaced(nowMs: number): readonly MisplacedLead[] {
    const { catalog, localGroups } = this.#deps;
    const misplaced: MisplacedLead[] = [];
    for (const [group, raft] of localGroups.all) {
      if (!raft.role.serving) continue;
      const place = catalog.state.placeOf(group);
      const home = place === null ? null : this.#home(place);
      if (place === null || home === null || home.replicaId === raft.role.leader) continue;
      misplaced.push({ group, preferred: home.replicaId, ready: this.#isReady(place, raft, home, nowMs) });
    }
    return misplaced;
  }

  /** Where the leadership belongs: the first replica on a broker that may lead; null: there is none. */
  #home({ replicas }: PartitionPlace): ReplicaPlace | null {
    const { brokers } = this.#deps.catalog.state;
    return replicas.find(({ brokerId }) => brokers.get(brokerId)?.duty === undefined) ?? null;
  }

  #isReady(place: PartitionPlace, raft: RaftGroup, home: ReplicaPlace, nowMs: number): boolean {
    const { departures, limits } = this.#deps;
    const follower = raft.followers.find((one) => one.id === home.replicaId);
    return (
      isAtRest(place) &&
      !departures.isDeparting(home.brokerId) &&
      follower?.state === 'replicate' &&
      nowMs - follower.heardMs < limits.brokerQuietMs &&
      follower.match + limits.promotionLagMax >= raft.log.lastIndex
    );
  }
}

const placementsOf = (command: CatalogCommand): readonly { readonly group: GroupNumber }[] => {
  if (command.kind === 'set-replicas') return [command];
  return command.kind === 'place-replicas' ? command.placements : [];
};
