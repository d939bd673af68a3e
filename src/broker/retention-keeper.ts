/**
 * Lets go of what the partitions led here need not keep (retention.ts): proposes where their logs start. One look at
 * intervals for the whole broker, at those partitions only that got records, got another configuration or another leader
 * since, and at those whose oldest batch has become too old; an idle broker only sees that nothing is due. A partition
 * that can not be served now is looked at again next time.
 *
 * The proposal is an entry without records, which is taken even where the disk is down to its reserve: it is how space
 * comes back (design D10, D11). Every replica applies it (P50); the sweep returns the space.
 */
import type { Clock, Timer } from '../model/clock.ts';
import type { GroupNumber, Millis } from '../model/ids.ts';
import type { EntryMark } from '../log/reader.ts';
import { LogCorruption } from '../log/reader.ts';
import type { RaftGroup } from '../raft/group.ts';
import { logStartDraft } from '../raft/log-start.ts';
import type { Catalog } from './catalog.ts';
import type { BrokerLimits } from './limits.ts';
import type { LocalGroups } from './local-groups.ts';
import type { BrokerObserver } from './observer.ts';
import type { RetentionView } from './retention.ts';
import { expiryMs, isKept, isLimited, nextLogStart } from './retention.ts';

interface RetentionKeeperDeps {
  readonly catalog: Catalog;
  readonly localGroups: Pick<LocalGroups, 'running'>;
  readonly clock: Clock;
  readonly limits: BrokerLimits;
  readonly observer: BrokerObserver;
  /** Whether the wall clock agrees with those of other brokers (D23). */
  readonly clockAgrees: () => boolean;
  /** The store failed or a bug showed: the process must end. */
  readonly onFault: (error: unknown) => void;
}

export class RetentionKeeper {
  readonly #deps: RetentionKeeperDeps;
  /** To be looked at. At most the groups that run here. */
  readonly #changed = new Set<GroupNumber>();
  /** The first entry that is kept, of partitions led here that have one. */
  readonly #oldest = new Map<GroupNumber, EntryMark>();
  /** Wall time from which on that entry is too old. */
  readonly #dueMs = new Map<GroupNumber, Millis>();
  /** The earliest of them, or earlier. */
  #earliestMs = Infinity;
  #timer: Timer | null = null;
  #looking: Promise<void> | null = null;
  #clockAgreed = true;
  /** The last look ended because of its budget. */
  #isBehind = false;
  #closed = false;

  constructor(deps: RetentionKeeperDeps) {
    this.#deps = deps;
  }

  /** From now on; what runs has been told by `changed`. */
  start(): void {
    const { catalog } = this.#deps;
    catalog.onApplied((command) => {
      if (command.kind === 'alter-topic') this.#topicChanged(command.topicId);
    });
    catalog.onReplaced(() => {
      for (const topicId of catalog.state.topics.keys()) this.#topicChanged(topicId);
    });
    this.#schedule();
  }

  /** The partition got records or a leader. Called within apply, often: costs next to nothing. */
  changed(group: GroupNumber): void {
    this.#changed.add(group);
  }

  /** Resolves when nothing is under way any more. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#timer?.cancel();
    await this.#looking;
  }

  #topicChanged(topicId: string): void {
    for (const { group } of this.#deps.catalog.state.topics.get(topicId)?.partitions ?? []) this.changed(group);
  }

  #schedule(): void {
    if (this.#closed) return;
    const { clock, limits } = this.#deps;
    // what one look has no time for is not left waiting
    const inMs = this.#isBehind ? limits.upkeepIntervalMs : limits.retentionCheckMs;
    this.#timer = clock.setTimer(inMs, () => {
      this.#looking = this.#look().catch(this.#deps.onFault);
      void this.#looking.then(() => {
        this.#schedule();
      });
    });
  }

  async #look(): Promise<void> {
    this.#noteDue();
    let movesLeft = this.#deps.limits.retentionMovesMax;
    this.#isBehind = false;
    for (const group of [...this.#changed]) {
      if (this.#closed) return;
      if (movesLeft === 0) {
        this.#isBehind = true;
        return;
      }
      this.#changed.delete(group);
      if (await this.#lookAt(group)) movesLeft--;
    }
  }

  /** Those whose oldest batch is too old by now. Nothing is gone through while none is. */
  #noteDue(): void {
    const { clock, clockAgrees, observer } = this.#deps;
    const agrees = clockAgrees();
    if (agrees !== this.#clockAgreed) observer.clockStrays(!agrees);
    this.#clockAgreed = agrees;
    const nowMs = clock.wallMs();
    if (!agrees || nowMs < this.#earliestMs) return;
    this.#earliestMs = Infinity;
    for (const [group, dueMs] of this.#dueMs) {
      if (dueMs <= nowMs) this.#changed.add(group);
      this.#earliestMs = Math.min(this.#earliestMs, dueMs);
    }
  }

  /** True: the log start is to move. */
  async #lookAt(group: GroupNumber): Promise<boolean> {
    const raft = this.#deps.localGroups.running(group);
    const view = raft === null ? null : this.#viewOf(raft);
    if (raft === null || view === null) {
      this.#forget(group);
      return false;
    }
    const { oldest } = this.#known(group, view);
    if (view.logStart === view.highWatermark || (oldest !== null && isKept(view, oldest))) return false;
    const firstKept = await this.#firstKept(raft, view);
    return firstKept !== 'unreadable' && this.#move(raft, view, firstKept);
  }

  /** Null: it is not led here, or keeps everything. */
  #viewOf({ group, role, log, highWatermark, appliedIndex }: RaftGroup): RetentionView | null {
    const topic = this.#deps.catalog.state.topicOf(group);
    if (!role.serving || topic?.groupKind !== 'data' || !isLimited(topic.config)) return null;
    const payloadBytes = log.payloadBytesThrough(appliedIndex);
    if (payloadBytes === null) {
      this.#changed.add(group);
      return null;
    }
    const { clock, clockAgrees } = this.#deps;
    const nowMs = clockAgrees() ? clock.wallMs() : null;
    return { config: topic.config, logStart: log.logStart, highWatermark, payloadBytes, nowMs };
  }

  /** What is known of the oldest entry, if it still is the oldest. */
  #known(group: GroupNumber, view: RetentionView): { readonly oldest: EntryMark | null } {
    const oldest = this.#oldest.get(group) ?? null;
    if (oldest === null || oldest.endOffset <= view.logStart) return { oldest: null };
    this.#watch(group, view, oldest);
    return { oldest };
  }

  async #firstKept(raft: RaftGroup, view: RetentionView): Promise<EntryMark | null | 'unreadable'> {
    try {
      return await raft.log.firstEntry(raft.appliedIndex, (entry) => isKept(view, entry));
    } catch (error) {
      if (!(error instanceof LogCorruption)) throw error;
      this.#forget(raft.group);
      this.#deps.observer.retentionFailed(raft.group, error.message);
      return 'unreadable';
    }
  }

  #move(raft: RaftGroup, view: RetentionView, firstKept: EntryMark | null): boolean {
    const { group } = raft;
    this.#watch(group, view, firstKept);
    const logStart = nextLogStart(view, firstKept);
    if (logStart === null || !raft.role.serving) return false;
    const again = (): void => {
      this.#oldest.delete(group);
      this.#changed.add(group);
    };
    const proposed = raft.propose(logStartDraft(logStart), {
      outcome: ({ kind }) => {
        if (kind === 'committed') this.#deps.observer.logStartMoved(group, view.logStart, logStart);
        else again();
      },
    });
    if (proposed.kind === 'refused') again();
    return true;
  }

  #watch(group: GroupNumber, { config }: RetentionView, oldest: EntryMark | null): void {
    const dueMs = oldest === null ? null : expiryMs(config, oldest);
    if (oldest === null) this.#oldest.delete(group);
    else this.#oldest.set(group, oldest);
    if (dueMs === null) this.#dueMs.delete(group);
    else {
      this.#dueMs.set(group, dueMs);
      this.#earliestMs = Math.min(this.#earliestMs, dueMs);
    }
  }

  #forget(group: GroupNumber): void {
    this.#oldest.delete(group);
    this.#dueMs.delete(group);
  }
}
