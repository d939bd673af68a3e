/**
 * Short random schedules: messages are lost, repeated and reordered, disks are slow, nodes crash and lose what was not
 * durable, links are cut, logs are cut, configurations change, leadership moves. The harness checks its invariants after
 * every delivery; at the end everything heals and all replicas must agree. A failure names its seed.
 */
import assert from 'node:assert/strict';
import { SeededRandom } from '../../fakes/seeded-random.ts';
import { Cluster, ids } from './cluster.ts';
import type { TestNode } from './cluster.ts';

export interface Counters {
  proposed: number;
  elections: number;
  crashes: number;
  truncations: number;
  snapshots: number;
  changes: number;
}

const pick = <T>(random: SeededRandom, items: readonly T[]): T => items[random.below(items.length)]!;

export class Chaos {
  readonly random: SeededRandom;
  readonly cluster: Cluster;
  readonly counters: Counters = { proposed: 0, elections: 0, crashes: 0, truncations: 0, snapshots: 0, changes: 0 };
  #revision = 0;

  constructor(seed: number) {
    this.random = new SeededRandom(seed);
    const voters = pick(this.random, [[1], [1, 2, 3], [1, 2, 3], [1, 2, 3, 4, 5]]);
    const limits = { messageBytesMax: 400, inflightMessagesMax: 4, memoryBytesMax: 600, uncommittedBytesMax: 5_000 };
    this.cluster = new Cluster({ voters, limits: { ...limits, promotionLagMax: 3 }, seed });
    for (const id of [1, 2, 3, 4, 5, 6]) if (!this.cluster.nodes.has(id)) this.cluster.add(id);
    this.cluster.chunkBytes = 200;
    for (const node of this.nodes) node.trace = [];
  }

  get nodes(): TestNode[] {
    return [...this.cluster.nodes.values()];
  }

  run(steps: number): void {
    const { cluster } = this;
    let loss = 0;
    let apart = new Set<number>();
    const cutOff = (from: number, to: number): boolean => apart.has(from) !== apart.has(to);
    cluster.loses = ({ from, to }) => this.random.below(100) < loss || cutOff(from, to);
    for (let i = 0; i < steps; i++) {
      this.#act();
      if (this.random.below(30) === 0) loss = pick(this.random, [0, 0, 0, 5, 30]);
      if (this.random.below(60) === 0) apart = this.#partition();
    }
  }

  /** Half of the time nobody is cut off; else a random few, sometimes with the leader among them. */
  #partition(): Set<number> {
    if (this.random.below(2) === 0) return new Set();
    const apart = this.nodes.filter(() => this.random.below(3) === 0).map((node) => node.id);
    const leader = this.nodes.find((node) => node.status === 'leader');
    return new Set(leader !== undefined && this.random.below(2) === 0 ? [...apart, leader.id] : apart);
  }

  #act(): void {
    const { random, cluster } = this;
    const node = pick(random, this.nodes);
    const leading = this.nodes.find((one) => one.up && one.status === 'leader') ?? node;
    const choice = random.below(100);
    if (choice < 45) this.#deliver();
    else if (choice < 62) this.#propose(random.below(4) === 0 ? node : leading);
    else if (choice < 74) this.#time();
    else if (choice < 82) node.sync(1 + random.below(3));
    else if (choice < 85) node.slowDisk = random.below(3) === 0;
    else if (choice < 86) this.#crash(random.below(3) === 0 ? leading : node);
    else if (choice < 91) this.#restart(node);
    else if (choice < 93) this.#compact(node);
    else if (choice < 97) this.#configure(leading);
    else if (choice < 98) leading.step({ kind: 'transfer', to: node.id });
    else cluster.wire.splice(0, random.below(10));
  }

  /** Some messages, in any order, some of them twice. */
  #deliver(): void {
    const { wire } = this.cluster;
    for (let i = this.random.below(12); i > 0 && wire.length > 0; i--) {
      const at = this.random.below(10) === 0 ? this.random.below(wire.length) : 0;
      const [message] = wire.splice(at, 1);
      if (this.random.below(20) === 0) wire.push(message!);
      this.cluster.deliver(message!);
    }
  }

  #propose(node: TestNode): void {
    if (!node.up) return;
    const text = `${this.counters.proposed}${'x'.repeat(this.random.below(120))}`;
    if (this.cluster.offer(node.id, text).kind === 'accepted') this.counters.proposed++;
  }

  #time(): void {
    const { cluster } = this;
    cluster.freeze(this.random.below(400));
    for (const node of this.nodes) if (node.up && node.core.nextDeadline <= cluster.now) node.step({ kind: 'tick' });
  }

  #crash(node: TestNode): void {
    if (node.up) this.counters.crashes++;
    node.crash();
  }

  #restart(node: TestNode): void {
    if (!node.up) node.restart();
  }

  #compact(node: TestNode): void {
    if (node.up && node.writes.length === 0 && node.image.entries.some((one) => one.index === node.appliedIndex)) {
      this.cluster.compact(node.id);
    }
  }

  #configure(node: TestNode): void {
    if (!node.up) return;
    // mostly one or two replicas change their place; sometimes everybody does
    const many = this.random.below(4) === 0;
    const voters: number[] = [];
    const learners: number[] = [];
    const now = node.core.status.membership.configuration;
    for (const { id } of this.nodes) {
      const place = now.voters.includes(id) ? 0 : now.learners.includes(id) ? 2 : 3;
      const next = many || this.random.below(5) === 0 ? this.random.below(4) : place;
      if (next < 2) voters.push(id);
      else if (next === 2) learners.push(id);
    }
    const target = { revision: this.#revision + 1, voters: ids(...voters), outgoing: [], learners: ids(...learners) };
    const answer = node.core.proposeConfiguration(target, this.cluster.now);
    node.work();
    if (answer.kind === 'accepted') {
      this.#revision++;
      this.counters.changes++;
    }
  }

  /** Everything is well again: the group must elect, commit and agree. */
  heal(): void {
    const { cluster } = this;
    cluster.heal();
    for (const node of this.nodes) {
      node.slowDisk = false;
      if (!node.up) node.restart();
      node.sync();
    }
    cluster.pass(15_000);
    const { leader } = cluster;
    if (!leader.core.role.serving) cluster.pass(5_000);
    assert.equal(cluster.offer(leader.id, 'the last').kind, 'accepted');
    cluster.pass(3_000);
    const members = new Set(leader.members);
    for (const node of this.nodes.filter((one) => members.has(one.id))) {
      assert.deepEqual(node.applied, leader.applied, `${node.id} agrees with ${leader.id}`);
      assert.equal(node.core.commitIndex, leader.core.commitIndex);
    }
    assert.equal(leader.applied.at(-1), 'the last');
    this.#count();
  }

  #count(): void {
    for (const node of this.nodes) {
      for (const line of node.trace ?? []) {
        if (line.includes('truncate after')) this.counters.truncations++;
        if (line.startsWith('install')) this.counters.snapshots++;
        if (line.startsWith('role leader')) this.counters.elections++;
      }
    }
  }
}
