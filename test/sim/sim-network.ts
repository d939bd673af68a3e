/** The network between simulated nodes: delay, loss, duplication, reordering, and links that are cut, one way or one channel. */
import type { GroupNumber } from '../../src/model/ids.ts';
import type { Message } from '../../src/raft/core/messages.ts';
import type { PeerTransport } from '../../src/raft/transport.ts';
import type { SimRandom } from './sim-random.ts';
import type { SimScheduler } from './sim-scheduler.ts';

export type NodeNumber = number;
/** Heartbeats and votes have a connection of their own, beside the bulk (design D3). */
export type Channel = 'bulk' | 'beat';

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

export const channelOf = (message: Message): Channel =>
  message.kind === 'append-request' || message.kind === 'append-reply' || message.kind.startsWith('snapshot')
    ? 'bulk'
    : 'beat';

export class SimNetwork {
  readonly mood: NetworkMood = { delayMsMin: 0.5, delayMsMean: 2, loss: 0, duplication: 0, reordering: 0 };
  readonly counts = { sent: 0, lost: 0, duplicated: 0, cut: 0, delivered: 0 };
  readonly #scheduler: SimScheduler;
  readonly #random: SimRandom;
  /** Cut links, `from>to/channel`. */
  readonly #cut = new Set<string>();
  /** When the last message of each connection arrives: a connection keeps order unless the mood says otherwise. */
  readonly #lastArrival = new Map<string, number>();
  readonly #deliver: (delivery: Delivery) => void;

  constructor(scheduler: SimScheduler, random: SimRandom, deliver: (delivery: Delivery) => void) {
    this.#scheduler = scheduler;
    this.#random = random;
    this.#deliver = deliver;
  }

  /** The transport of one life of a node. */
  transport(
    nodeOf: (replica: number) => NodeNumber | undefined,
    from: NodeNumber,
    spy: (delivery: Delivery) => void,
  ): SimTransport {
    return new SimTransport((group, message) => {
      const to = nodeOf(message.to);
      if (to === undefined) return;
      const delivery = { from, to, group, message };
      spy(delivery);
      this.send(delivery);
    });
  }

  cut(from: NodeNumber, to: NodeNumber, channel: Channel): void {
    this.#cut.add(`${from}>${to}/${channel}`);
  }

  /** Cuts both channels in both directions. */
  cutBothWays(a: NodeNumber, b: NodeNumber): void {
    for (const channel of ['bulk', 'beat'] as const) {
      this.cut(a, b, channel);
      this.cut(b, a, channel);
    }
  }

  heal(): void {
    this.#cut.clear();
  }

  calm(): void {
    Object.assign(this.mood, { delayMsMin: 0.5, delayMsMean: 2, loss: 0, duplication: 0, reordering: 0 });
  }

  send(delivery: Delivery): void {
    const { mood } = this;
    this.counts.sent++;
    if (this.#isCut(delivery)) {
      this.counts.cut++;
      return;
    }
    if (this.#random.chance(mood.loss)) {
      this.counts.lost++;
      return;
    }
    this.#schedule(delivery, this.#random.chance(mood.reordering));
    if (!this.#random.chance(mood.duplication)) return;
    this.counts.duplicated++;
    this.#schedule(delivery, true);
  }

  #schedule(delivery: Delivery, alone: boolean): void {
    const { delayMsMin, delayMsMean } = this.mood;
    const connection = this.#connection(delivery);
    let at = this.#scheduler.now + delayMsMin + this.#random.exponential(delayMsMean);
    if (alone) at += this.#random.exponential(delayMsMean * 5);
    else {
      at = Math.max(at, this.#lastArrival.get(connection) ?? 0);
      this.#lastArrival.set(connection, at);
    }
    this.#scheduler.after(at - this.#scheduler.now, () => {
      // a cut also takes what is under way
      if (this.#isCut(delivery)) {
        this.counts.cut++;
        return;
      }
      this.counts.delivered++;
      this.#deliver(delivery);
    });
  }

  #connection({ from, to, message }: Delivery): string {
    return `${from}>${to}/${channelOf(message)}`;
  }

  #isCut(delivery: Delivery): boolean {
    return this.#cut.size > 0 && this.#cut.has(this.#connection(delivery));
  }
}

export class SimTransport implements PeerTransport {
  readonly #send: (group: GroupNumber, message: Message) => void;
  #receive: ((group: GroupNumber, message: Message) => void) | null = null;
  #open = true;

  constructor(send: (group: GroupNumber, message: Message) => void) {
    this.#send = send;
  }

  send(group: GroupNumber, message: Message): void {
    if (this.#open) this.#send(group, message);
  }

  onMessage(receive: (group: GroupNumber, message: Message) => void): void {
    this.#receive = receive;
  }

  deliver(group: GroupNumber, message: Message): void {
    if (this.#open) this.#receive?.(group, message);
  }

  /** The node died: nothing leaves and nothing arrives any more. */
  close(): void {
    this.#open = false;
  }
}
