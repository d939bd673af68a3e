/**
 * What goes wrong during the safety phase. Which kinds a run has, and how often, is drawn from its seed ("swarm"). Each
 * fault is plain data that ends by itself, so that a run can be repeated with fewer of them.
 */
import type { Channel } from '../../src/raft/transport.ts';
import type { GroupNumber } from '../../src/model/ids.ts';
import { FigureEight } from './figure-eight.ts';
import type { DiskCopy, Keep } from './sim-disk.ts';
import { keeps } from './sim-disk.ts';
import type { Link, NodeNumber } from './sim-network.ts';
import { linksBetween } from './sim-network.ts';
import type { SimNode } from './sim-node.ts';
import type { SimRandom } from './sim-random.ts';
import type { SimWorld } from './sim-world.ts';

export type Fault =
  | { readonly kind: 'crash'; readonly nodes: readonly NodeNumber[]; readonly keep: Keep; readonly downMs: number }
  | { readonly kind: 'cut'; readonly links: readonly Link[]; readonly forMs: number }
  | { readonly kind: 'flapping'; readonly links: readonly Link[]; readonly times: number; readonly everyMs: number }
  /** The connections between two nodes break, and are made again. */
  | { readonly kind: 'reset'; readonly nodes: readonly [NodeNumber, NodeNumber] }
  | { readonly kind: 'lossy'; readonly loss: number; readonly reordering: number; readonly forMs: number }
  | { readonly kind: 'slow-network'; readonly minMs: number; readonly meanMs: number; readonly forMs: number }
  | { readonly kind: 'slow-disk'; readonly node: NodeNumber; readonly syncMsMean: number; readonly forMs: number }
  | { readonly kind: 'hanging-disk'; readonly node: NodeNumber; readonly forMs: number }
  | { readonly kind: 'failing-disk'; readonly node: NodeNumber }
  | { readonly kind: 'full-disk'; readonly node: NodeNumber; readonly lowMs: number; readonly fullMs: number }
  | { readonly kind: 'wipe'; readonly node: NodeNumber; readonly downMs: number }
  | {
      readonly kind: 'roll-back';
      readonly node: NodeNumber;
      /** True: the store finds it by its floor. False: the floor goes back too, so only others can tell. */
      readonly keepsFloor: boolean;
      /** Whether the process starts once more between the copy and the roll-back. */
      readonly restarts: boolean;
      readonly afterMs: number;
      readonly downMs: number;
      readonly replacedAfterMs: number;
    }
  | { readonly kind: 'clock-jump'; readonly node: NodeNumber; readonly byMs: number }
  | { readonly kind: 'pause'; readonly node: NodeNumber; readonly forMs: number }
  | {
      readonly kind: 'add' | 'add-learner' | 'remove' | 'transfer';
      readonly group: GroupNumber;
      readonly node: NodeNumber;
    }
  | { readonly kind: 'move'; readonly group: GroupNumber; readonly from: NodeNumber; readonly to: NodeNumber }
  | { readonly kind: 'spread'; readonly group: GroupNumber; readonly nodes: readonly NodeNumber[] }
  | {
      readonly kind: 'dither';
      readonly group: GroupNumber;
      readonly wishes: readonly (readonly NodeNumber[])[];
      readonly everyMs: number;
    }
  | { readonly kind: 'cancel' | 'late-request' | 'figure-eight'; readonly group: GroupNumber };

export interface TimedFault {
  /** Virtual ms since the beginning of the run. */
  readonly at: number;
  readonly fault: Fault;
}

/** What a run may be made of; each is one or more kinds of fault. */
const themes = [
  'crash',
  'crash-all',
  'partition',
  'one-way',
  'one-channel',
  'bridge',
  'isolation',
  'flapping',
  'reset',
  'lossy',
  'slow-network',
  'slow-disk',
  'hanging-disk',
  'failing-disk',
  'full-disk',
  'lost-disk',
  'clock-jump',
  'pause',
  'stall',
  'membership',
  'membership',
  'replacement',
  'transfer',
  'figure-eight',
] as const;
type Theme = (typeof themes)[number];

const channels: readonly Channel[] = ['bulk', 'beat'];

export class Faults {
  /** Everything that was injected, for a repetition. */
  readonly injected: TimedFault[] = [];
  readonly #world: SimWorld;
  readonly #random: SimRandom;
  readonly #enabled: readonly Theme[];
  readonly #pauseMsMean: number;
  #running = false;

  constructor(world: SimWorld, random: SimRandom) {
    this.#world = world;
    this.#random = random;
    const drawn: readonly Theme[] = themes.filter(() => random.chance(0.5));
    this.#enabled = world.shape.mustSurvive ? drawn : [...drawn, 'lost-disk', 'lost-disk', 'lost-disk'];
    this.#pauseMsMean = random.between(500, 5_000);
  }

  /** Draws and injects until stopped. */
  start(): void {
    this.#running = true;
    if (this.#enabled.length > 0) this.#next();
  }

  /** Injects exactly these, as far as their nodes and groups exist. */
  repeat(schedule: readonly TimedFault[]): void {
    this.#running = true;
    const { scheduler, nodes, groups } = this.#world;
    for (const { at, fault } of schedule) {
      const known = numbersIn(fault).every((number) => number <= nodes.length);
      if (known && (!('group' in fault) || groups.includes(fault.group)))
        this.#later(at - scheduler.now, () => this.#inject(fault));
    }
  }

  stop(): void {
    this.#running = false;
  }

  #next(): void {
    this.#world.scheduler.after(this.#random.exponential(this.#pauseMsMean), () => {
      if (!this.#running) return;
      this.#inject(this.#draw(this.#random.pick(this.#enabled)));
      this.#next();
    });
  }

  #draw(theme: Theme): Fault {
    const random = this.#random;
    const numbers = this.#world.nodes.map(({ number }) => number);
    const node = random.pick(numbers);
    const keep = random.pick(keeps);
    const downMs = random.exponential(1_500);
    const forMs = random.between(300, 6_000);
    switch (theme) {
      case 'crash':
        return { kind: 'crash', nodes: [node], keep, downMs };
      case 'crash-all':
        return { kind: 'crash', nodes: random.chance(0.3) ? numbers : [node], keep, downMs };
      case 'partition':
        return { kind: 'cut', links: partition(random.shuffle(numbers), random), forMs };
      case 'one-way':
        return { kind: 'cut', links: oneWay(node, random.pick(numbers)), forMs };
      case 'one-channel':
        return { kind: 'cut', links: oneChannel(node, numbers, random), forMs };
      case 'bridge':
        return { kind: 'cut', links: bridge(random.shuffle(numbers)), forMs };
      case 'isolation':
        return { kind: 'cut', links: isolation(node, numbers), forMs };
      case 'flapping':
        return { kind: 'flapping', links: isolation(node, numbers), times: 3, everyMs: random.between(100, 800) };
      case 'reset':
        return { kind: 'reset', nodes: [node, random.pick(numbers)] };
      case 'lossy':
        return { kind: 'lossy', loss: random.pick([0.05, 0.3]), reordering: 0.5, forMs };
      case 'slow-network':
        return { kind: 'slow-network', minMs: random.below(30), meanMs: random.between(10, 300), forMs };
      case 'slow-disk':
        return { kind: 'slow-disk', node, syncMsMean: random.between(20, 800), forMs };
      case 'hanging-disk':
        return { kind: 'hanging-disk', node, forMs };
      case 'failing-disk':
        return { kind: 'failing-disk', node };
      case 'full-disk':
        return { kind: 'full-disk', node, lowMs: random.between(0, 4_000), fullMs: random.between(0, 4_000) };
      case 'lost-disk':
        if (random.chance(0.5)) return { kind: 'wipe', node, downMs };
        return {
          kind: 'roll-back',
          node,
          keepsFloor: random.chance(0.3),
          restarts: random.chance(0.5),
          afterMs: random.between(0, 5_000),
          downMs,
          replacedAfterMs: random.between(500, 6_000),
        };
      case 'clock-jump':
        return { kind: 'clock-jump', node, byMs: random.between(-3_600_000, 3_600_000) };
      case 'pause':
        return { kind: 'pause', node, forMs: random.between(1_000, 12_000) };
      case 'stall':
        return { kind: 'pause', node, forMs: random.between(20, 1_500) };
      case 'membership':
        return this.#drawMembership(numbers);
      case 'replacement':
        return { kind: 'move', group: this.#group(), from: node, to: random.pick(numbers) };
      case 'transfer':
        return { kind: 'transfer', group: this.#group(), node };
      case 'figure-eight':
        return { kind: 'figure-eight', group: this.#group() };
    }
  }

  #drawMembership(numbers: readonly NodeNumber[]): Fault {
    const random = this.#random;
    const group = this.#group();
    const node = random.pick(numbers);
    switch (random.pick(['add', 'add-learner', 'remove', 'spread', 'dither', 'cancel', 'late-request'] as const)) {
      case 'add':
        return { kind: 'add', group, node };
      case 'add-learner':
        return { kind: 'add-learner', group, node };
      case 'remove':
        return { kind: 'remove', group, node };
      case 'spread':
        return { kind: 'spread', group, nodes: random.shuffle(numbers).slice(0, random.pick([1, 3, 3, 5])) };
      case 'dither': {
        const wishes = [1, 2, 3].map(() => random.shuffle(numbers).slice(0, random.pick([1, 2, 3, 4])));
        return { kind: 'dither', group, wishes, everyMs: random.pick([0, 2, 20, 300]) };
      }
      case 'cancel':
        return { kind: 'cancel', group };
      case 'late-request':
        return { kind: 'late-request', group };
    }
  }

  #group(): GroupNumber {
    return this.#random.pick(this.#world.groups);
  }

  #inject(fault: Fault): void {
    const { scheduler, trace, network, catalog } = this.#world;
    this.injected.push({ at: scheduler.now, fault });
    trace.say(0, null, 'fault', JSON.stringify(fault));
    switch (fault.kind) {
      case 'crash':
        for (const node of fault.nodes) this.#crash(this.#node(node), fault.keep, fault.downMs);
        return;
      case 'cut':
        this.#cut(fault.links, fault.forMs);
        return;
      case 'flapping':
        for (let i = 0; i < fault.times; i++)
          this.#later(2 * i * fault.everyMs, () => this.#cut(fault.links, fault.everyMs));
        return;
      case 'reset':
        this.#reset(this.#node(fault.nodes[0]), this.#node(fault.nodes[1]));
        return;
      case 'lossy':
        Object.assign(network.mood, { loss: fault.loss, duplication: 0.3, reordering: fault.reordering });
        this.#later(fault.forMs, () => network.calm());
        return;
      case 'slow-network':
        Object.assign(network.mood, { delayMsMin: fault.minMs, delayMsMean: fault.meanMs });
        this.#later(fault.forMs, () => network.calm());
        return;
      case 'slow-disk':
        this.#node(fault.node).disk.mood.syncMsMean = fault.syncMsMean;
        this.#later(fault.forMs, () => (this.#node(fault.node).disk.mood.syncMsMean = 2));
        return;
      case 'hanging-disk':
        this.#node(fault.node).disk.mood.hanging = true;
        this.#later(fault.forMs, () => (this.#node(fault.node).disk.mood.hanging = false));
        return;
      case 'failing-disk':
        this.#node(fault.node).disk.mood.failing = true;
        return;
      case 'full-disk':
        this.#fill(this.#node(fault.node), fault.lowMs, fault.fullMs);
        return;
      case 'wipe':
        this.#wipe(this.#node(fault.node), fault.downMs);
        return;
      case 'roll-back':
        this.#rollBack(fault);
        return;
      case 'clock-jump':
        this.#node(fault.node).clock.wallOffsetMs = fault.byMs;
        return;
      case 'pause':
        this.#pause(this.#node(fault.node), fault.forMs);
        return;
      case 'add':
        catalog.add(fault.group, this.#node(fault.node));
        return;
      case 'add-learner':
        catalog.addLearner(fault.group, this.#node(fault.node));
        return;
      case 'remove':
        catalog.remove(fault.group, this.#node(fault.node));
        return;
      case 'transfer':
        catalog.transfer(fault.group, this.#node(fault.node));
        return;
      case 'move':
        catalog.move(fault.group, this.#node(fault.from), this.#node(fault.to));
        return;
      case 'spread':
        catalog.spread(fault.group, this.#nodes(fault.nodes));
        return;
      case 'dither':
        for (const [i, nodes] of fault.wishes.entries())
          this.#later(i * fault.everyMs, () => catalog.spread(fault.group, this.#nodes(nodes)));
        return;
      case 'cancel':
        catalog.cancel(fault.group);
        return;
      case 'late-request':
        catalog.repeat(fault.group);
        return;
      case 'figure-eight':
        new FigureEight(this.#world, fault.group, () => this.#running).start();
        return;
    }
  }

  #crash(node: SimNode, keep: Keep, downMs: number): void {
    if (!node.alive) return;
    this.#world.crash(node, keep);
    this.#world.startLater(node, downMs);
  }

  #cut(links: readonly Link[], forMs: number): void {
    const { network } = this.#world;
    for (const link of links) network.cut(link);
    this.#later(forMs, () => {
      for (const link of links) network.mend(link);
    });
  }

  #reset(a: SimNode, b: SimNode): void {
    a.breakStreams(b.number);
    b.breakStreams(a.number);
  }

  #fill({ disk }: SimNode, lowMs: number, fullMs: number): void {
    disk.mood.space = 'low';
    this.#later(lowMs, () => {
      if (fullMs > 0) disk.mood.space = 'full';
    });
    this.#later(lowMs + fullMs, () => (disk.mood.space = 'ample'));
  }

  /**
   * In a run that must survive, only a disk that every group can spare. In any run, nobody forgets while there is an old
   * copy that only others can find.
   */
  #mayLose(node: SimNode): boolean {
    const { shape, atlas, oldCopies } = this.#world;
    if ([...oldCopies.keys()].some((number) => number !== node.number)) return false;
    return !shape.mustSurvive || atlas.maySpare([node]);
  }

  #wipe(node: SimNode, downMs: number): void {
    if (!this.#mayLose(node)) return;
    if (node.alive) this.#world.crash(node, 'none');
    this.#world.wipe(node);
    this.#world.startLater(node, downMs);
  }

  #rollBack(fault: Extract<Fault, { kind: 'roll-back' }>): void {
    const node = this.#node(fault.node);
    if (this.#world.lostDisks.has(fault.node)) return;
    const copy = node.disk.copy();
    const { incarnation } = node.disk;
    if (fault.restarts) this.#later(fault.afterMs / 2, () => this.#crash(node, 'all', 100));
    const goBack = (triesLeft: number): void => {
      // a copy of another incarnation is not this disk's past
      if (node.disk.incarnation !== incarnation || this.#goBack(node, copy, fault)) return;
      // others learn with time what the copy lacks
      if (triesLeft > 0) this.#later(1_000, () => goBack(triesLeft - 1));
    };
    this.#later(fault.afterMs, () => goBack(5));
  }

  /** False: it can not be now. */
  #goBack(
    node: SimNode,
    copy: DiskCopy,
    { keepsFloor, downMs, replacedAfterMs }: Extract<Fault, { kind: 'roll-back' }>,
  ): boolean {
    const { number, disk } = node;
    const { atlas, lostDisks } = this.#world;
    // where nothing was written meanwhile, nothing is lost
    if (lostDisks.has(number) || disk.durableCommit === copy.commit || !this.#mayLose(node)) return false;
    if (!keepsFloor && !atlas.isFoundDespite(atlas.strangersTo(node, copy), node, copy)) {
      this.#world.count('oldCopiesUnknown');
      return false;
    }
    if (node.alive) this.#world.crash(node, 'all');
    this.#world.rollBack(node, copy, keepsFloor);
    this.#world.startLater(node, downMs);
    this.#later(downMs + replacedAfterMs, () => {
      if (!lostDisks.has(number)) return;
      if (node.alive) this.#world.crash(node, 'none');
      this.#world.wipe(node);
      this.#world.startLater(node, 500);
    });
    return true;
  }

  #pause(node: SimNode, forMs: number): void {
    if (!node.alive || node.paused) return;
    this.#world.count('pauses');
    node.pause();
    const { life } = node;
    this.#later(forMs, () => {
      if (node.life === life) node.resume();
    });
  }

  #nodes(numbers: readonly NodeNumber[]): readonly SimNode[] {
    return this.#world.nodes.filter(({ number }) => numbers.includes(number));
  }

  #node(number: NodeNumber): SimNode {
    const node = this.#world.nodes[number - 1];
    if (node === undefined) throw new RangeError(`node ${number}`);
    return node;
  }

  /** After the safety phase nothing that was planned happens any more. */
  #later(delayMs: number, act: () => void): void {
    this.#world.scheduler.after(delayMs, () => {
      if (this.#running) act();
    });
  }
}

/** The nodes that a fault names. */
function numbersIn(fault: Fault): readonly NodeNumber[] {
  if ('links' in fault) return fault.links.flatMap(({ from, to }) => [from, to]);
  if ('nodes' in fault) return fault.nodes;
  if (fault.kind === 'dither') return fault.wishes.flat();
  if (fault.kind === 'move') return [fault.from, fault.to];
  return 'node' in fault ? [fault.node] : [];
}

const between = (left: readonly NodeNumber[], right: readonly NodeNumber[]): readonly Link[] =>
  left.flatMap((a) => right.flatMap((b) => linksBetween(a, b)));

/** Two sides that do not see each other. */
function partition(nodes: readonly NodeNumber[], random: SimRandom): readonly Link[] {
  const left = random.between(1, Math.max(1, nodes.length - 1));
  return between(nodes.slice(0, left), nodes.slice(left));
}

/** Only the first sees both sides. */
function bridge([, ...others]: readonly NodeNumber[]): readonly Link[] {
  const half = others.length >> 1;
  return between(others.slice(0, half), others.slice(half));
}

const isolation = (node: NodeNumber, nodes: readonly NodeNumber[]): readonly Link[] =>
  between(
    [node],
    nodes.filter((other) => other !== node),
  );

const oneWay = (from: NodeNumber, to: NodeNumber): readonly Link[] =>
  channels.map((channel) => ({ from, to, channel }));

const oneChannel = (from: NodeNumber, nodes: readonly NodeNumber[], random: SimRandom): readonly Link[] =>
  nodes.filter(() => random.chance(0.5)).map((to) => ({ from, to, channel: random.pick(channels) }));
