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
import type { CatalogCommand, PartitionPlace } from './catalog-commands.ts';
import type { CatalogLink } from './catalog-link.ts';
import type { Departures } from './departures.ts';
import type { MisplacedLead } from './leadership-balance.ts';
import { LeadershipBalance } from './leadership-balance.ts';
import type { BrokerLimits } from './limits.ts';
import type { LocalGroups } from './local-groups.ts';
import { planPlacement } from './placement-plan.ts';

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
    if (command.kind !== 'set-replicas') return;
    const place = this.#deps.catalog.state.placeOf(command.group);
    if (place !== null) this.#note(place);
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
    for (const group of this.#unreached) {
      const place = catalog.state.placeOf(group);
      if (place === null || place.reached === place.revision) this.#unreached.delete(group);
      else this.#bringOn(place, localGroups.running(group));
    }
    const nowMs = clock.monotonicMs();
    if (nowMs - this.#balancedMs < limits.leadershipCheckMs) return;
    this.#balancedMs = nowMs;
    for (const { group, preferred } of this.#balance.look(this.#misplaced(nowMs), nowMs)) {
      localGroups.running(group)?.transferLeadership(preferred);
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
    const { catalog, localGroups, departures, limits } = this.#deps;
    const misplaced: MisplacedLead[] = [];
    for (const [group, raft] of localGroups.all) {
      if (!raft.role.serving) continue;
      const place = catalog.state.placeOf(group);
      const home = place?.replicas[0];
      if (place === null || home === undefined || home.replicaId === raft.role.leader) continue;
      const preferred = home.replicaId;
      const follower = raft.followers.find((one) => one.id === preferred);
      const ready =
        place.reached === place.revision &&
        !departures.isDeparting(home.brokerId) &&
        follower?.state === 'replicate' &&
        nowMs - follower.heardMs < limits.brokerQuietMs &&
        follower.match + limits.promotionLagMax >= raft.log.lastIndex;
      misplaced.push({ group, preferred, ready });
    }
    return misplaced;
  }
}
