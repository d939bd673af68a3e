/**
 * The running catalog: group 0 of this broker, one command after the other.
 *
 * Invariant:
 * - catalog-8: one command is in flight at a time, so that a decision has seen everything before it.
 */
import { must } from '../model/assert.ts';
import type { Clock } from '../model/clock.ts';
import type { Refused, Result } from '../model/errors.ts';
import { ok, refuse } from '../model/errors.ts';
import type { Millis } from '../model/ids.ts';
import { catalogGroup, toReplicaId } from '../model/ids.ts';
import type { RaftGroup, RaftHost } from '../raft/group.ts';
import type { RoleState } from '../raft/core/ready.ts';
import { BrokerStartError } from './broker-identity.ts';
import type { CatalogCommand } from './catalog-commands.ts';
import { encodeCommand } from './catalog-commands.ts';
import { CatalogMachine } from './catalog-machine.ts';
import type { CatalogState } from './catalog-state.ts';
import { answerBy } from './deadline.ts';
import type { BrokerLimits } from './limits.ts';
import { proposalRefusal, proposeAndWait, unknownOutcome } from './proposal.ts';

/** Replica id of the founder's voter in the catalog; the catalog gives all others. */
export const founderReplica = toReplicaId(1);

export type Decision<Command extends CatalogCommand> = (state: CatalogState) => Result<Command | null>;

interface CatalogDeps {
  readonly host: RaftHost;
  /** A broker without a catalog that it can trust must end (design D7). */
  readonly onFault: (error: unknown) => void;
  readonly clock: Clock;
  readonly limits: BrokerLimits;
}

export class Catalog {
  readonly #deps: CatalogDeps;
  readonly #machine: CatalogMachine;
  readonly #appliedListeners = new Set<(command: CatalogCommand) => void>();
  #group: RaftGroup | null = null;
  #role: RoleState | null = null;
  #quarantine: string | null = null;
  /** Hears that this broker serves the catalog for the first time, or never will; null outside of the start. */
  #starting: { readonly resolve: () => void; readonly reject: (why: Error) => void } | null = null;
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

  /** Null: commands are taken and the state is current. */
  get unavailable(): Refused | null {
    if (this.#closed) return refuse('BROKER_SHUTTING_DOWN', 'the broker is shutting down; ask another one');
    if (this.#quarantine !== null) return refuse('QUARANTINED', `the catalog is set apart: ${this.#quarantine}`);
    if (this.#role?.serving === true) return null;
    const retryAfterMs = this.#deps.limits.retryAfterMs;
    return refuse('LEADER_NOT_AVAILABLE', 'the catalog has no leader that is ready; try again', { retryAfterMs });
  }

  /** Hears every command that is applied from now on, after it took effect. */
  onApplied(listener: (command: CatalogCommand) => void): void {
    this.#appliedListeners.add(listener);
  }

  /**
   * Starts group 0 and waits until it serves: from then on the state holds everything that was ever committed. Rejects
   * with BrokerStartError if the catalog can not be trusted.
   */
  async start(): Promise<void> {
    const spec = { group: catalogGroup, replicaId: founderReplica, voters: [founderReplica] };
    const serving = new Promise<void>((resolve, reject) => {
      this.#starting = { resolve, reject };
    });
    const started = this.#deps.host.start(spec, this.#machine).then((group) => {
      this.#group = group;
      this.#changeRole(group.role);
    });
    await Promise.all([started, serving]);
    this.#starting = null;
  }

  /**
   * Decides when it is its turn, then waits until the command is committed and applied. A decision of null has nothing
   * to do. Resolves with REQUEST_TIMED_OUT at the deadline, whatever becomes of the command.
   */
  execute<Command extends CatalogCommand>(
    decide: Decision<Command>,
    deadlineMs: Millis,
  ): Promise<Result<Command | null>> {
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

  /** Refuses commands from now on. The one in flight gets its outcome from the host. */
  close(): void {
    this.#closed = true;
    this.#starting?.reject(new BrokerStartError('the broker was stopped while it was starting'));
  }

  async #takeTurn<Command extends CatalogCommand>(
    decide: Decision<Command>,
    deadlineMs: Millis,
  ): Promise<Result<Command | null>> {
    const unavailable = this.unavailable;
    if (unavailable !== null) return unavailable;
    if (this.#deps.clock.monotonicMs() >= deadlineMs) return tooLate();
    const decided = decide(this.state);
    if (decided.kind === 'refused' || decided.value === null) return decided;
    const payload = encodeCommand(decided.value);
    const group = must(this.#group, 'a catalog that serves has started');
    const outcome = await proposeAndWait(group, { kind: 'command', count: 0, payload, maxTimestampMs: null });
    switch (outcome.kind) {
      case 'committed':
        return ok(decided.value);
      case 'refused':
        return proposalRefusal(outcome.why, this.#deps.limits.retryAfterMs);
      case 'unknown':
        return unknownOutcome(outcome.why);
    }
  }

  #changeRole(role: RoleState): void {
    this.#role = role;
    if (role.serving) this.#starting?.resolve();
  }

  /** Ends the start, or the process that runs. */
  #setApart(reason: string): void {
    this.#quarantine = reason;
    const why = `the catalog can not be trusted: ${reason}; restore the data directory from a copy`;
    if (this.#starting === null) this.#deps.onFault(new Error(why));
    else this.#starting.reject(new BrokerStartError(why));
  }
}

const tooLate = (): Refused => refuse('REQUEST_TIMED_OUT', 'the deadline came before the outcome: it may take effect');
