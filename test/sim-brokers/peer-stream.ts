/**
 * Streams between the processes of simulated brokers, as gRPC gives them: in order, whole or broken, each end told when it
 * breaks. Frames of Raft that travel on one are an exception: they may be lost, doubled and overtake each other, for Raft
 * must bear that, whatever the transport.
 */
import type { GroupNumber } from '../../src/model/ids.ts';
import type { BeatFrame } from '../../src/raft/beat-frame.ts';
import type { Message } from '../../src/raft/core/messages.ts';
import type { PeerLane } from '../../src/raft/peer-observer.ts';
import type { SimNetwork } from '../sim/sim-network.ts';
import type { SimRandom } from '../sim/sim-random.ts';
import type { SimScheduler } from '../sim/sim-scheduler.ts';
import type { SimProcess } from './sim-process.ts';

export type CallOutcome =
  | { readonly kind: 'payload'; readonly payload: Uint8Array }
  | { readonly kind: 'not-done'; readonly why: string }
  | { readonly kind: 'failed'; readonly why: string };

export type PeerContent =
  | { readonly kind: 'message'; readonly group: GroupNumber; readonly message: Message }
  | { readonly kind: 'beat'; readonly frame: BeatFrame }
  | {
      readonly kind: 'request';
      readonly id: number;
      readonly method: string;
      readonly timeoutMs: number;
      readonly payload: Uint8Array;
    }
  | { readonly kind: 'reply'; readonly id: number; readonly outcome: CallOutcome };

/** What a stream carries: the bytes of the handshake, then frames. */
export type PeerPacket =
  | { readonly kind: 'handshake'; readonly bytes: Buffer }
  | { readonly kind: 'frame'; readonly content: PeerContent; readonly durableCommit: number };

/** What is told to one end. */
export interface StreamUser {
  received(packet: PeerPacket): void;
  /** The stream is gone; called at most once, and not after `close` here. */
  ended(why: string): void;
}

interface End {
  readonly process: SimProcess;
  user: StreamUser | null;
  open: boolean;
}

/** What listens at a machine. */
export interface Acceptor {
  readonly process: SimProcess;
  accept(lane: PeerLane, stream: PeerStream): StreamUser;
}

export interface PeerWire {
  readonly scheduler: SimScheduler;
  readonly network: SimNetwork;
  readonly random: SimRandom;
  /** Who listens there now; null: nobody. */
  listenerAt(address: string): Acceptor | null;
  /** Which machine has the address; null: none. */
  machineAt(address: string): number | null;
  /** Streams that are open at one end at least. */
  readonly streams: Set<StreamPair>;
}

/** How long until a connection over which something got lost is given up, milliseconds: mean. */
const breakMsMean = 500;

/** One end's view of a stream. */
export class PeerStream {
  readonly #pair: StreamPair;
  readonly #side: 0 | 1;

  constructor(pair: StreamPair, side: 0 | 1) {
    this.#pair = pair;
    this.#side = side;
  }

  send(packet: PeerPacket): void {
    this.#pair.send(this.#side, packet);
  }

  /** This end lets go of it; the other one is told. */
  close(): void {
    this.#pair.close(this.#side);
  }
}

export class StreamPair {
  readonly #wire: PeerWire;
  readonly #lane: PeerLane;
  readonly #from: number;
  readonly #to: number;
  readonly #address: string;
  readonly #ends: [End, End | null];
  #breaking = false;

  constructor(wire: PeerWire, lane: PeerLane, from: End, to: number, address: string) {
    this.#wire = wire;
    this.#lane = lane;
    this.#from = from.process.machine;
    this.#to = to;
    this.#address = address;
    this.#ends = [from, null];
    wire.streams.add(this);
  }

  /** The process died: its machine resets the connection, if that gets through. */
  died(process: SimProcess): void {
    for (const side of [0, 1] as const) {
      const end = this.#ends[side];
      if (end?.process !== process || !end.open) continue;
      end.open = false;
      this.#reset(side);
    }
  }

  send(side: 0 | 1, packet: PeerPacket): void {
    if (this.#ends[side]?.open !== true) return;
    const isRaft = packet.kind === 'frame' && (packet.content.kind === 'message' || packet.content.kind === 'beat');
    this.#post(side, !isRaft, () => {
      this.#arrived(side === 0 ? 1 : 0, packet);
    });
  }

  close(side: 0 | 1): void {
    const end = this.#ends[side];
    if (end?.open !== true) return;
    end.open = false;
    this.#reset(side);
  }

  #reset(side: 0 | 1): void {
    this.#forgetIfOver();
    this.#post(side, true, () => {
      this.#end(side === 0 ? 1 : 0, 'the peer ended the stream');
    });
  }

  #forgetIfOver(): void {
    if (this.#ends.every((end) => end?.open !== true)) this.#wire.streams.delete(this);
  }

  #post(side: 0 | 1, inOrder: boolean, arrive: () => void): void {
    const [from, to] = side === 0 ? [this.#from, this.#to] : [this.#to, this.#from];
    const channel = this.#lane === 'beat' ? 'beat' : 'bulk';
    const lost = (): void => {
      this.#break(inOrder);
    };
    this.#wire.network.post({ from, to, channel, inOrder, arrive, lost });
  }

  #arrived(at: 0 | 1, packet: PeerPacket): void {
    const end = this.#ends[at] ?? this.#accept();
    if (end === null || !end.process.alive) {
      // nobody is there, or another process
      this.#reset(at);
      return;
    }
    end.process.enter('input', () => {
      if (end.open) end.user?.received(packet);
    });
  }

  /** The first packet opens the far end. */
  #accept(): End | null {
    const acceptor = this.#wire.listenerAt(this.#address);
    if (acceptor === null) return null;
    const end: End = { process: acceptor.process, user: null, open: true };
    this.#ends[1] = end;
    end.user = acceptor.accept(this.#lane, new PeerStream(this, 1));
    return end;
  }

  /** What gets lost on a stream breaks it, sooner or later; of Raft's frames only every now and then. */
  #break(inOrder: boolean): void {
    const { random, scheduler } = this.#wire;
    if (this.#breaking || (!inOrder && !random.chance(0.1))) return;
    this.#breaking = true;
    scheduler.after(random.exponential(breakMsMean), () => {
      this.#end(0, 'the connection broke');
      this.#end(1, 'the connection broke');
    });
  }

  #end(side: 0 | 1, why: string): void {
    const end = this.#ends[side];
    end?.process.enter('input', () => {
      if (!end.open) return;
      end.open = false;
      this.#forgetIfOver();
      end.user?.ended(why);
    });
  }
}

/** Begins a stream to whoever listens at the address; `ended` is told if nobody does. */
export function openStream(
  wire: PeerWire,
  lane: PeerLane,
  process: SimProcess,
  address: string,
  user: StreamUser,
): PeerStream {
  const to = wire.machineAt(address);
  const end: End = { process, user, open: true };
  if (to === null || to === process.machine) {
    process.soon(() => {
      if (!end.open) return;
      end.open = false;
      user.ended('no such address');
    });
  }
  return new PeerStream(new StreamPair(wire, lane, end, to ?? process.machine, address), 0);
}
