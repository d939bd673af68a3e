/** Reads everything back through the front door and compares it with the ledger. */
import type { Client } from '../../../clients/typescript/src/index.ts';
import { asBrokerError } from '../../../clients/typescript/src/errors.ts';
import { decodeBatch } from '../../../src/model/batch-decoder.ts';
import type { BatchCodecs } from '../../../src/model/record-batch.ts';
import { splitBatches } from '../../../src/model/record-batch.ts';
import type { StoredRecord } from '../../../src/model/record.ts';
import { createCompression } from '../../../src/runtime/compression.ts';
import { crc32c } from '../../../src/runtime/crc32c.ts';
import type { FrontDoor } from './front-door.ts';
import { idOf, valueBytesMin } from './ledger.ts';
import type { CommitBook, Ledger, PartitionBook, SentRecord, TopicBook } from './ledger.ts';
import { patience, wait } from './patience.ts';

/** Of an idle machine. */
const answerMsMax = 10_000;
const codecs: BatchCodecs = { compression: await createCompression(), crc32c };

/** Everything but `read` must be 0. */
export interface Findings {
  /** Records that were read. */
  read: number;
  /** Acknowledged, and not there. */
  lost: number;
  /** Acknowledged at another offset. */
  moved: number;
  /** There a second time. */
  duplicated: number;
  /** Not the bytes that were sent, or bytes that nobody sent to this partition. */
  wrong: number;
  /** The broker had said that it is not in the log and never will be. */
  deniedButThere: number;
  /** Before an older record of the same writer. */
  outOfOrder: number;
  /** Offsets without a record. */
  gaps: number;
  /** Acknowledged commits that are not there, or offsets that nobody committed. */
  commitsLost: number;
  /** Topics whose creation or deletion was acknowledged and is undone. */
  topicsWrong: number;
  /** For people: what was lost where. */
  readonly details: string[];
}

/** For the line of a case. */
export function figuresOf(found: Findings): Record<string, number> {
  const counts = Object.entries(found).filter(([, value]) => typeof value === 'number');
  return Object.fromEntries(counts);
}

export const nothingFound = (): Findings => ({
  ...{ read: 0, lost: 0, moved: 0, duplicated: 0, wrong: 0, deniedButThere: 0, outOfOrder: 0, gaps: 0 },
  ...{ commitsLost: 0, topicsWrong: 0, details: [] },
});

export const isClean = (found: Findings): boolean =>
  Object.entries(figuresOf(found)).every(([name, count]) => name === 'read' || count === 0);

const countNames = Object.keys(figuresOf(nothingFound())) as Exclude<keyof Findings, 'details'>[];

export function addTo(total: Findings, found: Findings): void {
  for (const key of countNames) total[key] += found[key];
}

/** Compares all that the ledger holds by now. Doubtful topics are settled by what is found. */
export async function audit(ledger: Ledger, client: Client, door: FrontDoor): Promise<Findings> {
  const found = nothingFound();
  const promised = ledger.topics.flatMap((topic) =>
    topic.partitions.map((book) => ({ topic, book, acked: book.acked.length })),
  );
  const listed = await auditTopics(ledger, client, found);
  for (const { topic, book, acked } of promised) {
    if (topic.state !== 'live') continue;
    if (!listed.has(topic.name)) found.lost += acked;
    else await auditPartition(topic, book, acked, client, door, found);
  }
  for (const group of new Set(ledger.commits.map((book) => book.group))) {
    const books = ledger.commits.filter((book) => book.group === group);
    await auditCommits(group, books, client, found);
  }
  forgetDeleted(ledger);
  return found;
}

/** Returns the ids of the topics that there are, by name. */
async function auditTopics(ledger: Ledger, client: Client, found: Findings): Promise<ReadonlyMap<string, string>> {
  const listed = new Map((await client.admin.listTopics()).map(({ name, topicId }) => [name, topicId]));
  for (const topic of ledger.topics) {
    const topicId = listed.get(topic.name) ?? null;
    if (topic.state === 'doubtful') {
      topic.state = topicId === null ? 'deleted' : 'live';
      topic.topicId = topicId;
    } else if ((topic.state === 'live') !== (topicId !== null) || (topicId !== null && topicId !== topic.topicId)) {
      found.topicsWrong++;
    }
  }
  const known = new Set(ledger.topics.map(({ name }) => name));
  for (const name of listed.keys()) if (!known.has(name)) found.topicsWrong++;
  return listed;
}

async function auditPartition(
  topic: TopicBook,
  book: PartitionBook,
  acked: number,
  client: Client,
  door: FrontDoor,
  found: Findings,
): Promise<void> {
  const seen = new Set<number>();
  const newest = new Map<number, number>();
  let next = 0;
  for await (const stored of everything(topic, book.partition, client, door)) {
    found.read++;
    if (stored.offset !== next) found.gaps++;
    next = stored.offset + 1;
    compare(stored, book, seen, newest, found);
  }
  const lost = book.acked.slice(0, acked).filter(({ id }) => !seen.has(id));
  found.lost += lost.length;
  const [first] = lost;
  if (first !== undefined) found.details.push(describeLoss(topic.name, book.partition, lost.length, first, next));
}

function describeLoss(topic: string, partition: number, count: number, first: SentRecord, end: number): string {
  const { offset, ackedAtMs, writer } = first;
  const agoMs = Math.round(performance.now() - ackedAtMs);
  return `${count} of ${topic}/${partition}, which ends at ${end}, from ${offset ?? '?'} on, writer ${writer}, ${agoMs} ms old`;
}

function compare(
  { offset, key, value }: StoredRecord,
  book: PartitionBook,
  seen: Set<number>,
  newest: Map<number, number>,
  found: Findings,
): void {
  const record = value === null || value.length < valueBytesMin ? undefined : book.records.get(idOf(value));
  const keyHash = key === null ? null : crc32c(key);
  if (record === undefined || value === null || crc32c(value) !== record.hash || keyHash !== record.keyHash) {
    found.wrong++;
    return;
  }
  const { id, writer, outcome } = record;
  if (seen.has(id)) found.duplicated++;
  else if (id < (newest.get(writer) ?? 0)) found.outOfOrder++;
  seen.add(id);
  newest.set(writer, id);
  if (outcome === 'refused') found.deniedButThere++;
  if (record.offset !== null && record.offset !== offset) found.moved++;
}

/**
 * All records of a partition. The end is asked of the leader: a fetch alone may come before the new leader knows how far
 * its log is committed.
 */
async function* everything(
  topic: TopicBook,
  partition: number,
  client: Client,
  door: FrontDoor,
): AsyncGenerator<StoredRecord> {
  const query = { topic: topic.name, partition, at: 'latest' } as const;
  const [latest] = await patiently(() => client.admin.listOffsets([query]));
  const end = latest?.offset ?? 0;
  const deadline = performance.now() + answerMsMax * patience();
  for (let next = 0; next < end;) {
    const fetched = await patiently(() => door.fetch(topic.name, topic.topicId ?? '', partition, next));
    const bytes = fetched.payload?.$case === 'recordBatches' ? fetched.payload.value : new Uint8Array();
    for (const record of decoded(bytes)) if (record.offset >= next) yield record;
    const after = Number(fetched.nextOffset);
    if (after <= next && performance.now() > deadline)
      throw new Error(`${topic.name}/${partition} gives nothing at ${next} of ${end}`);
    next = after;
  }
}

function decoded(bytes: Uint8Array): readonly StoredRecord[] {
  const batches = splitBatches(bytes);
  if (batches.kind === 'refused') throw new Error(batches.error.message);
  return batches.value.flatMap((batch) => {
    const read = decodeBatch(batch, codecs);
    if (read.kind === 'refused') throw new Error(read.error.message);
    return read.value.records;
  });
}

async function auditCommits(
  group: string,
  books: readonly CommitBook[],
  client: Client,
  found: Findings,
): Promise<void> {
  const stored = await patiently(() => client.admin.fetchCommitted(group)).catch((error: unknown) => {
    if (asBrokerError(error).code === 'GROUP_ID_NOT_FOUND') return [];
    throw error;
  });
  for (const { topic, partition, acked, sent } of books) {
    const offset = stored.find((one) => one.topic === topic && one.partition === partition)?.offset ?? null;
    if (offset === null ? acked !== null : offset < (acked ?? 0) || offset > sent) found.commitsLost++;
  }
}

/** A broker that has just started may ask for a little time; what is certain is thrown. */
async function patiently<T>(call: () => Promise<T>): Promise<T> {
  const deadline = performance.now() + answerMsMax * patience();
  for (;;) {
    try {
      return await call();
    } catch (error) {
      if (!asBrokerError(error).retriable || performance.now() > deadline) throw error;
      await wait(20);
    }
  }
}

/** Deleted topics stay deleted; nothing else of them is worth keeping. */
function forgetDeleted(ledger: Ledger): void {
  for (const topic of ledger.topics) {
    if (topic.state !== 'deleted') continue;
    for (const book of topic.partitions) {
      book.records.clear();
      book.acked.length = 0;
    }
  }
}
