/** LogService.Fetch: reads from many partitions at once. FetchStream reads through the same conversions. */
import type { FetchedPartition as WireFetchedPartition, FetchPartition, FetchRequest } from '../gen/sluice/v1/log.ts';
import { FetchFormat } from '../gen/sluice/v1/log.ts';
import type {
  BrokerApi,
  FetchAnswer,
  FetchedPartition,
  FetchPartitionRequest,
  RequestContext,
} from '../broker/requests.ts';
import { must } from '../model/assert.ts';
import type { BrokerError, Result } from '../model/errors.ts';
import { ok } from '../model/errors.ts';
import type { Offset } from '../model/ids.ts';
import type { BatchCodecs } from '../model/record-batch.ts';
import { FieldChecks, toInt32, toInt32OrAbsent, toInt64OrAbsent } from './convert.ts';
import type { FetchPart, FetchReply } from './fetch-reply.ts';
import { payloadBytes } from './fetch-reply.ts';
import { errorDetail } from './status.ts';
import type { Portion } from './unpack.ts';
import { unpack } from './unpack.ts';

const mebibyte = 1024 * 1024;
const partitionsRange = { from: 1, through: 1_000 };
const waitMsRange = { from: 0, through: 60_000, unit: 'ms' };
const waitMsDefault = 500;
const bytesMinRange = { from: 0, through: 4 * mebibyte, unit: 'bytes' };
const bytesMinDefault = 1;
/** Of a partition, of an answer, of a message on a stream. */
export const bytesMaxRange = { from: 1, through: 4 * mebibyte, unit: 'bytes' };
const partitionBytesMaxDefault = mebibyte;
/** Below the 4 MiB that gRPC clients take unless told otherwise. */
const answerBytesMaxDefault = 3 * mebibyte;

/** In which form records are answered. */
export type ReadForm = 'records' | 'batches';

const readForms: Readonly<Record<number, ReadForm>> = {
  [FetchFormat.FETCH_FORMAT_UNSPECIFIED]: 'records',
  [FetchFormat.FETCH_FORMAT_RECORDS]: 'records',
  [FetchFormat.FETCH_FORMAT_RECORD_BATCHES]: 'batches',
};

export function readForm(checks: FieldChecks, format: FetchFormat): ReadForm {
  const form = readForms[format];
  if (form === undefined) checks.complain('format', 'must be one of FetchFormat', String(format));
  return form ?? 'records';
}

/** The partitions of a request; each may be named once. */
export function fetchPartitions(
  checks: FieldChecks,
  partitions: readonly FetchPartition[],
): readonly FetchPartitionRequest[] {
  checks.count('partitions', partitions, partitionsRange);
  const named = new Set<string>();
  const checked = partitions.map((each, i) => {
    const request = fetchPartition(checks.within('partitions', i), each);
    const key = partitionKey(request);
    if (named.has(key)) checks.complain('partition', 'must not be named twice', key);
    named.add(key);
    return request;
  });
  checks.within(null);
  return checked;
}

function fetchPartition(checks: FieldChecks, partition: FetchPartition): FetchPartitionRequest {
  return {
    topic: checks.topic('topic', partition.topic),
    topicId: checks.topicId('topic_id', partition.topicId),
    partition: checks.partition('partition', partition.partition),
    fetchOffset: checks.offset('fetch_offset', partition.fetchOffset),
    leaderEpoch: checks.leaderEpoch('leader_epoch', partition.leaderEpoch),
    bytesMax: checks.integerOr('max_bytes', partition.maxBytes, bytesMaxRange, partitionBytesMaxDefault),
    rack: partition.rack === undefined ? null : checks.rack('rack', partition.rack),
  };
}

/** Names a partition within one request or stream. */
export const partitionKey = ({ topic, partition }: { readonly topic: string; readonly partition: number }): string =>
  `${topic}/${partition}`;

export async function fetch(
  broker: BrokerApi,
  codecs: BatchCodecs,
  request: FetchRequest,
  context: RequestContext,
): Promise<Result<FetchReply>> {
  const checks = new FieldChecks();
  const form = readForm(checks, request.format);
  const checked = checks.finish({
    partitions: fetchPartitions(checks, request.partitions),
    waitMsMax: checks.integerOr('max_wait_ms', request.maxWaitMs, waitMsRange, waitMsDefault),
    bytesMin: checks.integerOr('min_bytes', request.minBytes, bytesMinRange, bytesMinDefault),
    bytesMax: checks.integerOr('max_bytes', request.maxBytes, bytesMaxRange, answerBytesMaxDefault),
  });
  if (checked.kind === 'refused') return checked;
  const answer = await broker.fetch(checked.value, context);
  if (answer.kind === 'refused') return answer;
  if (form === 'batches') return ok(asBatches(answer.value));
  const offsets = new Map(checked.value.partitions.map((each) => [partitionKey(each), each.fetchOffset]));
  return ok(asRecords(answer.value, offsets, codecs, checked.value.bytesMax));
}

/** The stored bytes, as they are. */
export function asBatches({ partitions, catalogRevision }: FetchAnswer): FetchReply {
  return { parts: partitions.map(toBatchesPart), catalogRevision };
}

function toBatchesPart(fetched: FetchedPartition): FetchPart {
  const payload: FetchPart['payload'] =
    fetched.batches.length === 0 ? { kind: 'none' } : { kind: 'batches', batches: fetched.batches };
  return { head: toHead(fetched, fetched.error, fetched.nextOffset), payload };
}

/** Decoded records, at most `bytesMax` bytes of them but at least one; partitions for which none are left are left out. */
function asRecords(
  answer: FetchAnswer,
  offsets: ReadonlyMap<string, Offset>,
  codecs: BatchCodecs,
  bytesMax: number,
): FetchReply {
  const parts: FetchPart[] = [];
  let bytesLeft = bytesMax;
  for (const fetched of answer.partitions) {
    if (fetched.batches.length === 0) parts.push(toBatchesPart(fetched));
    if (fetched.batches.length === 0 || bytesLeft <= 0) continue;
    const from = must(offsets.get(partitionKey(fetched)), 'the broker answers for partitions of the request only');
    const [portion] = unpack(fetched, from, codecs, () => bytesLeft);
    const part = toRecordsPart(fetched, must(portion, 'batches make at least one portion'));
    bytesLeft -= payloadBytes(part.payload);
    parts.push(part);
  }
  return { parts, catalogRevision: answer.catalogRevision };
}

/** A part for one portion of the records of a partition. */
export function toRecordsPart(fetched: FetchedPartition, portion: Portion): FetchPart {
  if (portion.kind === 'failed') return { head: toHead(fetched, portion.error, null), payload: { kind: 'none' } };
  return {
    head: toHead(fetched, null, portion.next),
    payload: { kind: 'records', list: { records: [...portion.records] } },
  };
}

function toHead(fetched: FetchedPartition, error: BrokerError | null, nextOffset: Offset | null): WireFetchedPartition {
  return {
    topic: fetched.topic,
    topicId: fetched.topicId,
    partition: toInt32(fetched.partition),
    error: error === null ? undefined : errorDetail(error),
    highWatermark: toInt64OrAbsent(fetched.highWatermark),
    logStartOffset: toInt64OrAbsent(fetched.logStart),
    leaderEpoch: toInt32OrAbsent(fetched.leaderEpoch),
    payload: undefined,
    nextOffset: toInt64OrAbsent(nextOffset),
    preferredReplica: fetched.preferred === undefined ? undefined : { ...fetched.preferred },
  };
}
