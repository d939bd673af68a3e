/**
 * A broker in the test's own process, over real gRPC: logs in memory, the real duplicate check, and a script of faults.
 * It knows one member a group. What it does not show (durability, elections) is tested against the real process.
 */
import { Metadata, Server, ServerCredentials, status } from '@grpc/grpc-js';
import type { sendUnaryData, ServerDuplexStream, ServerUnaryCall, StatusObject } from '@grpc/grpc-js';
import { randomUUID } from 'node:crypto';
import { ProducerTable } from '../../../src/broker/producer-table.ts';
import { validateBatch } from '../../../src/model/batch-validation.ts';
import { errorTraits } from '../../../src/model/errors.ts';
import type { ErrorCode } from '../../../src/model/errors.ts';
import { toMillis, toOffset, toProducerEpoch, toProducerId, toSequence, toTerm } from '../../../src/model/ids.ts';
import { patchBatch } from '../../../src/model/record-batch.ts';
import { crc32c } from '../src/crc32c.ts';
import { Status } from '../src/gen/google/rpc/status.ts';
import * as cluster from '../src/gen/sluice/v1/cluster.ts';
import { ErrorCode as WireCode, ErrorDetail } from '../src/gen/sluice/v1/error.ts';
import * as group from '../src/gen/sluice/v1/group.ts';
import * as log from '../src/gen/sluice/v1/log.ts';
import * as topic from '../src/gen/sluice/v1/topic.ts';
import type { LeaderHint } from '../src/errors.ts';

interface Leader {
  readonly brokerId: number;
  readonly epoch: number;
}

export interface StoredBatch {
  readonly bytes: Uint8Array;
  readonly baseOffset: number;
  readonly count: number;
}

export class ScriptedPartition {
  batches: StoredBatch[] = [];
  endOffset = 0;
  logStart = 0;
  table = new ProducerTable();
}

interface ScriptedTopic {
  readonly name: string;
  readonly topicId: string;
  readonly partitions: readonly ScriptedPartition[];
}

/** What a test may do to one append. `drop` kills all connections; with `before` nothing is appended. */
export type AppendFault =
  | {
      readonly kind: 'refuse';
      readonly code: ErrorCode;
      readonly appended?: boolean;
      readonly retryAfterMs?: number;
      readonly leaderHint?: LeaderHint;
      readonly fields?: Readonly<Record<string, string>>;
    }
  | { readonly kind: 'drop'; readonly when: 'before' | 'after' }
  | { readonly kind: 'silent' };

interface Member {
  id: string;
  epoch: number;
  token: string;
  joinId: string | undefined;
  instanceId: string | undefined;
  assignment: group.TopicPartitions[];
  heartbeats: number;
  commitSequence: number;
  /** An assignment that the next heartbeat tells. */
  pending: group.TopicPartitions[] | null;
}

interface ScriptedGroup {
  member: Member | null;
  readonly committed: Map<string, { readonly offset: bigint; readonly leaderEpoch: number | undefined }>;
}

/** A refusal that names who leads, or coordinates. */
export interface Redirect {
  readonly code: ErrorCode;
  readonly leaderHint: LeaderHint;
}

export class ScriptedServer {
  readonly brokerId: number;
  /** Brokers of one cluster share what is stored, and each answers for all: as if it passed requests on. */
  readonly cluster: ScriptedServer[];
  readonly topics: Map<string, ScriptedTopic>;
  readonly groups: Map<string, ScriptedGroup>;
  /** Who leads a partition, as this broker tells it; null: nobody that it knows. */
  leader: (topicName: string, partition: number) => Leader | null = () => ({ brokerId: this.cluster[0]?.brokerId ?? 1, epoch: 1 }); // prettier-ignore
  /** Whom the receipt of an append names as the leader to which it was passed on. */
  namedLeader: (topicName: string, partition: number) => LeaderHint | undefined = () => undefined;
  /** What it calls itself, if not where it listens. */
  advertised: string | null = null;
  /** It refuses everything, and tells of itself alone when it is asked for the cluster. */
  isSetApart = false;
  /** Asked before each append. */
  appendFault: ((request: log.ProduceRequest, attempt: number) => AppendFault | null) | null = null;
  /** Asked before each unary call, by method; what it gives is answered as the error. */
  unaryFault: ((method: string, attempt: number) => ErrorCode | Redirect | 'drop' | null) | null = null;
  /** Asked for each query of ListOffsets. */
  offsetFault: ((topicName: string, partition: number) => ErrorCode | null) | null = null;
  /** Asked for each fetched partition. */
  fetchFault: ((topicName: string, partition: number) => ErrorCode | null) | null = null;
  /** Asked for each fetched partition that comes with a rack: the broker in it to which its reader is sent. */
  nearReplica: ((rack: string, topicName: string, partition: number) => ScriptedServer | null) | null = null;
  /** Racks that came with fetched partitions, in order; null: none came. */
  readonly racks: (string | null)[] = [];
  /** Unary calls and appends so far, by method. */
  readonly calls = new Map<string, number>();
  readonly producers: { id: bigint; epoch: number; secret: Uint8Array }[];
  heartbeatIntervalMs = 100;
  /** What FetchCommitted says of partitions. */
  newerThanGroup = false;
  /** Of those that left, in order. */
  readonly leaveReasons: group.LeaveReason[] = [];
  /** Whether they said that they will be back, in order. */
  readonly placesKept: boolean[] = [];
  sessionTimeoutMs = 45_000;
  /** Streams of fetchers that are open say nothing more, as if the broker had forgotten them; new ones work. */
  muteFetchers(): void {
    this.#fetchers.clear();
    for (const mute of this.#mutes) mute();
    this.#mutes.clear();
  }
  readonly #mutes = new Set<() => void>();
  /** Bytes of batches that were sent to fetchers. */
  fetchedBytes = 0;
  #server: Server | null = null;
  #port = 0;
  #nextProducer = 1n;
  /** What the last heartbeat said that the member reads. */
  owned: group.TopicPartitions[] = [];
  readonly #fetchers: Set<() => void>;

  /** @param first another broker of the same cluster */
  constructor(first: ScriptedServer | null = null) {
    this.brokerId = (first?.cluster.length ?? 0) + 1;
    this.cluster = first?.cluster ?? [];
    this.cluster.push(this);
    this.topics = first?.topics ?? new Map<string, ScriptedTopic>();
    this.groups = first?.groups ?? new Map<string, ScriptedGroup>();
    this.producers = first?.producers ?? [];
    this.#fetchers = first === null ? new Set() : first.#fetchers;
  }

  get address(): string {
    return this.advertised ?? `127.0.0.1:${this.#port}`;
  }

  /** Starts, or starts again on the same port. */
  async start(): Promise<void> {
    // With channelz off grpc-js 1.14 keeps no list of sessions, and forceShutdown would leave them alive.
    const server = new Server({ 'grpc.max_receive_message_length': 8 << 20 });
    server.addService(log.LogServiceService, {
      produce: this.#unary('produce', () => {
        throw new Refusal('UNSUPPORTED_VERSION');
      }),
      produceStream: (call: ServerDuplexStream<log.ProduceStreamRequest, log.ProduceStreamResponse>) =>
        this.#produceStream(call),
      initProducer: this.#unary('initProducer', (request: log.InitProducerRequest) => this.#initProducer(request)),
      resolveAppend: this.#unary('resolveAppend', (request: log.ResolveAppendRequest) => this.#resolveAppend(request)),
      fetch: this.#unary('fetch', () => {
        throw new Refusal('UNSUPPORTED_VERSION');
      }),
      fetchStream: (call: ServerDuplexStream<log.FetchStreamRequest, log.FetchStreamResponse>) =>
        this.#fetchStream(call),
      listOffsets: this.#unary('listOffsets', (request: log.ListOffsetsRequest) => this.#listOffsets(request)),
    });
    server.addService(topic.TopicServiceService, {
      createTopic: this.#unary('createTopic', (request: topic.CreateTopicRequest): topic.CreateTopicResponse => {
        if (this.topics.has(request.name)) throw new Refusal('TOPIC_ALREADY_EXISTS');
        this.createTopic(request.name, request.partitions ?? 1);
        return { topic: this.#describe(request.name), catalogRevision: 1n, warnings: [] };
      }),
      deleteTopic: this.#unary('deleteTopic', (request: topic.DeleteTopicRequest): topic.DeleteTopicResponse => {
        this.#find(request.name);
        this.topics.delete(request.name);
        return { catalogRevision: 2n };
      }),
      describeTopic: this.#unary(
        'describeTopic',
        (request: topic.DescribeTopicRequest): topic.DescribeTopicResponse => ({
          topic: this.#describe(request.name),
          catalogRevision: 1n,
          brokers: this.cluster.map(({ brokerId, address }) => ({ brokerId, address })),
        }),
      ),
      listTopics: this.#unary('listTopics', (request: topic.ListTopicsRequest): topic.ListTopicsResponse => {
        const names = [...this.topics.keys()].sort().filter((name) => name > request.pageToken);
        const page = names.slice(0, 2);
        const nextPageToken = names.length > page.length ? (page.at(-1) ?? '') : '';
        return { topics: page.map((name) => this.#describe(name)), nextPageToken, catalogRevision: 1n };
      }),
    });
    server.addService(cluster.ClusterServiceService, {
      describeCluster: this.#unary('describeCluster', (): cluster.DescribeClusterResponse => ({
        clusterId: 'cluster',
        brokers: (this.isSetApart ? [this] : this.cluster).map(({ brokerId, address }) => ({
          brokerId,
          address,
          incarnation: 'i',
          version: '0',
          healthy: true,
          unhealthyReason: '',
          healthUnknown: false,
          duty: cluster.BrokerDuty.BROKER_DUTY_UNSPECIFIED,
          replicaCount: 0,
          replaceable: false,
          formatVersion: 1,
        })),
        catalogLeader: this.isSetApart ? undefined : 1,
        catalogRevision: this.isSetApart ? 0n : 1n,
        activeVersion: 1,
        topicCount: this.topics.size,
        partitionCount: 1,
      })),
    });
    server.addService(group.GroupServiceService, {
      joinGroup: this.#unary('joinGroup', (request: group.JoinGroupRequest) => this.#join(request)),
      heartbeat: this.#unary('heartbeat', (request: group.HeartbeatRequest) => this.#heartbeat(request)),
      leaveGroup: this.#unary('leaveGroup', (request: group.LeaveGroupRequest) => {
        this.#memberOf(request.group, request.memberId, request.memberEpoch);
        this.group(request.group).member = null;
        this.leaveReasons.push(request.reason);
        this.placesKept.push(request.keepPlace);
        return {};
      }),
      commit: this.#unary('commit', (request: group.CommitRequest) => this.#commit(request)),
      fetchCommitted: this.#unary('fetchCommitted', (request: group.FetchCommittedRequest) =>
        this.#fetchCommitted(request),
      ),
    });
    this.#port = await new Promise<number>((resolve, reject) => {
      server.bindAsync(`127.0.0.1:${this.#port}`, ServerCredentials.createInsecure(), (error, port) => {
        if (error === null) resolve(port);
        else reject(error);
      });
    });
    this.#server = server;
  }

  /** Kills every connection and stops listening. */
  stop(): void {
    this.#server?.forceShutdown();
    this.#server = null;
  }

  /** Kills every connection; listens again at once. */
  async dropConnections(): Promise<void> {
    this.stop();
    await this.start();
  }

  createTopic(name: string, partitions = 1): void {
    const list = Array.from({ length: partitions }, () => new ScriptedPartition());
    this.topics.set(name, { name, topicId: randomUUID(), partitions: list });
  }

  partition(name: string, partition = 0): ScriptedPartition {
    const found = this.topics.get(name)?.partitions[partition];
    if (found === undefined) throw new Error(`no ${name}/${partition}`);
    return found;
  }

  group(name: string): ScriptedGroup {
    let found = this.groups.get(name);
    if (found === undefined) {
      found = { member: null, committed: new Map() };
      this.groups.set(name, found);
    }
    return found;
  }

  committed(groupName: string, topicName: string, partition = 0): number | null {
    const found = this.group(groupName).committed.get(`${topicName}/${partition}`);
    return found === undefined ? null : Number(found.offset);
  }

  /** Appends one encoded batch as if a producer had sent it. */
  append(name: string, partition: number, bytes: Uint8Array): number {
    const target = this.partition(name, partition);
    const checked = validateBatch(bytes, { crc32c });
    if (checked.kind === 'refused') throw new Refusal(checked.error.code);
    const baseOffset = target.endOffset;
    patchBatch(bytes, toOffset(baseOffset), toTerm(1));
    target.batches.push({ bytes, baseOffset, count: checked.value.count });
    target.endOffset += checked.value.count;
    for (const wake of this.#fetchers) wake();
    return baseOffset;
  }

  #count(method: string): number {
    const attempt = this.calls.get(method) ?? 0;
    this.calls.set(method, attempt + 1);
    return attempt;
  }

  #find(name: string): ScriptedTopic {
    const found = this.topics.get(name);
    if (found === undefined) throw new Refusal('UNKNOWN_TOPIC_OR_PARTITION');
    return found;
  }

  #describe(name: string): topic.TopicDescription {
    const { topicId, partitions } = this.#find(name);
    return {
      name,
      topicId,
      partitions: partitions.map((partition, number) => ({
        partition: number,
        leader: this.leader(name, number)?.brokerId,
        leaderEpoch: this.leader(name, number)?.epoch,
        replicas: this.cluster.map(({ brokerId }) => brokerId),
        inSyncReplicas: [],
        logStartOffset: BigInt(partition.logStart),
        highWatermark: BigInt(partition.endOffset),
      })),
      partitionCount: partitions.length,
      replicationFactor: 1,
      config: undefined,
      internal: false,
      createdAtMs: 1_700_000_000_000n,
    };
  }

  #unary<Request, Response>(method: string, handle: (request: Request) => Response) {
    return (call: ServerUnaryCall<Request, Response>, answer: sendUnaryData<Response>): void => {
      const attempt = this.#count(method);
      const isRefused = this.isSetApart && method !== 'describeCluster';
      const fault = isRefused ? 'QUARANTINED' : (this.unaryFault?.(method, attempt) ?? null);
      if (fault === 'drop') {
        handleQuietly(() => handle(call.request));
        void this.dropConnections();
        return;
      }
      try {
        if (fault !== null)
          throw typeof fault === 'string' ? new Refusal(fault) : new Refusal(fault.code, fault.leaderHint);
        answer(null, handle(call.request));
      } catch (error) {
        answer(error instanceof Refusal ? error.asStatus() : { code: status.INTERNAL, details: String(error) });
      }
    };
  }

  #initProducer(request: log.InitProducerRequest): log.InitProducerResponse {
    const { previous, secret } = request;
    if (previous === undefined) {
      const fresh = { id: this.#nextProducer++, epoch: 0, secret: Buffer.from(randomUUID().slice(0, 16)) };
      this.producers.push(fresh);
      return { producerId: fresh.id, producerEpoch: 0, secret: fresh.secret };
    }
    const known = this.producers.find((producer) => producer.id === previous.producerId);
    if (known === undefined) throw new Refusal('UNKNOWN_PRODUCER_ID');
    if (secret === undefined || !known.secret.every((byte, at) => secret[at] === byte))
      throw new Refusal('INVALID_PRODUCER_SECRET');
    if (previous.producerEpoch !== known.epoch && previous.producerEpoch !== known.epoch - 1)
      throw new Refusal('INVALID_PRODUCER_EPOCH');
    known.epoch += 1;
    return { producerId: known.id, producerEpoch: known.epoch, secret: known.secret };
  }

  #resolveAppend(request: log.ResolveAppendRequest): log.ResolveAppendResponse {
    const { topicId, partitions } = this.#find(request.topic);
    const target = partitions[request.partition];
    const known = this.producers.find((producer) => producer.id === request.producer?.producerId);
    if (target === undefined || request.producer === undefined || known === undefined)
      throw new Refusal('INVALID_REQUEST');
    if (!known.secret.every((byte, at) => request.secret[at] === byte)) throw new Refusal('INVALID_PRODUCER_SECRET');
    const stamp = {
      id: toProducerId(Number(known.id)),
      epoch: toProducerEpoch(request.producer.producerEpoch),
      baseSequence: toSequence(request.producer.baseSequence),
    };
    const found = target.table.whereIs(stamp, request.recordCount, Number(request.ageMs));
    if (found.kind === 'open') target.table.fence(stamp.id, stamp.epoch, toMillis(0));
    const { APPEND_OUTCOME_COMMITTED, APPEND_OUTCOME_NEVER, APPEND_OUTCOME_EXPIRED } = log.AppendOutcome;
    const original = found.kind === 'duplicate' ? found.original : null;
    return {
      topicId,
      partition: request.partition,
      outcome:
        found.kind === 'duplicate'
          ? APPEND_OUTCOME_COMMITTED
          : found.kind === 'expired'
            ? APPEND_OUTCOME_EXPIRED
            : APPEND_OUTCOME_NEVER,
      baseOffset: original === null ? undefined : BigInt(original.baseOffset),
      appendTimeMs: undefined,
      leaderEpoch: 1,
      catalogRevision: 1n,
    };
  }

  #produceStream(call: ServerDuplexStream<log.ProduceStreamRequest, log.ProduceStreamResponse>): void {
    call.on('error', () => undefined);
    call.on('end', () => call.end());
    call.on('data', (message: log.ProduceStreamRequest) => {
      const { correlationId, produce } = message;
      if (produce === undefined) return;
      const attempt = this.#count('append');
      const fault: AppendFault | null = this.isSetApart
        ? { kind: 'refuse', code: 'QUARANTINED' }
        : (this.appendFault?.(produce, attempt) ?? null);
      if (fault?.kind === 'silent') return;
      if (fault?.kind === 'drop') {
        if (fault.when === 'after') this.#produce(produce);
        void this.dropConnections();
        return;
      }
      if (fault?.kind === 'refuse') {
        if (fault.appended === true) this.#produce(produce);
        const error = {
          ...detailOf(fault.code),
          retryAfterMs: fault.retryAfterMs === undefined ? undefined : BigInt(fault.retryAfterMs),
          leaderHint: fault.leaderHint,
          ...(fault.fields === undefined ? {} : { fields: fault.fields }),
        };
        call.write({ correlationId, result: { $case: 'error', value: error } });
        return;
      }
      const result = this.#produce(produce);
      if (result !== null) call.write({ correlationId, result });
    });
  }

  #produce(request: log.ProduceRequest): log.ProduceStreamResponse['result'] | null {
    const silent = request.acks === log.Acks.ACKS_NONE;
    try {
      const produced = this.#appendChecked(request);
      return silent ? null : { $case: 'produced', value: produced };
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      const fields = error.actual === undefined ? {} : { actual: error.actual };
      return { $case: 'error', value: { ...detailOf(error.code), fields } };
    }
  }

  #appendChecked(request: log.ProduceRequest): log.ProduceResponse {
    const { topicId } = this.#find(request.topic);
    if (request.topicId !== undefined && request.topicId !== topicId) throw new Refusal('INCONSISTENT_TOPIC_ID');
    const target = this.#find(request.topic).partitions[request.partition ?? 0];
    if (target === undefined) throw new Refusal('UNKNOWN_TOPIC_OR_PARTITION');
    if (request.payload?.$case !== 'recordBatch') throw new Refusal('INVALID_REQUEST');
    const bytes = Uint8Array.from(request.payload.value);
    const checked = validateBatch(bytes, { crc32c });
    if (checked.kind === 'refused') throw new Refusal(checked.error.code);
    const { producer, count } = checked.value;
    let baseOffset: bigint | undefined;
    let duplicate = false;
    const expected = request.expectedEndOffset;
    if (producer !== null) {
      const verdict = target.table.check(producer, count);
      if (verdict.kind === 'out-of-order') throw new Refusal('OUT_OF_ORDER_SEQUENCE_NUMBER');
      if (verdict.kind === 'stale-epoch' || verdict.kind === 'fenced') throw new Refusal('INVALID_PRODUCER_EPOCH');
      if (verdict.kind === 'unknown-producer') throw new Refusal('UNKNOWN_PRODUCER_ID');
      duplicate = verdict.kind === 'duplicate';
      if (verdict.kind === 'duplicate')
        baseOffset = verdict.original === null ? undefined : BigInt(verdict.original.baseOffset);
      else if (expected !== undefined && Number(expected) !== target.endOffset)
        throw new Refusal('UNEXPECTED_END_OFFSET', undefined, `${target.endOffset}`);
      else target.table.append(producer, count, toOffset(target.endOffset), toMillis(0));
    }
    if (!duplicate) baseOffset = BigInt(this.append(request.topic, request.partition ?? 0, bytes));
    return {
      topicId,
      partition: request.partition ?? 0,
      baseOffset,
      leaderEpoch: this.leader(request.topic, request.partition ?? 0)?.epoch ?? 1,
      appendTimeMs: 0n,
      committed: true,
      duplicate,
      logStartOffset: 0n,
      catalogRevision: 1n,
      durableOn: [],
      leader: this.namedLeader(request.topic, request.partition ?? 0),
    };
  }

  #fetchStream(call: ServerDuplexStream<log.FetchStreamRequest, log.FetchStreamResponse>): void {
    this.#count('fetchStream');
    let credit = 0;
    let positions: { topic: string; partition: number; offset: number; failed: boolean; rack: string | null }[] = [];
    let bytesMax = 1 << 20;
    let muted = false;
    this.#mutes.add(() => (muted = true));
    const pump = (): void => {
      for (let progress = !muted; progress && credit > 0;) {
        progress = false;
        for (const position of positions) {
          if (position.failed || credit <= 0) continue;
          const part = this.#fetchPart(position, bytesMax);
          if (part === null) continue;
          progress = true;
          if (part.error !== undefined || part.preferredReplica !== undefined) position.failed = true;
          else position.offset = Number(part.nextOffset ?? 0n);
          const usedBytes = part.payload?.$case === 'recordBatches' ? part.payload.value.length : 0;
          credit -= usedBytes;
          this.fetchedBytes += usedBytes;
          call.write({ partitions: [part], usedBytes, catalogRevision: 1n, stalls: [] });
        }
      }
    };
    this.#fetchers.add(pump);
    const end = (): void => void this.#fetchers.delete(pump);
    call.on('error', end);
    call.on('cancelled', end);
    call.on('close', end);
    call.on('end', () => {
      end();
      call.end();
    });
    call.on('data', ({ action }: log.FetchStreamRequest) => {
      if (action?.$case === 'start') {
        credit = action.value.grantBytes ?? 4 << 20;
        bytesMax = action.value.maxBytes ?? 1 << 20;
        positions = action.value.partitions.map((wanted) => ({
          topic: wanted.topic,
          partition: wanted.partition,
          offset: Number(wanted.fetchOffset ?? 0n),
          failed: false,
          rack: wanted.rack ?? null,
        }));
        for (const { rack } of positions) this.racks.push(rack);
      } else if (action?.$case === 'grantBytes') {
        credit += action.value;
      }
      pump();
    });
  }

  #fetchPart(
    position: { topic: string; partition: number; offset: number; rack: string | null },
    bytesMax: number,
  ): log.FetchedPartition | null {
    const { topic: name, partition, offset, rack } = position;
    const found = this.topics.get(name)?.partitions[partition];
    const base = { topic: name, topicId: this.topics.get(name)?.topicId ?? '', partition, payload: undefined };
    const fault = this.isSetApart ? 'QUARANTINED' : (this.fetchFault?.(name, partition) ?? null);
    if (fault !== null) return { ...base, error: detailOf(fault) };
    if (found === undefined) return { ...base, error: detailOf('UNKNOWN_TOPIC_OR_PARTITION') };
    const near = rack === null ? null : (this.nearReplica?.(rack, name, partition) ?? null);
    if (near !== null) return { ...base, preferredReplica: { brokerId: near.brokerId, address: near.address } };
    if (offset < found.logStart || offset > found.endOffset) return { ...base, error: detailOf('OFFSET_OUT_OF_RANGE') };
    const batches: StoredBatch[] = [];
    let bytes = 0;
    for (const batch of found.batches) {
      if (batch.baseOffset + batch.count <= offset) continue;
      if (batches.length > 0 && bytes + batch.bytes.length > bytesMax) break;
      batches.push(batch);
      bytes += batch.bytes.length;
    }
    const last = batches.at(-1);
    if (last === undefined) return null;
    return {
      ...base,
      highWatermark: BigInt(found.endOffset),
      logStartOffset: BigInt(found.logStart),
      leaderEpoch: this.leader(name, partition)?.epoch ?? 1,
      payload: { $case: 'recordBatches', value: Buffer.concat(batches.map((batch) => batch.bytes)) },
      nextOffset: BigInt(last.baseOffset + last.count),
    };
  }

  #listOffsets(request: log.ListOffsetsRequest): log.ListOffsetsResponse {
    const offsets = request.queries.map((query): log.FoundOffset => {
      const { topic: name, partition } = query;
      const found = this.topics.get(name)?.partitions[partition];
      const base = { topic: name, topicId: this.topics.get(name)?.topicId ?? '', partition };
      const fault = this.offsetFault?.(name, partition) ?? null;
      if (fault !== null) return { ...base, error: detailOf(fault) };
      if (found === undefined) return { ...base, error: detailOf('UNKNOWN_TOPIC_OR_PARTITION') };
      const offset = query.at?.$case === 'earliest' ? found.logStart : found.endOffset;
      return { ...base, offset: BigInt(offset), leaderEpoch: 1 };
    });
    return { offsets };
  }

  #join(request: group.JoinGroupRequest): group.JoinGroupResponse {
    const target = this.group(request.group);
    const assignment = request.topics.map((name) => {
      const { topicId, partitions } = this.#find(name);
      return { topic: name, topicId, partitions: partitions.map((_, partition) => partition) };
    });
    const { resumeToken } = request;
    if (resumeToken !== undefined) {
      if (target.member?.token !== Buffer.from(resumeToken).toString()) throw new Refusal('INVALID_RESUME_TOKEN');
      target.member.epoch += 1;
      target.member.assignment = assignment;
    } else if (target.member === null || request.joinId === undefined || target.member.joinId !== request.joinId) {
      if (target.member !== null) throw new Refusal('GROUP_MAX_SIZE_REACHED');
      target.member = {
        id: randomUUID(),
        epoch: 1,
        token: randomUUID(),
        joinId: request.joinId,
        instanceId: request.instanceId,
        assignment,
        heartbeats: 0,
        commitSequence: 0,
        pending: null,
      };
    }
    return {
      memberId: target.member.id,
      memberEpoch: target.member.epoch,
      resumeToken: Buffer.from(target.member.token),
      assignment,
      sessionTimeoutMs: BigInt(this.sessionTimeoutMs),
      heartbeatIntervalMs: BigInt(this.heartbeatIntervalMs),
    };
  }

  #memberOf(groupName: string, memberId: string, epoch: number): Member {
    const { member } = this.group(groupName);
    if (member?.id !== memberId) throw new Refusal('UNKNOWN_MEMBER_ID');
    if (member.epoch !== epoch) throw new Refusal('FENCED_MEMBER_EPOCH');
    return member;
  }

  #heartbeat(request: group.HeartbeatRequest): group.HeartbeatResponse {
    const member = this.#memberOf(request.group, request.memberId, request.memberEpoch);
    member.heartbeats += 1;
    this.owned = request.owned;
    const assignment = member.pending === null ? undefined : { partitions: member.pending };
    if (member.pending !== null) {
      member.assignment = member.pending;
      member.pending = null;
      member.epoch += 1;
    }
    return { memberEpoch: member.epoch, assignment, heartbeatIntervalMs: BigInt(this.heartbeatIntervalMs) };
  }

  #commit(request: group.CommitRequest): group.CommitResponse {
    const target = this.group(request.group);
    if (request.memberId !== undefined) {
      const member = target.member;
      if (member?.id !== request.memberId) throw new Refusal('UNKNOWN_MEMBER_ID');
      if (member.epoch !== request.memberEpoch) throw new Refusal('STALE_MEMBER_EPOCH');
      if (Number(request.sequence) < member.commitSequence) throw new Error('commit sequences rise');
      member.commitSequence = Number(request.sequence);
    }
    for (const { topic: name, partition, offset, leaderEpoch } of request.offsets)
      target.committed.set(`${name}/${partition}`, { offset: offset ?? 0n, leaderEpoch });
    return { partitions: request.offsets.map(({ topic: name, partition }) => ({ topic: name, partition })) };
  }

  #fetchCommitted(request: group.FetchCommittedRequest): group.FetchCommittedResponse {
    const { committed } = this.group(request.group);
    const wanted = request.partitions.flatMap(({ topic: name, partitions }) =>
      partitions.map((partition) => `${name}/${partition}`),
    );
    return {
      offsets: (wanted.length > 0 ? wanted : [...committed.keys()]).map((key) => {
        const at = key.lastIndexOf('/');
        const found = committed.get(key);
        return {
          topic: key.slice(0, at),
          topicId: '',
          partition: Number(key.slice(at + 1)),
          offset: found?.offset,
          leaderEpoch: found?.leaderEpoch,
          metadata: '',
          commitTimeMs: undefined,
          newerThanGroup: this.newerThanGroup,
        };
      }),
    };
  }
}

class Refusal extends Error {
  readonly code: ErrorCode;
  readonly leaderHint: LeaderHint | undefined;
  readonly actual: string | undefined;

  constructor(code: ErrorCode, leaderHint?: LeaderHint, actual?: string) {
    super(`scripted ${code}`);
    this.actual = actual;
    this.code = code;
    this.leaderHint = leaderHint;
  }

  asStatus(): Partial<StatusObject> {
    const detail = ErrorDetail.encode({ ...detailOf(this.code), leaderHint: this.leaderHint }).finish();
    const details = [{ typeUrl: 'type.googleapis.com/sluice.v1.ErrorDetail', value: detail }];
    const metadata = new Metadata();
    const code = errorTraits[this.code].retriable ? status.UNAVAILABLE : status.FAILED_PRECONDITION;
    metadata.set(
      'grpc-status-details-bin',
      Buffer.from(Status.encode({ code, message: this.message, details }).finish()),
    );
    return { code, details: this.message, metadata };
  }
}

function detailOf(code: ErrorCode): ErrorDetail {
  const { retriable, indeterminate } = errorTraits[code];
  const wire = Object.entries(WireCode).find(([name]) => name === `ERROR_CODE_${code}`)?.[1];
  return { code: wire ?? 0, retriable, indeterminate, message: `scripted ${code}`, fields: { scripted: 'yes' } };
}

function handleQuietly(handle: () => unknown): void {
  try {
    handle();
  } catch {
    // the answer is lost anyway
  }
}
