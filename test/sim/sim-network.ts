/** The network between simulated nodes: delay, loss, duplication, reordering, and links that are cut, one way or one channel. */
import type { BrokerId, GroupNumber, ReplicaId } from '../../src/model/ids.ts';
import { toBrokerId } from '../../src/model/ids.ts';
import type { BeatFrame } from '../../src/raft/beat-frame.ts';
import type { Message } from '../../src/raft/core/messages.ts';
import type { Channel, PeerDirectory, PeerTransport } from '../../src/raft/transport.ts';
import { channelOf } from '../../src/raft/transport.ts';
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

/** Where things arrive. */
export interface Receivers {
  message(delivery: Delivery): void;
  beat(delivery: BeatDelivery): void;
}

/** Sees what is about to leave. */
export interface Spy {
  message(delivery: Delivery): void;
  beat(delivery: BeatDelivery): void;
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
  readonly #receivers: Receivers;

  constructor(scheduler: SimScheduler, random: SimRandom, receivers: Receivers) {
    this.#scheduler = scheduler;
    this.#random = random;
    this.#receivers = receivers;
  }

  /** The transport of one life of a node. Brokers are named by their node's number. */
  transport(nodeOf: (replica: number) => NodeNumber | undefined, from: NodeNumber, spy: Spy): SimTransport {
    return new SimTransport({
      message: (group, message) => {
        const to = nodeOf(message.to);
        if (to === undefined) return;
        const delivery = { from, to, group, message };
        spy.message(delivery);
        this.send(delivery);
      },
      beat: (to, frame) => {
        const delivery = { from, to, frame };
        spy.beat(delivery);
        this.sendBeat(delivery);
      },
      nodeOf,
    });
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

  send(delivery: Delivery): void {
    const { from, to, message } = delivery;
    const channel = channelOf(message);
    this.post({ from, to, channel, arrive: () => this.#receivers.message(delivery) });
  }

  sendBeat(delivery: BeatDelivery): void {
    const { from, to } = delivery;
    this.post({ from, to, channel: 'beat', arrive: () => this.#receivers.beat(delivery) });
  }

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

interface Wire {
  message(group: GroupNumber, message: Message): void;
  beat(to: NodeNumber, frame: BeatFrame): void;
  nodeOf(replica: number): NodeNumber | undefined;
}

export class SimTransport implements PeerTransport, PeerDirectory {
  readonly #wire: Wire;
  #receive: ((group: GroupNumber, message: Message) => void) | null = null;
  #receiveBeat: ((from: BrokerId, frame: BeatFrame) => void) | null = null;
  #open = true;

  constructor(wire: Wire) {
    this.#wire = wire;
  }

  send(group: GroupNumber, message: Message): void {
    if (this.#open) this.#wire.message(group, message);
  }

  onMessage(receive: (group: GroupNumber, message: Message) => void): void {
    this.#receive = receive;
  }

  sendBeat(to: BrokerId, frame: BeatFrame): void {
    if (this.#open) this.#wire.beat(to, frame);
  }

  onBeat(receive: (from: BrokerId, frame: BeatFrame) => void): void {
    this.#receiveBeat = receive;
  }

  brokerOf(replica: ReplicaId): BrokerId | null {
    const node = this.#wire.nodeOf(replica);
    return node === undefined ? null : toBrokerId(node);
  }

  deliver(group: GroupNumber, message: Message): void {
    if (this.#open) this.#receive?.(group, message);
  }

  deliverBeat(from: NodeNumber, frame: BeatFrame): void {
    if (this.#open) this.#receiveBeat?.(toBrokerId(from), frame);
  }

  /** The node died: nothing leaves and nothing arrives any more. */
  close(): void {
    this.#open = false;
  }
}
