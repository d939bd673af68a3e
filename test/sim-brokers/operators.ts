/**
 * What operators do in the phase with faults: every order that the cluster takes, through whichever broker answers
 * (src/broker/operation-desk.ts), now and then only rehearsed; and disks that are lost, or whose broker was removed, give
 * way to empty ones. Which kinds of orders a run has is drawn from its seed.
 */
import type { ClusterOperation } from '../../src/broker/cluster-operation.ts';
import type { TopicConfig, TopicConfigChange } from '../../src/broker/topic-config.ts';
import { topicConfigKeys } from '../../src/broker/topic-config.ts';
import type { TopicEntry } from '../../src/broker/catalog-commands.ts';
import { errorTraits } from '../../src/model/errors.ts';
import { toBrokerId } from '../../src/model/ids.ts';
import { SimViolation } from '../sim/invariant.ts';
import type { SimRandom } from '../sim/sim-random.ts';
import type { BrokerWorld, Reply } from './broker-world.ts';
import type { SimBroker } from './sim-broker.ts';

const themes = [
  'move',
  'transfer',
  'add-partitions',
  'replication-factor',
  'alter-topic',
  'drain',
  'undrain',
  'decommission',
  'replace',
  'new-address',
  'finalize',
] as const;
type Theme = (typeof themes)[number];

/** What every run has: there is nothing to be seen without. */
const always: readonly Theme[] = ['move'];

const callMs = 5_000;
const partitionsMax = 4;
/** Brokers that a cluster keeps although some are decommissioned. */
const brokersMin = 3;

export class Operators {
  readonly #world: BrokerWorld;
  readonly #random: SimRandom;
  readonly #enabled: readonly Theme[];
  readonly #pauseMsMean: number;
  #running = false;

  constructor(world: BrokerWorld, random: SimRandom) {
    this.#world = world;
    this.#random = random;
    this.#enabled = themes.filter((theme) => always.includes(theme) || random.chance(0.5));
    this.#pauseMsMean = random.between(600, 3_000);
  }

  start(): void {
    this.#running = true;
    this.#next();
  }

  /** Ends what would not end by itself: a broker that is to go can not where there is nobody to take what it holds. */
  stop(): void {
    this.#running = false;
    this.#callOff().catch((error: unknown) => {
      this.#world.fail(error);
    });
  }

  #next(): void {
    this.#world.scheduler.after(this.#random.exponential(this.#pauseMsMean), () => {
      if (!this.#running) return;
      const mayReplace = this.#enabled.includes('replace') && this.#lost.length > 0;
      this.#act(mayReplace && this.#random.chance(0.3) ? 'replace' : this.#random.pick(this.#enabled));
      this.#next();
    });
  }

  #act(theme: Theme): void {
    const random = this.#random;
    const broker = random.pick(this.#world.brokers);
    const { brokerId } = broker;
    // an old copy that is not found yet may count on what it does not know not to change meanwhile
    if (this.#world.hasOldCopy && theme !== 'replace') return;
    switch (theme) {
      case 'move':
        this.#move();
        return;
      case 'transfer':
        this.#transfer();
        return;
      case 'add-partitions':
        this.#withTopic(({ tenant, name, partitions }) => {
          if (partitions.length >= partitionsMax) return;
          this.#order({ kind: theme, topic: { tenant, name, topicId: null }, partitions: partitions.length + 1 });
        });
        return;
      case 'replication-factor':
        this.#withTopic(({ tenant, name }) => {
          const replicationFactor = random.pick([1, 2, 3, 3, 4]);
          const topic = { tenant, name, topicId: null };
          this.#order({ kind: 'change-replication-factor', topic, replicationFactor });
        });
        return;
      case 'alter-topic':
        this.#withTopic(({ name }) => {
          const change = { name, topicId: null, config: drawConfig(random), dryRun: random.chance(0.1) };
          const at = random.pick(this.#world.brokers);
          this.#world.trace.say(at.number, null, 'alter', JSON.stringify(change));
          const done = this.#world.ask(at, callMs, (api, context) => api.alterTopic(change, context));
          void done.then((reply) => {
            this.#hear('alter-topic', reply);
          });
        });
        return;
      case 'drain':
        this.#order({ kind: 'drain-broker', brokerId });
        return;
      case 'undrain':
        this.#order({ kind: 'undrain-broker', brokerId });
        return;
      case 'decommission':
        if (this.#world.catalog.state.brokers.size <= brokersMin && random.chance(0.8)) return;
        this.#order({ kind: 'decommission-broker', brokerId });
        return;
      case 'replace':
        this.#replace();
        return;
      case 'new-address':
        this.#world.moveToNewAddress(broker);
        return;
      case 'finalize':
        this.#order({ kind: 'finalize-upgrade' });
        return;
    }
  }

  /** Whose place another disk may take. */
  get #lost(): readonly SimBroker[] {
    const { catalog, brokers } = this.#world;
    return brokers.filter((one) => one.isLost && !one.isGivenUp && catalog.state.brokers.has(one.brokerId));
  }

  #withTopic(act: (topic: TopicEntry) => void): void {
    const topics = this.#world.catalog.live;
    if (topics.length > 0) act(this.#random.pick(topics));
  }

  /** Some partition shall be elsewhere: as many replicas on other brokers. */
  #move(): void {
    const random = this.#random;
    const { state } = this.#world.catalog;
    this.#withTopic(({ tenant, name, partitions }) => {
      const partition = random.below(partitions.length);
      const count = partitions[partition]?.replicas.length ?? 0;
      const joined = [...state.brokers.values()].filter((one) => one.joined);
      const fit = joined.map(({ brokerId }) => this.#world.broker(brokerId)).filter((one) => !one.isLost);
      if (fit.length < count) return;
      const brokers = random.shuffle(fit).slice(0, count).map(({ number }) => toBrokerId(number)); // prettier-ignore
      const move = { tenant, topic: name, partition, brokers };
      this.#order({ kind: 'move-replicas', moves: [move], supersede: random.chance(0.4) });
    });
  }

  #transfer(): void {
    this.#withTopic(({ tenant, name, partitions }) => {
      const partition = this.#random.below(partitions.length);
      const replicas = partitions[partition]?.replicas ?? [];
      const { brokerId } = this.#random.pick(replicas);
      this.#order({ kind: 'transfer-leadership', tenant, topic: name, partition, brokerId });
    });
  }

  /** A lost disk is given up; the machine stays down until the cluster agrees, then comes with an empty one. */
  #replace(): void {
    const lost = this.#lost;
    if (lost.length === 0) return;
    const broker = this.#random.pick(lost);
    this.#world.keepDown(broker);
    this.#order({ kind: 'replace-broker', brokerId: broker.brokerId, incarnation: null });
  }

  /** Until the catalog has it: nobody stays decommissioning who can not go. */
  async #callOff(): Promise<void> {
    const { catalog } = this.#world;
    for (;;) {
      const going = [...catalog.state.brokers.values()].find(
        ({ duty }) =>
          duty === 'draining' || (duty === 'decommissioning' && this.#world.brokers.some((one) => one.isLost)),
      );
      if (going === undefined) return;
      const at = this.#random.pick(this.#world.brokers);
      await this.#ask(at, { kind: 'undrain-broker', brokerId: going.brokerId }, false);
      await this.#world.sleep(500);
    }
  }

  #order(operation: ClusterOperation): void {
    const at = this.#random.pick(this.#world.brokers);
    void this.#ask(at, operation, this.#random.chance(0.15));
  }

  async #ask(at: SimBroker, operation: ClusterOperation, dryRun: boolean): Promise<void> {
    this.#world.trace.say(at.number, null, dryRun ? 'rehearse' : 'order', JSON.stringify(operation));
    const renewals = this.#renewals(operation);
    const reply = await this.#world.ask(at, callMs, (api, context) => api.operate(operation, dryRun, context));
    this.#hear(operation.kind, reply);
    const isFinal = reply.kind === 'answered' && reply.result.kind === 'ok' && !dryRun;
    if (isFinal) this.#checkEffect(operation, renewals);
  }

  /** How often the disk that the order is about was exchanged; 0: it is about none. */
  #renewals(operation: ClusterOperation): number {
    return operation.kind === 'replace-broker' ? this.#world.broker(operation.brokerId).renewals : 0;
  }

  /** What was told to be done is in the catalog's log, or was, and the empty disk came before the answer. */
  #checkEffect(operation: ClusterOperation, renewalsBefore: number): void {
    if (operation.kind !== 'replace-broker') return;
    const { number, isGivenUp, renewals } = this.#world.broker(operation.brokerId);
    if (isGivenUp || renewals > renewalsBefore) return;
    this.#world.fail(new SimViolation('inv-B9', `b${number} is said to be given up, and is not`));
  }

  #hear(kind: string, reply: Reply<unknown>): void {
    if (reply.kind !== 'answered') {
      this.#world.count('ordersUnanswered');
      return;
    }
    const { result } = reply;
    if (result.kind === 'ok') {
      this.#world.count('ordersDone');
      return;
    }
    const { code, message } = result.error;
    this.#world.trace.say(0, null, 'told', `${kind}: ${code} ${message}`);
    this.#world.count(errorTraits[code].retriable ? 'ordersPutOff' : 'ordersRefused');
  }
}

/** Limits small enough to be passed within a run, or none. */
export function drawConfig(random: SimRandom): TopicConfigChange {
  const set: Partial<Record<keyof TopicConfig, number | null>> = {};
  if (random.chance(0.5)) set['retention.records'] = random.pick([1, 5, 20, null]);
  if (random.chance(0.4)) set['retention.bytes'] = random.pick([300, 1_500, null]);
  if (random.chance(0.4)) set['retention.ms'] = random.pick([500, 3_000, 600_000, 600_000, null]);
  if (random.chance(0.2)) set['min.insync.replicas'] = random.pick([2, null]);
  const unset = topicConfigKeys.filter((key) => set[key] === undefined);
  return { set, reset: unset.length > 0 && random.chance(0.2) ? [random.pick(unset)] : [] };
}
