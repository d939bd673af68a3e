/**
 * Reads partitions continuously and holds what came until somebody takes it. Knows positions, streams and credits; what
 * the bytes mean is chunk-reader.ts's business, and who may read what the consumer's.
 *
 * Invariants:
 * - fetch-1: the bytes held and the credit left at a broker together are at most `prefetchBytes` (and one batch, which a
 *   broker sends whole): a slow reader stops the broker, not the process's memory.
 * - fetch-2: a cursor's position is the offset after the last byte held for it, so a lost stream is resumed without
 *   losing or repeating anything.
 * - fetch-3: only the leader of a partition sends its reader to a replica in the client's rack, and whatever that replica
 *   can not serve is asked of the leader before anybody hears of it: a follower may know less.
 */
import { backoffMs } from './backoff.ts';
import type { Brokers } from './brokers.ts';
import { fromDetail } from './decode-error.ts';
import { isAway, knowsNoLeader } from './errors.ts';
import type { BrokerError } from './errors.ts';
import { FetchSession } from './fetch-session.ts';
import type { FetchedPartition, FetchStreamResponse, ReplicaHint } from './gen/sluice/v1/log.ts';
import { toInt64, toNumber, toNumberOrNull } from './int64.ts';

export interface FetchSettings {
  /** Bytes that are read ahead from each broker, range 2 MiB to 64 MiB. */
  readonly prefetchBytes: number;
  /** Limit of one message, range 1 to 4 MiB. */
  readonly messageBytesMax: number;
}

/** Whole batches of one partition, as they came. */
export interface Chunk {
  readonly cursor: Cursor;
  readonly bytes: Uint8Array;
  /** Records below it are not wanted: a broker sends whole batches. */
  readonly fromOffset: number;
  /** Offset after its last record. */
  readonly nextOffset: number;
  readonly highWatermark: number;
  readonly leaderEpoch: number | null;
  /** Bytes of credit to give back, and to which session's successor. */
  readonly credit: number;
  readonly slot: string;
  /** The cursor's when it came; another now means that the chunk is not wanted any more. */
  readonly generation: number;
}

/** Where a partition is read. */
export interface Cursor {
  readonly topic: string;
  /** Undefined: by name alone. */
  readonly topicId: string | undefined;
  readonly partition: number;
  /** Next offset to ask the broker for. */
  position: number;
  paused: boolean;
  /** Not read before; monotonic milliseconds. Infinity: until the owner decides. */
  notBeforeMs: number;
  /** Failures in a row. */
  failures: number;
  /** Rises when what is held of it becomes unwanted. */
  generation: number;
  /** Received and not taken, oldest first. */
  chunks: Chunk[];
  /** What is held of it is not to be taken now. */
  heldBack: boolean;
  /** Where it is read, as the leader said, and how long that is believed; null: at the leader. See fetch-3. */
  near: { readonly address: string; readonly untilMs: number } | null;
  /** It is read at the leader until then, whatever rack the client is in; 0: the leader may name a replica. */
  leaderUntilMs: number;
}

export interface FetcherEvents {
  /** There is something to take. */
  readonly available: () => void;
  /** The partition can not be read at its position; it waits until it is sought elsewhere or removed. */
  readonly outOfRange: (cursor: Cursor, error: BrokerError) => void;
  /** Reading on makes no sense. */
  readonly failed: (error: BrokerError) => void;
}

export const partitionKey = (topic: string, partition: number): string => `${topic}/${partition}`;

interface OpenSession {
  readonly session: FetchSession;
  /** Its name among the sessions. */
  readonly slot: string;
  /** Its share of `prefetchBytes`. */
  readonly prefetchBytes: number;
  /** By partition key. A cursor whose partition had an error is taken out: the broker does not read it on. */
  readonly cursors: Map<string, Cursor>;
  readonly openedMs: number;
}

/** Partitions on one stream (the contract's limit). */
const partitionsPerStreamMax = 1_000;
/** How long a partition is read at a replica near by before its leader is asked again which one to read. */
const nearMs = 300_000;
/** How long its leader serves it after a replica near by could not. */
const leaderMs = 10_000;
/** A session that lived this long was a good one: the next failure is the first again. */
const goodSessionMs = 5_000;

export class Fetcher {
  readonly #brokers: Brokers;
  readonly #settings: FetchSettings;
  readonly #events: FetcherEvents;
  readonly #cursors = new Map<string, Cursor>();
  /** By slot: a broker's address and a number, as a broker with many partitions needs more than one stream. */
  readonly #sessions = new Map<string, OpenSession>();
  /** Cursors with chunks that may be taken; each gives one in its turn. Invariant: fetch-1. */
  readonly #ready = new Set<Cursor>();
  /** Bytes taken or held and not given back, by slot. */
  readonly #held = new Map<string, number>();
  #sessionFailures = 0;
  #arranging = false;
  #timer: { cancel(): void } | null = null;
  readonly #endListening: () => void;
  #closed = false;

  constructor(brokers: Brokers, settings: FetchSettings, events: FetcherEvents) {
    this.#brokers = brokers;
    this.#settings = settings;
    this.#events = events;
    this.#endListening = brokers.onMoved(() => this.#arrangeSoon());
  }

  /** Reads the partition from `position` on. */
  add(topic: string, topicId: string | undefined, partition: number, position: number): Cursor {
    const state = { paused: false, notBeforeMs: 0, failures: 0, generation: 0, chunks: [], heldBack: false };
    const where = { near: null, leaderUntilMs: 0 };
    const cursor: Cursor = { topic, topicId, partition, position, ...state, ...where };
    this.#cursors.set(partitionKey(topic, partition), cursor);
    this.#arrangeSoon();
    return cursor;
  }

  /** Forgets the partition and what is held of it. */
  remove(topic: string, partition: number): void {
    const key = partitionKey(topic, partition);
    const cursor = this.#cursors.get(key);
    if (cursor === undefined) return;
    this.#cursors.delete(key);
    this.#discard(cursor);
    this.#arrangeSoon();
  }

  /** Reads on from `position`, whatever was read before. */
  seek(cursor: Cursor, position: number): void {
    this.#discard(cursor);
    cursor.position = position;
    cursor.notBeforeMs = 0;
    this.#arrangeSoon(cursor);
  }

  /** Stops reading; what is held is given up, so that it can not hold back the others. `position`: where to resume. */
  pause(cursor: Cursor, position: number): void {
    if (cursor.paused) return;
    cursor.paused = true;
    this.seek(cursor, position);
  }

  resume(cursor: Cursor): void {
    cursor.paused = false;
    this.#arrangeSoon();
  }

  /** The next chunk, which the taker gives back with `release`; null: nothing is there. */
  take(): Chunk | null {
    const [cursor] = this.#ready;
    if (cursor === undefined) return null;
    this.#ready.delete(cursor);
    const chunk = cursor.chunks.shift();
    if (cursor.chunks.length > 0) this.#ready.add(cursor);
    return chunk ?? null;
  }

  /** Takes nothing of the partition until `letGo`, though it is read on as far as there is room. */
  holdBack(cursor: Cursor): void {
    cursor.heldBack = true;
    this.#ready.delete(cursor);
  }

  letGo(cursor: Cursor): void {
    cursor.heldBack = false;
    if (cursor.chunks.length > 0) this.#ready.add(cursor);
  }

  /** The chunk's bytes are used: the broker may send as many again. */
  release(chunk: Chunk): void {
    this.#giveBack(chunk.slot, chunk.credit);
  }

  close(): void {
    this.#closed = true;
    this.#endListening();
    this.#timer?.cancel();
    for (const { session } of this.#sessions.values()) session.close();
    this.#sessions.clear();
    this.#cursors.clear();
    this.#ready.clear();
  }

  /** Makes what is held of a cursor unwanted, and takes it from its stream. */
  #discard(cursor: Cursor): void {
    cursor.generation += 1;
    const unwanted = cursor.chunks;
    cursor.chunks = [];
    this.#ready.delete(cursor);
    for (const chunk of unwanted) this.release(chunk);
  }

  /** `moved`: its stream reads at a wrong place and is opened again. */
  #arrangeSoon(moved?: Cursor): void {
    if (moved !== undefined) this.#detach(moved);
    if (this.#arranging || this.#closed) return;
    this.#arranging = true;
    queueMicrotask(() => {
      this.#arranging = false;
      if (!this.#closed) this.#arrange();
    });
  }

  #detach(cursor: Cursor): void {
    for (const { cursors } of this.#sessions.values()) {
      const key = partitionKey(cursor.topic, cursor.partition);
      if (cursors.get(key) === cursor) cursors.delete(key);
    }
  }

  /**
   * Opens and closes streams so that every readable cursor is on the stream of its leader, or of the replica that the leader
   * named, and nothing else is.
   */
  #arrange(): void {
    const nowMs = this.#brokers.environment.clock.monotonicMs();
    const wanted = new Map<string, Cursor[]>();
    let nextMs = Infinity;
    for (const cursor of this.#cursors.values()) {
      if (cursor.paused) continue;
      if (cursor.notBeforeMs > nowMs) {
        nextMs = Math.min(nextMs, cursor.notBeforeMs);
        continue;
      }
      this.#reconsider(cursor, nowMs);
      nextMs = Math.min(nextMs, cursor.near?.untilMs ?? Infinity, cursor.leaderUntilMs || Infinity);
      const address = cursor.near?.address ?? this.#brokers.leaderOf(cursor.topic, cursor.partition);
      const there = wanted.get(address);
      if (there === undefined) wanted.set(address, [cursor]);
      else there.push(cursor);
    }
    const plans = [...wanted].flatMap(([address, cursors]) => slotsOf(address, cursors));
    const slots = new Set(plans.map(({ slot }) => slot));
    for (const open of this.#sessions.values()) if (!slots.has(open.slot)) this.#end(open);
    for (const plan of plans) this.#ensure(plan, nowMs);
    this.#arrangeAt(nextMs, nowMs);
  }

  /** What was decided about where to read it holds for a while; then the leader is asked anew. */
  #reconsider(cursor: Cursor, nowMs: number): void {
    const { near, leaderUntilMs } = cursor;
    const isOver = (near !== null && near.untilMs <= nowMs) || (leaderUntilMs > 0 && leaderUntilMs <= nowMs);
    if (!isOver) return;
    cursor.near = null;
    cursor.leaderUntilMs = 0;
    this.#detach(cursor);
  }

  #arrangeAt(atMs: number, nowMs: number): void {
    this.#timer?.cancel();
    this.#timer = null;
    if (atMs === Infinity) return;
    this.#timer = this.#brokers.environment.clock.setTimer(Math.max(1, atMs - nowMs), () => this.#arrangeSoon());
  }

  #ensure({ address, slot, cursors, slots }: SlotPlan, nowMs: number): void {
    const open = this.#sessions.get(slot);
    if (open !== undefined) {
      const same =
        open.cursors.size === cursors.size && [...cursors].every(([key, cursor]) => open.cursors.get(key) === cursor);
      if (same) return;
      this.#end(open);
    }
    const session: FetchSession = new FetchSession(this.#brokers.at(address), {
      received: (message) => this.#received(opened, message),
      lost: (error) => this.#lost(opened, error),
    });
    const prefetchBytes = Math.floor(this.#settings.prefetchBytes / slots);
    const opened: OpenSession = { session, slot, prefetchBytes, cursors: new Map(cursors), openedMs: nowMs };
    this.#sessions.set(slot, opened);
    const partitions = [...cursors.values()].map((cursor) => ({
      topic: cursor.topic,
      topicId: cursor.topicId,
      partition: cursor.partition,
      fetchOffset: toInt64(cursor.position, 'offset'),
      rack: cursor.leaderUntilMs > 0 ? undefined : (this.#brokers.rack ?? undefined),
    }));
    const { messageBytesMax } = this.#settings;
    const grantBytes = Math.max(1, prefetchBytes - (this.#held.get(slot) ?? 0));
    session.open({ partitions, grantBytes, messageBytesMax }, this.#brokers.connectAttemptMs);
  }

  #end(open: OpenSession): void {
    open.session.close();
    this.#sessions.delete(open.slot);
  }

  #received(open: OpenSession, message: FetchStreamResponse): void {
    const { slot } = open;
    const sizes = message.partitions.map((part) => payloadOf(part).length);
    let spare = message.usedBytes - sizes.reduce((sum, size) => sum + size, 0);
    this.#held.set(slot, (this.#held.get(slot) ?? 0) + message.usedBytes);
    let came = false;
    this.#brokers.reached(open.session.address);
    for (const part of message.partitions) {
      const cursor = open.cursors.get(partitionKey(part.topic, part.partition));
      const bytes = payloadOf(part);
      if (cursor === undefined || bytes.length === 0) spare += bytes.length;
      else came = this.#hold(cursor, part, bytes, slot) || came;
      if (cursor !== undefined && part.error !== undefined) this.#partitionFailed(open, cursor, part);
      else if (cursor !== undefined && part.preferredReplica !== undefined)
        this.#readNear(open, cursor, part.preferredReplica);
    }
    if (spare > 0) this.#giveBack(slot, spare);
    if (came) this.#events.available();
  }

  #hold(cursor: Cursor, part: FetchedPartition, bytes: Uint8Array, slot: string): boolean {
    const nextOffset = toNumberOrNull(part.nextOffset) ?? cursor.position;
    if (part.leaderEpoch !== undefined) this.#brokers.noteEpoch(cursor.topic, cursor.partition, part.leaderEpoch);
    cursor.failures = 0;
    this.#sessionFailures = 0;
    cursor.chunks.push({
      cursor,
      bytes,
      fromOffset: cursor.position,
      nextOffset,
      highWatermark: part.highWatermark === undefined ? nextOffset : toNumber(part.highWatermark),
      leaderEpoch: part.leaderEpoch ?? null,
      credit: bytes.length,
      slot,
      generation: cursor.generation,
    });
    if (!cursor.heldBack) this.#ready.add(cursor);
    cursor.position = nextOffset;
    return true;
  }

  #partitionFailed(open: OpenSession, cursor: Cursor, part: FetchedPartition): void {
    const { topic, partition } = cursor;
    if (part.error === undefined) return;
    const error = fromDetail(part.error, { broker: open.session.address, topic, partition });
    open.cursors.delete(partitionKey(topic, partition));
    const wasNear = cursor.near?.address === open.session.address;
    if (error.leaderHint !== undefined) this.#brokers.learnLeader(topic, partition, error.leaderHint);
    else if (isAway(error)) this.#brokers.failed(open.session.address);
    else if (!wasNear && knowsNoLeader(error)) this.#brokers.notLeader(topic, partition, open.session.address);
    if (wasNear) {
      this.#readAtLeader(cursor);
      this.#arrangeSoon();
    } else if (error.retriable) {
      this.#delay(cursor, error);
      this.#arrangeSoon();
    } else if (error.code === 'OFFSET_OUT_OF_RANGE') {
      cursor.notBeforeMs = Infinity;
      this.#events.outOfRange(cursor, error);
    } else {
      cursor.notBeforeMs = Infinity;
      this.#events.failed(error);
    }
  }

  /** The leader says which replica is in the client's rack. */
  #readNear(open: OpenSession, cursor: Cursor, { address }: ReplicaHint): void {
    open.cursors.delete(partitionKey(cursor.topic, cursor.partition));
    const nowMs = this.#brokers.environment.clock.monotonicMs();
    // who names itself would do so again
    if (address === open.session.address) this.#readAtLeader(cursor);
    else cursor.near = { address, untilMs: nowMs + nearMs };
    this.#arrangeSoon();
  }

  /** A replica near by can not serve it (any more). */
  #readAtLeader(cursor: Cursor): void {
    cursor.near = null;
    cursor.leaderUntilMs = this.#brokers.environment.clock.monotonicMs() + leaderMs;
  }

  #delay(cursor: Cursor, error: BrokerError): void {
    const { environment, backoff } = this.#brokers;
    const waitMs = backoffMs(cursor.failures++, backoff, environment, error.retryAfterMs);
    cursor.notBeforeMs = environment.clock.monotonicMs() + waitMs;
  }

  #lost(open: OpenSession, error: BrokerError): void {
    const { address } = open.session;
    if (this.#sessions.get(open.slot) === open) this.#sessions.delete(open.slot);
    if (!error.retriable) {
      this.#events.failed(error);
      return;
    }
    if (isAway(error)) this.#brokers.failed(address);
    const { environment, backoff } = this.#brokers;
    const nowMs = environment.clock.monotonicMs();
    if (nowMs - open.openedMs > goodSessionMs) this.#sessionFailures = 0;
    const { retryAfterMs } = this.#brokers.forOthers(error);
    const waitMs = backoffMs(this.#sessionFailures++, backoff, environment, retryAfterMs);
    for (const cursor of open.cursors.values()) {
      // the way to the leader may be as good as ever
      if (cursor.near?.address === address) this.#readAtLeader(cursor);
      else cursor.notBeforeMs = Math.max(cursor.notBeforeMs, nowMs + waitMs);
    }
    this.#arrangeSoon();
  }

  #giveBack(slot: string, bytes: number): void {
    const held = Math.max(0, (this.#held.get(slot) ?? 0) - bytes);
    this.#held.set(slot, held);
    const open = this.#sessions.get(slot);
    // Grants are gathered, but never so long that a broker could wait for one while nothing is held here.
    open?.session.grant(bytes, held === 0 ? 1 : open.prefetchBytes / 4);
  }
}

/** What one stream shall read. */
interface SlotPlan {
  readonly address: string;
  readonly slot: string;
  readonly cursors: ReadonlyMap<string, Cursor>;
  /** How many streams its broker has. */
  readonly slots: number;
}

function slotsOf(address: string, cursors: readonly Cursor[]): SlotPlan[] {
  const slots = Math.ceil(cursors.length / partitionsPerStreamMax);
  return Array.from({ length: slots }, (_, number) => {
    const from = number * partitionsPerStreamMax;
    const slice = cursors.slice(from, from + partitionsPerStreamMax);
    const keyed = new Map(slice.map((cursor) => [partitionKey(cursor.topic, cursor.partition), cursor]));
    return { address, slot: `${address}#${number}`, cursors: keyed, slots };
  });
}

const nothing = new Uint8Array(0);

const payloadOf = (part: FetchedPartition): Uint8Array =>
  part.payload?.$case === 'recordBatches' ? part.payload.value : nothing;
