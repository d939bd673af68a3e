/** One stream to one node, as grpc-link.ts has it: connects, shakes hands, sends, and begins again when it breaks. */
import type { Timer } from '../../src/model/clock.ts';
import { toBrokerId } from '../../src/model/ids.ts';
import type { HandshakeContext } from '../../src/raft/grpc-handshake.ts';
import { InitiatorHandshake } from '../../src/raft/grpc-handshake.ts';
import type { Refusal } from '../../src/raft/peer-admission.ts';
import type { PeerIdentity } from '../../src/raft/peer-identity.ts';
import type { SimClock } from './sim-clock.ts';
import type { Link } from './sim-network.ts';
import type { SimRandom } from './sim-random.ts';
import type { StreamBody, StreamContent, StreamFrame } from './sim-stream.ts';

/** Shorter than in production, so that a short run sees more of it. In ms. */
const handshakeMs = 3_000;
const backoffMsMin = 50;
const backoffMsMax = 1_000;
/** What may wait for a connection; more is dropped. */
const unsentMax = 1_000;

export interface LinkItem {
  readonly content: StreamContent;
  /** It never left and never will. */
  dropped(): void;
}

export interface SimLinkOptions {
  readonly link: Link;
  readonly handshake: HandshakeContext;
  readonly clock: SimClock;
  readonly random: SimRandom;
  readonly newStream: () => number;
  readonly carry: (frame: StreamFrame) => void;
  /** The node has proven who it is, has taken this one for healthy, and is remembered. */
  readonly up: (peer: PeerIdentity) => void;
  readonly down: () => void;
  /** The node has proven the secret and refuses this process. */
  readonly refused: (refusal: Refusal) => void;
  /** This node refuses the other one. */
  readonly turnedAway: (refusal: Refusal) => void;
  /** The memory of peers refuses to remember, because of a defect or because its disk has failed. */
  readonly unremembered: (error: unknown) => void;
}

interface Attempt {
  readonly stream: number;
  readonly handshake: InitiatorHandshake;
  readonly late: Timer;
  /** Whom it leads to; null: it is not up. */
  peer: PeerIdentity | null;
}

export class SimLink {
  readonly #options: SimLinkOptions;
  /** Null between two attempts, and before the first. */
  #attempt: Attempt | null = null;
  #resting: Timer | null = null;
  #queue: LinkItem[] = [];
  #failures = 0;
  #isClosed = false;

  constructor(options: SimLinkOptions) {
    this.#options = options;
  }

  /** Of the present attempt. */
  get stream(): number | null {
    return this.#attempt?.stream ?? null;
  }

  open(): void {
    if (this.#attempt === null && this.#resting === null && !this.#isClosed) this.#connect();
  }

  send(item: LinkItem): void {
    if (this.#isClosed || this.#resting !== null || this.#queue.length >= unsentMax) {
      item.dropped();
      return;
    }
    if (isConnected(this.#attempt)) {
      this.#write(item);
      return;
    }
    this.#queue.push(item);
    this.open();
  }

  /** What arrived on the present stream. */
  take(body: StreamBody): void {
    if (this.#attempt === null) return;
    if (body.kind === 'reset') this.#ended();
    else if (body.kind === 'handshake' && !isConnected(this.#attempt)) this.#step(this.#attempt, body.bytes);
  }

  /**
   * Its node has just proven, on a stream of its own, that it is there as this process: a stream to a former life of it,
   * which nobody may ever have reset, ends now, and who rests tries at once (PeerLink.spoke).
   */
  spoke({ processNonce }: PeerIdentity): void {
    const peer = this.#attempt?.peer ?? null;
    if (peer !== null && peer.processNonce !== processNonce) this.#ended();
    if (this.#resting === null || this.#isClosed) return;
    this.#resting.cancel();
    this.#resting = null;
    this.#failures = 0;
    this.open();
  }

  close(): void {
    this.#isClosed = true;
    this.#attempt = null;
    this.#queue = [];
  }

  #connect(): void {
    const { handshake: context, link, clock, newStream } = this.#options;
    const handshake = new InitiatorHandshake(context, link.channel, toBrokerId(link.to));
    const late = clock.setTimer(handshakeMs, () => {
      this.#carry({ kind: 'reset' });
      this.#ended();
    });
    this.#attempt = { stream: newStream(), handshake, late, peer: null };
    this.#carry({ kind: 'handshake', bytes: handshake.opening });
  }

  #step(attempt: Attempt, bytes: Buffer): void {
    const step = attempt.handshake.receive(bytes);
    switch (step.kind) {
      case 'send':
        this.#carry({ kind: 'handshake', bytes: step.frame });
        return;
      case 'refused':
        if (step.provenBy !== null) this.#options.refused(step.refusal);
        if (step.by === 'us') {
          this.#options.turnedAway(step.refusal);
          this.#carry({ kind: 'reset' });
        }
        this.#ended();
        return;
      case 'proven':
        step.remembered.then(
          () => {
            if (this.#attempt === attempt) this.#isUp(attempt, step.peer.identity);
          },
          (error: unknown) => {
            this.#options.unremembered(error);
          },
        );
    }
  }

  #isUp(attempt: Attempt, peer: PeerIdentity): void {
    attempt.peer = peer;
    attempt.late.cancel();
    this.#failures = 0;
    this.#options.up(peer);
    for (const item of this.#queue.splice(0)) this.#write(item);
  }

  #write({ content }: LinkItem): void {
    this.#carry({ kind: 'content', content, durableCommit: this.#options.handshake.own().durableCommit });
  }

  #carry(body: StreamBody): void {
    const { link, carry } = this.#options;
    if (this.#attempt === null) return;
    // named one by one: spreading `link` took a twentieth of a run
    const { from, to, channel } = link;
    carry({ from, to, channel, opener: from, stream: this.#attempt.stream, body });
  }

  #ended(): void {
    const { clock, random, down } = this.#options;
    const wasUp = isConnected(this.#attempt);
    this.#attempt?.late.cancel();
    this.#attempt = null;
    const longest = Math.min(backoffMsMax, backoffMsMin * 2 ** Math.min(this.#failures++, 16));
    this.#resting = clock.setTimer(longest - random.below(Math.floor(longest / 2) + 1), () => {
      this.#resting = null;
      this.open();
    });
    for (const item of this.#queue.splice(0)) item.dropped();
    if (wasUp) down();
  }
}

const isConnected = (attempt: Attempt | null): boolean => attempt !== null && attempt.peer !== null;
