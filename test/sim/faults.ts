/** What goes wrong during the safety phase. Which kinds a run has, and how often, is drawn from its seed ("swarm"). */
import type { Channel } from '../../src/raft/transport.ts';
import type { SimNode } from './sim-node.ts';
import type { SimRandom } from './sim-random.ts';
import type { SimWorld } from './sim-world.ts';

const kinds = [
  'crash',
  'crash-all',
  'partition',
  'one-way',
  'one-channel',
  'bridge',
  'flapping',
  'lossy',
  'slow-network',
  'slow-disk',
  'hanging-disk',
  'clock-jump',
] as const;
type FaultKind = (typeof kinds)[number];

const channels: readonly Channel[] = ['bulk', 'beat'];

export class Faults {
  readonly #world: SimWorld;
  readonly #random: SimRandom;
  readonly #enabled: readonly FaultKind[];
  readonly #pauseMsMean: number;
  #running = false;

  constructor(world: SimWorld, random: SimRandom) {
    this.#world = world;
    this.#random = random;
    this.#enabled = kinds.filter(() => random.chance(0.6));
    this.#pauseMsMean = random.between(500, 5_000);
  }

  start(): void {
    this.#running = true;
    if (this.#enabled.length > 0) this.#next();
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

  #inject(kind: FaultKind): void {
    const { network, nodes } = this.#world;
    const some = this.#random.pick(nodes);
    this.#world.trace.say(some.number, null, 'fault', kind);
    switch (kind) {
      case 'crash':
        this.#crash(some);
        return;
      case 'crash-all':
        if (this.#random.chance(0.3)) for (const node of nodes) this.#crash(node);
        return;
      case 'partition':
        this.#partition(this.#random.shuffle(nodes));
        this.#healLater();
        return;
      case 'one-way':
        for (const channel of channels) network.cut(some.number, this.#random.pick(nodes).number, channel);
        this.#healLater();
        return;
      case 'one-channel':
        for (const node of nodes)
          if (this.#random.chance(0.5)) network.cut(some.number, node.number, this.#random.pick(channels));
        this.#healLater();
        return;
      case 'bridge':
        this.#bridge(this.#random.shuffle(nodes));
        this.#healLater();
        return;
      case 'flapping':
        for (let i = 0; i < 6; i++) this.#later(i * 400, () => (i % 2 === 0 ? this.#isolate(some) : network.heal()));
        return;
      case 'lossy':
        Object.assign(network.mood, { loss: 0.3, duplication: 0.3, reordering: 0.5 });
        this.#calmLater();
        return;
      case 'slow-network':
        Object.assign(network.mood, { delayMsMin: this.#random.below(30), delayMsMean: this.#random.between(10, 300) });
        this.#calmLater();
        return;
      case 'slow-disk':
        some.disk.mood.syncMsMean = this.#random.between(20, 800);
        this.#later(3_000, () => some.disk.heal());
        return;
      case 'hanging-disk':
        some.disk.mood.hanging = true;
        this.#later(this.#random.between(500, 6_000), () => some.disk.heal());
        return;
      case 'clock-jump':
        some.clock.wallOffsetMs = this.#random.between(-3_600_000, 3_600_000);
        return;
    }
  }

  #crash(node: SimNode): void {
    if (!node.alive) return;
    this.#world.crash(node, this.#random.pick(['none', 'prefix', 'prefix', 'all'] as const));
    this.#later(this.#random.exponential(1_500), () => {
      if (!node.alive) this.#world.start(node);
    });
  }

  #isolate(node: SimNode): void {
    for (const other of this.#world.nodes)
      if (other !== node) this.#world.network.cutBothWays(node.number, other.number);
  }

  /** Two sides that do not see each other. */
  #partition(nodes: readonly SimNode[]): void {
    const left = this.#random.between(1, Math.max(1, nodes.length - 1));
    for (const a of nodes.slice(0, left))
      for (const b of nodes.slice(left)) this.#world.network.cutBothWays(a.number, b.number);
  }

  /** Only the first sees both sides. */
  #bridge([, ...others]: readonly SimNode[]): void {
    const half = others.length >> 1;
    for (const a of others.slice(0, half))
      for (const b of others.slice(half)) this.#world.network.cutBothWays(a.number, b.number);
  }

  #healLater(): void {
    this.#later(this.#random.between(300, 6_000), () => this.#world.network.heal());
  }

  #calmLater(): void {
    this.#later(this.#random.between(1_000, 8_000), () => this.#world.network.calm());
  }

  /** After the safety phase nothing that was planned happens any more. */
  #later(delayMs: number, act: () => void): void {
    this.#world.scheduler.after(delayMs, () => {
      if (this.#running) act();
    });
  }
}
