/**
 * Applies what is committed to the state machine: in index order, each entry once, with role changes at their place
 * between the entries. Reads from the log's cache without waiting where it can.
 */
import { assert, must } from '../model/assert.ts';
import type { Entry } from '../model/entry.ts';
import { entryEndOffset } from '../model/entry.ts';
import type { LogIndex, Offset } from '../model/ids.ts';
import { nextIndex, toLogIndex } from '../model/ids.ts';
import type { StateChange } from '../model/raft-state.ts';
import type { GroupLog } from '../log/log.ts';
import type { RoleState } from './core/ready.ts';
import { decodeLogStart } from './log-start.ts';
import type { StateMachine } from './group.ts';

export interface ApplierHooks {
  /** A page was applied; `storing` settles when its changes of state keys are durable. */
  applied(entries: readonly Entry[], storing: Promise<void> | null): void;
  /** The log start moved durably; the log's first index may have followed. */
  logStartMoved(): void;
  /** Something of the log's background work, or a read, failed. */
  failed(error: unknown): void;
}

/** A role change waits until everything that was committed before it is applied. */
interface WaitingRole {
  readonly after: LogIndex;
  readonly state: RoleState;
}

export class Applier {
  readonly #log: GroupLog;
  readonly #machine: StateMachine;
  readonly #hooks: ApplierHooks;
  readonly #bytesMax: number;
  #applied: LogIndex;
  #highWatermark: Offset;
  #target: LogIndex;
  /** Bounded: the core reports a change only when something changed, and each needs a committed entry or a message. */
  readonly #roles: WaitingRole[] = [];
  #running = false;
  #stopped = false;
  /** A snapshot is about to take the place of everything: nothing is applied. */
  #paused = false;
  /** Hears that a read which was under way is over. */
  #idle: (() => void) | null = null;

  constructor(
    log: GroupLog,
    machine: StateMachine,
    applied: LogIndex,
    at: Offset,
    bytesMax: number,
    hooks: ApplierHooks,
  ) {
    this.#log = log;
    this.#machine = machine;
    this.#applied = applied;
    this.#target = applied;
    this.#highWatermark = at;
    this.#bytesMax = bytesMax;
    this.#hooks = hooks;
  }

  get appliedIndex(): LogIndex {
    return this.#applied;
  }

  /** End offset of what is applied. */
  get highWatermark(): Offset {
    return this.#highWatermark;
  }

  /** Everything through `index` is committed. */
  committed(index: LogIndex): void {
    assert(index >= this.#target, 'raft-4: the commit index never falls', `${index}`);
    this.#target = index;
  }

  roleChanged(state: RoleState): void {
    this.#roles.push({ after: this.#target, state });
  }

  /** Applies what can be applied now; goes on by itself after a read. */
  run(): void {
    if (this.#running) return;
    this.#running = true;
    while (!this.#stopped && !this.#paused) {
      this.#tellRoles();
      if (this.#applied >= this.#target) break;
      const page = this.#log.readEntriesFromCache(nextIndex(this.#applied), this.#target, this.#bytesMax);
      if (page === null) {
        this.#read();
        return;
      }
      this.#applyPage(page);
    }
    this.#running = false;
  }

  /** Nothing is applied any more. */
  stop(): void {
    this.#stopped = true;
    this.#tellIdle();
  }

  /** Nothing is applied until `resume` or `restartAt`; resolves when what was under way is over. */
  pause(): Promise<void> {
    this.#paused = true;
    if (!this.#running || this.#stopped) return Promise.resolve();
    return new Promise((resolve) => {
      this.#idle = resolve;
    });
  }

  resume(): void {
    this.#paused = false;
    this.run();
  }

  /** The machine was brought to the state as of `index`, where the log begins. The caller resumes. */
  restartAt(index: LogIndex, highWatermark: Offset): void {
    assert(this.#paused && !this.#running, 'apply-4: a state is replaced while nothing is applied');
    assert(index > this.#applied, 'apply-1: in order, each once', `${index} after ${this.#applied}`);
    this.#applied = index;
    this.#target = toLogIndex(Math.max(this.#target, index));
    this.#highWatermark = highWatermark;
    this.#machine.committed?.(highWatermark);
  }

  #tellIdle(): void {
    this.#idle?.();
    this.#idle = null;
  }

  #read(): void {
    this.#log.readEntries(nextIndex(this.#applied), this.#target, this.#bytesMax).then(
      (page) => {
        this.#running = false;
        if (this.#paused) this.#tellIdle();
        if (this.#stopped || this.#paused) return;
        try {
          this.#applyPage(page);
          this.run();
        } catch (error) {
          this.#hooks.failed(error);
        }
      },
      (error: unknown) => {
        this.#hooks.failed(error);
      },
    );
  }

  #applyPage(page: readonly Entry[]): void {
    const changes: StateChange[] = [];
    for (const entry of page) {
      assert(
        entry.index === this.#applied + 1,
        'apply-1: in order, each once',
        `${entry.index} after ${this.#applied}`,
      );
      if (entry.kind === 'log-start') this.#moveLogStart(entry);
      if (this.#machine.kind === 'data') this.#machine.apply(entry);
      else changes.push(...this.#machine.apply(entry));
      this.#applied = entry.index;
    }
    this.#highWatermark = entryEndOffset(must(page.at(-1), 'apply-2: a page holds at least one entry'));
    const storing = changes.length > 0 ? this.#log.writeState(this.#applied, changes) : null;
    storing?.catch((error: unknown) => {
      this.#hooks.failed(error);
    });
    this.#machine.committed?.(this.#highWatermark);
    this.#hooks.applied(page, storing);
  }

  #moveLogStart(entry: Entry): void {
    const logStart = decodeLogStart(entry.payload);
    assert(logStart <= entry.baseOffset, 'apply-3: the log start moves over what is in the log', `${logStart}`);
    if (logStart <= this.#log.logStart) return;
    this.#log.moveLogStart(logStart).then(
      () => {
        this.#hooks.logStartMoved();
      },
      (error: unknown) => {
        this.#hooks.failed(error);
      },
    );
  }

  #tellRoles(): void {
    for (let next = this.#roles[0]; next !== undefined && next.after <= this.#applied; next = this.#roles[0]) {
      this.#roles.shift();
      this.#machine.roleChanged(next.state);
    }
  }
}
