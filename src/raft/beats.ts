/**
 * Liveness between brokers, for all groups at once (design D3). Every heartbeatMs one request leaves for each broker that
 * holds replicas of groups led here; work per frame grows with what changed and with what waits, not with the groups.
 *
 * Why it may stand for a heartbeat of each group, and for the answer to it:
 * - A leader announces (group, term, leader, target). The receiver takes an announced leadership as *covered* if at that
 *   moment the very replica `target` runs, is not set apart, and follows that leader in that term; and only until that
 *   ends, which is seen at the end of the turn that ended it, before anything that depends on it has left (beats-1).
 *   Everything else is an exception in every answer, until it is announced anew: so an answer covers a leadership only
 *   if the replica has followed it without a break since it was announced.
 * - Who is not covered because it is behind gets the frame as an ordinary heartbeat-request, and answers for itself,
 *   once what its answer promises is durable. Its leader then announces it anew, and asks it again for what it has:
 *   what it was told before may be forgotten (a restart), and an idle leader would never tell it again.
 * - The answer to frame f covers on the asking side what is unchanged since f left: `revision` at or below the one the
 *   answer holds. A read that began when n frames had been sent waits for answers to frame n + 1 or later (P68), and a
 *   check of the quorum counts only frames that left since the last check (P11).
 * - Hearing is told late, without harm: a covered follower is told when it was heard last before its time-out may act
 *   and before it judges a candidate, the only two uses of that time; a leader is told of answers before it checks its
 *   quorum, and at once if it waits for something (`attentive`).
 *
 * A frame that is lost, late or doubled does no harm: what is said is repeated until it is acknowledged.
 */
import { assert } from '../model/assert.ts';
import type { Clock } from '../model/clock.ts';
import type { BrokerId, GroupNumber, Millis, ReplicaId, Term } from '../model/ids.ts';
import { indexZero } from '../model/ids.ts';
import type { Random } from '../model/random.ts';
import type { BeatException, BeatFrame, BeatLead, BeatReply, BeatRequest, BeatTarget } from './beat-frame.ts';
import { beatLeadsMax } from './beat-frame.ts';
import type { HeardLead, Hosted, HostedLead } from './beat-state.ts';
import { Peer } from './beat-state.ts';
import type { RaftObserver } from './observer.ts';
import type { PeerClocks } from './peer-clocks.ts';
import { SilenceWatch } from './silence-watch.ts';
import type { TimedTask, TimerWheel } from './timer-wheel.ts';
import type { PeerDirectory, PeerTransport } from './transport.ts';
import type { TurnQueue, TurnTaker } from './turns.ts';

export interface BeatsOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly transport: PeerTransport;
  readonly directory: PeerDirectory;
  readonly timers: TimerWheel;
  readonly turns: TurnQueue;
  readonly observer: RaftObserver;
  /** Between two frames to the same broker, in ms; a read makes one leave earlier. */
  readonly heartbeatMs: number;
  /** A broker that should be heard and is silent for longer than this is given up (silence-watch.ts), in ms. */
  readonly silentMsMax: number;
  /** Hears what the clocks of the others show. Null: nobody wants to know, and nothing is said. */
  readonly clocks: PeerClocks | null;
  hosted(group: GroupNumber): Hosted | undefined;
}

export class Beats implements TimedTask, TurnTaker {
  readonly #options: BeatsOptions;
  /** Drawn once: tells this process from an earlier one of this broker. */
  readonly #process: number;
  readonly #peers = new Map<BrokerId, Peer>();
  /** Number of the newest frame that left for anybody. */
  #frame = 0;
  /** Peers that are to get a frame at the end of this turn. */
  #soon = new Set<Peer>();
  /** Groups led here that are to hear of every answer at once. */
  readonly #attentive = new Set<Hosted>();
  /** Groups led here some of whose members' brokers are not known yet. */
  readonly #unplaced = new Set<Hosted>();
  #dueMs = Infinity;
  readonly #silence: SilenceWatch;

  constructor(options: BeatsOptions) {
    this.#options = options;
    this.#process = options.random.below(2 ** 32);
    this.#silence = new SilenceWatch({
      clock: options.clock,
      peers: () => this.#peers.values(),
      silentMsMax: options.silentMsMax,
      lookMs: 2 * options.heartbeatMs,
      giveUp: (broker) => options.transport.giveUp?.(broker),
    });
    options.transport.onBeat((from, frame) => {
      this.#receive(from, frame);
    });
  }

  /** Number of the newest frame that left; RaftNode's `framesSent`. */
  get framesSent(): number {
    return this.#frame;
  }

  /** When another broker was last heard for a group that it shares with this one; -Infinity: never. */
  heardMs(broker: BrokerId): number {
    return this.#peers.get(broker)?.heardMs ?? -Infinity;
  }

  /** The last way broke on which it was heard: when it is heard again, all that follow it are to know at once. */
  cutOff(broker: BrokerId): void {
    this.#peer(broker).isCutOff = true;
  }

  /** When the next frames are due; Infinity: nothing is led here. */
  get nextDeadline(): number {
    return this.#dueMs;
  }

  deadlinePassed(): void {
    for (const hosted of this.#unplaced) this.#place(hosted);
    for (const peer of this.#peers.values()) this.#send(peer);
    const idle = this.#unplaced.size === 0 && [...this.#peers.values()].every(({ led }) => led.size === 0);
    this.#dueMs = idle ? Infinity : this.#options.clock.monotonicMs() + this.#options.heartbeatMs;
  }

  /** Frames that could not wait for their time: a new leadership, or a read. */
  takeTurn(): void {
    const soon = this.#soon;
    this.#soon = new Set();
    for (const peer of soon) this.#send(peer);
  }

  /** The group ends here. */
  forget(hosted: Hosted): void {
    this.#lead(hosted, null, []);
    this.#attentive.delete(hosted);
    if (hosted.following !== null) this.#uncover(hosted.following);
  }

  /** A group has taken its turn, or was set apart: what it leads or follows may have changed. */
  changed(hosted: Hosted): void {
    const leading = hosted.driver.leading;
    if (leading === null) {
      if (hosted.ledTerm !== null) this.#lead(hosted, null, []);
      this.#attentive.delete(hosted);
    } else {
      if (leading.term !== hosted.ledTerm || leading.members !== hosted.ledMembers) {
        this.#lead(hosted, leading.term, leading.members);
      }
      if (leading.attentive) this.#attentive.add(hosted);
      else this.#attentive.delete(hosted);
      if (leading.frameWanted > this.#frame) for (const { peer } of hosted.leads) this.#sendSoon(peer);
    }
    const { following } = hosted;
    if (following !== null && !hosted.driver.follows(following.lead)) this.#uncover(following);
  }

  /** Tells the group what was heard for it and it was not told yet. */
  catchUp(hosted: Hosted): void {
    const { driver, following } = hosted;
    if (following !== null) {
      const { heardMs } = following.peer.leads;
      if (heardMs <= hosted.toldMs) return;
      hosted.toldMs = heardMs;
      const { leader: from, term } = following.lead;
      driver.hear({ kind: 'peer-heard', from, term, round: 0, heardMs });
      return;
    }
    for (const lead of hosted.leads) this.#tellAnswer(lead);
  }

  /** The answer covers the leadership, which has not changed since the frame left. True: the group was told. */
  #tellAnswer(entry: HostedLead): boolean {
    const { peer, hosted, lead } = entry;
    const { answeredFrame: round, answeredMs: heardMs } = peer;
    if (round <= entry.toldFrame || entry.revision > peer.answeredRevision || entry.exceptedFrame === round)
      return false;
    entry.toldFrame = round;
    hosted.driver.hear({ kind: 'peer-heard', from: lead.target, term: lead.term, round, heardMs });
    return true;
  }

  #lead(hosted: Hosted, term: Term | null, members: readonly ReplicaId[]): void {
    for (const entry of hosted.leads) entry.peer.led.end(entry);
    hosted.leads = [];
    hosted.ledTerm = term;
    hosted.ledMembers = members;
    hosted.unplaced = members.filter((id) => id !== hosted.driver.replicaId);
    this.#place(hosted);
  }

  /** Announces the leadership to the brokers of its members, as far as they are known. */
  #place(hosted: Hosted): void {
    const { ledTerm: term, unplaced } = hosted;
    hosted.unplaced = unplaced.filter((target) => term !== null && !this.#announce(hosted, term, target));
    if (hosted.unplaced.length > 0) this.#unplaced.add(hosted);
    else this.#unplaced.delete(hosted);
    const ends = hosted.unplaced.length + hosted.leads.length;
    if (ends === 0 || this.#dueMs !== Infinity) return;
    this.#dueMs = this.#options.clock.monotonicMs() + this.#options.heartbeatMs;
    this.#options.timers.rearm(this);
  }

  /** False: who holds the replica is not known yet. */
  #announce(hosted: Hosted, term: Term, target: ReplicaId): boolean {
    const broker = this.#options.directory.brokerOf(target);
    if (broker === null) return false;
    const peer = this.#peer(broker);
    const { group, replicaId: leader } = hosted.driver;
    const entry = { lead: { group, target, leader, term }, hosted, peer, revision: 0, toldFrame: 0, exceptedFrame: 0 };
    peer.led.announce(entry);
    hosted.leads.push(entry);
    this.#sendSoon(peer);
    this.#watch();
    return true;
  }

  #watch(): void {
    if (this.#silence.begin()) this.#options.timers.rearm(this.#silence);
  }

  #peer(broker: BrokerId): Peer {
    let peer = this.#peers.get(broker);
    if (peer === undefined) {
      peer = new Peer(broker, (entry) => {
        this.#dropped(entry);
      });
      this.#peers.set(broker, peer);
    }
    return peer;
  }

  #sendSoon(peer: Peer): void {
    this.#soon.add(peer);
    this.#options.turns.add(this);
  }

  #send(peer: Peer): void {
    if (peer.led.size === 0) return;
    peer.sentFrame = ++this.#frame;
    this.#options.transport.sendBeat(peer.broker, { ...peer.led.request(this.#process, this.#frame), ...this.#clock });
  }

  /** What every frame says of the own clock. */
  get #clock(): { readonly wallMs?: Millis } {
    return this.#options.clocks === null ? {} : { wallMs: this.#options.clock.wallMs() };
  }

  #receive(from: BrokerId, frame: BeatFrame): void {
    if (frame.wallMs !== undefined) this.#options.clocks?.heard(from, frame.wallMs);
    if (frame.kind === 'request') this.#onRequest(this.#peer(from), frame);
    else this.#onReply(this.#peer(from), frame);
  }

  #drop(peer: Peer, why: string): void {
    this.#options.observer.frameDropped?.(peer.broker, why);
  }

  #onRequest(peer: Peer, request: BeatRequest): void {
    const taken = peer.leads.take(request, this.#options.clock.monotonicMs());
    if (taken.kind === 'stale' || taken.kind === 'too-many') {
      this.#drop(peer, taken.kind);
      return;
    }
    const exceptions: BeatException[] = [];
    if (taken.kind === 'taken') {
      if (peer.isCutOff) this.#backInSight(peer);
      if (peer.isDue) this.#watch();
      for (const entry of taken.announced) if (!this.#cover(entry)) peer.uncovered.add(entry);
      for (const { lead } of peer.uncovered) exceptions.push(this.#except(lead, request.sequence));
    }
    this.#options.transport.sendBeat(peer.broker, {
      kind: 'reply',
      process: this.#process,
      asker: request.process,
      sequence: request.sequence,
      holds: peer.leads.holds(request.process),
      exceptions,
      ...this.#clock,
    });
  }

  #backInSight(peer: Peer): void {
    peer.isCutOff = false;
    for (const { follower } of peer.leads.all) if (follower !== null) this.catchUp(follower);
  }

  /** False: the replica does not follow it, or is not here. */
  #cover(entry: HeardLead): boolean {
    const hosted = this.#options.hosted(entry.lead.group);
    if (hosted?.driver.follows(entry.lead) !== true) return false;
    if (hosted.following !== null) this.#uncover(hosted.following);
    entry.follower = hosted;
    hosted.following = entry;
    hosted.toldMs = -Infinity;
    this.catchUp(hosted);
    return true;
  }

  /** Why the leadership is not covered. A replica that is behind takes the frame as a heartbeat of its own. */
  #except(lead: BeatLead, round: number): BeatException {
    const { group, target, leader, term } = lead;
    const driver = this.#options.hosted(group)?.driver;
    if (driver?.replicaId !== target) {
      const why = driver === undefined ? 'unknown-group' : 'other-replica';
      this.#options.observer.dropped?.(group, why);
      return { group, target, why };
    }
    if (driver.quarantine !== null) return { group, target, why: 'quarantined' };
    const { term: own } = driver.role;
    if (own > term) return { group, target, why: 'higher-term', term: own };
    // what is committed is told by entries, and by requests without any
    const request = { kind: 'heartbeat-request', from: leader, to: target, term, commit: indexZero, round } as const;
    driver.feed({ kind: 'message', message: request });
    return { group, target, why: 'behind' };
  }

  /** The replica does not follow it any more: an exception until it is announced anew. */
  #uncover(entry: HeardLead): void {
    const { follower } = entry;
    assert(
      follower?.following === entry,
      'beats-1: what covers and what is covered name each other',
      `group ${entry.lead.group}`,
    );
    follower.following = null;
    entry.follower = null;
    entry.peer.uncovered.add(entry);
  }

  /** The peer does not lead it any more; what was heard until now still counts. */
  #dropped(entry: HeardLead): void {
    entry.peer.uncovered.delete(entry);
    const { follower } = entry;
    if (follower === null) return;
    this.catchUp(follower);
    follower.following = null;
    entry.follower = null;
  }

  #onReply(peer: Peer, reply: BeatReply): void {
    const { asker, sequence, holds, exceptions } = reply;
    const awaited = asker === this.#process && sequence > peer.answeredFrame && sequence <= peer.sentFrame;
    if (!awaited || exceptions.length > beatLeadsMax) {
      this.#drop(peer, awaited ? 'too-many' : 'stale');
      return;
    }
    const forgot = !peer.led.acknowledged(holds) || peer.process !== reply.process;
    peer.process = reply.process;
    peer.answeredFrame = sequence;
    peer.answeredRevision = holds;
    peer.answeredMs = this.#options.clock.monotonicMs();
    if (forgot) for (const { hosted, lead } of [...peer.led.entries]) this.#tellAnew(hosted, lead);
    for (const exception of exceptions) this.#onException(peer, exception);
    for (const hosted of this.#attentive) this.#tellAtOnce(hosted, peer);
  }

  #tellAnew(hosted: Hosted, { target }: BeatTarget): void {
    hosted.driver.feed({ kind: 'peer-unreachable', to: target });
  }

  #onException(peer: Peer, exception: BeatException): void {
    const entry = peer.led.get(exception);
    // what changed since is another leadership than the one that is meant
    if (entry === undefined || entry.revision > peer.answeredRevision) return;
    entry.exceptedFrame = peer.answeredFrame;
    const { hosted, lead } = entry;
    const { target, leader, term } = lead;
    switch (exception.why) {
      case 'behind':
        this.#tellAnew(hosted, lead);
        peer.led.announce(entry);
        return;
      case 'higher-term': {
        if (exception.term <= term) return;
        const reply = { kind: 'heartbeat-reply', from: target, to: leader, round: 0, verified: indexZero } as const;
        hosted.driver.feed({ kind: 'message', message: { ...reply, term: exception.term } });
        return;
      }
      case 'unknown-group':
      case 'other-replica':
      case 'quarantined':
        return;
    }
  }

  #tellAtOnce(hosted: Hosted, peer: Peer): void {
    for (const entry of hosted.leads) {
      if (entry.peer === peer && this.#tellAnswer(entry)) this.#options.turns.add(hosted.driver);
    }
  }
}
