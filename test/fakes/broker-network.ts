/**
 * Connects brokers in one process, as the peers' port does: frames go to the broker that the sender's directory names,
 * and teach the receiver where the sender is. Tests cut brokers off.
 */
import type { BrokerId, GroupNumber } from '../../src/model/ids.ts';
import type { BeatFrame } from '../../src/raft/beat-frame.ts';
import type { Message } from '../../src/raft/core/messages.ts';
import type { PeerIdentity } from '../../src/raft/peer-identity.ts';
import type { PeerRpc } from '../../src/raft/peer-rpc.ts';
import type { PeerTransport } from '../../src/raft/transport.ts';
import type { ReplicaDirectory } from '../../src/broker/replica-directory.ts';
import { MemoryPeerRpc } from './memory-peer-rpc.ts';

interface Port {
  readonly directory: ReplicaDirectory;
  message: (group: GroupNumber, message: Message) => void;
  beat: (from: BrokerId, frame: BeatFrame) => void;
}

export class BrokerNetwork {
  readonly #ports = new Map<BrokerId, Port>();
  readonly #rpc = new MemoryPeerRpc();

  cutOff(broker: BrokerId): void {
    this.#rpc.cutOff.add(broker);
  }

  heal(broker?: BrokerId): void {
    if (broker === undefined) this.#rpc.cutOff.clear();
    else this.#rpc.cutOff.delete(broker);
  }

  /** Answers of the broker to requests are lost from now on, though it carries them out. */
  mute(broker: BrokerId): void {
    this.#rpc.mute.add(broker);
  }

  unmute(broker: BrokerId): void {
    this.#rpc.mute.delete(broker);
  }

  rpcOf(broker: BrokerId, address: string, identity: () => PeerIdentity): PeerRpc {
    return this.#rpc.rpcOf(broker, address, identity);
  }

  transportOf(broker: BrokerId, directory: ReplicaDirectory): PeerTransport {
    const port: Port = { directory, message: () => undefined, beat: () => undefined };
    this.#ports.set(broker, port);
    const deliver = (to: BrokerId | null, arrive: (there: Port) => void): void => {
      if (to === null) return;
      setImmediate(() => {
        const there = this.#ports.get(to);
        const open = !this.#rpc.cutOff.has(broker) && !this.#rpc.cutOff.has(to);
        // a process that is gone receives nothing, and nothing of it is on its way any more
        if (open && there !== undefined && this.#ports.get(broker) === port) arrive(there);
      });
    };
    return {
      send: (group, message) => {
        deliver(directory.brokerOf(message.to), (there) => {
          there.directory.teach(message.from, broker);
          there.message(group, message);
        });
      },
      onMessage: (receive) => {
        port.message = receive;
      },
      sendBeat: (to, frame) => {
        deliver(to, (there) => {
          there.beat(broker, frame);
        });
      },
      onBeat: (receive) => {
        port.beat = receive;
      },
    };
  }

  /** The process ended. */
  gone(broker: BrokerId): void {
    this.#ports.delete(broker);
  }
}
