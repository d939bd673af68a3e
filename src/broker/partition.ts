/**
 * One partition of a topic on this broker: what its Raft group drives, and the way of a batch up to the proposal.
 *
 * Invariants:
 * - partition-1: what is applied continues its producer's sequence; the applied table is a function of the log alone.
 * - partition-2: the appended table exists exactly while this replica serves as leader; it is the applied table and what
 *   is in flight on top.
 * - partition-3: a stored batch carries the offset and the term of its entry.
 * - partition-4: the high watermark never falls, and nothing at or above it is given to a reader.
 * - partition-6: who is told that a batch will never be in the log is told so after the fence was committed.
 */
import { assert, InvariantViolation, must } from '../model/assert.ts';
import type { Clock } from '../model/clock.ts';
import type { Entry } from '../model/entry.ts';
import type { ErrorCode, Refused, Result } from '../model/errors.ts';
import { ok, refuse, setApart } from '../model/errors.ts';
import type { BrokerId, GroupNumber, LogIndex, Millis, Offset, ProducerEpoch, ProducerId, Term } from '../model/ids.ts';
import { indexZero, offsetZero } from '../model/ids.ts';
import type { BatchHeader, BatchProducer } from '../model/record-batch.ts';
import { patchBatch, readBatchHeader } from '../model/record-batch.ts';
import type { RoleState } from '../raft/core/ready.ts';
import type { DataMachine, ProposalOutcome, RaftGroup } from '../raft/group.ts';
import { logStartDraft } from '../raft/log-start.ts';
import type { AppendBudget } from './append-budget.ts';
import type { WaitOutcome } from './append-waiters.ts';
import { AppendWaiters, OpenAppend } from './append-waiters.ts';
import type { CreateTimeBounds } from './create-time.ts';
import { anyCreateTime, refuseCreateTime } from './create-time.ts';
import { answerBy } from './deadline.ts';
import type { DiskGate } from './disk-gate.ts';
import { beyondMajority, liveVoters, refuseTooFew, tooFewHave } from './durability.ts';
import { HeldAppends } from './held-appends.ts';
import { HoldWaiters } from './hold-waiters.ts';
import type { BrokerLimits } from './limits.ts';
import type { BrokerObserver } from './observer.ts';
import type { RememberedBatch, SequenceVerdict } from './producer-table.ts';
import { ProducerTable } from './producer-table.ts';
import { decodeProducerTable, encodeProducerTable } from './producer-table-codec.ts';
import { decodeFence, encodeFence } from './producer-fence.ts';
import { nearReplica } from './near-replica.ts';
import { proposalRefusal, unknownOutcome } from './proposal.ts';
import type { Locate, ReplicaPlace } from './replica-place.ts';
import { leaderHintOf } from './replica-place.ts';
import type { AckLevel, RequestContext } from './requests.ts';

/** What all partitions of a broker share. */
export interface PartitionDeps {
  readonly clock: Clock;
  readonly limits: BrokerLimits;
  readonly budget: AppendBudget;
  readonly disk: DiskGate;
  readonly observer: BrokerObserver;
  /** The broker's own; null: it does not say. */
  readonly rack: string | null;
  /** A partition led here got records or begins to serve: what it keeps is to be looked at. */
  readonly changed: (group: GroupNumber) => void;
}

/** Where a batch is, or that its outcome may be asked for elsewhere: the partition's part of a receipt. */
export interface Appended {
  /** Null for a duplicate older than the window. */
  readonly baseOffset: Offset | null;
  readonly appendTimeMs: Millis | null;
  readonly leaderEpoch: Term;
  readonly committed: boolean;
  readonly duplicate: boolean;
  /** Where its entry is in the replicated log; null: not known (any more). */
  readonly entry: EntryPlace | null;
  /** Brokers whose replicas vote and have it durably as far as is known, ascending. Empty: not known. */
  readonly durableOn: readonly BrokerId[];
}

interface EntryPlace {
  readonly index: LogIndex;
  readonly term: Term;
}

/** On what terms a batch is appended and answered. */
export interface AppendTerms {
  readonly acks: AckLevel;
  /** With acks=all: replicas that must be in sync before it is taken, and have it before it is answered; 0: a majority. */
  readonly insyncMin: number;
  /** With acks=all: replicas that must have it before it is answered, besides; 0: no more. */
  readonly replicasMin: number;
  /** Appended only if the partition ends there; null: wherever it ends. */
  readonly expectedEndOffset: Offset | null;
  /** Create times that are taken. */
  readonly createTimes: CreateTimeBounds;
}

/** Until when it waits, and since when. */
type AppendContext = Pick<RequestContext, 'deadlineMs' | 'arrived'>;

/** What became of a batch that somebody asked about. */
export type Resolved =
  | ({ readonly outcome: 'committed' } & Pick<Appended, 'baseOffset' | 'appendTimeMs' | 'leaderEpoch'>)
  | { readonly outcome: 'never' | 'expired'; readonly leaderEpoch: Term };

/** A batch that somebody asks about. */
export interface SentBatch {
  readonly producer: BatchProducer;
  readonly count: number;
  /** Time since it was first sent. */
  readonly ageMs: number;
}

/** Told when a partition may have something new for a reader: data, an error, another leader. */
export interface FetchWaiter {
  wake(): void;
}

type Retry = Extract<SequenceVerdict, { kind: 'duplicate' }>;

export class Partition implements DataMachine {
  readonly kind = 'data';
  readonly group: GroupNumber;
  readonly #topic: string;
  /** Readers that wait here. Bounded by FetchWaiters for the whole broker. */
  readonly fetchWaiters = new Set<FetchWaiter>();
  readonly #locate: Locate;
  readonly #deps: PartitionDeps;
  readonly #waiters: AppendWaiters;
  #raft: RaftGroup | null = null;
  #role: RoleState | null = null;
  #applied = new ProducerTable();
  /** See partition-2. */
  #appended: { readonly table: ProducerTable; readonly term: Term } | null = null;
  /** Fences on their way, by producer and epoch: as many at most as Raft's limit of uncommitted entries lets in. */
  readonly #fences = new Map<string, OpenAppend>();
  #highWatermark: Offset = offsetZero;
  /** Since when this replica serves, on the monotonic clock. */
  #servingSinceMs = 0;
  readonly #holds: HoldWaiters;
  /** Why nothing works here any more; null: it does. */
  #ended: Refused | null = null;
  /** Appends that wait until somebody serves this partition. */
  readonly #held: HeldAppends<Appended>;
  /** Who else waits until somebody serves this partition. */
  #readyWaiters: (() => void)[] = [];

  /** @param topic the name of its topic */
  constructor(group: GroupNumber, topic: string, locate: Locate, deps: PartitionDeps) {
    this.group = group;
    this.#topic = topic;
    this.#locate = locate;
    this.#deps = deps;
    this.#waiters = new AppendWaiters(deps.clock);
    const { leaderWaitMsMax: waitMsMax, leaderLookMs: lookMs, heldAppendsMax: countMax } = deps.limits;
    this.#held = new HeldAppends(deps.clock, { waitMsMax, lookMs, countMax });
    this.#holds = new HoldWaiters(deps.clock, (index) => this.#raft?.holders(index).length ?? 0);
  }

  /** Null until the group runs. */
  get raft(): RaftGroup | null {
    return this.#raft;
  }

  get role(): RoleState | null {
    return this.#role;
  }

  get highWatermark(): Offset {
    return this.#highWatermark;
  }

  /** First offset that can be read; 0 until the group runs. */
  get logStart(): Offset {
    return this.#raft?.log.logStart ?? offsetZero;
  }

  get appendsInFlight(): number {
    return this.#waiters.size;
  }

  /** Null: reads are answered here. */
  get unreadable(): Refused | null {
    if (this.#ended !== null) return this.#ended;
    return this.#raft === null ? this.#notReady() : null;
  }

  /** Where a reader in `rack` shall read this partition instead of here; null: here. */
  nearerReader(rack: string): ReplicaPlace | null {
    const raft = this.#raft;
    if (raft === null || this.#appended === null) return null;
    const { clock, limits } = this.#deps;
    return nearReplica(raft, rack, this.#locate, clock.monotonicMs(), limits);
  }

  /**
   * Why a reader that says in which rack it is does not read from this replica; null: it does. It came to the wrong place,
   * or it would wait (`waits`) for what this replica does not hear of.
   */
  refuseReader(rack: string, waits: boolean): Refused | null {
    const mayServe = this.#deps.rack === rack && (!waits || this.#follows);
    return mayServe ? null : this.notServing;
  }

  /** Null: this replica leads and serves. */
  get notServing(): Refused | null {
    if (this.#ended !== null) return this.#ended;
    if (this.#appended !== null) return null;
    const role = this.#role;
    return role === null || role.role === 'leader' || role.leader === null ? this.#notReady() : this.#notLeader(role);
  }

  /** The Raft group runs. */
  opened(raft: RaftGroup): void {
    this.#raft = raft;
    if (raft.quarantine !== null) this.quarantined(raft.quarantine);
    this.#moveHighWatermark(raft.highWatermark);
    this.roleChanged(raft.role);
  }

  /** Nothing is admitted any more, and readers hear why; what is in flight gets its outcome from Raft. */
  end(why: Refused): void {
    this.#ended ??= why;
    this.#appended = null;
    this.#holds.giveUp();
    this.#release();
    this.#held.wake();
    this.#wakeReaders();
  }

  /** Resolves when this replica serves or knows who leads, or never will. */
  whenReady(): Promise<void> {
    if (this.#appended !== null || this.#ended !== null || this.#follows) return Promise.resolve();
    return new Promise((resolve) => this.#readyWaiters.push(resolve));
  }

  get #follows(): boolean {
    return this.#role !== null && this.#role.role !== 'leader' && this.#role.leader !== null;
  }

  // ---- the state machine ----

  restore(state: Uint8Array | null): void {
    this.#applied = state === null ? new ProducerTable() : decodeProducerTable(state);
  }

  apply(entry: Entry): void {
    switch (entry.kind) {
      case 'batch':
        this.#applyBatch(entry);
        return;
      case 'no-op':
      case 'configuration':
      case 'log-start':
        return;
      case 'fence': {
        const { producerId, epoch } = decodeFence(entry.payload);
        this.#applied.fence(producerId, epoch, entry.appendTimeMs);
        return;
      }
      case 'command':
        throw new InvariantViolation('partition-5: every entry is of a known kind', entry.kind);
    }
  }

  checkpoint(): Uint8Array {
    return encodeProducerTable(this.#applied);
  }

  progressed(): void {
    this.#holds.progressed();
  }

  roleChanged(role: RoleState): void {
    this.#role = role;
    if (!role.serving || this.#ended !== null) this.#appended = null;
    else if (this.#appended?.term !== role.term) {
      this.#appended = { table: this.#applied.copy(), term: role.term };
      this.#servingSinceMs = this.#deps.clock.monotonicMs();
    }
    if (this.#appended === null) this.#holds.giveUp();
    if (this.#appended !== null || this.#follows) this.#release();
    this.#held.wake();
    if (this.#appended !== null) this.#deps.changed(this.group);
    this.#wakeReaders();
  }

  committed(highWatermark: Offset): void {
    const before = this.#highWatermark;
    this.#moveHighWatermark(highWatermark);
    if (highWatermark === before) return;
    if (this.#appended !== null) this.#deps.changed(this.group);
    this.#wakeReaders();
  }

  quarantined(reason: string): void {
    this.end(refuse('QUARANTINED', `the partition is set apart on this broker: ${reason}`, setApart('partition')));
  }

  // ---- appending ----

  /**
   * Takes ownership of `batch`, which passed the door (api/ checked its CRC and attributes). Everything up to the proposal
   * happens before the call returns, or later where nobody serves the partition yet, so calls take effect in their order
   * (held-1). The check for duplicates precedes every check for admission (design D14): a retry is answered even where
   * nothing new would be taken.
   */
  append(batch: Uint8Array, terms: AppendTerms, context: AppendContext): Promise<Result<Appended>> {
    return this.#held.take(() => {
      const answer = this.#tryAppend(batch, terms, context);
      if (answer instanceof Promise) return { kind: 'answered', answer };
      if (isUnserved(answer)) return { kind: 'unserved', refused: answer };
      return { kind: 'answered', answer: Promise.resolve(answer) };
    }, context.deadlineMs);
  }

  #tryAppend(batch: Uint8Array, terms: AppendTerms, context: AppendContext): Promise<Result<Appended>> | Refused {
    const { deadlineMs } = context;
    const step = this.#admit(batch, terms, deadlineMs);
    if (step.kind === 'refused') return step;
    if (step.kind === 'contradicts-history') return this.#refuseIfLeading(step.refused, deadlineMs);
    if (step.kind === 'retry') return this.#answerRetry(step.retry, terms, deadlineMs);
    return this.#propose(batch, step.header, terms, context);
  }

  #admit(
    batch: Uint8Array,
    { acks, insyncMin, createTimes }: AppendTerms,
    deadlineMs: Millis,
  ):
    | Refused
    | { readonly kind: 'contradicts-history'; readonly refused: Refused }
    | { readonly kind: 'retry'; readonly retry: Retry }
    | { readonly kind: 'new'; readonly header: BatchHeader } {
    const read = readBatchHeader(batch);
    if (read.kind === 'refused') return read;
    const header = read.value;
    if (header.lastOffsetDelta !== header.count - 1) return offsetsWithGaps(header);
    const unavailable = this.notServing;
    if (unavailable !== null) return unavailable;
    const verdict = this.#verdict(header, acks);
    if (verdict.kind === 'refused')
      return isOfHistory(verdict) ? { kind: 'contradicts-history', refused: verdict } : verdict;
    if (verdict.kind === 'duplicate') return { kind: 'retry', retry: verdict };
    const refused =
      refuseCreateTime(header, createTimes, this.#deps.clock.wallMs()) ??
      this.#refuseAdmission(batch.length, verdict.newProducer, deadlineMs) ??
      (acks === 'all' ? this.#refuseTooFew(insyncMin) : null);
    return refused ?? { kind: 'new', header };
  }

  /** What the batch is to its producer's history. */
  #verdict(header: BatchHeader, acks: AckLevel): Retry | Extract<SequenceVerdict, { kind: 'next' }> | Refused {
    const producer = header.producer;
    if (producer === null) return anonymous;
    if (acks !== 'all') {
      return refuse('INVALID_REQUIRED_ACKS', `a batch with a producer id needs acks=all, not acks=${acks}`);
    }
    assert(this.#appended !== null, 'partition-2: who serves has a table of what was appended');
    const verdict = this.#appended.table.check(producer, header.count);
    switch (verdict.kind) {
      case 'next':
      case 'duplicate':
        return verdict;
      case 'out-of-order':
        return refuse(
          'OUT_OF_ORDER_SEQUENCE_NUMBER',
          `producer ${producer.id} sent sequence ${producer.baseSequence}; ${verdict.expected} is next in this partition`,
          { fields: { expected: `${verdict.expected}`, actual: `${producer.baseSequence}` } },
        );
      case 'stale-epoch':
        return refuse(
          'INVALID_PRODUCER_EPOCH',
          `producer ${producer.id} is at epoch ${verdict.current} here, not ${producer.epoch}; it was fenced`,
          { fields: { current: `${verdict.current}`, actual: `${producer.epoch}` } },
        );
      case 'fenced':
        return refuse(
          'INVALID_PRODUCER_EPOCH',
          `epoch ${producer.epoch} of producer ${producer.id} was closed here when somebody asked what became of a batch; go on with the next one`,
          { fields: { current: `${producer.epoch}`, actual: `${producer.epoch}` } },
        );
      case 'unknown-producer':
        return refuse(
          'UNKNOWN_PRODUCER_ID',
          `this partition does not know producer ${producer.id}, and sequence ${producer.baseSequence} is not its first`,
        );
    }
  }

  #refuseAdmission(bytes: number, newProducer: boolean, deadlineMs: Millis): Refused | null {
    const { limits, budget, disk, clock } = this.#deps;
    const { retryAfterMs } = limits;
    if (clock.monotonicMs() >= deadlineMs) {
      return refuse('REQUEST_TIMED_OUT', 'the deadline had passed when the batch came; this attempt appended nothing');
    }
    if (!disk.admit(bytes)) {
      const what = 'the disk of this broker is down to its reserve; free space by retention or deletion';
      return refuse('DISK_RESERVE_REACHED', what, { retryAfterMs });
    }
    if (!budget.fits(bytes)) {
      const fields = { limit: `${limits.appendBytesInFlightMax}`, actual: `${budget.bytesInFlight}` };
      return refuse('LIMIT_REACHED', 'too many bytes wait to become durable on this broker', { retryAfterMs, fields });
    }
    return this.#refuseProducer(newProducer);
  }

  /** A4: only where the topic asks for more than a majority. */
  #refuseTooFew(insyncMin: number): Refused | null {
    const raft = this.#raft;
    if (raft === null || beyondMajority(insyncMin, raft) === null) return null;
    const { clock, limits } = this.#deps;
    return refuseTooFew(raft, insyncMin, clock.monotonicMs(), this.#servingSinceMs, limits);
  }

  #refuseProducer(newProducer: boolean): Refused | null {
    const { limits, clock } = this.#deps;
    const { producersPerPartitionMax: producersMax, retryAfterMs } = limits;
    if (!newProducer || this.#appended?.table.hasRoom(producersMax, clock.wallMs()) === true) return null;
    const what = `this partition remembers ${producersMax} producers already; idle ones are forgotten after a day`;
    return refuse('LIMIT_REACHED', what, { retryAfterMs, fields: { limit: `${producersMax}` } });
  }

  #propose(
    batch: Uint8Array,
    header: BatchHeader,
    terms: AppendTerms,
    { deadlineMs, arrived }: AppendContext,
  ): Promise<Result<Appended>> | Refused {
    const raft = this.#raft;
    const next = raft?.nextAppend() ?? null;
    if (raft === null || next === null || next.term !== this.#appended?.term) return this.#notReady();
    const expected = terms.expectedEndOffset;
    if (expected !== null && expected !== next.baseOffset) {
      const mismatch = { expected, actual: next.baseOffset, term: next.term };
      return this.#refuseMismatch(raft, mismatch, deadlineMs);
    }
    const payload = detached(batch);
    patchBatch(payload, next.baseOffset, next.term);
    const append = this.#open(next.baseOffset, payload.length);
    const draft = {
      kind: 'batch',
      count: header.count,
      payload,
      maxTimestampMs: header.maxTimestampMs,
    } as const;
    const proposed = raft.propose(draft, append);
    if (proposed.kind === 'refused') {
      this.#waiters.forget(next.baseOffset);
      this.#deps.budget.give(batch.length);
      // that this replica leads no more is told in a moment, and who does a moment later
      if (proposed.why === 'not-leader') return this.#notReady();
      return proposalRefusal(proposed.why, this.#deps.limits.retryAfterMs);
    }
    assert(
      proposed.baseOffset === next.baseOffset,
      'partition-3: the offset is that of the entry',
      `${proposed.baseOffset}`,
    );
    if (header.producer !== null) {
      this.#appended.table.append(header.producer, header.count, next.baseOffset, proposed.appendTimeMs);
    }
    this.#deps.observer.appended(this.#topic, header.count, batch.length);
    if (arrived !== undefined) this.#deps.observer.appendQueued(arrived);
    const at = { baseOffset: next.baseOffset, appendTimeMs: proposed.appendTimeMs, leaderEpoch: next.term };
    return this.#acknowledge(append, { ...at, entry: proposed }, terms, deadlineMs);
  }

  /**
   * The partition ends elsewhere than was expected. That was decided where the batch would have been appended; it is said only
   * once that end is committed and this leadership was confirmed after the decision, since what is not committed may vanish
   * again, and another leader may have gone on unnoticed.
   */
  async #refuseMismatch(
    raft: RaftGroup,
    { expected, actual, term }: { readonly expected: Offset; readonly actual: Offset; readonly term: Term },
    deadlineMs: Millis,
  ): Promise<Refused> {
    if (!(await this.#stillLeads(raft, term, deadlineMs))) return this.notServing ?? this.#notReady();
    const fields = { expected: `${expected}`, actual: `${actual}` };
    const what = `the partition ends at offset ${actual}, not ${expected}; nothing was appended`;
    return refuse('UNEXPECTED_END_OFFSET', what, { fields });
  }

  /**
   * A batch that does not follow what is known of its producer. That is final for the producer, so it is said only by who is
   * sure to lead: a leader that stood still while another one went on knows less than the log holds.
   */
  async #refuseIfLeading(refused: Refused, deadlineMs: Millis): Promise<Refused> {
    const raft = must(this.#raft, 'partition-2: who serves has a group');
    const { term } = must(this.#appended, 'partition-2: who serves has a table of what was appended');
    if (await this.#stillLeads(raft, term, deadlineMs)) return refused;
    return this.notServing ?? this.#notReady();
  }

  /** Whether all that was appended by now is committed, and this leadership was confirmed after this call (ReadIndex). */
  async #stillLeads(raft: RaftGroup, term: Term, deadlineMs: Millis): Promise<boolean> {
    const outcome = (await this.#waiters.newest?.wait('committed', deadlineMs)) ?? null;
    if (outcome?.kind === 'timed-out') return false;
    const confirmed = new Promise<LogIndex | null>((resolve) => {
      raft.readIndex(resolve);
    });
    const index = await answerBy(this.#deps.clock, deadlineMs, confirmed, () => null);
    return index !== null && this.#appended?.term === term;
  }

  #open(baseOffset: Offset, bytes: number): OpenAppend {
    const { budget, observer } = this.#deps;
    const accepted = observer.moment();
    let durable: number | null = null;
    budget.take(bytes);
    return this.#waiters.open(
      baseOffset,
      (outcome: ProposalOutcome) => {
        budget.give(bytes);
        observer.appendSettled(outcome.kind, accepted, durable);
      },
      () => {
        durable = observer.moment();
      },
    );
  }

  async #acknowledge(
    append: OpenAppend,
    at: Pick<Appended, 'baseOffset' | 'appendTimeMs' | 'leaderEpoch'> & { readonly entry: EntryPlace },
    terms: AppendTerms,
    deadlineMs: Millis,
  ): Promise<Result<Appended>> {
    const { acks } = terms;
    const { index, term } = at.entry;
    const receipt = { ...at, entry: { index, term }, committed: acks === 'all', duplicate: false };
    if (acks === 'none') return ok({ ...receipt, durableOn: [] });
    const unsettled = refuseUnsettled(await append.wait(acks === 'all' ? 'committed' : 'durable', deadlineMs));
    if (unsettled !== null) return unsettled;
    const tooFew = acks === 'all' ? await this.#refuseUnheld(index, terms, deadlineMs) : null;
    return tooFew ?? ok({ ...receipt, durableOn: this.#brokersWith(index) });
  }

  /** A5: what is committed is answered once as many replicas have it as the topic, or the request, asks for. */
  async #refuseUnheld(
    index: LogIndex,
    { insyncMin, replicasMin }: AppendTerms,
    deadlineMs: Millis,
  ): Promise<Refused | null> {
    const raft = this.#raft;
    const wanted = Math.max(insyncMin, replicasMin);
    if (raft === null || beyondMajority(wanted, raft) === null) return null;
    const { clock, limits } = this.#deps;
    const tooFew = (): Refused => tooFewHave(wanted, raft.holders(index).length, limits.retryAfterMs);
    if (raft.holders(index).length >= wanted) return null;
    if (this.#appended === null) return tooFew();
    const hopeless =
      beyondMajority(insyncMin, raft) !== null && liveVoters(raft, clock.monotonicMs(), limits) < insyncMin;
    if (hopeless) return tooFew();
    return (await this.#holds.wait(index, wanted, deadlineMs)) ? null : tooFew();
  }

  #brokersWith(index: LogIndex): readonly BrokerId[] {
    const holders = this.#raft?.holders(index) ?? [];
    const brokers = holders.flatMap((replica) => this.#locate(replica)?.brokerId ?? []);
    return brokers.sort((a, b) => a - b);
  }

  /** A retry gets the original's outcome; while that is open, it waits with it. */
  async #answerRetry(retry: Retry, terms: AppendTerms, deadlineMs: Millis): Promise<Result<Appended>> {
    const known: RememberedBatch | null = retry.original;
    const leaderEpoch = this.#appended?.term;
    assert(leaderEpoch !== undefined, 'partition-2: who serves has a table of what was appended');
    // Older than the window: whatever came last of this producer was appended after it.
    const open = this.#waiters.find((known ?? retry.newest).baseOffset);
    if (open !== null) {
      const waitersMax = this.#deps.limits.appendWaitersPerBatchMax;
      if (open.waiterCount >= waitersMax) {
        const retryAfterMs = this.#deps.limits.retryAfterMs;
        return refuse('LIMIT_REACHED', `${waitersMax} calls wait for this batch already`, { retryAfterMs });
      }
      const unsettled = refuseUnsettled(await open.wait('committed', deadlineMs));
      if (unsettled !== null) return unsettled;
    }
    const baseOffset = known?.baseOffset ?? null;
    const entry = baseOffset === null ? null : this.#entryAt(baseOffset);
    // wherever it is, it is committed
    const index = entry?.index ?? this.#raft?.commitIndex ?? indexZero;
    const tooFew = await this.#refuseUnheld(index, terms, deadlineMs);
    if (tooFew !== null) return tooFew;
    const where = { baseOffset, appendTimeMs: known?.appendTimeMs ?? null, leaderEpoch, entry };
    return ok({ ...where, durableOn: this.#brokersWith(index), committed: true, duplicate: true });
  }

  /** Of a committed batch, if it is in memory still; reading it again from disk only for its place would cost too much. */
  #entryAt(baseOffset: Offset): EntryPlace | null {
    const [entry] = this.#raft?.log.readFromCache(baseOffset, this.#highWatermark, 1) ?? [];
    return entry?.baseOffset === baseOffset ? { index: entry.index, term: entry.term } : null;
  }

  // ---- resolving ----

  /**
   * Tells what became of a batch, whose sender was proven (design D14). If it is not in the log, a fence is committed that
   * closes the epoch, so that what is still on its way can not arrive after the answer.
   */
  resolve(sent: SentBatch, deadlineMs: Millis): Promise<Result<Resolved>> {
    const unavailable = this.notServing;
    if (unavailable !== null) return Promise.resolve(unavailable);
    const { table, term: leaderEpoch } = must(
      this.#appended,
      'partition-2: who serves has a table of what was appended',
    );
    const found = table.whereIs(sent.producer, sent.count, sent.ageMs);
    switch (found.kind) {
      case 'duplicate':
        return this.#answerRetry(found, anyTerms, deadlineMs).then((result) =>
          result.kind === 'refused' ? result : ok({ outcome: 'committed', ...result.value }),
        );
      case 'expired':
        return Promise.resolve(ok({ outcome: 'expired', leaderEpoch }));
      case 'never':
        return this.#whenFenced(this.#fences.get(fenceKey(sent.producer)) ?? null, leaderEpoch, deadlineMs);
      case 'open':
        return this.#fence(sent.producer, found.newProducer, deadlineMs);
    }
  }

  #fence(producer: BatchProducer, newProducer: boolean, deadlineMs: Millis): Promise<Result<Resolved>> {
    const raft = must(this.#raft, 'partition-2: who serves has a group');
    const appended = must(this.#appended, 'partition-2: who serves has a table of what was appended');
    const refused = this.#refuseProducer(newProducer);
    if (refused !== null) return Promise.resolve(refused);
    const key = fenceKey(producer);
    const { id, epoch } = producer;
    const fence = new OpenAppend(this.#deps.clock, () => this.#fences.delete(key));
    const payload = encodeFence({ producerId: id, epoch });
    const proposed = raft.propose({ kind: 'fence', count: 0, payload, maxTimestampMs: null }, fence);
    if (proposed.kind === 'refused') {
      return Promise.resolve(proposalRefusal(proposed.why, this.#deps.limits.retryAfterMs));
    }
    assert(proposed.term === appended.term, 'partition-2: the table is that of the term', `${proposed.term}`);
    appended.table.fence(id, epoch, proposed.appendTimeMs);
    this.#fences.set(key, fence);
    return this.#whenFenced(fence, proposed.term, deadlineMs);
  }

  /** @param fence null: it is committed */
  async #whenFenced(fence: OpenAppend | null, leaderEpoch: Term, deadlineMs: Millis): Promise<Result<Resolved>> {
    if (fence !== null) {
      const { appendWaitersPerBatchMax: waitersMax, retryAfterMs } = this.#deps.limits;
      if (fence.waiterCount >= waitersMax) {
        return refuse('LIMIT_REACHED', `${waitersMax} calls wait for this fence already`, { retryAfterMs });
      }
      const unsettled = refuseUnsettled(await fence.wait('committed', deadlineMs));
      if (unsettled !== null) return unsettled;
    }
    return ok({ outcome: 'never', leaderEpoch });
  }

  // ---- deleting ----

  /** Moves the log start to `before` (null: the high watermark), through the log, so that all replicas agree (D11). */
  async deleteRecords(before: Offset | null, deadlineMs: Millis): Promise<Result<Offset>> {
    const raft = this.#raft;
    const unavailable = this.notServing;
    if (raft === null || unavailable !== null) return unavailable ?? this.#notReady();
    const to = before ?? this.#highWatermark;
    if (to > this.#highWatermark) {
      const fields = { highWatermark: `${this.#highWatermark}`, actual: `${to}` };
      return refuse('OFFSET_OUT_OF_RANGE', `offset ${to} is above the high watermark ${this.#highWatermark}`, {
        fields,
      });
    }
    if (to <= raft.log.logStart) return ok(raft.log.logStart);
    const moved = new OpenAppend(this.#deps.clock, () => undefined);
    const proposed = raft.propose(logStartDraft(to), moved);
    if (proposed.kind === 'refused') return proposalRefusal(proposed.why, this.#deps.limits.retryAfterMs);
    const unsettled = refuseUnsettled(await moved.wait('committed', deadlineMs));
    return unsettled ?? ok(to > raft.log.logStart ? to : raft.log.logStart);
  }

  // ---- the rest ----

  #applyBatch(entry: Entry): void {
    const header = readBatchHeader(entry.payload);
    assert(header.kind === 'ok', 'partition-3: a stored batch is well formed', `offset ${entry.baseOffset}`);
    const { baseOffset, leaderEpoch, producer, count } = header.value;
    assert(baseOffset === entry.baseOffset, 'partition-3: a stored batch carries its offset', `${baseOffset}`);
    assert(leaderEpoch === entry.term, 'partition-3: a stored batch carries its term', `${leaderEpoch}`);
    if (producer !== null) this.#applied.append(producer, count, entry.baseOffset, entry.appendTimeMs);
  }

  #moveHighWatermark(highWatermark: Offset): void {
    assert(highWatermark >= this.#highWatermark, 'partition-4: the high watermark never falls', `${highWatermark}`);
    this.#highWatermark = highWatermark;
  }

  #wakeReaders(): void {
    for (const waiter of this.fetchWaiters) waiter.wake();
  }

  #release(): void {
    const waiters = this.#readyWaiters;
    this.#readyWaiters = [];
    for (const resolve of waiters) resolve();
  }

  #notReady(): Refused {
    const retryAfterMs = this.#deps.limits.retryAfterMs;
    return refuse('LEADER_NOT_AVAILABLE', 'the partition has no leader that is ready; try again', { retryAfterMs });
  }

  #notLeader(role: RoleState): Refused {
    const place = role.leader === null ? null : this.#locate(role.leader);
    const hint = place === null ? {} : { leaderHint: leaderHintOf(place, role.term) };
    return refuse('NOT_LEADER_OR_FOLLOWER', 'this broker does not lead the partition; ask its leader', hint);
  }
}

/** What may hang on to a kept batch: the rest of its message, at most as much again (pitfall P37). */
const parentBytesMin = 4_096;

/** The same bytes; copied if they are a small part of a buffer that they would keep alive. */
function detached(batch: Uint8Array): Uint8Array {
  const rest = batch.buffer.byteLength - batch.length;
  return rest > Math.max(parentBytesMin, batch.length) ? batch.slice() : batch;
}

const fenceKey = ({ id, epoch }: { readonly id: ProducerId; readonly epoch: ProducerEpoch }): string =>
  `${id}/${epoch}`;

/** Nobody serves the partition for now, as far as is known here, and somebody will. */
const isUnserved = ({ error }: Refused): boolean => error.code === 'LEADER_NOT_AVAILABLE';

/** It is only asked what became of a batch. */
const anyTerms: AppendTerms = {
  acks: 'all',
  insyncMin: 0,
  replicasMin: 0,
  expectedEndOffset: null,
  createTimes: anyCreateTime,
};

const historyCodes: readonly ErrorCode[] = [
  'OUT_OF_ORDER_SEQUENCE_NUMBER',
  'INVALID_PRODUCER_EPOCH',
  'UNKNOWN_PRODUCER_ID',
];

/** Refused for what the partition remembers of the producer. */
const isOfHistory = ({ error }: Refused): boolean => historyCodes.includes(error.code);

const anonymous = { kind: 'next', newProducer: false } as const;

/** Offsets stay dense: a batch takes as many as it has records. */
const offsetsWithGaps = ({ count, lastOffsetDelta }: BatchHeader): Refused =>
  refuse('INVALID_RECORD', `${count} records need last offset delta ${count - 1}, not ${lastOffsetDelta}`);

function refuseUnsettled(outcome: WaitOutcome): Refused | null {
  switch (outcome.kind) {
    case 'committed':
    case 'durable':
      return null;
    case 'unknown':
      return unknownOutcome(outcome.why);
    case 'timed-out':
      return refuse('REQUEST_TIMED_OUT', 'the deadline came before the acknowledgement: the batch may be committed');
  }
}
