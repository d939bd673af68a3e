/**
 * Breadth-first search through every state that a group can be in, within the bounds of a scope: each message delivered
 * next, or never; each write completed next, or lost; each time-out. The first state that breaks an invariant ends it,
 * with the shortest way there.
 */
import { toReplicaId } from '../../src/model/ids.ts';
import { describeMessage } from '../../src/raft/core/describe.ts';
import type { MakeNode } from './exposed-core.ts';
import { Invariants, ModelViolation } from './invariants.ts';
import type { ModelEvent } from './model-node.ts';
import { BrokenCore, NodeSpace } from './node-space.ts';
import type { Facts, Outcome } from './node-space.ts';
import type { Budget, Scope } from './scope.ts';
import { costOf, leftOf, packBudget } from './scope.ts';
import { StateQueue } from './state-queue.ts';
import { StateSet } from './state-set.ts';

export interface Bounds {
  /** Stops after this many distinct states, or this much time. */
  readonly statesMax: number;
  readonly secondsMax: number;
}

export interface Explored {
  readonly states: number;
  readonly transitions: number;
  /** Every state within the scope was visited. */
  readonly exhausted: boolean;
  /** Events on the way to the farthest state. */
  readonly depth: number;
  /** States of single replicas. */
  readonly nodeStates: number;
  readonly seconds: number;
  readonly violation: {
    readonly invariant: string;
    readonly message: string;
    readonly trace: readonly string[];
  } | null;
}

/** A state of the group: [history, budget, one number a node, then the messages on their way, ascending]. */
type State = number[];
const historyAt = 0;
const budgetAt = 1;
const nodesAt = 2;

export function explore(scope: Scope, makeNode: MakeNode, bounds: Bounds): Explored {
  return new Explorer(scope, makeNode, bounds).run();
}

class Explorer {
  readonly #scope: Scope;
  readonly #bounds: Bounds;
  readonly #space: NodeSpace;
  readonly #invariants: Invariants;
  readonly #seen = new StateSet();
  readonly #queue: StateQueue;
  readonly #count: number;
  readonly #startTerm: number;
  readonly #campaign: number;
  readonly #beat: number;
  readonly #persisted: number;
  readonly #propose: number;
  readonly #changes: readonly number[];
  readonly #transfers: readonly number[];
  readonly #crashes: number[] = [];
  #transitions = 0;
  #violation: Explored['violation'] = null;

  constructor(scope: Scope, makeNode: MakeNode, bounds: Bounds) {
    this.#scope = scope;
    this.#bounds = bounds;
    const { genesis, slowDisk, budget } = scope;
    this.#space = new NodeSpace(
      { makeNode, genesis, slowDisk, beats: budget.beats > 0 },
      scope.loses,
      scope.losesNotices,
    );
    this.#invariants = new Invariants(this.#space.terms);
    this.#count = scope.images.length;
    this.#queue = new StateQueue();
    this.#campaign = this.#space.event({ kind: 'campaign' });
    this.#beat = this.#space.event({ kind: 'beat' });
    this.#persisted = this.#space.event({ kind: 'persisted' });
    this.#propose = this.#space.event({ kind: 'propose' });
    this.#changes = scope.targets.map((target) => this.#space.event({ kind: 'configure', target }));
    this.#transfers = scope.images.map((_, i) => this.#space.event({ kind: 'transfer', to: toReplicaId(i + 1) }));
    this.#startTerm = Math.max(...scope.images.map((image) => image.hardState.term));
  }

  run(): Explored {
    const started = process.hrtime.bigint();
    const seconds = (): number => Number(process.hrtime.bigint() - started) / 1e9;
    const { statesMax, secondsMax } = this.#bounds;
    this.#start();
    let state: State | null = [];
    for (let taken = 0; this.#violation === null; taken++) {
      if (this.#seen.size >= statesMax || (taken % 1024 === 0 && seconds() > secondsMax)) break;
      state = this.#queue.take();
      if (state === null) break;
      this.#expand(state);
    }
    return {
      states: this.#seen.size,
      transitions: this.#transitions,
      exhausted: state === null && this.#violation === null,
      depth: this.#queue.depth,
      nodeStates: this.#space.nodes.length,
      seconds: seconds(),
      violation: this.#violation,
    };
  }

  #start(): void {
    const { images, genesis, budget } = this.#scope;
    const started = images.map((image, i) => this.#space.start(toReplicaId(i + 1), image));
    const facts = started.map(({ next }) => this.#space.facts[next]!);
    const furthest = facts.reduce((best, one) => (one.commit > best.commit ? one : best));
    const history = this.#invariants.start(genesis, furthest.log.slice(0, furthest.commit + 1));
    const state = [history, packBudget(budget), ...started.map(({ next }) => next)];
    const first = this.#scope.from === 'led' ? this.#led(state) : state;
    this.#seen.add(first);
    this.#queue.add(first, -1);
  }

  /** The first replica is elected, and whatever follows from that has happened. */
  #led(start: State): State {
    let state = this.#follow(start, 0, this.#campaign, -1);
    for (;;) {
      const busy = this.#factsIn(state).findIndex(({ pendingWrites }) => pendingWrites > 0);
      const at = nodesAt + this.#count;
      const message = state[at];
      if (busy !== -1) state = this.#follow(state, busy, this.#persisted, -1);
      else if (message === undefined) return state;
      else state = this.#follow(state, this.#receiverOf(message), this.#space.deliveryOf(message), at);
    }
  }

  #follow(state: State, node: number, event: number, removed: number): State {
    const outcome = this.#space.step(state[nodesAt + node]!, event);
    if (outcome instanceof BrokenCore) throw outcome.error;
    const unchanged = { next: state[nodesAt + node]!, sent: [], visible: false };
    const next = this.#successor(state, node, outcome ?? unchanged, null, removed);
    next[historyAt] = this.#check(state, next, node, outcome ?? unchanged, false);
    return next;
  }

  #receiverOf(message: number): number {
    return this.#space.messages[message]!.to - 1;
  }

  #factsIn(state: State): Facts[] {
    return state.slice(nodesAt, nodesAt + this.#count).map((number) => this.#space.facts[number]!);
  }

  #check(state: State, next: State, node: number, outcome: Outcome, crashed: boolean): number {
    if (!outcome.visible) return state[historyAt]!;
    return this.#invariants.after(state[historyAt]!, {
      at: node,
      before: this.#space.facts[state[nodesAt + node]!]!,
      nodes: this.#factsIn(next),
      sent: outcome.sent.map((message) => this.#space.messages[message]!),
      crashed,
    });
  }

  #expand(state: State): void {
    const budget = state[budgetAt]!;
    for (let at = nodesAt + this.#count; at < state.length; at++) {
      // copies of a message are one choice
      if (at > nodesAt + this.#count && state[at] === state[at - 1]) continue;
      this.#deliver(state, at, false);
      if (leftOf(budget, 'duplicates') > 0) this.#deliver(state, at, true);
    }
    for (let node = 0; node < this.#count; node++) this.#local(state, node);
  }

  #deliver(state: State, at: number, again: boolean): void {
    const message = state[at]!;
    this.#try(
      state,
      this.#receiverOf(message),
      this.#space.deliveryOf(message),
      again ? 'duplicates' : null,
      again ? -1 : at,
    );
  }

  #local(state: State, node: number): void {
    const budget = state[budgetAt]!;
    const facts = this.#space.facts[state[nodesAt + node]!]!;
    const { termMax, indexMax, from } = this.#scope;
    if (facts.pendingWrites > 0) this.#try(state, node, this.#persisted, null, -1);
    if (!facts.leads && facts.term < termMax && facts.lastIndex < indexMax) {
      const another = from === 'equal' && node !== 0 && this.#highestTerm(state) === this.#startTerm;
      if (!another) this.#try(state, node, this.#campaign, null, -1);
    }
    if (facts.leads) {
      if (facts.lastIndex < indexMax) {
        if (leftOf(budget, 'proposals') > 0) this.#try(state, node, this.#propose, 'proposals', -1);
        if (leftOf(budget, 'changes') > 0) {
          for (const change of this.#changes) this.#try(state, node, change, 'changes', -1);
        }
      }
      if (leftOf(budget, 'beats') > 0) this.#try(state, node, this.#beat, 'beats', -1);
      if (leftOf(budget, 'transfers') > 0 && facts.term < termMax) {
        for (const transfer of this.#transfers) this.#try(state, node, transfer, 'transfers', -1);
      }
    }
    if (leftOf(budget, 'crashes') > 0) {
      for (let kept = 0; kept <= facts.pendingWrites; kept++) {
        this.#crashes[kept] ??= this.#space.event({ kind: 'crash', kept });
        this.#try(state, node, this.#crashes[kept]!, 'crashes', -1);
      }
    }
  }

  #highestTerm(state: State): number {
    return Math.max(...this.#factsIn(state).map(({ term }) => term));
  }

  /** @param removed place of the message that is used up; -1: none */
  #try(state: State, node: number, event: number, cost: keyof Budget | null, removed: number): void {
    if (this.#violation !== null) return;
    const outcome = this.#space.step(state[nodesAt + node]!, event);
    if (outcome === null) return;
    this.#transitions++;
    const via = event * 8 + node;
    if (outcome instanceof BrokenCore) {
      this.#fail('core', outcome.error.message, via);
      return;
    }
    const next = this.#successor(state, node, outcome, cost, removed);
    try {
      next[historyAt] = this.#check(state, next, node, outcome, cost === 'crashes');
    } catch (error) {
      if (!(error instanceof ModelViolation)) throw error;
      this.#fail(error.invariant, error.message, via);
      return;
    }
    if (this.#seen.add(next)) this.#queue.add(next, via);
  }

  #successor(state: State, node: number, outcome: Outcome, cost: keyof Budget | null, removed: number): State {
    const next = state.slice(0, nodesAt + this.#count);
    next[nodesAt + node] = outcome.next;
    if (cost !== null) next[budgetAt] = state[budgetAt]! - costOf(cost);
    const onTheWay = [...outcome.sent];
    for (let at = nodesAt + this.#count; at < state.length; at++) if (at !== removed) onTheWay.push(state[at]!);
    for (const message of onTheWay.sort((a, b) => a - b)) {
      const to = this.#receiverOf(message);
      if (to < this.#count && !this.#space.isDead(message, next[nodesAt + to]!)) next.push(message);
    }
    return next;
  }

  #fail(invariant: string, message: string, via: number): void {
    this.#violation = { invariant, message, trace: [...this.#queue.wayHere(), via].map((one) => this.#describe(one)) };
  }

  #describe(via: number): string {
    return `${(via % 8) + 1}: ${describeEvent(this.#space.events[Math.floor(via / 8)]!)}`;
  }
}

function describeEvent(event: ModelEvent): string {
  switch (event.kind) {
    case 'deliver':
      return describeMessage(event.message);
    case 'crash':
      return `crash, ${event.kept} unsynced writes survive`;
    case 'transfer':
      return `transfer to ${event.to}`;
    case 'configure':
      return `configure ${JSON.stringify(event.target)}`;
    case 'campaign':
    case 'beat':
    case 'persisted':
    case 'propose':
      return event.kind;
  }
}
