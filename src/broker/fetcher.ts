/** Fetches from many partitions at once and waits for data where there is none (semantics O6). */
import type { Clock } from '../model/clock.ts';
import type { Millis } from '../model/ids.ts';
import { millisPlus } from '../model/ids.ts';
import { must } from '../model/assert.ts';
import type { Refused, Result } from '../model/errors.ts';
import { refuse } from '../model/errors.ts';
import type { FetchWaiters, Watched } from './fetch-waiters.ts';
import type { BrokerObserver } from './observer.ts';
import type { Read } from './partition-reader.ts';
import { readPartition } from './partition-reader.ts';
import type { ReplicaPlace } from './replica-place.ts';
import type {
  BrokerAddress,
  FetchedPartition,
  FetchPartitionRequest,
  FetchRequest,
  RequestContext,
} from './requests.ts';
import type { Located, TopicDirectory } from './topic-directory.ts';

/** One partition of a request, or why it can not be read. */
export interface FetchTarget {
  readonly request: FetchPartitionRequest;
  readonly place: Result<Located>;
}

/** One look at all partitions. */
interface Pass {
  readonly answers: readonly FetchedPartition[];
  readonly watched: readonly Watched[];
  readonly bytes: number;
  /** Something is to be told at once: an error, or that a partition is to be read elsewhere. */
  readonly failed: boolean;
}

export class Fetcher {
  readonly #clock: Clock;
  readonly #directory: TopicDirectory;
  readonly #waiters: FetchWaiters;
  readonly #observer: BrokerObserver;
  /** Where the next fetch begins to read, so that the last partitions of a long request are not starved (P121). */
  #rotation = 0;

  constructor(clock: Clock, directory: TopicDirectory, waiters: FetchWaiters, observer: BrokerObserver) {
    this.#clock = clock;
    this.#directory = directory;
    this.#waiters = waiters;
    this.#observer = observer;
  }

  /** Resolves when `bytesMin` are there, something fails, the time is up, the caller is gone, or the broker closes. */
  async fetch(request: FetchRequest, context: RequestContext): Promise<readonly FetchedPartition[] | Refused> {
    const began = this.#observer.moment();
    const span = { waited: 0 };
    try {
      return await this.#fetch(request, context, span);
    } finally {
      this.#observer.fetchTook(began, span.waited);
    }
  }

  async #fetch(
    request: FetchRequest,
    context: RequestContext,
    span: { waited: number },
  ): Promise<readonly FetchedPartition[] | Refused> {
    const deadlineMs = this.#deadline(request, context);
    const start = this.#rotation++ % Math.max(1, request.partitions.length);
    for (;;) {
      const pass = await this.#look(request, context, start);
      if (pass.bytes >= request.bytesMin || pass.failed || this.#clock.monotonicMs() >= deadlineMs) {
        return worthTelling(pass.answers);
      }
      const parked = this.#observer.moment();
      const woken = await this.#waiters.park(pass.watched, deadlineMs, context.signal);
      span.waited += this.#observer.moment() - parked;
      if (woken === 'refused') return tooManyWaiters(this.#waiters.count);
      if (woken === 'gone') return worthTelling(pass.answers);
    }
  }

  #deadline(request: FetchRequest, context: RequestContext): Millis {
    const waited = millisPlus(this.#clock.monotonicMs(), request.waitMsMax);
    return waited < context.deadlineMs ? waited : context.deadlineMs;
  }

  /** Reads every partition, from `start` around, while bytes are left; at least one batch if there is any. */
  async #look(request: FetchRequest, context: RequestContext, start: number): Promise<Pass> {
    const targets = request.partitions.map((ref) => ({
      request: ref,
      place: this.#directory.locate(context.tenant, ref),
    }));
    const answers: (FetchedPartition | undefined)[] = targets.map(() => undefined);
    let bytes = 0;
    for (let turn = 0; turn < targets.length; turn++) {
      const at = (start + turn) % targets.length;
      const target = must(targets[at], 'a position modulo the length is in the list');
      const answer = await readTarget(target, request.bytesMax - bytes, bytes === 0);
      answers[at] = answer.fetched;
      bytes += answer.bytes;
    }
    return summary(
      targets,
      answers.filter((answer) => answer !== undefined),
      bytes,
    );
  }
}

/** Only the first batch of all may pass the limit; others wait for the next fetch, which begins elsewhere. */
async function readTarget(
  target: FetchTarget,
  bytesLeft: number,
  first: boolean,
): Promise<{ readonly fetched: FetchedPartition; readonly bytes: number }> {
  const { request, place } = target;
  if (place.kind === 'refused') return { fetched: unlocated(request, place), bytes: 0 };
  const bytesMax = Math.max(0, Math.min(request.bytesMax, bytesLeft));
  const outcome = readPartition(place.value.partition, { ...readOf(request), bytesMax });
  const read = outcome instanceof Promise ? await outcome : outcome;
  const kept = first || read.bytes <= bytesLeft ? read : withoutBatches(read, request);
  return { fetched: toFetched(place.value, request, kept), bytes: kept.bytes };
}

/** `answers` are in the order of `targets`. */
function summary(targets: readonly FetchTarget[], answers: readonly FetchedPartition[], bytes: number): Pass {
  const watched: Watched[] = [];
  targets.forEach(({ place }, at) => {
    const seenEnd = answers[at]?.highWatermark ?? null;
    if (place.kind === 'ok') watched.push({ partition: place.value.partition, seenEnd });
  });
  return { answers, watched, bytes, failed: answers.some(saysWhereElse) };
}

export const tooManyWaiters = (count: number): Refused =>
  refuse('LIMIT_REACHED', `${count} partitions are waited for on this broker already; try again`, {
    retryAfterMs: 1_000,
  });

export const readOf = (
  request: FetchPartitionRequest,
): {
  readonly offset: FetchPartitionRequest['fetchOffset'];
  readonly leaderEpoch: FetchPartitionRequest['leaderEpoch'];
  readonly rack: string | null;
} => ({
  offset: request.fetchOffset,
  leaderEpoch: request.leaderEpoch,
  rack: request.rack ?? null,
});

/** It is not to be waited for here: it failed, or is to be read elsewhere. */
const saysWhereElse = ({ error, preferred }: FetchedPartition): boolean => error !== null || preferred !== undefined;

/** Partitions that have data, an error or another place to be read at; all of them if none has. */
function worthTelling(answers: readonly FetchedPartition[]): readonly FetchedPartition[] {
  const telling = answers.filter((answer) => saysWhereElse(answer) || answer.batches.length > 0);
  return telling.length === 0 ? answers : telling;
}

const withoutBatches = (read: Read, request: FetchPartitionRequest): Read => ({
  ...read,
  batches: [],
  bytes: 0,
  nextOffset: request.fetchOffset,
});

export function toFetched(located: Located, request: { readonly partition: number }, read: Read): FetchedPartition {
  const { name, topicId } = located.topic.entry;
  const { error, batches, highWatermark, logStart, leaderEpoch } = read;
  const where = { topic: name, topicId, partition: request.partition };
  return {
    ...where,
    error,
    highWatermark,
    logStart,
    leaderEpoch,
    batches,
    nextOffset: error === null ? read.nextOffset : null,
    ...(read.preferred === null ? {} : { preferred: addressOf(read.preferred) }),
  };
}

const addressOf = ({ brokerId, address }: ReplicaPlace): BrokerAddress => ({ brokerId, address });

/** The answer for a partition that was not found. */
export function unlocated(request: FetchPartitionRequest, refused: Refused): FetchedPartition {
  const { topic, topicId, partition } = request;
  const hidden = { highWatermark: null, logStart: null, leaderEpoch: null, batches: [], nextOffset: null };
  return { topic, topicId: topicId ?? '', partition, error: refused.error, ...hidden };
}
