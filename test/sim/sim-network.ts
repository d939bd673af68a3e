/** The network between simulated nodes: delay, loss, duplication, reordering, and links that are cut, one way or one channel. */
import type { GroupNumber } from '../../src/model/ids.ts';
import type { BeatFrame } from '../../src/raft/beat-frame.ts';
import type { Message } from '../../src/raft/core/messages.ts';
import type { Channel } from '../../src/raft/transport.ts';
import type { SimRandom } from './sim-random.ts';
import type { SimScheduler } from './sim-scheduler.ts';

export type NodeNumber = number;

export interface NetworkMood {
  delayMsMin: number;
  delayMsMean: number;
  /** Probabilities, 0 to 1. */
  loss: number;
  duplication: number;
  /** Of a message being delayed on its own, past those behind it. */
  reordering: number;
}

export interface Delivery {
  readonly from: NodeNumber;
  readonly to: NodeNumber;
  readonly group: GroupNumber;
  readonly message: Message;
}

export interface BeatDelivery {
  readonly from: NodeNumber;
  readonly to: NodeNumber;
  readonly frame: BeatFrame;
}

/** One direction of one connection between two nodes. */
export interface Link {
  readonly from: NodeNumber;
  readonly to: NodeNumber;
  readonly channel: Channel;
}

/** Both channels in both directions. */
export const linksBetween = (a: NodeNumber, b: NodeNumber): readonly Link[] => [
  { from: a, to: b, channel: 'bulk' },
  { from: a, to: b, channel: 'beat' },
  { from: b, to: a, channel: 'bulk' },
  { from: b, to: a, channel: 'beat' },
];

/** Anything under way. */
export interface Parcel extends Link {
  /** True: a part of a stream, which is never doubled and never overtakes what was posted before it. Default false. */
  readonly inOrder?: boolean;
  arrive(): void;
  /** It is lost, or a cut took it. */
  lost?(): void;
}

export class SimNetwork {
  readonly mood: NetworkMood = { delayMsMin: 0.5, delayMsMean: 2, loss: 0, duplication: 0, reordering: 0 };
  readonly counts = { sent: 0, lost: 0, duplicated: 0, cut: 0, delivered: 0 };
  readonly #scheduler: SimScheduler;
  readonly #random: SimRandom;
  /** How many faults cut a link now, by its connection. */
  readonly #cut = new Map<number, number>();
  /** When the last message of each connection arrives: a connection keeps order unless the mood says otherwise. */
  readonly #lastArrival = new Map<number, number>();

  constructor(scheduler: SimScheduler, random: SimRandom) {
    this.#scheduler = scheduler;
    this.#random = random;
  }

  /** Whether any link is cut. */
  get isCutAnywhere(): boolean {
    return this.#cut.size > 0;
  }

  cut(link: Link): void {
    const connection = connectionOf(link);
    this.#cut.set(connection, (this.#cut.get(connection) ?? 0) + 1);
  }

  /** Takes one cut back; the link is whole once every cut of it was. */
  mend(link: Link): void {
    const connection = connectionOf(link);
    const cuts = (this.#cut.get(connection) ?? 0) - 1;
    if (cuts > 0) this.#cut.set(connection, cuts);
    else this.#cut.delete(connection);
  }

  heal(): void {
    this.#cut.clear();
  }

  calm(): void {
    Object.assign(this.mood, { delayMsMin: 0.5, delayMsMean: 2, loss: 0, duplication: 0, reordering: 0 });
  }

  /** It arrives after a while, or never, or twice, or after what is sent later. */
  post(parcel: Parcel): void {
    const { mood } = this;
    this.counts.sent++;
    if (this.#isCut(parcel)) {
      this.counts.cut++;
      parcel.lost?.();
      return;
    }
    if (this.#random.chance(mood.loss)) {
      this.counts.lost++;
      parcel.lost?.();
      return;
    }
    const isStream = parcel.inOrder === true;
    this.#schedule(parcel, !isStream && this.#random.chance(mood.reordering));
    if (isStream || !this.#random.chance(mood.duplication)) return;
    this.counts.duplicated++;
    this.#schedule(parcel, true);
  }

  #schedule(parcel: Parcel, alone: boolean): void {
    const { delayMsMin, delayMsMean } = this.mood;
    const connection = connectionOf(parcel);
    let at = this.#scheduler.now + delayMsMin + this.#random.exponential(delayMsMean);
    if (alone) at += this.#random.exponential(delayMsMean * 5);
    else {
      at = Math.max(at, this.#lastArrival.get(connection) ?? 0);
      this.#lastArrival.set(connection, at);
    }
    this.#scheduler.after(at - this.#scheduler.now, () => {
      // a cut also takes what is under way
      if (this.#isCut(parcel)) {
        this.counts.cut++;
        parcel.lost?.();
        return;
      }
      this.counts.delivered++;
      parcel.arrive();
    });
  }

  #isCut(parcel: Link): boolean {
    return this.#cut.size > 0 && this.#cut.has(connectionOf(parcel));
  }
}

const nodesMax = 1_000;
const connectionOf = ({ from, to, channel }: Link): number => (from * nodesMax + to) * 2 + (channel === 'bulk' ? 0 : 1);
