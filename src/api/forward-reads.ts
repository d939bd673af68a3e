/**
 * Reads of partitions that have no replica here, from a broker that has one. A read changes nothing, so an answer that
 * never came is a refusal, and the reader asks again.
 */
import type {
  FetchAnswer,
  FetchCursor,
  FetchedPartition,
  FetchPartitionRequest,
  FetchRequest,
  PartitionRef,
  ReadRoom,
  RequestContext,
} from '../broker/requests.ts';
import { must } from '../model/assert.ts';
import type { Clock } from '../model/clock.ts';
import type { BrokerError, Result } from '../model/errors.ts';
import { ok } from '../model/errors.ts';
import type { BrokerId, Offset } from '../model/ids.ts';
import { millisPlus } from '../model/ids.ts';
import { partitionKey } from './fetch.ts';
import { fromFetchResponse } from './forward-answers.ts';
import { forwardCall } from './forward-calls.ts';
import type { ForwardLimits } from './forward-limits.ts';
import { forwardedMethods } from './forward-methods.ts';
import type { ForwardPeers } from './forward-port.ts';
import { toFetchRequest } from './forward-requests.ts';

export interface ForwardReadsDeps {
  /** An error of a partition, from the broker that was asked or from the way there: it may teach where to go next time. */
  readonly told: (tenant: number, ref: PartitionRef, asked: BrokerId, error: BrokerError) => void;
  readonly peers: ForwardPeers;
  readonly clock: Clock;
  readonly limits: ForwardLimits;
}

/** Partitions by the broker to ask; null: this one. */
export type ByBroker<Item> = ReadonlyMap<BrokerId | null, readonly Item[]>;

export function byBroker<Item>(items: readonly Item[], routeOf: (item: Item) => BrokerId | null): ByBroker<Item> {
  const groups = new Map<BrokerId | null, Item[]>();
  for (const item of items) {
    const to = routeOf(item);
    const group = groups.get(to);
    if (group === undefined) groups.set(to, [item]);
    else group.push(item);
  }
  return groups;
}

/** One fetch from another broker; what went wrong with the way there becomes the answer for each partition. */
export async function fetchFrom(
  deps: ForwardReadsDeps,
  to: BrokerId,
  request: FetchRequest,
  context: RequestContext,
): Promise<FetchAnswer> {
  const waitMsMax = Math.min(request.waitMsMax, deps.limits.readWaitMsMax);
  const deadlineMs = millisPlus(deps.clock.monotonicMs(), waitMsMax + deps.limits.graceMs);
  const limited = { ...context, deadlineMs: deadlineMs < context.deadlineMs ? deadlineMs : context.deadlineMs };
  const wire = toFetchRequest({ ...request, waitMsMax });
  const answer = await forwardCall(deps, to, forwardedMethods.fetch, wire, limited);
  const fetched =
    answer.kind === 'ok'
      ? fromFetchResponse(answer.value)
      : { partitions: request.partitions.map((each) => failed(each, answer.error)), catalogRevision: 0 };
  for (const { topic, topicId, partition, error } of fetched.partitions) {
    const ref = { topic, topicId: topicId === '' ? null : topicId, partition };
    if (error !== null) deps.told(context.tenant, ref, to, error);
  }
  return fetched;
}

function failed(request: FetchPartitionRequest, error: BrokerError): FetchedPartition {
  const hidden = { highWatermark: null, logStart: null, leaderEpoch: null, batches: [], nextOffset: null };
  return { topic: request.topic, topicId: request.topicId ?? '', partition: request.partition, error, ...hidden };
}

const tells = ({ error, batches, preferred }: FetchedPartition): boolean =>
  error !== null || batches.length > 0 || preferred !== undefined;

/**
 * A fetch of partitions on several brokers. Each gets an equal part of the bytes. Everybody looks at once; if nobody has
 * anything, everybody waits, and the first that has something ends the wait.
 */
export async function fetchFromMany(
  request: FetchRequest,
  groups: ByBroker<FetchPartitionRequest>,
  ask: (to: BrokerId | null, request: FetchRequest) => Promise<Result<FetchAnswer>>,
): Promise<Result<FetchAnswer>> {
  const bytesMax = Math.max(1, Math.floor(request.bytesMax / groups.size));
  const parts = [...groups].map(([to, partitions]) => ({ to, part: { ...request, partitions, bytesMax } }));
  const looks = await Promise.all(parts.map(({ to, part }) => ask(to, { ...part, waitMsMax: 0 })));
  const seen = merged(looks);
  if (seen.kind === 'refused' || seen.value.partitions.some(tells) || request.waitMsMax === 0) return seen;
  const waits = parts.map(({ to, part }) => ask(to, part));
  const first = await firstThatTells(waits);
  return first === null ? seen : first;
}

function merged(answers: readonly Result<FetchAnswer>[]): Result<FetchAnswer> {
  const partitions: FetchedPartition[] = [];
  let catalogRevision = 0;
  for (const answer of answers) {
    if (answer.kind === 'refused') return answer;
    partitions.push(...answer.value.partitions);
    catalogRevision = Math.max(catalogRevision, answer.value.catalogRevision);
  }
  const telling = partitions.filter(tells);
  return ok({ partitions: telling.length === 0 ? partitions : telling, catalogRevision });
}

/** The first answer with data, an error or a refusal; null: all came without. */
function firstThatTells(waits: readonly Promise<Result<FetchAnswer>>[]): Promise<Result<FetchAnswer> | null> {
  return new Promise((resolve, reject) => {
    let open = waits.length;
    const take = (answer: Result<FetchAnswer>): void => {
      open--;
      if (answer.kind === 'refused' || answer.value.partitions.some(tells)) resolve(answer);
      else if (open === 0) resolve(null);
    };
    for (const wait of waits) wait.then(take, reject);
  });
}

/** What a broker is asked for, again and again. */
interface Remote {
  readonly to: BrokerId;
  /** Where each partition is read on, by its key; an ended one is gone. */
  readonly open: Map<string, FetchPartitionRequest>;
}

/**
 * A cursor over partitions here and elsewhere. At most one answer per broker is held back.
 *
 * Invariant forward-4: a partition that was answered with an error, or with another place to be read at, is not read on
 * (fetch-stream-3).
 */
export class ForwardedCursor implements FetchCursor {
  readonly #deps: ForwardReadsDeps;
  readonly #local: FetchCursor | null;
  readonly #remotes: readonly Remote[];
  readonly #context: RequestContext;
  /** What is asked and not given out yet; null stands for the local cursor. */
  readonly #asked = new Map<Remote | null, Promise<Outcome>>();
  #localOver: boolean;
  #closed = false;

  constructor(
    local: FetchCursor | null,
    remotes: ReadonlyMap<BrokerId, readonly FetchPartitionRequest[]>,
    context: RequestContext,
    deps: ForwardReadsDeps,
  ) {
    this.#deps = deps;
    this.#local = local;
    this.#localOver = local === null;
    this.#context = context;
    this.#remotes = [...remotes].map(([to, partitions]) => ({
      to,
      open: new Map(partitions.map((each) => [partitionKey(each), each])),
    }));
  }

  async next(bytesMax: number, room?: ReadRoom): Promise<FetchAnswer | null> {
    for (;;) {
      if (this.#closed || this.#context.signal.aborted) return null;
      this.#ask(bytesMax, room);
      if (this.#asked.size === 0) return null;
      const { from, answer } = await Promise.race(this.#asked.values());
      this.#asked.delete(from);
      if (from === null && answer === null) this.#localOver = true;
      if (answer === null) continue;
      const telling = from === null ? answer : this.#move(from, answer);
      if (telling.partitions.length > 0) return telling;
    }
  }

  close(): void {
    this.#closed = true;
    this.#local?.close();
  }

  #ask(bytesMax: number, room: ReadRoom | undefined): void {
    if (this.#local !== null && !this.#localOver && !this.#asked.has(null)) {
      this.#asked.set(
        null,
        this.#local.next(bytesMax, room).then((answer) => ({ from: null, answer })),
      );
    }
    for (const remote of this.#remotes) {
      if (this.#asked.has(remote) || remote.open.size === 0) continue;
      this.#asked.set(remote, this.#fetch(remote, bytesMax));
    }
  }

  async #fetch(remote: Remote, bytesMax: number): Promise<Outcome> {
    const { readWaitMsMax } = this.#deps.limits;
    // in turn: whoever was read last comes last
    const partitions = [...remote.open.values()].map((each) => ({
      ...each,
      bytesMax: Math.min(each.bytesMax, bytesMax),
    }));
    const request = { partitions, waitMsMax: readWaitMsMax, bytesMin: 1, bytesMax };
    return { from: remote, answer: await fetchFrom(this.#deps, remote.to, request, this.#context) };
  }

  /** Moves on where something was read; keeps what tells something. */
  #move(remote: Remote, answer: FetchAnswer): FetchAnswer {
    const partitions = answer.partitions.filter(tells);
    for (const fetched of partitions) {
      const key = partitionKey(fetched);
      const request = remote.open.get(key);
      if (request === undefined) continue;
      remote.open.delete(key);
      if (fetched.error !== null || fetched.preferred !== undefined) continue;
      const fetchOffset: Offset = must(fetched.nextOffset, 'an answer without an error says where to go on');
      remote.open.set(key, { ...request, fetchOffset });
    }
    return { partitions, catalogRevision: answer.catalogRevision };
  }
}

interface Outcome {
  readonly from: Remote | null;
  readonly answer: FetchAnswer | null;
}
