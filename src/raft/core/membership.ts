/**
 * The configurations of a group, as its log holds them. A configuration is in force from the moment its entry is in the
 * log, committed or not, and no longer when the entry is truncated (P54: append-time activation, in one place).
 */
import { assert, must } from '../../model/assert.ts';
import type { LogIndex, ReplicaId } from '../../model/ids.ts';
import type { Configuration } from './configuration.ts';

export interface IndexedConfiguration {
  readonly index: LogIndex;
  readonly configuration: Configuration;
}

export class Membership {
  /** Invariant: never empty, indexes rise; the last one is in force. */
  #history: IndexedConfiguration[];
  /** Everyone who takes part, voters first; cached because it is asked for with every message. */
  #everyone: readonly ReplicaId[] = [];

  constructor(history: readonly IndexedConfiguration[]) {
    assert(history.length > 0, 'membership-1: there is always a configuration');
    this.#history = [...history];
    this.#refresh();
  }

  /** The configuration in force, and the index of its entry. */
  get newest(): IndexedConfiguration {
    return must(this.#history.at(-1), 'membership-1');
  }

  get current(): Configuration {
    return this.newest.configuration;
  }

  /** Every voter (of both halves) and learner, each once. */
  get everyone(): readonly ReplicaId[] {
    return this.#everyone;
  }

  isVoter(id: ReplicaId): boolean {
    return this.current.voters.includes(id) || this.current.outgoing.includes(id);
  }

  /**
   * True if `id` votes in the configuration in force or in one that it may still fall back to. A replica that an
   * uncommitted configuration leaves out must go on campaigning: it may be the only one that can commit it (thesis 4.2.2).
   */
  mayCampaign(id: ReplicaId): boolean {
    return this.#history.some(({ configuration }) => {
      return configuration.voters.includes(id) || configuration.outgoing.includes(id);
    });
  }

  isMember(id: ReplicaId): boolean {
    return this.#everyone.includes(id);
  }

  /** True if the current configuration's only voter is `id`. */
  isSoleVoter(id: ReplicaId): boolean {
    return this.current.voters.length === 1 && this.current.voters[0] === id && this.current.outgoing.length === 0;
  }

  append(index: LogIndex, configuration: Configuration): void {
    assert(index > this.newest.index, 'membership-2: configurations follow each other', `${index}`);
    this.#history.push({ index, configuration });
    this.#refresh();
  }

  /** The entries above `after` are gone. */
  truncate(after: LogIndex): void {
    if (this.newest.index <= after) return;
    this.#history = this.#history.filter((one) => one.index <= after);
    assert(this.#history.length > 0, 'membership-3: a committed configuration is never truncated', `${after}`);
    this.#refresh();
  }

  /** Forgets what was replaced at or below the committed index. */
  committed(commit: LogIndex): void {
    while ((this.#history[1]?.index ?? Infinity) <= commit) this.#history.shift();
  }

  /** A snapshot replaced the whole log. */
  reset(to: IndexedConfiguration): void {
    this.#history = [to];
    this.#refresh();
  }

  #refresh(): void {
    const { voters, outgoing, learners } = this.current;
    this.#everyone = [...new Set([...voters, ...outgoing, ...learners])];
  }
}
