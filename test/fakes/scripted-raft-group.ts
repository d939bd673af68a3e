/**
 * The RaftGroup of a `commands` group as a test wants it: it commits when told to, loses leadership when told to, and
 * restarts a state machine from its state keys or by replaying everything.
 */
import type { Clock } from '../../src/model/clock.ts';
import type { Entry, EntryDraft } from '../../src/model/entry.ts';
import type { GroupNumber, LogIndex, Millis, Offset } from '../../src/model/ids.ts';
import { offsetZero, toGroupNumber, toLogIndex, toMillis, toReplicaId, toTerm } from '../../src/model/ids.ts';
import type { StatePair } from '../../src/model/raft-state.ts';
import type { LogReader } from '../../src/log/reader.ts';
import { emptyConfiguration } from '../../src/raft/core/configuration.ts';
import type { RoleState } from '../../src/raft/core/ready.ts';
import type {
  CommandMachine,
  ConfigurationProposed,
  ProposalListener,
  Proposed,
  RaftGroup,
} from '../../src/raft/group.ts';

const self = toReplicaId(1);
const other = toReplicaId(2);

export class ScriptedRaftGroup implements RaftGroup {
  readonly group: GroupNumber = toGroupNumber(7);
  readonly highWatermark: Offset = offsetZero;
  readonly quarantine: string | null = null;
  readonly quarantinedMs: Millis | null = null;
  readonly membership = { index: toLogIndex(0), configuration: { ...emptyConfiguration, voters: [self] } };
  readonly followers = [];
  role: RoleState = { role: 'follower', term: toTerm(0), leader: null, serving: false };
  /** True: proposals are committed in a microtask of their own. False: by `commit`. */
  automatic = true;
  /** What the next proposals are refused with; null: they are accepted. */
  refusal: Extract<Proposed, { kind: 'refused' }>['why'] | null = null;
  /** False: reads wait for `confirmReads`, as on a leader that nobody answers. */
  confirming = true;
  readonly #reads: ((index: LogIndex | null) => void)[] = [];
  /** Every committed entry, in order. */
  readonly committed: Entry[] = [];
  readonly #clock: Clock;
  readonly #state = new Map<string, StatePair>();
  readonly #pending: { readonly entry: Entry; readonly listener: ProposalListener }[] = [];
  #machine: CommandMachine;
  #lastAppendMs = 0;

  constructor(machine: CommandMachine, clock: Clock) {
    this.#machine = machine;
    this.#clock = clock;
  }

  get log(): LogReader {
    throw new Error('a commands machine does not read its log');
  }

  get commitIndex(): LogIndex {
    return toLogIndex(this.committed.length);
  }

  get appliedIndex(): LogIndex {
    return this.commitIndex;
  }

  /** Proposals that are neither committed nor lost. */
  get pending(): number {
    return this.#pending.length;
  }

  /** The stored state keys, ascending. */
  get state(): readonly StatePair[] {
    return [...this.#state.values()].sort((a, b) => Buffer.compare(a.key, b.key));
  }

  holders(): [] {
    return [];
  }

  nextAppend(): null {
    return null;
  }

  propose(draft: EntryDraft, listener: ProposalListener): Proposed {
    if (this.refusal !== null) return { kind: 'refused', why: this.refusal };
    if (this.role.role !== 'leader') return { kind: 'refused', why: 'not-leader' };
    const entry = this.#entry(draft);
    this.#pending.push({ entry, listener });
    if (this.automatic) queueMicrotask(() => this.commit());
    return { ...entry, kind: 'accepted' };
  }

  changeConfiguration(): ConfigurationProposed {
    return { kind: 'refused', why: 'invalid' };
  }

  transferLeadership(): void {
    // there is nobody else
  }

  readIndex(done: (index: LogIndex | null) => void): void {
    if (!this.role.serving) done(null);
    else if (this.confirming) done(this.commitIndex);
    else this.#reads.push(done);
  }

  /** Answers the reads that wait: `ahead` entries beyond what is applied here are committed. */
  confirmReads(ahead = 0): void {
    for (const done of this.#reads.splice(0)) done(toLogIndex(this.commitIndex + ahead));
  }

  /** Becomes leader of a new term; serves at once unless `serving` is false. */
  lead(serving = true): void {
    this.role = { role: 'leader', term: toTerm(this.role.term + 1), leader: self, serving };
    this.#machine.roleChanged(this.role);
  }

  /** The leader's own no-op is applied. */
  serve(): void {
    this.role = { ...this.role, serving: true };
    this.#machine.roleChanged(this.role);
  }

  /** Commits and applies the oldest proposals; all by default. */
  commit(count = this.#pending.length): void {
    for (const { entry, listener } of this.#pending.splice(0, count)) {
      this.#apply(entry);
      listener.outcome({ kind: 'committed' });
    }
  }

  /** Loses leadership: outcomes are unknown. `survives`: the new leader has what was proposed and commits it. */
  stepDown(survives = false): void {
    const lost = this.#pending.splice(0);
    for (const done of this.#reads.splice(0)) done(null);
    this.role = { role: 'follower', term: toTerm(this.role.term + 1), leader: other, serving: false };
    this.#machine.roleChanged(this.role);
    for (const { listener } of lost) listener.outcome({ kind: 'unknown', why: 'leadership-lost' });
    if (survives) for (const { entry } of lost) this.#apply(entry);
  }

  /** Stops the process: outcomes are unknown. The log and the state keys stay. */
  stop(survives = false): void {
    const lost = this.#pending.splice(0);
    for (const { listener } of lost) listener.outcome({ kind: 'unknown', why: 'stopped' });
    if (survives) for (const { entry } of lost) this.#apply(entry);
  }

  /** Starts another state machine on what is committed, from its state keys or from the first entry on. */
  restart(machine: CommandMachine, from: 'state' | 'log', pageSize = 3): void {
    this.#machine = machine;
    this.role = { role: 'follower', term: this.role.term, leader: null, serving: false };
    if (from === 'state') {
      const state = this.state;
      for (let at = 0; at < state.length; at += pageSize) machine.load(state.slice(at, at + pageSize));
    } else {
      machine.load([]);
      for (const entry of this.committed) machine.apply(entry);
    }
  }

  #apply(entry: Entry): void {
    this.committed.push(entry);
    for (const change of this.#machine.apply(entry)) {
      const name = Buffer.from(change.key).toString('hex');
      if (change.kind === 'put') this.#state.set(name, { key: change.key, value: change.value });
      else this.#state.delete(name);
    }
  }

  #entry(draft: EntryDraft): Entry {
    this.#lastAppendMs = Math.max(this.#lastAppendMs, this.#clock.wallMs());
    const index = toLogIndex(this.committed.length + this.#pending.length + 1);
    const appendTimeMs = toMillis(this.#lastAppendMs);
    return { ...draft, term: this.role.term, index, baseOffset: offsetZero, appendTimeMs, payloadCrc: 0, chain: 0 };
  }
}
