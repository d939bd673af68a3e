/**
 * What must hold in every state of the group (reliability, section 2.0), and the little that must be remembered of the
 * past to say so: who led which term, who voted for whom, and what was committed by which term and configuration.
 */
import type { Configuration } from '../../src/raft/core/configuration.ts';
import type { Message } from '../../src/raft/core/messages.ts';
import type { Facts, Path } from './node-space.ts';

export class ModelViolation extends Error {
  override readonly name = 'ModelViolation';
  readonly invariant: string;

  constructor(invariant: string, detail: string) {
    super(`${invariant}: ${detail}`);
    this.invariant = invariant;
  }
}

interface History {
  /** The leader of each term. */
  readonly leaders: readonly (number | undefined)[];
  /** `term voter` → candidate. */
  readonly votes: ReadonlyMap<string, number>;
  /** What was committed by anybody, and the term of the leader that first did so, by index. */
  readonly committed: Path;
  readonly committedIn: readonly number[];
  /** The configuration that committed the last of it. */
  readonly committedBy: Configuration;
}

export interface Change {
  /** Place of the node that changed. */
  readonly at: number;
  readonly before: Facts;
  /** All nodes, after. */
  readonly nodes: readonly Facts[];
  readonly sent: readonly Message[];
  readonly crashed: boolean;
}

export class Invariants {
  readonly #histories: History[] = [];
  readonly #numbers = new Map<string, number>();
  readonly #terms: readonly number[];

  /** @param terms the term of each numbered entry */
  constructor(terms: readonly number[]) {
    this.#terms = terms;
  }

  /** The number of the history in which nothing happened but what `committed` says. */
  start(genesis: Configuration, committed: Path): number {
    const committedIn = committed.map((entry) => this.#terms[entry]!);
    return this.#remember({ leaders: [], votes: new Map(), committed, committedIn, committedBy: genesis });
  }

  /** Checks the state after a change; gives back the number of the history from now on. */
  after(history: number, change: Change): number {
    const { at, before, nodes, sent, crashed } = change;
    const now = nodes[at]!;
    const old = this.#histories[history]!;
    monotone(before, now, crashed);
    for (const other of nodes) if (other !== now) this.#logsMatch(now, other);
    let next = withVotes(old, sent);
    if (now.leads) next = withLeader(next, now);
    next = this.#withCommitted(next, change);
    if (now.leads) this.#leaderIsComplete(next, now);
    configurationsAreSafe(next, now);
    durable(next, nodes);
    return next === old ? history : this.#remember(next);
  }

  /** inv-I3: entries with the same index and term are the same, and so is all that precedes them. */
  #logsMatch(a: Facts, b: Facts): void {
    for (const one of [a.log, a.synced]) {
      for (const other of [b.log, b.synced]) {
        for (let i = Math.min(one.length, other.length) - 1; i > 0; i--) {
          if (one[i] === other[i]) break;
          const [x, y] = [this.#terms[one[i]!], this.#terms[other[i]!]];
          if (x === y) throw new ModelViolation('inv-I3', `${a.id} and ${b.id} differ at ${i}/${x}`);
        }
      }
    }
  }

  /** inv-I5: nobody commits another entry at the same index; inv-I6: what is committed is on the disks of a quorum. */
  #withCommitted(history: History, { at, before, nodes }: Change): History {
    const now = nodes[at]!;
    const { committed } = history;
    for (let i = Math.min(now.commit, committed.length - 1); i > 0 && now.log[i] !== committed[i]; i--) {
      throw new ModelViolation('inv-I5', `${now.id} committed another entry at ${i}`);
    }
    if (now.commit < committed.length) return history;
    const from = before.configurations.at(-1)!.index;
    const able = now.configurations.filter(({ index }) => index >= from).map(({ configuration }) => configuration);
    const path = now.log.slice(0, now.commit + 1);
    const committedBy = able.find((configuration) => isDurable(path, configuration, nodes));
    if (committedBy === undefined) {
      throw new ModelViolation('inv-I6', `${now.id} committed ${now.commit}, which no quorum has durably`);
    }
    const committedIn = [...history.committedIn];
    for (let i = committed.length; i < path.length; i++) committedIn[i] = now.term;
    return { ...history, committed: path, committedIn, committedBy };
  }

  /** inv-I4: a leader has what was committed in earlier terms. */
  #leaderIsComplete({ committed, committedIn }: History, leader: Facts): void {
    for (let i = 1; i < committed.length; i++) {
      if (committedIn[i]! < leader.term && leader.log[i] !== committed[i]) {
        throw new ModelViolation('inv-I4', `${leader.id} leads term ${leader.term} without committed entry ${i}`);
      }
    }
  }

  #remember(history: History): number {
    const text = JSON.stringify({ ...history, votes: [...history.votes].sort() });
    const known = this.#numbers.get(text);
    if (known !== undefined) return known;
    this.#numbers.set(text, this.#histories.length);
    this.#histories.push(history);
    return this.#histories.length - 1;
  }
}

/** inv-I7: term and commit index never fall; a crash falls back to the disk, and no further. */
function monotone(before: Facts, now: Facts, crashed: boolean): void {
  if (now.term < (crashed ? before.syncedTerm : before.term)) {
    throw new ModelViolation('inv-I7', `the term of ${now.id} fell to ${now.term}`);
  }
  if (!crashed && now.commit < before.commit) {
    throw new ModelViolation('inv-I7', `the commit index of ${now.id} fell to ${now.commit}`);
  }
  const kept = now.term !== before.syncedTerm || before.syncedVote === null || now.vote === before.syncedVote;
  if (!kept) throw new ModelViolation('inv-I8', `${now.id} forgot its vote in ${now.term}`);
}

/** inv-I8: one vote a node and term, over all restarts. A candidate that asks has voted for itself. */
function withVotes(history: History, sent: readonly Message[]): History {
  let { votes } = history;
  for (const message of sent) {
    const forWhom = voteIn(message);
    if (forWhom === null) continue;
    const place = `${message.term} ${message.from}`;
    const earlier = votes.get(place);
    if (earlier === undefined) votes = new Map(votes).set(place, forWhom);
    else if (earlier !== forWhom) {
      throw new ModelViolation('inv-I8', `${message.from} votes for ${earlier} and ${forWhom} in ${message.term}`);
    }
  }
  return votes === history.votes ? history : { ...history, votes };
}

function voteIn(message: Message): number | null {
  if (message.kind === 'vote-request' && !message.pre) return message.from;
  return message.kind === 'vote-reply' && !message.pre && message.granted ? message.to : null;
}

/** inv-I1: one leader a term. */
function withLeader(history: History, { id, term }: Facts): History {
  const known = history.leaders[term];
  if (known === id) return history;
  if (known !== undefined) throw new ModelViolation('inv-I1', `${known} and ${id} lead term ${term}`);
  const leaders = Array.from({ length: Math.max(term + 1, history.leaders.length) }, (_, i) => history.leaders[i]);
  leaders[term] = id;
  return { ...history, leaders };
}

/** inv-I6, later on: nobody of that quorum loses it again. */
function durable({ committed, committedBy }: History, nodes: readonly Facts[]): void {
  if (committed.length > 1 && !isDurable(committed, committedBy, nodes)) {
    throw new ModelViolation('inv-I6', `entry ${committed.length - 1} is not durable on a quorum any more`);
  }
}

function isDurable(path: Path, configuration: Configuration, nodes: readonly Facts[]): boolean {
  const at = path.length - 1;
  const holds = (id: number): boolean => nodes.some((node) => node.id === id && node.synced[at] === path[at]);
  return [configuration.voters, configuration.outgoing].every(
    (half) => half.length === 0 || half.filter(holds).length * 2 > half.length,
  );
}

/** inv-I10: at most one configuration is not committed, and each has no quorum apart from one of its predecessor's. */
function configurationsAreSafe({ committed }: History, node: Facts): void {
  const { configurations } = node;
  if (configurations.length < 2) return;
  if (configurations.filter(({ index }) => index >= committed.length).length > 1) {
    throw new ModelViolation('inv-I10', `${node.id} has two uncommitted configurations`);
  }
  for (let i = 1; i < configurations.length; i++) {
    const [older, newer] = [configurations[i - 1]!, configurations[i]!];
    if (!alwaysMeet(older.configuration, newer.configuration)) {
      throw new ModelViolation('inv-I10', `the configurations at ${older.index} and ${newer.index} can decide apart`);
    }
  }
}

/** True if no two sets of replicas that have nobody in common can be quorums of the one and of the other. */
export function alwaysMeet(a: Configuration, b: Configuration): boolean {
  const everyone = [...new Set([...a.voters, ...a.outgoing, ...b.voters, ...b.outgoing])];
  for (let set = 0; set < 2 ** everyone.length; set++) {
    const inside = (id: number): boolean => ((set >> everyone.indexOf(id as never)) & 1) === 1;
    if (isQuorumOf(a, inside) && isQuorumOf(b, (id) => !inside(id))) return false;
  }
  return true;
}

/** Counted here anew: an oracle that asked the core would share its errors. */
function isQuorumOf({ voters, outgoing }: Configuration, holds: (id: number) => boolean): boolean {
  return [voters, outgoing].every((half) => half.length === 0 || half.filter(holds).length * 2 > half.length);
}
