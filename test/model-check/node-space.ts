/**
 * Every state that a single replica was ever in, every message that was ever sent, and what becomes of one when it meets
 * the other, each worked out once by the real core and remembered by number. A state of the whole group is then a few
 * small integers, and most of its successors are found without running anything.
 */
import { isDeepStrictEqual } from 'node:util';
import type { ReplicaId } from '../../src/model/ids.ts';
import type { Entry } from '../../src/model/entry.ts';
import { decodeConfiguration } from '../../src/raft/core/configuration.ts';
import type { Configuration } from '../../src/raft/core/configuration.ts';
import type { Message } from '../../src/raft/core/messages.ts';
import type { Image } from '../raft/core/cluster.ts';
import { isDead, isNotice, messageText, startNode, stepNode, textOf } from './model-node.ts';
import type { ModelEvent, ModelNode, Settings, Stepped } from './model-node.ts';

/** A log by the numbers of its entries; equal numbers have equal contents and equal predecessors. Place 0 is the start. */
export type Path = readonly number[];

/** What the invariants look at. */
export interface Facts {
  readonly id: ReplicaId;
  readonly term: number;
  readonly leads: boolean;
  readonly commit: number;
  readonly log: Path;
  readonly synced: Path;
  /** The configurations of the log, by the index of their entries; index 0 is the founding one. */
  readonly configurations: readonly { readonly index: number; readonly configuration: Configuration }[];
  readonly pendingWrites: number;
  readonly lastIndex: number;
  readonly syncedTerm: number;
  readonly vote: number | null;
  readonly syncedVote: number | null;
}

export interface Outcome {
  /** Number of the node's next state. */
  readonly next: number;
  /** Numbers of the messages that leave. */
  readonly sent: readonly number[];
  /** False: nothing changed that an invariant looks at. */
  readonly visible: boolean;
}

/** The core threw: one of its own invariants is broken. */
export class BrokenCore {
  readonly error: Error;
  constructor(error: Error) {
    this.error = error;
  }
}

const isVote = (message: Message): boolean => message.kind === 'vote-request' || message.kind === 'vote-reply';

const eventsMax = 2 ** 21;

export class NodeSpace {
  readonly settings: Settings;
  readonly nodes: ModelNode[] = [];
  readonly facts: Facts[] = [];
  readonly messages: Message[] = [];
  readonly events: ModelEvent[] = [];
  readonly #numbers = new Map<string, number>();
  readonly #messageNumbers = new Map<string, number>();
  /** Number of the `deliver` event of a message. */
  readonly #deliveries: number[] = [];
  readonly #outcomes = new Map<number, Outcome | BrokenCore | null>();
  /** Entries by predecessor and chain value: a tree in which every log is a path. */
  readonly #entries = new Map<string, number>();
  readonly #loses: (message: Message) => boolean;
  readonly #losesNotices: boolean;

  /** @param loses messages that this model's network never carries */
  constructor(settings: Settings, loses: (message: Message) => boolean, losesNotices: boolean) {
    this.settings = settings;
    this.#losesNotices = losesNotices;
    this.#loses = (message) => loses(message) || (losesNotices && isNotice(message));
  }

  start(id: ReplicaId, image: Image): Outcome {
    return this.#remember(startNode(id, image, this.settings), null);
  }

  event(event: ModelEvent): number {
    this.events.push(event);
    return this.events.length - 1;
  }

  deliveryOf(message: number): number {
    return (this.#deliveries[message] ??= this.event({ kind: 'deliver', message: this.messages[message]! }));
  }

  /** Null: the event can not happen, or changes nothing. */
  step(node: number, event: number): Outcome | BrokenCore | null {
    const key = node * eventsMax + event;
    const known = this.#outcomes.get(key);
    if (known !== undefined) return known;
    const outcome = this.#work(node, event);
    this.#outcomes.set(key, outcome);
    return outcome;
  }

  isDead(message: number, node: number): boolean {
    return isDead(this.messages[message]!, this.nodes[node]!, this.#losesNotices);
  }

  #work(node: number, event: number): Outcome | BrokenCore | null {
    try {
      const stepped = stepNode(this.nodes[node]!, this.events[event]!, this.settings);
      if (stepped === null) return null;
      const outcome = this.#remember(stepped, this.facts[node]!);
      return outcome.next === node && outcome.sent.length === 0 ? null : outcome;
    } catch (error) {
      if (error instanceof Error && error.name === 'InvariantViolation') return new BrokenCore(error);
      throw error;
    }
  }

  #remember({ node, sent }: Stepped, before: Facts | null): Outcome {
    const text = textOf(node, this.settings.beats);
    let number = this.#numbers.get(text);
    if (number === undefined) {
      number = this.nodes.length;
      this.#numbers.set(text, number);
      this.nodes.push(node);
      this.facts.push(this.#factsOf(node));
    }
    const visible = before === null || sent.some(isVote) || !isDeepStrictEqual(before, this.facts[number]);
    const leaving = sent.filter((message) => !this.#loses(message)).map((one) => this.#message(one));
    return { next: number, sent: leaving, visible };
  }

  #message(message: Message): number {
    const text = messageText(message);
    const known = this.#messageNumbers.get(text);
    if (known !== undefined) return known;
    this.#messageNumbers.set(text, this.messages.length);
    this.messages.push(message);
    return this.messages.length - 1;
  }

  #factsOf(node: ModelNode): Facts {
    const { term, role } = node.core.role;
    const { entries } = node.written;
    const founding = { index: 0, configuration: this.settings.genesis };
    const changes = entries.filter((entry) => entry.kind === 'configuration');
    return {
      id: node.id,
      term,
      leads: role === 'leader',
      commit: node.core.commitIndex,
      log: this.pathOf(entries),
      synced: this.pathOf(node.synced.entries),
      configurations: [
        founding,
        ...changes.map(({ index, payload }) => ({ index, configuration: decodeConfiguration(payload) })),
      ],
      pendingWrites: node.writes.length,
      lastIndex: entries.length,
      vote: node.core.status.vote,
      syncedTerm: node.synced.hardState.term,
      syncedVote: node.synced.hardState.vote,
    };
  }

  pathOf(entries: readonly Entry[]): Path {
    const path = [0];
    for (const { index, term, chain } of entries) {
      const text = `${path[path.length - 1]!} ${index} ${term} ${chain}`;
      let number = this.#entries.get(text);
      if (number === undefined) {
        number = this.#entries.size + 1;
        this.#entries.set(text, number);
        this.terms[number] = term;
      }
      path.push(number);
    }
    return path;
  }

  /** The term of each numbered entry. */
  readonly terms: number[] = [0];
}
