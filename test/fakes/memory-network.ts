/**
 * Connects hosts in one process: messages and frames arrive in a later turn, in order, unless the test cuts a host off or
 * loses them. A broker is named by the first replica that it holds. What brokers think of each other is up to the test.
 */
import type { BrokerId, GroupNumber, ReplicaId } from '../../src/model/ids.ts';
import { toBrokerId } from '../../src/model/ids.ts';
import type { BeatFrame } from '../../src/raft/beat-frame.ts';
import type { Message } from '../../src/raft/core/messages.ts';
import type { Refusal } from '../../src/raft/peer-admission.ts';
import { condemnationOf, StandingRecord } from '../../src/raft/standing.ts';
import type { NewerEntry, PeerDirectory, PeerTransport } from '../../src/raft/transport.ts';

type Receive = (group: GroupNumber, message: Message) => void;
type ReceiveBeat = (from: BrokerId, frame: BeatFrame) => void;

export class MemoryNetwork {
  readonly #receivers = new Map<number, Receive>();
  /** By broker; a test may deliver by itself what it kept on its way. */
  readonly beatReceivers = new Map<number, ReceiveBeat>();
  /** By replica: a test tells a host of entries that it can not read. */
  readonly newerReceivers = new Map<number, (newer: NewerEntry) => void>();
  readonly #silentReceivers = new Map<number, (from: BrokerId) => void>();
  readonly #brokers = new Map<number, BrokerId>();
  /** By broker, if brokers judge each other. */
  readonly standings = new Map<number, StandingRecord>();
  /** UUIDs of the data directories of brokers; absent: `first`. */
  readonly disks = new Map<number, string>();
  /** UUIDs of the data directories that replicas are bound to; absent: nobody knows. */
  readonly bound = new Map<number, string>();
  /** Replicas that nothing reaches and that reach nobody. */
  readonly cutOff = new Set<number>();
  /** "who gave up whom", by broker. */
  readonly givenUp: string[] = [];
  sent = 0;
  beatsSent = 0;
  /** Which messages get lost; a test may change it. */
  loses: (message: Message) => boolean = () => false;
  /** What arrives in place of a message; a test may change it. */
  alters: (message: Message) => Message = (message) => message;
  /** Which frames get lost; a test may change it. */
  losesBeat: (from: number, to: number, frame: BeatFrame) => boolean = () => false;

  /**
   * What broker `by` says to a new process of broker `of` that asks; undefined: nothing. Null: nobody is ever asked. Looked
   * at when a transport is made and whenever somebody asks.
   */
  judges: ((of: number, by: number) => 'welcome' | Refusal | undefined) | null = null;

  /** The transport of the broker that holds the replicas `replicas`, which knows where everybody's are. */
  transportOf(...replicas: readonly number[]): PeerTransport & PeerDirectory {
    const broker = toBrokerId(replicas[0] ?? 0);
    for (const replica of replicas) this.#brokers.set(replica, broker);
    return {
      send: (group, message) => {
        this.sent++;
        if (this.cutOff.has(message.from) || this.cutOff.has(message.to) || this.loses(message)) return;
        setImmediate(() => this.#receivers.get(message.to)?.(group, this.alters(message)));
      },
      onMessage: (receive) => {
        for (const replica of replicas) this.#receivers.set(replica, receive);
      },
      sendBeat: (to, frame) => {
        this.beatsSent++;
        if (this.cutOff.has(broker) || this.cutOff.has(to) || this.losesBeat(broker, to, frame)) return;
        setImmediate(() => this.beatReceivers.get(to)?.(broker, frame));
      },
      onNewerEntry: (receive) => {
        for (const replica of replicas) this.newerReceivers.set(replica, receive);
      },
      onBeat: (receive) => {
        this.beatReceivers.set(broker, receive);
      },
      onSilent: (receive) => {
        this.#silentReceivers.set(broker, receive);
      },
      giveUp: (other) => {
        this.givenUp.push(`${broker} ${other}`);
      },
      brokerOf: (replica: ReplicaId) => this.brokerOf(replica),
      incarnationOf: (replica: ReplicaId) => this.bound.get(replica) ?? null,
      ...(this.judges === null ? {} : { standing: this.#standingOf(broker) }),
    };
  }

  /** Tells everybody that the connections broke on which broker `from` is heard. */
  reset(from: number): void {
    for (const [broker, receive] of this.#silentReceivers) if (broker !== from) receive(toBrokerId(from));
  }

  brokerOf(replica: ReplicaId): BrokerId | null {
    return this.#brokers.get(replica) ?? null;
  }

  #standingOf(broker: BrokerId): StandingRecord {
    const standing = new StandingRecord((by) => {
      setImmediate(() => {
        if (this.cutOff.has(broker) || this.cutOff.has(by) || !this.beatReceivers.has(by)) return;
        const judgement = this.judges?.(broker, by);
        if (judgement === 'welcome') standing.welcomed(by, this.disks.get(by) ?? 'first');
        else if (judgement !== undefined) {
          const condemnation = condemnationOf(by, judgement);
          if (condemnation !== null) standing.condemned(condemnation);
        }
      });
    });
    this.standings.set(broker, standing);
    return standing;
  }
}
