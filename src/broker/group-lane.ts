/**
 * The calls for one group, in order. Decisions are made on what is committed and applied, so a decision must not be
 * made while another one that it could depend on is still on its way through the log.
 *
 * Invariant lane-1: while an entry is on its way, nothing else of this group is, except commits beside commits that only
 * replace offsets; so the state that a decision saw is the state that its entry meets when it is applied.
 */
import { assert } from '../model/assert.ts';
import type { Refused } from '../model/errors.ts';
import type { ProposalOutcome } from '../raft/group.ts';
import type { Decided, HandleContext } from './group/decision.ts';
import type { GroupEntry } from './group/records.ts';
import type { LaneCall } from './group-call.ts';
import { unknownOutcome } from './proposal.ts';

/** What a lane needs of its partition. */
export interface LanePort {
  readonly commitsInFlightMax: number;
  context(): HandleContext;
  /** Null: accepted, `outcome` will be called once. */
  propose(entry: GroupEntry, outcome: (outcome: ProposalOutcome) => void): Refused | null;
  /** A group is being created, or its creation is settled. */
  groupPending(change: 1 | -1): void;
  /** So many more calls wait, or fewer. */
  waitingChanged(change: number): void;
}

export class GroupLane {
  private readonly port: LanePort;
  private readonly whenIdle: () => void;
  private readonly queue: LaneCall[] = [];
  /** Entries on their way through the log. */
  private inFlight = 0;
  /** The entry on its way must be alone. Invariant: then `inFlight` is 1. */
  private exclusive = false;
  private pumping = false;

  /** `whenIdle` is called when nothing waits and nothing is on its way: the lane may be dropped. */
  constructor(port: LanePort, whenIdle: () => void) {
    this.port = port;
    this.whenIdle = whenIdle;
  }

  get waiting(): number {
    return this.queue.length;
  }

  add(call: LaneCall): void {
    this.queue.push(call);
    this.port.waitingChanged(1);
    this.pump();
  }

  /** Refuses what waits. What is on its way gets its outcome from the log. */
  refuseWaiting(refused: Refused): void {
    const calls = this.queue.splice(0);
    this.port.waitingChanged(-calls.length);
    for (const call of calls) call.refuse(refused);
    this.pump();
  }

  private pump(): void {
    if (this.pumping) return;
    this.pumping = true;
    try {
      while (this.step());
    } finally {
      this.pumping = false;
    }
    if (this.queue.length === 0 && this.inFlight === 0) this.whenIdle();
  }

  /** Handles the first call, unless it must wait. */
  private step(): boolean {
    const call = this.queue[0];
    if (call === undefined || this.exclusive) return false;
    if (call.settled) return this.next();
    const decision = call.decide(this.port.context());
    if (decision.kind === 'decided' && decision.entry !== null && !this.hasRoom(decision)) return false;
    this.next();
    if (decision.kind === 'refused') call.refuse(decision);
    else if (decision.entry === null) call.succeed();
    else this.start(call, decision, decision.entry);
    return true;
  }

  private next(): true {
    this.queue.shift();
    this.port.waitingChanged(-1);
    return true;
  }

  private hasRoom(decision: Decided<unknown>): boolean {
    return decision.concurrent ? this.inFlight < this.port.commitsInFlightMax : this.inFlight === 0;
  }

  private start(call: LaneCall, decision: Decided<unknown>, entry: GroupEntry): void {
    assert(!this.exclusive && (decision.concurrent || this.inFlight === 0), 'lane-1: decisions see what went before');
    this.inFlight += 1;
    this.exclusive = !decision.concurrent;
    if (decision.createsGroup) this.port.groupPending(1);
    const refused = this.port.propose(entry, (outcome) => {
      this.finish(decision);
      if (outcome.kind === 'committed') call.succeed();
      else call.refuse(unknownOutcome(outcome.why));
      this.pump();
    });
    if (refused === null) return;
    this.finish(decision);
    call.refuse(refused);
  }

  private finish(decision: Decided<unknown>): void {
    this.inFlight -= 1;
    this.exclusive = false;
    assert(this.inFlight >= 0, 'lane-1: every entry is settled once');
    if (decision.createsGroup) this.port.groupPending(-1);
  }
}
