/** What the host keeps for liveness (design D3): of each group that runs here, of each other broker, and between them. */
import type { BrokerId, ReplicaId, Term } from '../model/ids.ts';
import type { BeatLead } from './beat-frame.ts';
import type { GroupDriver } from './driver.ts';
import type { Led } from './led-set.ts';
import { LedSet } from './led-set.ts';
import { PeerLeads } from './peer-leads.ts';
import type { TimedTask } from './timer-wheel.ts';

/** A leadership of a group here, as one other replica is to hear of it. */
export interface HostedLead extends Led {
  readonly hosted: Hosted;
  readonly peer: Peer;
  /** The frame whose answer the group was told last; 0: none. */
  toldFrame: number;
  /** The newest frame whose answer did not cover it; 0: none. */
  exceptedFrame: number;
}

/** A leadership elsewhere that a replica here is to follow. */
export interface HeardLead {
  readonly lead: BeatLead;
  readonly peer: Peer;
  /** The group here that it covers; null: it is an exception (beats-1). */
  follower: Hosted | null;
}

/** Another broker. */
export class Peer {
  readonly broker: BrokerId;
  /** What is led here and concerns it. */
  readonly led = new LedSet<HostedLead>();
  /** What it leads and concerns replicas here. */
  readonly leads: PeerLeads<HeardLead>;
  /** Of `leads`: what is not covered. */
  readonly uncovered = new Set<HeardLead>();
  /** The newest frame that left for it; 0: none. */
  sentFrame = 0;
  /** The newest frame that it answered, the revision that its answer covers, and when it came. */
  answeredFrame = 0;
  answeredRevision = 0;
  answeredMs = -Infinity;
  /** The last way broke on which it was heard, and it was not heard since. */
  isCutOff = false;
  /** The process that gave the newest answer. */
  process: number | null = null;

  /** Frames of it, or answers to frames, should come all the time. */
  get isDue(): boolean {
    return this.led.size > 0 || this.leads.size > 0;
  }

  /** When it was last heard for a group; -Infinity: never. */
  get heardMs(): number {
    return Math.max(this.answeredMs, this.leads.heardMs);
  }

  /** @param dropped a leadership of `leads` is over, or replaced */
  constructor(broker: BrokerId, dropped: (entry: HeardLead) => void) {
    this.broker = broker;
    this.leads = new PeerLeads((lead): HeardLead => ({ lead, peer: this, follower: null }), dropped);
  }
}

/** A group that runs here, as the timer wheel and the beats know it. */
export class Hosted implements TimedTask {
  readonly driver: GroupDriver;
  /** What is announced of its leadership here: as of this term (null: nothing) and these members. */
  ledTerm: Term | null = null;
  ledMembers: readonly ReplicaId[] = [];
  leads: HostedLead[] = [];
  /** Members whose broker is not known yet. */
  unplaced: readonly ReplicaId[] = [];
  /** The leadership that its replica follows and that frames cover; null: none. */
  following: HeardLead | null = null;
  /** Until when it was told that it heard that leader. */
  toldMs = -Infinity;
  /** A deadline of the driver is not acted upon before; -Infinity: nothing is put off (vote-gate.ts). */
  putOffMs = -Infinity;
  readonly #due: (hosted: Hosted) => void;

  /** @param due the driver's deadline may have passed */
  constructor(driver: GroupDriver, due: (hosted: Hosted) => void) {
    this.driver = driver;
    this.#due = due;
  }

  get nextDeadline(): number {
    return Math.max(this.putOffMs, this.driver.nextDeadline);
  }

  deadlinePassed(): void {
    this.#due(this);
  }
}
