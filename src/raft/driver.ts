/**
 * Drives one group: takes the core's work once a turn, appends it, sends, applies, and feeds completions back. The only
 * place that appends to a log. Holds no rule of Raft.
 *
 * Invariants:
 * - driver-1: every accepted proposal gets exactly one outcome, whatever ends the group (D14, P30).
 * - driver-2: messages that promise something leave after every write before them is durable (raft-9).
 * - driver-3: what breaks an invariant of this group sets this group apart and nothing else (design D7); a fault of the
 *   store, or any other error, is handed to `fatal`, because going on could acknowledge what is not durable.
 */
import { assert, InvariantViolation } from '../model/assert.ts';
import type { Clock } from '../model/clock.ts';
import type { Entry, EntryDraft } from '../model/entry.ts';
import type { GroupNumber, LogIndex, Millis, Offset, ReplicaId, Term } from '../model/ids.ts';
import { toLogIndex } from '../model/ids.ts';
import type { GroupLog, LogWriteDone } from '../log/log.ts';
import type { LogReader } from '../log/reader.ts';
import { LogCorruption } from '../log/reader.ts';
import { Applier } from './applier.ts';
import { Checkpoints } from './checkpoints.ts';
import type { BeatLead } from './beat-frame.ts';
import type { Leading, RaftCore } from './core/core.ts';
import type { RaftEvent } from './core/events.ts';
import type { Message, SnapshotChunk } from './core/messages.ts';
import type { IndexedConfiguration } from './core/membership.ts';
import type { FollowerStatus } from './core/progress.ts';
import type { Ready, RoleState } from './core/ready.ts';
import type { SnapshotMeta } from './core/snapshot.ts';
import type { Configuration } from './core/configuration.ts';
import type { DriverLimits } from './driver-limits.ts';
import type { ConfigurationProposed, ProposalListener, Proposed, RaftGroup, StateMachine } from './group.ts';
import { LogTrimmer } from './log-trimmer.ts';
import type { RaftObserver } from './observer.ts';
import { PendingProposals } from './pending-proposals.ts';
import { restoreMachine } from './recover.ts';
import { SnapshotReceiver } from './snapshot-receiver.ts';
import { SnapshotSender } from './snapshot-sender.ts';
import type { SnapshotSlots } from './snapshot-slots.ts';
import type { TurnTaker } from './turns.ts';

/** What a driver needs of the host. */
export interface DriverPort {
  readonly clock: Clock;
  /** The wall time that an entry gets. */
  stampMs(): Millis;
  readonly limits: DriverLimits;
  readonly observer: RaftObserver;
  /** Places for snapshots, shared by all groups (P80). */
  readonly sendSlots: SnapshotSlots;
  readonly takeSlots: SnapshotSlots;
  /** The group has work for the end of this turn. */
  wake(driver: TurnTaker): void;
  /** The core's next deadline may have changed, and whom the replica leads or follows. */
  rearm(driver: GroupDriver): void;
  /** The core is about to be asked what it heard: tells it what is known. */
  catchUp(driver: GroupDriver): void;
  send(group: GroupNumber, message: Message): void;
  /** The process must end. */
  fatal(error: unknown): void;
}

type Accepted = Extract<Proposed, { kind: 'accepted' }>;

type PeerHeard = Extract<RaftEvent, { kind: 'peer-heard' }>;

interface WriteUnderWay {
  readonly number: number;
  /** Leave when the write is durable. */
  readonly messages: Message[];
}

export interface DriverParts {
  readonly log: GroupLog;
  readonly machine: StateMachine;
  readonly core: RaftCore;
  readonly applied: LogIndex;
  readonly appliedOffset: Offset;
}

export class GroupDriver implements RaftGroup, TurnTaker {
  readonly #log: GroupLog;
  readonly #machine: StateMachine;
  readonly #core: RaftCore;
  readonly #port: DriverPort;
  readonly #applier: Applier;
  readonly #checkpoints: Checkpoints | null;
  readonly #trimmer: LogTrimmer | null;
  readonly #sender: SnapshotSender;
  readonly #receiver: SnapshotReceiver;
  /** What the log holds back for followers, as it was told. */
  #heldAbove: LogIndex | null = null;
  readonly #pending = new PendingProposals();
  /** Writes in the order they were handed to the log. */
  readonly #writes: WriteUnderWay[] = [];
  /** Settles when the newest write is over. */
  #lastWrite: Promise<void> = Promise.resolve();
  #commitIndex: LogIndex;
  /** The log's first index as the core knows it. */
  #firstIndex: LogIndex;
  /** Linearizable reads that wait for the core's answer, by request id. At most the core's readsMax. */
  readonly #reads = new Map<number, (index: LogIndex | null) => void>();
  #readId = 0;
  #state: 'running' | 'stopped' | 'quarantined' = 'running';
  #quarantine: string | null = null;
  #quarantinedMs: Millis | null = null;
  #inTurn = false;

  constructor(parts: DriverParts, port: DriverPort) {
    const { log, machine, applied } = parts;
    this.#log = log;
    this.#machine = machine;
    this.#core = parts.core;
    this.#port = port;
    this.#commitIndex = applied;
    this.#firstIndex = log.firstIndex;
    const fail = (error: unknown): void => {
      this.#fail(error);
    };
    const shortened = (): void => {
      this.#followFirstIndex();
    };
    this.#applier = new Applier(log, machine, applied, parts.appliedOffset, port.limits.applyBytesMax, {
      applied: (page, storing) => {
        this.#onApplied(page, storing);
      },
      logStartMoved: shortened,
      failed: fail,
    });
    this.#checkpoints =
      machine.kind === 'data' ? new Checkpoints(log, machine, applied, port.limits, shortened, fail) : null;
    const needed = (): LogIndex | null => this.#neededAbove();
    this.#trimmer = machine.kind === 'commands' ? new LogTrimmer(log, port.limits, needed, shortened, fail) : null;
    this.#sender = new SnapshotSender(log, port.limits, port.sendSlots, port.clock, {
      read: (event) => {
        this.feed(event);
      },
      dropped: (why) => port.observer.dropped?.(this.group, why),
      failed: fail,
    });
    this.#receiver = new SnapshotReceiver(log, port.limits, port.takeSlots, port.clock, {
      pause: () => this.#applier.pause(),
      resume: () => {
        this.#applier.resume();
      },
      installed: (meta) => this.#restart(meta),
      refused: (why, detail) => {
        port.observer.dropped?.(this.group, why);
        if (why === 'snapshot-damaged') port.observer.snapshotDamaged?.(this.group, detail);
      },
    });
  }

  get group(): GroupNumber {
    return this.#log.header.group;
  }
  get log(): LogReader {
    return this.#log;
  }
  /** Who leads, also while the way to it is broken; null: not known, or this group does not run. */
  get leader(): ReplicaId | null {
    return this.#state === 'running' ? this.#core.leader : null;
  }

  get role(): RoleState {
    if (this.#state === 'running') return this.#core.role;
    return { role: 'follower', term: this.#core.role.term, leader: null, serving: false };
  }
  get commitIndex(): LogIndex {
    return this.#commitIndex;
  }
  get appliedIndex(): LogIndex {
    return this.#applier.appliedIndex;
  }
  get highWatermark(): Offset {
    return this.#applier.highWatermark;
  }
  get membership(): IndexedConfiguration {
    return this.#core.membership;
  }
  get followers(): readonly FollowerStatus[] {
    if (this.#state !== 'running') return [];
    this.#port.catchUp(this);
    return this.#core.status.followers;
  }
  holders(index: LogIndex): readonly ReplicaId[] {
    return this.#state === 'running' ? this.#core.holders(index) : [];
  }
  get quarantine(): string | null {
    return this.#quarantine;
  }
  get quarantinedMs(): Millis | null {
    return this.#quarantinedMs;
  }
  get replicaId(): ReplicaId {
    return this.#log.header.replicaId;
  }
  /** Null: this replica does not lead others. */
  get leading(): Leading | null {
    return this.#state === 'running' ? this.#core.leading : null;
  }
  /** Monotonic time at which the core wants a tick; Infinity: never. */
  get nextDeadline(): number {
    return this.#state === 'running' ? this.#core.nextDeadline : Infinity;
  }

  nextAppend(): { readonly term: Term; readonly baseOffset: Offset } | null {
    return this.#state === 'running' ? this.#core.nextAppend() : null;
  }

  propose(draft: EntryDraft, listener: ProposalListener): Proposed {
    if (this.#state !== 'running') return { kind: 'refused', why: this.#state };
    const answer = this.#core.propose(draft, this.#port.stampMs(), this.#port.clock.monotonicMs());
    return answer.kind === 'refused' ? answer : this.#accepted(answer.entry, listener);
  }

  changeConfiguration(target: Configuration, listener: ProposalListener): ConfigurationProposed {
    if (this.#state !== 'running') return { kind: 'refused', why: this.#state };
    const answer = this.#core.proposeConfiguration(target, this.#port.stampMs(), this.#port.clock.monotonicMs());
    return answer.kind === 'refused' ? answer : this.#accepted(answer.entry, listener);
  }

  transferLeadership(to: ReplicaId): void {
    this.feed({ kind: 'transfer', to });
  }

  #accepted({ term, index, baseOffset, appendTimeMs }: Entry, listener: ProposalListener): Accepted {
    this.#pending.add(index, listener);
    if (!this.#inTurn) this.#port.wake(this);
    return { kind: 'accepted', term, index, baseOffset, appendTimeMs };
  }

  readIndex(done: (index: LogIndex | null) => void): void {
    if (this.#state !== 'running') {
      done(null);
      return;
    }
    const id = ++this.#readId;
    this.#reads.set(id, done);
    this.feed({ kind: 'read-index', id });
  }

  /** True if it is this very replica that is meant, and it follows this leader in this term. */
  follows({ target, leader, term }: BeatLead): boolean {
    if (this.#state !== 'running' || target !== this.replicaId) return false;
    const { role, term: own } = this.#core.role;
    const { leader: whom } = this.#core;
    return own === term && whom === leader && (role === 'follower' || role === 'learner');
  }

  /** A peer's message, or a tick. */
  feed(event: RaftEvent): void {
    if (this.#state !== 'running') return;
    this.#guard(() => {
      this.#core.step(event, this.#port.clock.monotonicMs());
    });
    if (!this.#inTurn) this.#port.wake(this);
  }

  /** A sign of life, which the core keeps in mind; the caller wakes the driver if somebody waits for it. */
  hear(event: PeerHeard): void {
    if (this.#state !== 'running') return;
    const wasInSight = this.#isLeaderInSight();
    this.#guard(() => {
      this.#core.step(event, this.#port.clock.monotonicMs());
    });
    // a leader that was taken for dead is back: that is told
    if (!wasInSight && this.#isLeaderInSight() && !this.#inTurn) this.#port.wake(this);
  }

  #isLeaderInSight(): boolean {
    return this.#core.role.leader !== null;
  }

  /** Does everything that the core wants done. */
  takeTurn(): void {
    if (this.#inTurn) return;
    this.#inTurn = true;
    this.#guard(() => {
      while (this.#state === 'running') {
        const ready = this.#core.takeReady();
        if (ready === null) break;
        this.#handle(ready);
      }
      if (this.#machine.kind === 'data') this.#machine.progressed?.();
      this.#holdBack();
      if (!this.#sender.idle) this.#sender.keepOnly(this.#core.snapshotTargets);
    });
    this.#inTurn = false;
    this.#port.rearm(this);
  }

  /** Sets the group apart: it votes, leads and acknowledges no more; everybody else goes on (design D7). */
  setApart(reason: string): void {
    if (this.#state !== 'running') return;
    this.#state = 'quarantined';
    this.#quarantine = reason;
    this.#quarantinedMs = this.#port.clock.wallMs();
    this.#applier.stop();
    this.#pending.unknownAbove(toLogIndex(0), 'quarantined');
    this.#refuseReads();
    void this.#sender.close();
    void this.#receiver.close();
    this.#machine.quarantined(reason);
    this.#port.observer.quarantined?.(this.group, reason);
    this.#port.rearm(this);
  }

  /** Ends the group; `keep`: its state is stored once more, so that the next start is quick. */
  async stop(keep: boolean): Promise<void> {
    const healthy = this.#state === 'running';
    if (healthy) this.#state = 'stopped';
    this.#applier.stop();
    this.#pending.unknownAbove(toLogIndex(0), 'stopped');
    this.#refuseReads();
    this.#port.rearm(this);
    await Promise.all([this.#lastWrite, this.#sender.close(), this.#receiver.close()]);
    if (healthy && keep) await this.#checkpoints?.final(this.appliedIndex);
  }

  #handle(ready: Ready): void {
    for (const message of ready.messages) this.#port.send(this.group, message);
    // the answer to a chunk leaves when the chunk is where it belongs: its sender waits for it with the next one
    const held = ready.install === null ? [] : ready.messagesAfterPersist.filter(answersSnapshot);
    const messages = held.length === 0 ? ready.messagesAfterPersist : ready.messagesAfterPersist.filter(isOther);
    if (ready.persist !== null) this.#append(ready.number, ready.persist, messages);
    else this.#sendAfterWrites(messages);
    if (ready.install !== null) this.#take(ready.install.chunk, held);
    if (ready.lostLeadership !== null) {
      this.#pending.unknownAbove(ready.lostLeadership.committedThrough, 'leadership-lost');
    }
    if (ready.committed !== null) {
      this.#commitIndex = ready.committed.through;
      this.#applier.committed(ready.committed.through);
    }
    if (ready.role !== null) {
      this.#applier.roleChanged(ready.role);
      this.#port.observer.roleChanged?.(this.group, ready.role);
    }
    for (const read of ready.reads) this.#readLog(read);
    for (const { id, index } of ready.readStates) this.#answerRead(id, index);
    for (const request of ready.snapshotsToSend) this.#sender.ask(request);
    for (const alarm of ready.alarms) this.#port.observer.alarm?.(this.group, alarm);
    this.#applier.run();
  }

  /** Entries for a follower that is behind: from the cache if they are there. */
  #readLog({ token, from, through, bytesMax }: Ready['reads'][number]): void {
    const cached = this.#log.readEntriesFromCache(from, through, bytesMax);
    if (cached !== null) {
      this.#core.step({ kind: 'entries-read', token, entries: cached }, this.#port.clock.monotonicMs());
      return;
    }
    this.#log.readEntries(from, through, bytesMax).then(
      (entries) => {
        // nothing: the log was cut meanwhile, which the core must hear of, or it would ask for the same again at once
        if (entries.length === 0) this.#followFirstIndex();
        this.feed({ kind: 'entries-read', token, entries });
      },
      (error: unknown) => {
        this.#fail(error);
      },
    );
  }

  #answerRead(id: number, index: LogIndex | null): void {
    const done = this.#reads.get(id);
    this.#reads.delete(id);
    done?.(index);
  }

  #refuseReads(): void {
    for (const id of [...this.#reads.keys()]) this.#answerRead(id, null);
  }

  /** The log dropped entries that its state stands for; the core must not offer them to followers. */
  #followFirstIndex(): void {
    const { firstIndex } = this.#log;
    // the core hears of a snapshot that is being installed when it is
    if (firstIndex === this.#firstIndex || this.#receiver.isInstalling) return;
    this.#firstIndex = firstIndex;
    this.feed({ kind: 'compacted', firstIndex, chain: this.#log.baseChain });
  }

  /** Tells the log what live followers lack, so that it does not let go of it (P49). */
  #holdBack(): void {
    if (this.#machine.kind !== 'data') return;
    const above = this.#neededAbove();
    if (above === this.#heldAbove) return;
    this.#heldAbove = above;
    const bytesMax = this.#port.limits.lagBytesMax;
    this.#log.holdBack(above === null ? null : { above, bytesMax }).then(
      () => {
        this.#followFirstIndex();
      },
      (error: unknown) => {
        this.#fail(error);
      },
    );
  }

  #neededAbove(): LogIndex | null {
    return this.#core.neededAbove(this.#port.clock.monotonicMs() - this.#port.limits.followerLiveMs);
  }

  /** A chunk goes to the log; `replies` leave once it is there, and everything that was to be durable before. */
  #take(chunk: SnapshotChunk, replies: readonly Message[]): void {
    this.#receiver.take(chunk).then(
      (result) => {
        if (this.#state !== 'running') return;
        if (result === 'more') this.#sendAfterWrites(replies);
        else if (result === 'refused') this.feed({ kind: 'snapshot-refused', id: chunk.meta.id });
      },
      (error: unknown) => {
        this.#fail(error);
      },
    );
  }

  /** The log begins after a snapshot now, durably: so do the state machine, and then the core (receiver-2). */
  async #restart(meta: SnapshotMeta): Promise<void> {
    const { lastIndex: index } = meta;
    if (this.#machine.kind === 'commands') this.#machine.reset();
    const restored = await restoreMachine(this.#log, this.#machine);
    assert(restored === index, 'driver-4: the state is as of the snapshot', `${restored}, not ${index}`);
    if (this.#state !== 'running') return;
    this.#guard(() => {
      this.#commitIndex = index;
      this.#firstIndex = this.#log.firstIndex;
      this.#checkpoints?.restartAt(index);
      this.#applier.restartAt(index, meta.endOffset);
      this.#pending.applied(index);
      this.#core.step({ kind: 'snapshot-installed', meta }, this.#port.clock.monotonicMs());
      this.#port.observer.snapshotInstalled?.(this.group, meta);
      this.#applier.resume();
    });
    this.takeTurn();
  }

  #append(number: number, persist: NonNullable<Ready['persist']>, messages: readonly Message[]): void {
    this.#writes.push({ number, messages: [...messages] });
    this.#lastWrite = this.#log.append(persist).then(
      (done) => {
        this.#onPersisted(done);
      },
      (error: unknown) => {
        this.#fail(error);
      },
    );
  }

  #onPersisted(done: LogWriteDone): void {
    const write = this.#writes.shift();
    if (write === undefined || this.#state !== 'running') return;
    this.#guard(() => {
      for (const message of write.messages) this.#port.send(this.group, message);
      this.#pending.durable(done.lastIndex);
      const { lastIndex, lastTerm } = done;
      const event = { kind: 'persisted', lastIndex, lastTerm, readyNumber: write.number } as const;
      this.#core.step(event, this.#port.clock.monotonicMs());
    });
    this.takeTurn();
  }

  #sendAfterWrites(messages: readonly Message[]): void {
    const newest = this.#writes.at(-1);
    if (newest !== undefined) newest.messages.push(...messages);
    else for (const message of messages) this.#port.send(this.group, message);
  }

  #onApplied(page: readonly Entry[], storing: Promise<void> | null): void {
    const index = this.#applier.appliedIndex;
    this.#pending.applied(index);
    this.#core.step({ kind: 'applied', index }, this.#port.clock.monotonicMs());
    this.#checkpoints?.applied(page, index);
    this.#trimmer?.applied(storing);
    if (!this.#inTurn) this.#port.wake(this);
  }

  /** Runs a step; what it throws ends the group or the process, never the caller. */
  #guard(step: () => void): void {
    try {
      step();
    } catch (error) {
      this.#fail(error);
    }
  }

  #fail(error: unknown): void {
    if (error instanceof InvariantViolation || error instanceof LogCorruption) this.setApart(error.message);
    else this.#port.fatal(error);
  }
}

const answersSnapshot = (message: Message): boolean => message.kind === 'snapshot-reply';
const isOther = (message: Message): boolean => !answersSnapshot(message);
