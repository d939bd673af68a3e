/**
 * Figure 8 of the Raft paper, played on purpose, because chance alone hardly ever finds it: a leader writes an entry that
 * nobody else has; another one, with only its own no-op, takes over; the first comes back, brings its entry to a majority
 * without an entry of its own term behind it, and dies; the second comes back and replaces what a majority had. Where the
 * cluster does something else it is given up. It watches the disks, as the paper's reader does.
 */
import type { GroupNumber } from '../../src/model/ids.ts';
import type { Link } from './sim-network.ts';
import type { SimNode } from './sim-node.ts';
import type { SimWorld } from './sim-world.ts';

const pollMs = 0.5;
const stepMsMax = 8_000;

export class FigureEight {
  readonly #world: SimWorld;
  readonly #group: GroupNumber;
  readonly #isRunning: () => boolean;
  readonly #cut: Link[] = [];
  /** Nodes that this fault has stopped. */
  readonly #down = new Set<SimNode>();

  constructor(world: SimWorld, group: GroupNumber, isRunning: () => boolean) {
    this.#world = world;
    this.#group = group;
    this.#isRunning = isRunning;
  }

  start(): void {
    this.#when(
      () => this.#leader((node) => node.groups.get(this.#group)?.role.serving === true),
      (first) => {
        this.#cutBulk();
        this.#world.workload.proposeAt(this.#group, first);
        this.#when(
          () => this.#hasOwnTail(first),
          () => this.#firstHasIt(first),
        );
      },
    );
  }

  #firstHasIt(first: SimNode): void {
    const { term } = this.#role(first);
    this.#stop(first);
    this.#when(
      () => this.#leader((node) => node !== first && this.#role(node).term > term && this.#isLastOfTerm(node)),
      (second) => {
        this.#stop(second);
        this.#start(first);
        this.#when(
          () => this.#leader((node) => node === first),
          () => this.#firstIsBack(first, second),
        );
      },
    );
  }

  #firstIsBack(first: SimNode, second: SimNode): void {
    const tail = first.disk.synced
      .get(this.#group)
      ?.entries.filter(({ term }) => term < this.#role(first).term)
      .at(-1);
    this.#mend();
    this.#when(
      () => tail !== undefined && this.#holders(tail.index, tail.chain) * 2 > this.#voters().length,
      () => {
        this.#stop(first);
        this.#start(second);
        this.#when(
          () => this.#leader((node) => node === second),
          () => this.#end(),
        );
      },
    );
  }

  /** Goes on with what was found as soon as it is there. */
  #when<T>(find: () => T | false | undefined, then: (found: T) => void): void {
    const deadline = this.#world.scheduler.now + stepMsMax;
    const look = (): void => {
      if (!this.#isRunning()) return;
      const found = find();
      if (found !== undefined && found !== false) then(found);
      else if (this.#world.scheduler.now >= deadline) this.#end();
      else this.#world.scheduler.after(pollMs, look);
    };
    look();
  }

  #end(): void {
    this.#mend();
    for (const node of this.#down) this.#world.startLater(node, 0);
  }

  #stop(node: SimNode): void {
    if (node.alive) this.#world.crash(node, 'all');
    this.#down.add(node);
  }

  #start(node: SimNode): void {
    this.#down.delete(node);
    this.#world.startLater(node, 0);
  }

  /** Votes go through, entries do not. */
  #cutBulk(): void {
    for (const a of this.#world.nodes) {
      for (const b of this.#world.nodes) {
        if (a !== b) this.#cut.push({ from: a.number, to: b.number, channel: 'bulk' });
      }
    }
    for (const link of this.#cut) this.#world.network.cut(link);
  }

  #mend(): void {
    for (const link of this.#cut.splice(0)) this.#world.network.mend(link);
  }

  #leader(fits: (node: SimNode) => boolean): SimNode | undefined {
    return this.#world.nodes.find((node) => this.#role(node).role === 'leader' && fits(node));
  }

  #role(node: SimNode): { readonly role: string; readonly term: number } {
    return node.groups.get(this.#group)?.role ?? { role: 'none', term: 0 };
  }

  /** Durable entries that are not committed. */
  #hasOwnTail(node: SimNode): boolean {
    const raft = node.groups.get(this.#group);
    const last = node.disk.synced.get(this.#group)?.last.index ?? 0;
    return raft !== undefined && last > raft.commitIndex;
  }

  /** Its log ends, durably, with what it wrote as a leader. */
  #isLastOfTerm(node: SimNode): boolean {
    return node.disk.synced.get(this.#group)?.last.term === this.#role(node).term;
  }

  #voters(): readonly SimNode[] {
    const { voters } = this.#world.committed.membership(this.#group).configuration;
    return voters.flatMap((voter) => this.#world.placeOf(voter)?.node ?? []);
  }

  #holders(index: number, chain: number): number {
    const has = ({ disk }: SimNode): boolean =>
      disk.synced.get(this.#group)?.entries.some((entry) => entry.index === index && entry.chain === chain) === true;
    return this.#voters().filter(has).length;
  }
}
