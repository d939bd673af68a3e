/** The port to the replicas on other brokers. Best effort: Raft repeats what is lost. */
import type { GroupNumber } from '../model/ids.ts';
import type { Message } from './core/messages.ts';

export interface PeerTransport {
  /**
   * Sends to the replica `message.to` of the group. Never throws and never waits; drops, and counts, what it can not
   * send or has no room for.
   */
  send(group: GroupNumber, message: Message): void;
  /** Called by the host once, before the first group starts. */
  onMessage(receive: (group: GroupNumber, message: Message) => void): void;
}

/** For a broker without peers: every group has one voter, so there is nobody to send to. */
export class NoPeers implements PeerTransport {
  /** Messages that were addressed to somebody all the same. */
  dropped = 0;

  send(): void {
    this.dropped++;
  }

  onMessage(): void {
    // nobody will ever send
  }
}
