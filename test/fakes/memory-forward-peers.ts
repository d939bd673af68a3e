/** Brokers in one process that hand requests to each other: in order, each answered in a later turn, unless a test says else. */
import type { ForwardPeers, PeerAnswer } from '../../src/api/forward-port.ts';
import type { BrokerId } from '../../src/model/ids.ts';

type Handler = Parameters<ForwardPeers['serve']>[1];

export interface ForwardedCallSeen {
  readonly to: BrokerId;
  readonly method: string;
  readonly payload: Uint8Array;
  readonly timeoutMs: number;
}

export class MemoryForwardPeers {
  readonly #handlers = new Map<BrokerId, Map<string, Handler>>();
  readonly calls: ForwardedCallSeen[] = [];
  /** Decides what becomes of the next calls: null, it is delivered. */
  fate: (call: ForwardedCallSeen) => PeerAnswer | null = () => null;
  /** Set: answers wait for it. */
  hold: Promise<void> | null = null;

  of(broker: BrokerId): ForwardPeers {
    return {
      call: async (to, method, payload, timeoutMs) => {
        const seen = { to, method, payload, timeoutMs };
        this.calls.push(seen);
        const fate = this.fate(seen);
        if (fate?.kind === 'not-sent') return fate;
        const handler = this.#handlers.get(to)?.get(method);
        if (handler === undefined) return { kind: 'not-sent', why: 'nobody is there' };
        const answer = handler(payload, timeoutMs);
        if (fate !== null) {
          answer.catch(() => undefined); // nobody hears what it says
          return fate;
        }
        const answered = await answer;
        await this.hold;
        return { kind: 'answered', payload: answered };
      },
      serve: (method, handler) => {
        const handlers = this.#handlers.get(broker) ?? new Map<string, Handler>();
        this.#handlers.set(broker, handlers.set(method, handler));
      },
    };
  }
}
