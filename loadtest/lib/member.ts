/**
 * A member of a consumer group, as the client library is one, but with one thread of thought: whoever runs it calls `tend`
 * between its fetches, at least every second or so.
 */
import grpc from 'k6/net/grpc';
import { pathOf } from '../plans/methods.ts';
import { call, clientOf, countPartialFailure } from './brokers.ts';
import type { TopicPartitions } from './messages.ts';
import type { Outcome } from './outcome.ts';
import { refusalOf } from './outcome.ts';
import { pause } from './pause.ts';
import type { RunTopic } from './run-topic.ts';
import { group, groupTags, settings, topic } from './settings.ts';

/** How long to wait before a stream that ended is opened again, milliseconds. */
const listenAgainMs = 1_000;
/** How long a member asks again what was refused for now, and how often; milliseconds. */
const insistMsMax = 15_000;
const insistEveryMs = 200;
/** What tells that somebody else has the member's place, or nobody: it has no partitions any more. */
export const memberGone: readonly string[] = ['FENCED_MEMBER_EPOCH', 'UNKNOWN_MEMBER_ID', 'GROUP_ID_NOT_FOUND'];

interface Identity {
  readonly group: string;
  readonly memberId: string;
  readonly memberEpoch: number;
}

export class Member {
  /** Partition to the offset of the next record to read. What the member owns is what is in it. */
  readonly positions = new Map<number, number>();
  private readonly broker: number;
  private identity: Identity | null = null;
  private heartbeatMs = 5_000;
  private nextBeatMs = 0;
  private commits = 0;
  private readonly brokers: ReadonlyMap<number, number>;
  private stream: grpc.Stream | null = null;
  private nextListenMs = 0;

  /** @param broker the one that it talks to, by its place in the list */
  constructor(broker: number, { brokers }: RunTopic) {
    this.broker = broker % settings.brokers.length;
    this.brokers = new Map(brokers);
  }

  /** False: refused. */
  async join(clientId: string): Promise<boolean> {
    // each attempt is the same join: an answer that was lost makes no second member
    const request = { group, topics: [topic], clientId, joinId: randomUuid() };
    const outcome = await insist(() => call(this.broker, 'JoinGroup', request, { tags: groupTags }));
    if (outcome.kind === 'refused') return false;
    const { memberId, memberEpoch, assignment, heartbeatIntervalMs } = outcome.message;
    this.identity = { group, memberId, memberEpoch };
    this.scheduled(Number(heartbeatIntervalMs));
    await this.take(assignment);
    await this.listen();
    return true;
  }

  /** Sends a heartbeat if one is due, and takes what it brings. */
  async tend(): Promise<void> {
    // each new assignment is confirmed with another heartbeat at once
    while (this.identity !== null && Date.now() >= this.nextBeatMs) await this.beat();
    if (this.stream === null && Date.now() >= this.nextListenMs) await this.listen();
  }

  /** Stores the positions. Those that read them next are the partitions' next owners. */
  async commit(): Promise<void> {
    const { identity, positions } = this;
    if (identity === null || positions.size === 0) return;
    const offsets = [...positions].map(([partition, offset]) => ({ topic, partition, offset: String(offset) }));
    const request = { ...identity, sequence: String(++this.commits), offsets };
    const outcome = await call(this.broker, 'Commit', request, { tags: groupTags });
    if (outcome.kind === 'refused') return;
    for (const { error } of outcome.message.partitions) {
      if (error !== undefined) countPartialFailure('Commit', refusalOf(error));
    }
  }

  async leave(): Promise<void> {
    const { identity } = this;
    this.positions.clear();
    this.identity = null;
    if (identity !== null) await call(this.broker, 'LeaveGroup', identity, { tags: groupTags });
    this.stream?.end();
    this.stream = null;
  }

  /** Commits as a member that has left: a broker that keeps its promise refuses. Returns what it said. */
  static async commitAfterwards(broker: number, identity: Identity): Promise<Outcome<unknown>> {
    const offsets = [{ topic, partition: 0, offset: '0' }];
    const request = { ...identity, sequence: '1000000', offsets };
    return call(broker % settings.brokers.length, 'Commit', request, { tags: groupTags, expected: memberGone });
  }

  /** Null: it is no member. */
  get current(): Identity | null {
    return this.identity;
  }

  private async beat(): Promise<void> {
    const { identity } = this;
    if (identity === null) return;
    this.scheduled(this.heartbeatMs);
    const partitions = [...this.positions.keys()].sort((a, b) => a - b);
    const owned = partitions.length === 0 ? [] : [{ topic, partitions }];
    const outcome = await call(this.broker, 'Heartbeat', { ...identity, owned }, { tags: groupTags });
    if (outcome.kind === 'refused') {
      if (memberGone.includes(outcome.code)) this.lost();
      return;
    }
    const { memberEpoch, assignment, heartbeatIntervalMs } = outcome.message;
    this.identity = { ...identity, memberEpoch };
    this.scheduled(Number(heartbeatIntervalMs));
    if (assignment === undefined) return;
    await this.take(assignment.partitions);
    this.nextBeatMs = 0;
  }

  private scheduled(heartbeatMs: number): void {
    this.heartbeatMs = heartbeatMs;
    this.nextBeatMs = Date.now() + heartbeatMs;
  }

  private lost(): void {
    this.identity = null;
    this.positions.clear();
    this.stream?.end();
    this.stream = null;
  }

  /** What goes was committed when it was read; what comes is read on from where it was committed. */
  private async take(target: readonly TopicPartitions[]): Promise<void> {
    const wanted = target.flatMap(({ partitions }) => partitions);
    for (const partition of this.positions.keys()) if (!wanted.includes(partition)) this.positions.delete(partition);
    const fresh = wanted.filter((partition) => !this.positions.has(partition));
    if (fresh.length === 0) return;
    const partitions = [{ topic, partitions: fresh }];
    const request = { group, partitions };
    const outcome = await insist(() => call(this.broker, 'FetchCommitted', request, { tags: groupTags }));
    if (outcome.kind === 'refused') throw new Error(`FetchCommitted: ${outcome.code}: ${outcome.text}`);
    for (const { partition, offset = '0' } of outcome.message.offsets) this.positions.set(partition, Number(offset));
  }

  /**
   * Hears from the coordinator when a heartbeat is wanted; without that it comes as its interval says. Only the coordinator
   * serves the stream, and k6 does not decode the detail in which another broker would say where it is.
   */
  private async listen(): Promise<void> {
    this.nextListenMs = Date.now() + listenAgainMs;
    const outcome = await call(this.broker, 'DescribeGroup', { group }, { tags: groupTags });
    const { identity } = this;
    if (outcome.kind === 'refused' || identity === null) return;
    const coordinator = this.brokers.get(outcome.message.coordinator);
    if (coordinator === undefined) return;
    const stream = streamTo(coordinator);
    if (stream === null) return;
    this.stream = stream;
    stream.on('data', (message) => {
      if ((message as { heartbeatNow?: boolean } | undefined)?.heartbeatNow === true) this.nextBeatMs = 0;
    });
    const over = (): void => {
      if (this.stream === stream) this.stream = null;
    };
    stream.on('error', over);
    stream.on('end', over);
    stream.write(identity);
  }
}

/** Asks again while the answer may change, for a while. Each refusal is counted all the same. */
async function insist<Message>(ask: () => Promise<Outcome<Message>>): Promise<Outcome<Message>> {
  const untilMs = Date.now() + insistMsMax;
  for (;;) {
    const outcome = await ask();
    if (outcome.kind === 'answered' || !outcome.retriable || Date.now() >= untilMs) return outcome;
    await pause(insistEveryMs);
  }
}

/** A UUID of version 4 as far as it looks like one: k6's chance is good enough to tell joins apart. */
function randomUuid(): string {
  return 'xxxxxxxx-xxxx-4xxx-8xxx-xxxxxxxxxxxx'.replace(/x/g, () => Math.floor(Math.random() * 16).toString(16));
}

/** Null: the broker can not be reached now. */
function streamTo(broker: number): grpc.Stream | null {
  try {
    return new grpc.Stream(clientOf(broker), pathOf('Membership'), { tags: groupTags });
  } catch {
    return null;
  }
}
