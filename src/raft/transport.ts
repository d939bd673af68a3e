/** The port to the replicas on other brokers. Best effort: Raft repeats what is lost. */
import type { BrokerId, GroupNumber, ReplicaId, Term } from '../model/ids.ts';
import type { BeatFrame } from './beat-frame.ts';
import type { Message } from './core/messages.ts';
import type { Standing } from './standing.ts';

/**
 * Each pair of brokers has two connections (design D3): what carries the log or a snapshot, and what keeps leaders alive
 * and elects them, so that the latter never waits behind the former (P51, P76).
 */
export type Channel = 'bulk' | 'beat';

/** The channel on which a message travels; beat frames travel on `beat`. */
export function channelOf(message: Message): Channel {
  switch (message.kind) {
    case 'append-request':
    case 'append-reply':
    case 'snapshot-chunk':
    case 'snapshot-reply':
      return 'bulk';
    case 'vote-request':
    case 'vote-reply':
    case 'heartbeat-request':
    case 'heartbeat-reply':
    case 'timeout-now':
      return 'beat';
  }
}

/** A leader has sent entries that this version can not read: the replica can not follow it (design D7). */
export interface NewerEntry {
  readonly group: GroupNumber;
  readonly from: ReplicaId;
  readonly to: ReplicaId;
  /** The leader's. */
  readonly term: Term;
  /** One sentence for people: which entry, and what about it is unknown. */
  readonly what: string;
}

export interface PeerTransport {
  /**
   * Sends to the replica `message.to` of the group, on `channelOf(message)`. Never throws and never waits; drops, and
   * counts, what it can not send or has no room for.
   */
  send(group: GroupNumber, message: Message): void;
  /** Called by the host once, before the first group starts. */
  onMessage(receive: (group: GroupNumber, message: Message) => void): void;
  /** Called by the host once, before the first group starts. Absent where all brokers are of one version. */
  onNewerEntry?(receive: (newer: NewerEntry) => void): void;
  /** Sends a frame to a broker, on the beat channel; the rules are those of `send`. */
  sendBeat(to: BrokerId, frame: BeatFrame): void;
  /** Called by the host once, before the first group starts. `from`: the broker at the other end of the connection. */
  onBeat(receive: (from: BrokerId, frame: BeatFrame) => void): void;
  /**
   * Called by the host once, before the first group starts. Tells, in a later turn, that a part of the log that was sent to
   * a replica was dropped, or was on a connection that broke. A transport that can not tell leaves it to Raft's time-outs.
   */
  onUnreachable?(receive: (group: GroupNumber, replica: ReplicaId) => void): void;
  /**
   * Called by the host once, before the first group starts. Tells that the last connection broke on which a broker is
   * heard; what came on its connections before was received before. Told again when another one of its connections
   * breaks. A transport that can not tell leaves it to the election time-outs.
   */
  onSilent?(receive: (from: BrokerId) => void): void;
  /**
   * A broker is silent although it should be heard, and no connection with it broke: whoever waits for its answers is told
   * that none will come. A transport on which nobody waits has nothing to do.
   */
  giveUp?(broker: BrokerId): void;
  /** What the other brokers think of this one. Absent where nobody remembers brokers: then nothing waits for it. */
  readonly standing?: Standing;
}

/** Who holds which replica. Replica ids are never reused, so an answer never changes once there is one (design D4). */
export interface PeerDirectory {
  /** Null: not known yet, ask again later. */
  brokerOf(replica: ReplicaId): BrokerId | null;
  /** UUID of the data directory that the replica is bound to; null: not known. */
  incarnationOf(replica: ReplicaId): string | null;
}

/** For a broker without peers: every group has one voter, so there is nobody to send to. */
export class NoPeers implements PeerTransport, PeerDirectory {
  /** Messages that were addressed to somebody all the same. */
  dropped = 0;

  send(): void {
    this.dropped++;
  }

  onMessage(): void {
    // nobody will ever send
  }

  sendBeat(): void {
    this.dropped++;
  }

  onBeat(): void {
    // nobody will ever send
  }

  brokerOf(): null {
    return null;
  }

  incarnationOf(): null {
    return null;
  }
}
