/** Connects hosts in one process: messages arrive in a later turn, in order, unless the test cuts a host off. */
import type { GroupNumber } from '../../src/model/ids.ts';
import type { Message } from '../../src/raft/core/messages.ts';
import type { PeerTransport } from '../../src/raft/transport.ts';

type Receive = (group: GroupNumber, message: Message) => void;

export class MemoryNetwork {
  readonly #receivers = new Map<number, Receive>();
  /** Replicas that nothing reaches and that reach nobody. */
  readonly cutOff = new Set<number>();
  sent = 0;

  /** The transport of the broker that holds the replicas `replicas`. */
  transportOf(...replicas: readonly number[]): PeerTransport {
    return {
      send: (group, message) => {
        this.sent++;
        if (this.cutOff.has(message.from) || this.cutOff.has(message.to)) return;
        setImmediate(() => this.#receivers.get(message.to)?.(group, message));
      },
      onMessage: (receive) => {
        for (const replica of replicas) this.#receivers.set(replica, receive);
      },
    };
  }
}
