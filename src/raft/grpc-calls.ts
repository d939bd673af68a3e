/** The requests of PeerRpc: the caller's side on one link, and what carries them out on the other side of a stream. */
import { assert } from '../model/assert.ts';
import type { Clock, Timer } from '../model/clock.ts';
import type { FrameContent, ReadFrame, ReplyOutcome } from './grpc-frames.ts';
import { contentBytes } from './grpc-frames.ts';
import type { LinkItem, LinkOptions } from './grpc-link.ts';
import { PeerLink } from './grpc-link.ts';
import type { PeerLimits } from './grpc-limits.ts';
import type { PeerIdentity } from './peer-identity.ts';
import type { PeerHandler, PeerReply } from './peer-rpc.ts';
import { peerCallBytesMax } from './peer-rpc.ts';

/** One request that has no answer yet. */
interface Pending extends LinkItem {
  cancelled: boolean;
  /** The peer may have it. */
  left: boolean;
  settle(reply: PeerReply): void;
}

/** All requests to one target. */
export class CallLane {
  readonly #link: PeerLink;
  readonly #clock: Clock;
  readonly #limits: PeerLimits;
  /** Bounded by callsMax. */
  readonly #pending = new Map<number, Pending>();
  #nextId = 1;
  #idle: Timer | null = null;

  constructor(options: Omit<LinkOptions, 'lane' | 'unsentBytesMax' | 'patient' | 'received' | 'down'>) {
    this.#clock = options.clock;
    this.#limits = options.limits;
    this.#link = new PeerLink({
      ...options,
      lane: 'call',
      unsentBytesMax: options.limits.callUnsentBytesMax,
      patient: true,
      received: (frame) => {
        this.#received(frame);
      },
      down: (why) => {
        for (const call of this.#pending.values()) if (call.left) call.settle({ kind: 'unknown', why });
      },
    });
  }

  /** Whether it waits for no answer. */
  get isIdle(): boolean {
    return this.#pending.size === 0;
  }

  call(method: string, payload: Uint8Array, timeoutMs: number): Promise<PeerReply> {
    assert(method.length > 0 && method.length <= 64, 'rpc-2: a method has a name of at most 64 characters', method);
    if (payload.length > peerCallBytesMax)
      return notSent(`a request of ${payload.length} bytes is above ${peerCallBytesMax}`);
    if (this.#pending.size >= this.#limits.callsMax)
      return notSent('too many requests to this peer have no answer yet');
    this.#idle?.cancel();
    this.#idle = null;
    const id = this.#nextId++;
    const content: FrameContent = { kind: 'request', id, method, timeoutMs, payload };
    return new Promise((resolve) => {
      this.#send(id, content, timeoutMs, resolve);
    });
  }

  /** See PeerLink. */
  spoke(peer: PeerIdentity): void {
    this.#link.spoke(peer);
  }

  /** Makes the next request shake hands anew. */
  restart(why: string): void {
    this.#link.restart(why);
  }

  close(): void {
    this.#idle?.cancel();
    this.#link.close();
  }

  #send(id: number, content: FrameContent, timeoutMs: number, resolve: (reply: PeerReply) => void): void {
    const timer = this.#clock.setTimer(timeoutMs, () => {
      const why = `no answer within ${timeoutMs} ms`;
      call.settle({ kind: call.left ? 'unknown' : 'not-sent', why });
    });
    const call: Pending = {
      content,
      bytes: contentBytes(content),
      cancelled: false,
      left: false,
      leaving: () => {
        call.left = true;
      },
      dropped: (reason) => {
        call.settle({ kind: 'not-sent', why: reason });
      },
      settle: (reply) => {
        if (!this.#pending.delete(id)) return;
        timer.cancel();
        call.cancelled = true;
        resolve(reply);
        if (this.#pending.size === 0) this.#rest();
      },
    };
    this.#pending.set(id, call);
    this.#link.send(call);
  }

  #received({ content }: ReadFrame): void {
    const peer = this.#link.peer;
    if (content.kind !== 'reply' || peer === null) return; // an answer that came too late has nobody to hear it
    this.#pending.get(content.id)?.settle(toReply(content.outcome, peer));
  }

  #rest(): void {
    this.#idle = this.#clock.setTimer(this.#limits.callIdleMs, () => {
      this.#link.restart('not used');
    });
  }
}

const notSent = (why: string): Promise<PeerReply> => Promise.resolve({ kind: 'not-sent', why });

function toReply(outcome: ReplyOutcome, from: PeerIdentity): PeerReply {
  switch (outcome.kind) {
    case 'payload':
      return { kind: 'answered', payload: outcome.payload, from };
    case 'not-done':
      return { kind: 'not-sent', why: outcome.why };
    case 'failed':
      return { kind: 'unknown', why: outcome.why };
  }
}

/** Carries out the requests of one stream. */
export class ServedCalls {
  readonly #handlers: ReadonlyMap<string, PeerHandler>;
  readonly #limits: PeerLimits;
  readonly #defect: (error: unknown) => void;
  /** Requests under way and their bytes, each until its answer was written. */
  #count = 0;
  #bytes = 0;

  /** @param defect a handler rejected */
  constructor(handlers: ReadonlyMap<string, PeerHandler>, limits: PeerLimits, defect: (error: unknown) => void) {
    this.#handlers = handlers;
    this.#limits = limits;
    this.#defect = defect;
  }

  /** @param answer writes the answer; calls back once it left, or never if the stream is gone */
  serve(
    from: PeerIdentity,
    request: Extract<FrameContent, { kind: 'request' }>,
    answer: (outcome: ReplyOutcome, written: () => void) => void,
  ): void {
    const handler = this.#handlers.get(request.method);
    if (handler === undefined) {
      answer({ kind: 'not-done', why: `no method ${request.method.slice(0, 64)} here` }, () => undefined);
      return;
    }
    const bytes = request.payload.length;
    const { servedCallsMax, servedCallBytesMax } = this.#limits;
    if (this.#count >= servedCallsMax || (this.#count > 0 && this.#bytes + bytes > servedCallBytesMax)) {
      answer({ kind: 'not-done', why: 'busy: too many requests at a time' }, () => undefined);
      return;
    }
    this.#count += 1;
    this.#bytes += bytes;
    const finish = (outcome: ReplyOutcome): void => {
      answer(outcome, () => {
        this.#count -= 1;
        this.#bytes -= bytes;
      });
    };
    // in a turn of its own: a handler that throws at once is a defect like one that rejects
    Promise.resolve()
      .then(() => handler(from, request.payload, request.timeoutMs))
      .then(
        (payload) => {
          if (payload.length <= peerCallBytesMax) finish({ kind: 'payload', payload });
          else finish({ kind: 'failed', why: `the answer of ${payload.length} bytes is above ${peerCallBytesMax}` });
        },
        (error: unknown) => {
          finish({ kind: 'failed', why: 'the peer met a defect' });
          this.#defect(error);
        },
      );
  }
}
