/** LogService.Produce and InitProducer: the door for records (design D12). ProduceStream appends through the same code. */
import type {
  InitProducerRequest,
  InitProducerResponse,
  ProduceRequest,
  ProduceResponse,
  ProducerIdentity,
} from '../gen/sluice/v1/log.ts';
import { Acks } from '../gen/sluice/v1/log.ts';
import type { Record as WireRecord } from '../gen/sluice/v1/record.ts';
import { Compression as WireCompression } from '../gen/sluice/v1/record.ts';
import type { AckLevel, AppendReceipt, AppendRequest, BrokerApi, RequestContext } from '../broker/requests.ts';
import { encodeBatch } from '../model/batch-builder.ts';
import { decodeBatch, verifyRecords } from '../model/batch-decoder.ts';
import { validateBatch } from '../model/batch-validation.ts';
import type { Clock } from '../model/clock.ts';
import type { CompressionType } from '../model/compression.ts';
import type { Result } from '../model/errors.ts';
import { ok, refuse } from '../model/errors.ts';
import type { Millis, Offset } from '../model/ids.ts';
import { millisPlus } from '../model/ids.ts';
import type { BatchCodecs, BatchProducer } from '../model/record-batch.ts';
import type { NewRecord } from '../model/record.ts';
import { utf8Length } from '../model/record.ts';
import { FieldChecks, toInt32, toInt32OrAbsent, toInt64, toInt64OrAbsent } from './convert.ts';
import type { NodeFields } from './incoming.ts';

/** What the door needs. */
export interface ProduceDoor {
  readonly broker: BrokerApi;
  readonly codecs: BatchCodecs;
  readonly clock: Clock;
}

/** How long an append, or a question about one, may wait. */
export const timeoutMsRange = { from: 1, through: 120_000, unit: 'ms' };
export const timeoutMsDefault = 30_000;
const recordsRange = { from: 1, through: 100_000 };
const headerNameBytesMax = 32_767;
export const secretBytes = 16;

/** Records and headers in a ProduceRequest. */
export const produceNodes: NodeFields = { 5: { 1: { 3: 'leaf' } } };

const ackLevels: Readonly<Record<number, AckLevel>> = {
  [Acks.ACKS_UNSPECIFIED]: 'all',
  [Acks.ACKS_ALL]: 'all',
  [Acks.ACKS_LEADER]: 'leader',
  [Acks.ACKS_NONE]: 'none',
};

const compressions: Readonly<Record<number, CompressionType>> = {
  [WireCompression.COMPRESSION_UNSPECIFIED]: 'none',
  [WireCompression.COMPRESSION_NONE]: 'none',
  [WireCompression.COMPRESSION_GZIP]: 'gzip',
  [WireCompression.COMPRESSION_SNAPPY]: 'snappy',
  [WireCompression.COMPRESSION_LZ4]: 'lz4',
  [WireCompression.COMPRESSION_ZSTD]: 'zstd',
};

/** A request that passed the door. */
export interface Admitted {
  readonly append: AppendRequest;
  readonly timeoutMs: number;
}

/** The fields of a request that need no look at its payload. */
interface Envelope {
  readonly topic: string;
  readonly topicId: string | null;
  /** Null: to be chosen. */
  readonly partition: number | null;
  readonly routingKey: Uint8Array | null;
  readonly acks: AckLevel;
  readonly compression: CompressionType;
  readonly producer: BatchProducer | null;
  readonly timeoutMs: number;
  /** Null: wherever the partition ends. */
  readonly expectedEndOffset: Offset | null;
  readonly everyReplica: boolean;
}

/** A batch ready to be appended, and the keys of its records as far as they are known. */
interface SealedBatch {
  readonly batch: Uint8Array;
  readonly producer: BatchProducer | null;
  keys(): Result<readonly (Uint8Array | null)[]>;
}

/** Checks a request and gives it its final form. Synchronous, so that requests of one stream keep their order. */
export function admitProduce(door: ProduceDoor, request: ProduceRequest): Result<Admitted> {
  const checks = new FieldChecks();
  const checked = checks.finish(readEnvelope(checks, request));
  if (checked.kind === 'refused') return checked;
  const envelope = checked.value;
  const sealed = sealPayload(door, request.payload, envelope);
  if (sealed.kind === 'refused') return sealed;
  const { batch, producer } = sealed.value;
  if (producer !== null && envelope.acks !== 'all')
    return refuse('INVALID_REQUIRED_ACKS', 'A producer identity needs ACKS_ALL: without it a retry could be lost.');
  if (envelope.everyReplica && envelope.acks !== 'all')
    return refuse('INVALID_REQUIRED_ACKS', 'every_replica needs ACKS_ALL: it asks for more than that.');
  const partition = choosePartition(door.broker, envelope, sealed.value);
  if (partition.kind === 'refused') return partition;
  const { topic, topicId, acks, timeoutMs, expectedEndOffset, everyReplica } = envelope;
  const append = { topic, topicId, partition: partition.value, batch, acks, expectedEndOffset, everyReplica };
  return ok({ append, timeoutMs });
}

/** Appends one batch and waits for its acknowledgement. */
export async function produce(
  door: ProduceDoor,
  request: ProduceRequest,
  context: RequestContext,
): Promise<Result<ProduceResponse>> {
  const admitted = admitProduce(door, request);
  if (admitted.kind === 'refused') return admitted;
  const { append, timeoutMs } = admitted.value;
  if (append.acks === 'none')
    return refuse('INVALID_REQUIRED_ACKS', 'ACKS_NONE is for ProduceStream; an unary call is always answered.');
  const answer = await door.broker.append(append, withTimeout(door.clock, context, timeoutMs));
  return answer.kind === 'refused' ? answer : ok(toProduceResponse(answer.value));
}

/** The context with an earlier deadline if `timeoutMs` ends before the call's own. */
export function withTimeout(clock: Clock, context: RequestContext, timeoutMs: number): RequestContext {
  const deadlineMs = millisPlus(clock.monotonicMs(), timeoutMs);
  return deadlineMs < context.deadlineMs ? { ...context, deadlineMs } : context;
}

export async function initProducer(
  broker: BrokerApi,
  request: InitProducerRequest,
  context: RequestContext,
): Promise<Result<InitProducerResponse>> {
  const checks = new FieldChecks();
  const checked = checks.finish(readPrevious(checks, request));
  if (checked.kind === 'refused') return checked;
  const granted = await broker.initProducer(checked.value, context);
  if (granted.kind === 'refused') return granted;
  const { producerId, producerEpoch, secret } = granted.value;
  return ok({ producerId: toInt64(producerId), producerEpoch: toInt32(producerEpoch), secret });
}

export function toProduceResponse(receipt: AppendReceipt): ProduceResponse {
  return {
    topicId: receipt.topicId,
    partition: toInt32(receipt.partition),
    baseOffset: toInt64OrAbsent(receipt.baseOffset),
    leaderEpoch: toInt32(receipt.leaderEpoch),
    appendTimeMs: toInt64OrAbsent(receipt.appendTimeMs),
    committed: receipt.committed,
    duplicate: receipt.duplicate,
    logStartOffset: toInt64(receipt.logStart),
    catalogRevision: toInt64(receipt.catalogRevision),
    entryIndex: toInt64OrAbsent(receipt.entry?.index ?? null),
    entryTerm: toInt32OrAbsent(receipt.entry?.term ?? null),
    durableOn: receipt.durableOn.map(toInt32),
    leader: receipt.leader ?? undefined,
  };
}

function readPrevious(checks: FieldChecks, request: InitProducerRequest): Parameters<BrokerApi['initProducer']>[0] {
  const { previous, secret } = request;
  if (previous === undefined) {
    if (secret !== undefined) checks.complain('secret', 'goes with previous only', `${secret.length} bytes`);
    return null;
  }
  if (secret === undefined) checks.complain('secret', 'is required with previous', 'absent');
  else if (secret.length !== secretBytes)
    checks.complain('secret', 'is not one that InitProducer gave', `${secret.length} bytes`, 'INVALID_PRODUCER_SECRET');
  const { id, epoch } = readProducer(checks, previous);
  return { producerId: id, producerEpoch: epoch, secret: secret ?? new Uint8Array() };
}

export function readProducer(checks: FieldChecks, identity: ProducerIdentity): BatchProducer {
  return {
    id: checks.producerId('producer_id', identity.producerId),
    epoch: checks.producerEpoch('producer_epoch', identity.producerEpoch),
    baseSequence: checks.sequence('base_sequence', identity.baseSequence),
  };
}

function readEnvelope(checks: FieldChecks, request: ProduceRequest): Envelope {
  const { acks: ackNumber, compression: compressionNumber, partition, producer } = request;
  const acks = ackLevels[ackNumber];
  if (acks === undefined) checks.complain('acks', 'must be one of Acks', String(ackNumber), 'INVALID_REQUIRED_ACKS');
  const compression = compressions[compressionNumber];
  if (compression === undefined)
    checks.complain(
      'compression',
      'must be one of Compression',
      String(compressionNumber),
      'UNSUPPORTED_COMPRESSION_TYPE',
    );
  return {
    topic: checks.topic('topic', request.topic),
    topicId: checks.topicId('topic_id', request.topicId),
    partition: partition === undefined ? null : checks.partition('partition', partition),
    routingKey: request.routingKey ?? null,
    acks: acks ?? 'all',
    compression: compression ?? 'none',
    producer: producer === undefined ? null : readProducer(checks, producer),
    timeoutMs: checks.integerOr('timeout_ms', request.timeoutMs, timeoutMsRange, timeoutMsDefault),
    expectedEndOffset: readExpectedEnd(checks, request),
    everyReplica: request.everyReplica ?? false,
  };
}

function readExpectedEnd(checks: FieldChecks, { expectedEndOffset, partition }: ProduceRequest): Offset | null {
  if (expectedEndOffset === undefined) return null;
  // each partition has an end of its own
  if (partition === undefined) checks.complain('partition', 'is required with expected_end_offset', 'absent');
  return checks.offset('expected_end_offset', expectedEndOffset);
}

function sealPayload(door: ProduceDoor, payload: ProduceRequest['payload'], envelope: Envelope): Result<SealedBatch> {
  switch (payload?.$case) {
    case undefined:
      return refuse('INVALID_REQUEST', 'payload must be records or record_batch; it is absent.', {
        fields: { field: 'payload' },
      });
    case 'recordBatch':
      return acceptBatch(door, payload.value, envelope);
    case 'records':
      return encodeRecords(door, payload.value.records, envelope);
  }
}

/** A batch that the producer encoded: it is checked at the door (docs/adr/0003) and stored as it is. */
function acceptBatch({ codecs }: ProduceDoor, batch: Uint8Array, envelope: Envelope): Result<SealedBatch> {
  if (envelope.producer !== null)
    return refuse('INVALID_REQUEST', 'producer must be absent: a record_batch carries its own in its header.', {
      fields: { field: 'producer' },
    });
  const header = validateBatch(batch, codecs);
  if (header.kind === 'refused') return header;
  const lie = header.value.compression === 'none' ? verifyRecords(batch, codecs.compression) : null;
  if (lie !== null) return lie;
  const keys = (): Result<readonly (Uint8Array | null)[]> => {
    const decoded = decodeBatch(batch, codecs);
    return decoded.kind === 'refused' ? decoded : ok(decoded.value.records.map(({ key }) => key));
  };
  return ok({ batch, producer: header.value.producer, keys });
}

/** Records that we encode for a client without a codec. */
function encodeRecords(
  { codecs, clock }: ProduceDoor,
  wireRecords: readonly WireRecord[],
  { compression, producer }: Envelope,
): Result<SealedBatch> {
  if (wireRecords.length === 0) return refuse('INVALID_RECORD', 'A batch must hold at least one record.');
  const checks = new FieldChecks();
  checks.count('records', wireRecords, recordsRange);
  const nowMs = clock.wallMs();
  const records = checks.finish(wireRecords.map((record, i) => readRecord(checks.within('records', i), record, nowMs)));
  if (records.kind === 'refused') return records;
  const batch = encodeBatch({ records: records.value, compression, producer }, codecs);
  if (batch.kind === 'refused') return batch;
  return ok({ batch: batch.value, producer, keys: () => ok(records.value.map(({ key }) => key)) });
}

function readRecord(checks: FieldChecks, record: WireRecord, nowMs: Millis): NewRecord {
  for (const { name } of record.headers)
    if (name === '' || utf8Length(name) > headerNameBytesMax)
      checks.complain('headers', `need names of 1 to ${headerNameBytesMax} bytes`, name, 'INVALID_RECORD');
  return {
    key: record.key ?? null,
    value: record.value ?? null,
    headers: record.headers.map(({ name, value }) => ({ name, value: value ?? null })),
    timestampMs: record.timestampMs === undefined ? nowMs : checks.millis('timestamp_ms', record.timestampMs),
  };
}

/** An explicit partition wins, then the routing key, then the keys of the records, which must agree. */
function choosePartition(broker: BrokerApi, envelope: Envelope, sealed: SealedBatch): Result<number> {
  const { topic, partition, routingKey } = envelope;
  if (partition !== null) return ok(partition);
  if (routingKey !== null) return broker.choosePartition(topic, routingKey);
  const keys = sealed.keys();
  return keys.kind === 'refused' ? keys : partitionOfAll(broker, topic, keys.value);
}

function partitionOfAll(broker: BrokerApi, topic: string, keys: readonly (Uint8Array | null)[]): Result<number> {
  const partitions = new Set<number>();
  for (const key of keys) {
    if (key === null) continue;
    const chosen = broker.choosePartition(topic, key);
    if (chosen.kind === 'refused') return chosen;
    partitions.add(chosen.value);
  }
  const [first] = partitions;
  if (first === undefined) return broker.choosePartition(topic, null);
  if (partitions.size === 1) return ok(first);
  return refuse(
    'INVALID_REQUEST',
    `The keys of the records belong to ${partitions.size} partitions: send one request for each key, or name the partition or a routing_key.`,
    { fields: { field: 'partition', partitions: [...partitions].slice(0, 20).join(',') } },
  );
}
