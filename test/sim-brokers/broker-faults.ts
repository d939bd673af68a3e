/**
 * What goes wrong in the phase with faults. Which kinds a run has, and how often, is drawn from its
 * seed ("swarm", reliability 3.3); each ends by itself.
 */
import { catalogGroup } from '../../src/model/ids.ts';
import type { Keep } from '../sim/sim-disk.ts';
import { keeps } from '../sim/sim-disk.ts';
import type { Link } from '../sim/sim-network.ts';
import { linksBetween } from '../sim/sim-network.ts';
import type { SimRandom } from '../sim/sim-random.ts';
import type { BrokerWorld } from './broker-world.ts';
import type { SimBroker } from './sim-broker.ts';

const themes = [
  'crash',
  'crash-all',
  'crash-catalog-leader',
  'crash-leader',
  'stop',
  'partition',
  'isolation',
  'one-way',
  'lossy',
  'slow-network',
  'client-loss',
  'slow-disk',
  'hanging-disk',
  'failing-disk',
  'pause',
  'stall',
  'clock-jump',
  'wipe',
  'roll-back',
] as const;
type Theme = (typeof themes)[number];

/** What every run has: there is nothing to be seen without. */
const always: readonly Theme[] = ['crash-leader'];

export class BrokerFaults {
  readonly #world: BrokerWorld;
  readonly #random: SimRandom;
  readonly #enabled: readonly Theme[];
  readonly #pauseMsMean: number;
  #running = false;

  constructor(world: BrokerWorld, random: SimRandom) {
    this.#world = world;
    this.#random = random;
    this.#enabled = themes.filter((theme) => always.includes(theme) || random.chance(0.4));
    this.#pauseMsMean = random.between(400, 2_500);
  }

  start(): void {
    this.#running = true;
    this.#next();
  }

  stop(): void {
    this.#running = false;
  }

  #next(): void {
    this.#world.scheduler.after(this.#random.exponential(this.#pauseMsMean), () => {
      if (!this.#running) return;
      this.#inject(this.#random.pick(this.#enabled));
      this.#next();
    });
  }

  #inject(theme: Theme): void {
    const random = this.#random;
    const { network, brokers } = this.#world;
    const broker = random.pick(brokers);
    const keep = random.pick(keeps);
    const downMs = random.exponential(1_500);
    const forMs = random.between(300, 5_000);
    this.#world.trace.say(broker.number, null, 'fault', theme);
    switch (theme) {
      case 'crash':
        this.#crash(broker, keep, downMs);
        return;
      case 'crash-all':
        if (!random.chance(0.5)) return;
        this.#world.count('allCrashed');
        for (const each of brokers) this.#crash(each, keep, random.exponential(1_500));
        return;
      case 'crash-catalog-leader':
        for (const each of this.#leaders(catalogGroup)) {
          this.#world.count('catalogLeadersKilled');
          this.#crash(each, keep, downMs);
        }
        return;
      case 'crash-leader':
        for (const each of this.#leaders(random.pick(this.#world.groups))) this.#crash(each, keep, downMs);
        return;
      case 'stop':
        this.#world.stop(broker, () => {
          this.#world.startLater(broker, downMs);
        });
        return;
      case 'partition': {
        const shuffled = random.shuffle(brokers);
        const left = random.between(1, Math.max(1, brokers.length - 1));
        this.#cut(between(shuffled.slice(0, left), shuffled.slice(left)), forMs);
        return;
      }
      case 'isolation':
        this.#cut(between([broker], brokers.filter((other) => other !== broker)), forMs); // prettier-ignore
        return;
      case 'one-way': {
        const to = random.pick(brokers);
        this.#cut(linksBetween(broker.number, to.number).filter(({ from }) => from === broker.number), forMs); // prettier-ignore
        return;
      }
      case 'lossy':
        Object.assign(network.mood, { loss: random.pick([0.02, 0.2]), duplication: 0.2, reordering: 0.3 });
        this.#later(forMs, () => network.calm());
        return;
      case 'slow-network':
        Object.assign(network.mood, { delayMsMin: random.below(30), delayMsMean: random.between(10, 200) });
        this.#later(forMs, () => network.calm());
        return;
      case 'client-loss':
        this.#world.clientLoss = random.pick([0.05, 0.3]);
        this.#later(forMs, () => (this.#world.clientLoss = 0));
        return;
      case 'slow-disk':
        broker.disk.mood.syncMsMean = random.between(20, 500);
        this.#later(forMs, () => (broker.disk.mood.syncMsMean = 2));
        return;
      case 'hanging-disk':
        broker.disk.mood.hanging = true;
        this.#later(forMs, () => (broker.disk.mood.hanging = false));
        return;
      case 'failing-disk':
        broker.disk.mood.failing = true;
        return;
      case 'pause':
        this.#pause(broker, random.between(1_000, 8_000));
        return;
      case 'stall':
        this.#pause(broker, random.between(20, 1_500));
        return;
      case 'clock-jump':
        if (broker.process === null) return;
        broker.process.clock.wallOffsetMs = random.between(-3_600_000, 3_600_000);
        this.#world.clockJumped();
        return;
      case 'wipe':
        this.#wipe(broker, downMs);
        return;
      case 'roll-back':
        this.#rollBack(broker, random.between(0, 6_000), downMs);
        return;
    }
  }

  #leaders(group: number): readonly SimBroker[] {
    return this.#world.brokers.filter(({ groups }) =>
      [...groups.values()].some((raft) => raft.group === group && raft.role.role === 'leader'),
    );
  }

  #crash(broker: SimBroker, keep: Keep, downMs: number): void {
    if (!broker.alive) return;
    this.#world.crash(broker, keep);
    this.#world.startLater(broker, downMs);
  }

  #cut(links: readonly Link[], forMs: number): void {
    const { network } = this.#world;
    for (const link of links) network.cut(link);
    this.#later(forMs, () => {
      for (const link of links) network.mend(link);
    });
  }

  #pause({ process }: SimBroker, forMs: number): void {
    if (process === null || process.paused) return;
    this.#world.count('pauses');
    process.pause();
    this.#later(forMs, () => {
      process.resume();
    });
  }

  /** Only a disk that every group can spare: then nothing may be lost. */
  #mayLose(broker: SimBroker): boolean {
    return (
      !broker.isLost &&
      !broker.isGivenUp &&
      !this.#world.hasOldCopy &&
      broker.files.content.clusterId !== null &&
      this.#world.groups.every((group) => this.#world.canElectWithout(group, [broker]))
    );
  }

  #wipe(broker: SimBroker, downMs: number): void {
    if (!this.#mayLose(broker)) return;
    this.#world.crash(broker, 'none');
    this.#world.wipe(broker);
    this.#world.startLater(broker, downMs);
  }

  #rollBack(broker: SimBroker, afterMs: number, downMs: number): void {
    const copy = broker.copy();
    if (copy.files.clusterId === null) return;
    this.#later(afterMs, () => {
      // a copy of another incarnation, or of what is there now, is not an old one
      const isOld = copy.files.incarnation === broker.incarnation && copy.store.commit < broker.disk.durableCommit;
      if (!isOld || !this.#mayLose(broker)) return;
      if (!this.#world.isFound(broker, copy)) {
        this.#world.count('oldCopiesUnknown');
        return;
      }
      this.#world.crash(broker, 'all');
      this.#world.rollBack(broker, copy);
      this.#world.startLater(broker, downMs);
    });
  }

  /** After the phase nothing that was planned happens any more. */
  #later(delayMs: number, act: () => void): void {
    this.#world.scheduler.after(delayMs, () => {
      if (this.#running) act();
    });
  }
}

const between = (left: readonly SimBroker[], right: readonly SimBroker[]): readonly Link[] =>
  left.flatMap((a) => right.flatMap((b) => linksBetween(a.number, b.number)));
