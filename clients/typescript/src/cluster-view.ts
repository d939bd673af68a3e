/**
 * What the client knows of the cluster: where its brokers are, who leads what, and whom not to ask for a while. No I/O:
 * brokers.ts asks, and reports here what came of it.
 *
 * Invariants:
 * - view-1: the addresses that the application gave are never forgotten; those that brokers told come after them. So the
 *   loss of any of them leaves the others, and a cluster that moved as a whole is found again.
 * - view-2: an older leader epoch teaches nothing about the same topic; another topic of the same name begins anew.
 */
import type { LeaderHint } from './errors.ts';

/** Where a broker is. */
export interface BrokerAddress {
  readonly brokerId: number;
  /** "host:port". */
  readonly address: string;
}

/** What DescribeTopic tells of a partition. */
export interface LedPartition {
  readonly partition: number;
  /** Broker id; absent: not known. */
  readonly leader?: number | undefined;
  readonly leaderEpoch?: number | undefined;
}

/** Brokers whose address is remembered. */
const brokersMax = 1_000;
/** Topics whose leaders are remembered; all are forgotten when there are more. */
const topicsMax = 10_000;
/** A broker that could not be reached is passed over for this long, twice as long each time, up to the maximum. */
const avoidMsMin = 500;
const avoidMsMax = 10_000;
/** A broker that knows no leader for this long may be cut off from the others. */
const doubtMsMax = 1_000;

interface Leader {
  readonly address: string;
  readonly epoch: number;
}

interface KnownTopic {
  /** Null: only hints told of it. */
  topicId: string | null;
  readonly leaders: Map<number, Leader>;
}

interface Avoided {
  readonly failedMs: number;
  readonly untilMs: number;
  readonly failures: number;
}

export class ClusterView {
  readonly #bootstrap: readonly string[];
  /** By broker id. Invariant: at most `brokersMax`. */
  #learnt = new Map<number, string>();
  /** The bootstrap addresses and what was learnt besides. Invariant: view-1; never empty. */
  #addresses: readonly string[];
  /** By name. Invariant: at most `topicsMax`. */
  readonly #topics = new Map<string, KnownTopic>();
  /** By address; only those of `#addresses` and of leaders. */
  readonly #avoided = new Map<string, Avoided>();
  /** Who is asked for anything. */
  #current: string;
  /** Since when the current one says that it knows no leader; null: it does not. */
  #doubtedSinceMs: number | null = null;

  /** @param bootstrap at least one address */
  constructor(bootstrap: readonly string[]) {
    this.#bootstrap = bootstrap;
    this.#addresses = [...new Set(bootstrap)];
    this.#current = bootstrap[0] ?? '';
  }

  /** All brokers that may be asked. */
  get addresses(): readonly string[] {
    return this.#addresses;
  }

  /** The broker to ask for anything: the same as long as it answers, then the next that was not found away. */
  any(nowMs: number): string {
    if (!this.#isAvoided(this.#current, nowMs)) return this.#current;
    this.#move(this.after(this.#current, nowMs));
    return this.#current;
  }

  /** Whom to ask if `address` could not help: the next that was not found away, else the one that failed longest ago. */
  after(address: string, nowMs: number): string {
    const at = this.#addresses.indexOf(address);
    const others = [...this.#addresses.slice(at + 1), ...this.#addresses.slice(0, at + 1)];
    const present = others.find((other) => !this.#isAvoided(other, nowMs));
    if (present !== undefined) return present;
    return others.reduce((oldest, other) => (this.#failedMs(other) < this.#failedMs(oldest) ? other : oldest));
  }

  /** Whether there is a broker that was not found away. */
  hasPresent(nowMs: number): boolean {
    return this.#addresses.some((address) => !this.#isAvoided(address, nowMs));
  }

  /** Null: not known, or not reached lately; any broker passes the request on. */
  leaderOf(topic: string, partition: number, nowMs: number): string | null {
    const leader = this.#topics.get(topic)?.leaders.get(partition);
    return leader === undefined || this.#isAvoided(leader.address, nowMs) ? null : leader.address;
  }

  /** True: it was found away, and has not answered since. */
  wasAway(address: string): boolean {
    return this.#avoided.has(address);
  }

  /** True: a leader of this or a later epoch is known. */
  knowsEpoch(topic: string, partition: number, epoch: number): boolean {
    const leader = this.#topics.get(topic)?.leaders.get(partition);
    return leader !== undefined && leader.epoch >= epoch;
  }

  /** The brokers of the cluster, all of them. */
  learnBrokers(brokers: readonly BrokerAddress[]): void {
    this.#learnt = new Map();
    for (const { brokerId, address } of brokers.slice(0, brokersMax))
      if (address !== '') this.#learnt.set(brokerId, address);
    this.#addresses = [...new Set([...this.#bootstrap, ...this.#learnt.values()])];
    if (!this.#addresses.includes(this.#current)) this.#move(this.#addresses[0] ?? '');
  }

  /** Leaders of a topic's partitions. True: at least one is elsewhere than was known. */
  learnTopic(
    name: string,
    topicId: string,
    partitions: readonly LedPartition[],
    brokers: readonly BrokerAddress[],
  ): boolean {
    const addresses = new Map([
      ...this.#learnt,
      ...brokers.map(({ brokerId, address }) => [brokerId, address] as const),
    ]);
    const known = this.#topics.get(name);
    if (known !== undefined && known.topicId !== null && known.topicId !== topicId) this.#topics.delete(name);
    this.#topic(name).topicId = topicId;
    let moved = false;
    for (const { partition, leader, leaderEpoch } of partitions) {
      const address = leader === undefined ? undefined : addresses.get(leader);
      if (address === undefined || address === '' || leaderEpoch === undefined) continue;
      moved = this.#learn(name, partition, { address, epoch: leaderEpoch }) || moved;
    }
    return moved;
  }

  /** What a refusal told. True: it is elsewhere than was known. */
  learnLeader(topic: string, partition: number, hint: LeaderHint): boolean {
    return this.#learn(topic, partition, { address: hint.address, epoch: hint.leaderEpoch });
  }

  /** Whoever is at `address` does not lead the partition (any more), and does not say who does. */
  notLeader(topic: string, partition: number, address: string, nowMs: number): void {
    const leaders = this.#topics.get(topic)?.leaders;
    if (leaders?.get(partition)?.address === address) leaders.delete(partition);
    if (address !== this.#current) return;
    this.#doubtedSinceMs ??= nowMs;
    if (nowMs - this.#doubtedSinceMs > doubtMsMax) this.#move(this.after(address, nowMs));
  }

  /** It answered what it was asked. */
  reached(address: string): void {
    this.#avoided.delete(address);
    if (address === this.#current) this.#doubtedSinceMs = null;
  }

  /** It could not be reached, or the connection broke. */
  failed(address: string, nowMs: number): void {
    const failures = (this.#avoided.get(address)?.failures ?? 0) + 1;
    const forMs = Math.min(avoidMsMax, avoidMsMin * 2 ** Math.min(failures - 1, 10));
    if (this.#avoided.size > this.#addresses.length + brokersMax) this.#avoided.clear();
    this.#avoided.set(address, { failedMs: nowMs, untilMs: nowMs + forMs, failures });
  }

  #topic(name: string): KnownTopic {
    const known = this.#topics.get(name);
    if (known !== undefined) return known;
    if (this.#topics.size >= topicsMax) this.#topics.clear();
    const topic: KnownTopic = { topicId: null, leaders: new Map() };
    this.#topics.set(name, topic);
    return topic;
  }

  #learn(topic: string, partition: number, leader: Leader): boolean {
    const { leaders } = this.#topic(topic);
    const known = leaders.get(partition);
    if (known !== undefined && known.epoch > leader.epoch) return false;
    leaders.set(partition, leader);
    return known?.address !== leader.address;
  }

  #move(address: string): void {
    this.#current = address;
    this.#doubtedSinceMs = null;
  }

  #isAvoided(address: string, nowMs: number): boolean {
    const avoided = this.#avoided.get(address);
    return avoided !== undefined && nowMs < avoided.untilMs;
  }

  #failedMs(address: string): number {
    return this.#avoided.get(address)?.failedMs ?? -Infinity;
  }
}
