/** Connects brokers in one process: a request is handled in a later turn. Tests cut brokers off or lose answers. */
import { assert } from '../../src/model/assert.ts';
import type { BrokerId } from '../../src/model/ids.ts';
import type { PeerIdentity } from '../../src/raft/peer-identity.ts';
import type { PeerHandler, PeerReply, PeerRpc, PeerTarget } from '../../src/raft/peer-rpc.ts';

interface Member {
  readonly identity: () => PeerIdentity;
  readonly address: string;
  readonly handlers: Map<string, PeerHandler>;
}

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

export class MemoryPeerRpc {
  readonly #members = new Map<BrokerId, Member>();
  /** Brokers that nothing reaches and that reach nobody: their calls are `not-sent`. */
  readonly cutOff = new Set<BrokerId>();
  /** Brokers whose answers are lost: the request is carried out and its caller told `unknown`. */
  readonly mute = new Set<BrokerId>();

  /** What one broker calls and serves by. `identity` is asked for each call: the cluster id may come later. */
  rpcOf(broker: BrokerId, address: string, identity: () => PeerIdentity): PeerRpc {
    const self: Member = { identity, address, handlers: new Map() };
    this.#members.set(broker, self);
    return {
      call: (to, method, payload, timeoutMs) => this.#call(broker, self, to, method, payload, timeoutMs),
      serve: (method, handler) => {
        assert(!self.handlers.has(method), 'rpc-1: a method has one handler', method);
        self.handlers.set(method, handler);
      },
    };
  }

  async #call(
    caller: BrokerId,
    self: Member,
    to: PeerTarget,
    method: string,
    payload: Uint8Array,
    timeoutMs: number,
  ): Promise<PeerReply> {
    await nextTurn();
    const found = [...this.#members].find(([broker, { address }]) =>
      to.kind === 'broker' ? broker === to.broker : address === to.address,
    );
    if (found === undefined || this.cutOff.has(caller) || this.cutOff.has(found[0]))
      return { kind: 'not-sent', why: 'not reachable' };
    const [broker, member] = found;
    const handler = member.handlers.get(method);
    if (handler === undefined) return { kind: 'not-sent', why: `no method ${method} there` };
    try {
      const answer = await handler(self.identity(), payload.slice(), timeoutMs);
      await nextTurn();
      if (this.mute.has(broker) || this.cutOff.has(broker)) return { kind: 'unknown', why: 'the connection was lost' };
      return { kind: 'answered', payload: answer.slice(), from: member.identity() };
    } catch (error) {
      return { kind: 'unknown', why: error instanceof Error ? error.message : String(error) };
    }
  }
}
