/**
 * The catalog on this broker: its replica of group 0. Where it leads, commands are decided here, one after the other;
 * everywhere it tells what is committed. Who does not know where it leads asks through catalog-link.ts.
 *
 * Invariants:
 * - catalog-8: one command is in flight at a time, so that a decision has seen everything before it.
 * - catalog-11: a refusal, and that there is nothing to do, is told only after leadership was confirmed: whoever was
 *   deposed unnoticed has not seen everything.
 * - catalog-13: no command is proposed that a broker of the active format could not read (format-version.ts).
 */
import { must } from '../model/assert.ts';
import type { Clock } from '../model/clock.ts';
import type { Refused, Result } from '../model/errors.ts';
import { ok, refuse, setApart } from '../model/errors.ts';
import type { LogIndex, Millis } from '../model/ids.ts';
import { catalogGroup, indexZero, toReplicaId } from '../model/ids.ts';
import type { GroupSpec, RaftGroup, RaftHost } from '../raft/group.ts';
import type { RoleState } from '../raft/core/ready.ts';
import { BrokerStartError } from './broker-identity.ts';
import type { CatalogCommand } from './catalog-commands.ts';
import { encodeCommand } from './catalog-commands.ts';
import { CatalogMachine } from './catalog-machine.ts';
import type { Executed } from './catalog-requests.ts';
import type { CatalogState } from './catalog-state.ts';
import { answerBy } from './deadline.ts';
import type { CommandFormats } from './format-version.ts';
import { commandFormats, refuseNewer } from './format-version.ts';
import type { BrokerLimits } from './limits.ts';
import { proposalRefusal, proposeAndWait, unknownOutcome } from './proposal.ts';

/** Replica id of the first founder's voter in the catalog; the catalog gives those of all who are no founders. */
export const founderReplica = toReplicaId(1);

export type Decision = (state: CatalogState) => Result<CatalogCommand | null>;

interface CatalogDeps {
  readonly host: RaftHost;
  /** A broker without a catalog that it can trust must end (design D7). */
  readonly onFault: (error: unknown) => void;
  readonly clock: Clock;
  readonly limits: BrokerLimits;
  /** Those of this version if absent. */
  readonly formats?: CommandFormats;
}

interface IndexWaiter {
  readonly index: LogIndex;
  readonly resolve: () => void;
}

export class Catalog {
  readonly #deps: CatalogDeps;
  readonly #machine: CatalogMachine;
  readonly #appliedListeners = new Set<(command: CatalogCommand) => void>();
  readonly #roleListeners = new Set<(role: RoleState) => void>();
  /** Resolves at the next change of the role or of what is applied. */
  #change = nextChange();
  /** Bounded by the calls that are under way. */
  #indexWaiters: IndexWaiter[] = [];
  readonly #replacedListeners = new Set<() => void>();
  #group: RaftGroup | null = null;
  #role: RoleState | null = null;
  #quarantine: string | null = null;
  /** Null outside of the start: then a fault ends the process. */
  #start: { readonly failed: Promise<never>; readonly fail: (why: Error) => void } | null = failableStart();
  #closed = false;
  /** Settles when the last command that was queued has its outcome (catalog-8). */
  #lastTurn: Promise<unknown> = Promise.resolve();
  #queued = 0;

  constructor(deps: CatalogDeps) {
    this.#deps = deps;
    this.#machine = new CatalogMachine({
      applied: (command) => {
        for (const listener of this.#appliedListeners) listener(command);
      },
      advanced: () => {
        this.#advance();
      },
      replaced: () => {
        for (const listener of this.#replacedListeners) listener();
        this.#advance();
      },
      roleChanged: (role) => {
        this.#changeRole(role);
      },
      quarantined: (reason) => {
        this.#setApart(reason);
      },
    });
  }

  /** As applied here. */
  get state(): CatalogState {
    return this.#machine.state;
  }

  get role(): RoleState | null {
    return this.#role;
  }

  /** Null until it runs. */
  get group(): RaftGroup | null {
    return this.#group;
  }

  get closed(): boolean {
    return this.#closed;
  }

  get appliedIndex(): LogIndex {
    return this.#group?.appliedIndex ?? indexZero;
  }

  /** Null: it leads here, and commands are decided here. */
  get unavailable(): Refused | null {
    if (this.#closed) return refuse('BROKER_SHUTTING_DOWN', 'the broker is shutting down; ask another one');
    if (this.#quarantine !== null)
      return refuse('QUARANTINED', `the catalog is set apart: ${this.#quarantine}`, setApart('catalog'));
    if (this.#role?.serving === true) return null;
    const retryAfterMs = this.#deps.limits.retryAfterMs;
    return refuse('LEADER_NOT_AVAILABLE', 'the catalog has no leader that is ready; try again', { retryAfterMs });
  }

  /** Hears every command that is applied from now on, after it took effect. */
  onApplied(listener: (command: CatalogCommand) => void): void {
    this.#appliedListeners.add(listener);
  }

  /** Hears of every change of the role from now on. */
  onRole(listener: (role: RoleState) => void): void {
    this.#roleListeners.add(listener);
  }

  /** Hears when a leader's snapshot took the place of the state: it may differ in anything. */
  onReplaced(listener: () => void): void {
    this.#replacedListeners.add(listener);
  }

  /** Starts group 0. Rejects with BrokerStartError if it can not be trusted. */
  async start(spec: Omit<GroupSpec, 'group'>): Promise<void> {
    const started = this.#deps.host.start({ ...spec, group: catalogGroup }, this.#machine).then((group) => {
      this.#group = group;
      this.#changeRole(group.role);
    });
    await this.duringStart(started);
  }

  /** What `step` resolves to; rejects with BrokerStartError if the start has failed, or fails meanwhile. */
  duringStart<T>(step: Promise<T>): Promise<T> {
    return this.#start === null ? step : Promise.race([step, this.#start.failed]);
  }

  /** The start is over: from now on a fault of the catalog ends the process. */
  started(): void {
    this.#start = null;
  }

  /** Resolves at the next change of the role or of what is applied here. */
  whenChanged(): Promise<void> {
    return this.#change.promise;
  }

  /** True when everything through `index` is applied here; false if the deadline comes first. */
  whenApplied(index: LogIndex, deadlineMs: Millis): Promise<boolean> {
    if (this.appliedIndex >= index) return Promise.resolve(true);
    let waiter: IndexWaiter | null = null;
    const applied = new Promise<boolean>((resolve) => {
      waiter = { index, resolve: () => { resolve(true); } }; // prettier-ignore
      this.#indexWaiters.push(waiter);
    });
    return answerBy(this.#deps.clock, deadlineMs, applied, () => {
      this.#indexWaiters = this.#indexWaiters.filter((one) => one !== waiter);
      return false;
    });
  }

  /**
   * Decides when it is its turn, then waits until the command is committed and applied. A decision of null has nothing
   * to do. Resolves with REQUEST_TIMED_OUT at the deadline, whatever becomes of the command.
   */
  execute(decide: Decision, deadlineMs: Millis): Promise<Result<Executed>> {
    const queuedMax = this.#deps.limits.catalogCommandsQueuedMax;
    if (this.#queued >= queuedMax) {
      const what = `${queuedMax} changes of the catalog wait already; try again`;
      return Promise.resolve(refuse('LIMIT_REACHED', what, { retryAfterMs: this.#deps.limits.retryAfterMs }));
    }
    this.#queued++;
    const turn = this.#lastTurn.then(() => this.#takeTurn(decide, deadlineMs));
    this.#lastTurn = turn.then(
      () => this.#queued--,
      () => this.#queued--,
    );
    return answerBy(this.#deps.clock, deadlineMs, turn, tooLate);
  }

  /** The index that must be applied, anywhere, to see everything that was committed before this call (ReadIndex). */
  async readIndex(deadlineMs: Millis): Promise<Result<LogIndex>> {
    const unavailable = this.unavailable;
    if (unavailable !== null) return unavailable;
    const group = must(this.#group, 'a catalog that serves has started');
    const confirmed = new Promise<LogIndex | null>((resolve) => {
      group.readIndex(resolve);
    });
    const index = await answerBy(this.#deps.clock, deadlineMs, confirmed, () => null);
    return index === null ? notConfirmed(this.#deps.limits.retryAfterMs) : ok(index);
  }

  /** Refuses commands from now on. The one in flight gets its outcome from the host. */
  close(): void {
    this.#closed = true;
    this.#start?.fail(new BrokerStartError('the broker was stopped while it was starting'));
    this.#tellChange();
  }

  async #takeTurn(decide: Decision, deadlineMs: Millis): Promise<Result<Executed>> {
    const unavailable = this.unavailable;
    if (unavailable !== null) return unavailable;
    if (this.#deps.clock.monotonicMs() >= deadlineMs) return tooLate();
    const decided = decide(this.state);
    if (decided.kind === 'refused' || decided.value === null) {
      // catalog-11
      const confirmed = await this.readIndex(deadlineMs);
      if (confirmed.kind === 'refused') return confirmed;
      return decided.kind === 'refused' ? decided : ok({ command: null, index: this.appliedIndex });
    }
    const newer = refuseNewer(
      decided.value,
      this.state.head?.activeVersion ?? null,
      this.#deps.formats ?? commandFormats,
    );
    if (newer !== null) return newer;
    const payload = encodeCommand(decided.value);
    const group = must(this.#group, 'a catalog that serves has started');
    const outcome = await proposeAndWait(group, { kind: 'command', count: 0, payload, maxTimestampMs: null });
    switch (outcome.kind) {
      case 'committed':
        return ok({ command: decided.value, index: this.appliedIndex });
      case 'refused':
        return proposalRefusal(outcome.why, this.#deps.limits.retryAfterMs);
      case 'unknown':
        return unknownOutcome(outcome.why);
    }
  }

  #advance(): void {
    const applied = this.appliedIndex;
    const due = this.#indexWaiters.filter((waiter) => waiter.index <= applied);
    if (due.length > 0) this.#indexWaiters = this.#indexWaiters.filter((waiter) => waiter.index > applied);
    for (const { resolve } of due) resolve();
    this.#tellChange();
  }

  #changeRole(role: RoleState): void {
    this.#role = role;
    for (const listener of this.#roleListeners) listener(role);
    this.#tellChange();
  }

  #tellChange(): void {
    const change = this.#change;
    this.#change = nextChange();
    change.tell();
  }

  /** Ends the start, or the process that runs; not one whose disk as a whole is set apart, which stays to say so. */
  #setApart(reason: string): void {
    this.#quarantine = reason;
    const isWholeDisk = this.#deps.host.apart !== null;
    const cure = isWholeDisk ? 'have the broker replaced' : 'restore the data directory from a copy';
    const why = `the catalog can not be trusted: ${reason}; ${cure}`;
    if (this.#start === null && isWholeDisk) return;
    if (this.#start === null) this.#deps.onFault(new Error(why));
    else this.#start.fail(new BrokerStartError(why));
  }
}

function nextChange(): { readonly promise: Promise<void>; readonly tell: () => void } {
  let tell = (): void => undefined;
  const promise = new Promise<void>((resolve) => {
    tell = resolve;
  });
  return { promise, tell };
}

function failableStart(): { readonly failed: Promise<never>; readonly fail: (why: Error) => void } {
  let fail: (why: Error) => void = () => undefined;
  const failed = new Promise<never>((_, reject) => {
    fail = reject;
  });
  // heard by whoever awaits a step of the start; a fault between two of them is heard at the next
  failed.catch(() => undefined);
  return { failed, fail };
}

const tooLate = (): Refused => refuse('REQUEST_TIMED_OUT', 'the deadline came before the outcome: it may take effect');

const notConfirmed = (retryAfterMs: number): Refused =>
  refuse('LEADER_NOT_AVAILABLE', 'the catalog may have another leader by now; try again', { retryAfterMs });
