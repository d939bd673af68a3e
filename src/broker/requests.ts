/**
 * What api/ asks of the broker, in the model's terms. Everything here is validated for form by api/ (types, safe
 * integers, presence); the broker checks it against its state. Answers are values or refusals; promises reject only
 * with bugs.
 */
import type { BrokerDuty } from './catalog-commands.ts';
import type { ClusterOperation, OperationReport } from './cluster-operation.ts';
import type { GroupDescription, MemberDescription } from './group/description.ts';
import type { GroupPhase } from './group/group.ts';
import type { AssignorName } from './group/records.ts';
import type { BrokerError, LeaderHint, Refused, Result } from '../model/errors.ts';
import type { BatchProducer } from '../model/record-batch.ts';
import type {
  BrokerId,
  GroupNumber,
  LogIndex,
  MemberEpoch,
  Millis,
  Offset,
  ProducerEpoch,
  ProducerId,
  Term,
} from '../model/ids.ts';
import type { DiskFacts, PeerFacts, RuntimeFacts } from './broker-facts.ts';
import type { Explanation } from './explain.ts';
import type { TopicConfig, TopicConfigChange } from './topic-config.ts';

/** Who asks (design D21): one on every path, so that tenants, ACLs and quotas find their place. */
export interface RequestContext {
  readonly principal: string;
  readonly tenant: number;
  /** Monotonic time by which the caller wants an answer. */
  readonly deadlineMs: Millis;
  /** Aborts when the caller is gone: waiting stops, what is appended stays. */
  readonly signal: AbortSignal;
  /** Moment of the observers' clock at which the request came to this broker from its client; absent: it did not. */
  readonly arrived?: number;
}

export interface PartitionRef {
  readonly topic: string;
  /** Null: by name alone. */
  readonly topicId: string | null;
  readonly partition: number;
}

export type AckLevel = 'all' | 'leader' | 'none';

export interface AppendRequest extends PartitionRef {
  /** One RecordBatch v2; owned by the broker from now on (base offset and leader epoch are patched in place). */
  readonly batch: Uint8Array;
  readonly acks: AckLevel;
  /** Appended only if the partition ends there. Absent: wherever it ends. */
  readonly expectedEndOffset?: Offset | null;
  /** With acks=all: answered only once every replica has it. Default false. */
  readonly everyReplica?: boolean;
}

export interface AppendReceipt {
  readonly topicId: string;
  readonly partition: number;
  /** Null for a duplicate older than the window. */
  readonly baseOffset: Offset | null;
  readonly leaderEpoch: Term;
  readonly appendTimeMs: Millis | null;
  readonly committed: boolean;
  readonly duplicate: boolean;
  /** Where its entry is in the replicated log; null: not known (any more). */
  readonly entry: { readonly index: LogIndex; readonly term: Term } | null;
  /** Brokers whose replicas vote and had it durably when it was acknowledged, ascending. Empty: not known. */
  readonly durableOn: readonly BrokerId[];
  /** The leader that appended it, where it was handed to another broker; null: it is this one, or its address is not known. */
  readonly leader: LeaderHint | null;
  readonly logStart: Offset;
  readonly catalogRevision: number;
}

export interface ProducerGrant {
  readonly producerId: ProducerId;
  readonly producerEpoch: ProducerEpoch;
  readonly secret: Uint8Array;
}

/** A batch that somebody asks about, with what proves that it was theirs. */
export interface ResolveRequest extends PartitionRef {
  readonly producer: BatchProducer;
  readonly secret: Uint8Array;
  readonly count: number;
  /** Time since it was first sent, milliseconds. */
  readonly ageMs: number;
}

/** What became of a batch (design D14). */
export interface ResolveAnswer {
  readonly topicId: string;
  readonly partition: number;
  readonly outcome: 'committed' | 'never' | 'expired';
  /** Null: it is not committed, or older than the window. */
  readonly baseOffset: Offset | null;
  readonly appendTimeMs: Millis | null;
  readonly leaderEpoch: Term;
  readonly catalogRevision: number;
}

export interface FetchPartitionRequest extends PartitionRef {
  readonly fetchOffset: Offset;
  readonly leaderEpoch: Term | null;
  readonly bytesMax: number;
  /** The reader's; it may be sent to a replica there. Absent or null: it is served where it asks. */
  readonly rack?: string | null;
}

export interface FetchRequest {
  readonly partitions: readonly FetchPartitionRequest[];
  readonly waitMsMax: number;
  readonly bytesMin: number;
  readonly bytesMax: number;
}

export interface FetchedPartition {
  readonly topic: string;
  readonly topicId: string;
  readonly partition: number;
  readonly error: BrokerError | null;
  /** Null only with an error that hides it. */
  readonly highWatermark: Offset | null;
  readonly logStart: Offset | null;
  readonly leaderEpoch: Term | null;
  /** Encoded batches, one each, exactly as stored. The first may begin below fetchOffset. */
  readonly batches: readonly Uint8Array[];
  /** Where to go on; null with an error. */
  readonly nextOffset: Offset | null;
  /** Where to read instead, because it is in the reader's rack; then nothing was read. Absent: here. */
  readonly preferred?: BrokerAddress;
}

export interface FetchAnswer {
  readonly partitions: readonly FetchedPartition[];
  readonly catalogRevision: number;
}

export interface OffsetQuery extends PartitionRef {
  readonly at:
    | { readonly kind: 'earliest' }
    | { readonly kind: 'latest' }
    | { readonly kind: 'timestamp'; readonly timestampMs: Millis }
    | { readonly kind: 'max-timestamp' }
    /** Where the records of a leader epoch end. */
    | { readonly kind: 'end-of-epoch'; readonly epoch: Term };
  /** The leader's term as the asker knows it. Absent or null: not checked. */
  readonly leaderEpoch?: Term | null;
}

export interface DeleteRecords extends PartitionRef {
  /** The first offset that stays; null: the high watermark. */
  readonly before: Offset | null;
}

export interface FoundOffset {
  readonly topic: string;
  readonly topicId: string;
  readonly partition: number;
  readonly error: BrokerError | null;
  readonly offset: Offset | null;
  readonly timestampMs: Millis | null;
  readonly leaderEpoch: Term | null;
  /** The epoch that ends at the offset, for a query for the end of one. */
  readonly endedEpoch?: Term;
}

export interface TopicInfo {
  readonly name: string;
  readonly topicId: string;
  readonly partitionCount: number;
  readonly replicationFactor: number;
  readonly internal: boolean;
  readonly createdAtMs: Millis;
  readonly config: TopicConfig;
}

export interface PartitionInfo {
  readonly partition: number;
  readonly leader: BrokerId | null;
  readonly leaderEpoch: Term | null;
  readonly replicas: readonly BrokerId[];
  readonly logStart: Offset | null;
  readonly highWatermark: Offset | null;
  /** Replicas in sync as the leader sees them, itself included. Empty: not known. */
  readonly inSync: readonly BrokerId[];
}

/** Where clients reach a broker. */
export interface BrokerAddress {
  readonly brokerId: BrokerId;
  /** "host:port". */
  readonly address: string;
}

export interface AlterTopic {
  readonly name: string;
  /** Null: by name alone. */
  readonly topicId: string | null;
  readonly config: TopicConfigChange;
  /** Only says what the topic would be. */
  readonly dryRun: boolean;
}

export interface BrokerInfo {
  readonly brokerId: BrokerId;
  readonly address: string;
  readonly incarnation: string;
  readonly version: string;
  readonly healthy: boolean;
  /** Empty if it is healthy. */
  readonly unhealthyReason: string;
  /** True: who knows could not be asked; then `healthy` is false. */
  readonly healthUnknown: boolean;
  /** Null: not said. */
  readonly rack: string | null;
  /** What it is ordered to do; null: what every broker does. */
  readonly duty: BrokerDuty | null;
  /** Replicas that are placed on it, or still leaving it. */
  readonly replicaCount: number;
  /** Its disk is given up: another one may take its place. */
  readonly replaceable: boolean;
  /** Newest format that its software writes and reads. */
  readonly formatVersion: number;
}

export interface ClusterInfo {
  readonly clusterId: string;
  readonly brokers: readonly BrokerInfo[];
  readonly catalogLeader: BrokerId | null;
  readonly catalogRevision: number;
  readonly activeVersion: number;
  readonly topicCount: number;
  readonly partitionCount: number;
}

/** How many replicas a broker has, the catalog's own not counted: each of them in one of the four. */
export interface ReplicaCounts {
  readonly leaders: number;
  /** Voters that do not lead; those that stand for election among them. */
  readonly followers: number;
  readonly learners: number;
  readonly quarantined: number;
}

/** A replica that takes no part on its broker: it neither votes nor leads nor acknowledges (design D7). */
export interface QuarantinedReplica {
  readonly group: GroupNumber;
  /** Null: the catalog's own, or nobody knows. */
  readonly partition: { readonly topic: string; readonly topicId: string; readonly number: number } | null;
  readonly reason: string;
  /** Milliseconds since 1970. */
  readonly sinceMs: Millis;
}

export interface PeerInfo extends PeerFacts {
  readonly brokerId: BrokerId;
}

/** One broker as it sees itself. What it can not measure is null. */
export interface BrokerReport {
  readonly broker: BrokerInfo;
  readonly replicas: ReplicaCounts;
  /** By group. */
  readonly quarantined: readonly QuarantinedReplica[];
  readonly disk: DiskFacts | null;
  readonly runtime: RuntimeFacts | null;
  /** The others of the cluster, by id. */
  readonly peers: readonly PeerInfo[];
}

export interface TopicPartitions {
  readonly topic: string;
  readonly topicId: string;
  readonly partitions: readonly number[];
}

export interface JoinGroup {
  readonly group: string;
  readonly topics: readonly string[];
  readonly resumeToken: Uint8Array | null;
  readonly clientId: string;
  /** Lower-case UUID that names this join and its retries; null: each call that makes a member makes another one. */
  readonly joinId: string | null;
  /** Of a static member. Default null. */
  readonly instanceId?: string | null;
  /** How the group shall share its partitions. Default null: it does not matter. */
  readonly assignor?: AssignorName | null;
  /** Where the member runs. Default null. */
  readonly rack?: string | null;
}

export interface Membership {
  readonly memberId: string;
  readonly memberEpoch: MemberEpoch;
  readonly resumeToken: Uint8Array;
  readonly assignment: readonly TopicPartitions[];
  readonly sessionTimeoutMs: number;
  readonly heartbeatIntervalMs: number;
}

export interface MemberRef {
  readonly group: string;
  readonly memberId: string;
  readonly memberEpoch: MemberEpoch;
}

export interface LeaveGroup extends MemberRef {
  /** Default `left`. */
  readonly reason?: 'left' | 'progress-expired';
  /** A static member that will be back. Default false. */
  readonly keepPlace?: boolean;
}

export interface GroupMember extends MemberDescription {
  /** It has no stream that would tell that it lives. */
  readonly suspect: boolean;
  readonly sessionRemainingMs: number | null;
}

export interface GroupReport extends Omit<GroupDescription, 'members'> {
  readonly members: readonly GroupMember[];
  readonly coordinator: BrokerId;
}

export interface GroupSummary {
  readonly group: string;
  readonly phase: GroupPhase;
  readonly memberCount: number;
  readonly offsetCount: number;
  readonly coordinator: BrokerId;
}

export interface GroupPage {
  /** Ascending by name. */
  readonly groups: readonly GroupSummary[];
  readonly more: boolean;
  /** Brokers that did not answer. */
  readonly silent: readonly BrokerId[];
}

/** What a member is told while its stream lasts. */
export interface MembershipListener {
  /** Its assignment is about to change: a heartbeat tells how. */
  heartbeatNow(): void;
  /** The coordinator is not here any more, or the member is none any more. */
  ended(why: Refused): void;
}

export interface Heartbeat extends MemberRef {
  readonly owned: readonly TopicPartitions[];
}

export interface HeartbeatAnswer {
  readonly memberEpoch: MemberEpoch;
  /** Null: unchanged. */
  readonly assignment: readonly TopicPartitions[] | null;
  readonly heartbeatIntervalMs: number;
}

export interface OffsetToCommit extends PartitionRef {
  readonly offset: Offset;
  readonly leaderEpoch: Term | null;
  readonly metadata: string;
}

export interface CommitOffsets {
  readonly group: string;
  /** Null: an offset tool, allowed while the group has no members. */
  readonly member: { readonly memberId: string; readonly memberEpoch: MemberEpoch; readonly sequence: number } | null;
  readonly offsets: readonly OffsetToCommit[];
}

/** One for each offset, in order; null: stored. */
export type CommitAnswer = readonly (BrokerError | null)[];

export interface CommittedOffset {
  readonly topic: string;
  readonly topicId: string;
  readonly partition: number;
  /** Null: none was committed. */
  readonly offset: Offset | null;
  readonly leaderEpoch: Term | null;
  readonly metadata: string;
  readonly commitTimeMs: Millis | null;
  /** The partition came after the group: it is read from its beginning where nothing was committed. */
  readonly newerThanGroup: boolean;
}

/** Where what is read will be held until it has left: asked right before something is read, not while nothing is there. */
export interface ReadRoom {
  /** Resolves with how many of the bytes may be read now, at least 1; they are taken. Null: there is nobody to read for. */
  take(bytes: number): Promise<number | null>;
  /** Nothing was read after all. */
  giveBack(bytes: number): void;
}

/** A reader that sends as it finds; see FetchStream. */
export interface FetchCursor {
  /**
   * Waits until there is something (or an error) within bytesMax, then moves on. Ends when the signal aborts: null.
   * @param room default: there is always room
   */
  next(bytesMax: number, room?: ReadRoom): Promise<FetchAnswer | null>;
  close(): void;
}

/** The façade that api/ talks to; `Broker` in broker.ts implements it. */
export interface BrokerApi {
  /**
   * Checks, appends, answers when the level of acknowledgement is reached. Calls for one partition take effect in the
   * order of the calls (the part up to the append is synchronous), whatever order their promises resolve in.
   */
  append(request: AppendRequest, context: RequestContext): Promise<Result<AppendReceipt>>;
  /** Tells what became of a batch; if it is not in the log, sees to it that it never will be. */
  resolveAppend(request: ResolveRequest, context: RequestContext): Promise<Result<ResolveAnswer>>;
  /** Chooses a partition by murmur2 of the key; any for null. */
  choosePartition(topic: string, key: Uint8Array | null): Result<number>;
  initProducer(
    previous: {
      readonly producerId: ProducerId;
      readonly producerEpoch: ProducerEpoch;
      readonly secret: Uint8Array;
    } | null,
    context: RequestContext,
  ): Promise<Result<ProducerGrant>>;
  fetch(request: FetchRequest, context: RequestContext): Promise<Result<FetchAnswer>>;
  openCursor(partitions: readonly FetchPartitionRequest[], context: RequestContext): Result<FetchCursor>;
  listOffsets(queries: readonly OffsetQuery[], context: RequestContext): Promise<Result<readonly FoundOffset[]>>;

  /** Moves the log start; answers when that is committed. */
  deleteRecords(
    request: DeleteRecords,
    context: RequestContext,
  ): Promise<Result<{ readonly topicId: string; readonly logStart: Offset; readonly catalogRevision: number }>>;
  /** Why the partition waits, as this broker sees it. */
  explain(ref: PartitionRef, context: RequestContext): Promise<Result<Explanation>>;

  createTopic(
    topic: {
      readonly name: string;
      readonly partitions: number;
      readonly replicationFactor: number | null;
      /** Absent: all defaults. */
      readonly config?: TopicConfigChange;
    },
    context: RequestContext,
  ): Promise<
    Result<{
      readonly topic: TopicInfo;
      readonly partitions: readonly PartitionInfo[];
      readonly catalogRevision: number;
    }>
  >;
  alterTopic(
    change: AlterTopic,
    context: RequestContext,
  ): Promise<
    Result<{
      readonly topic: TopicInfo;
      readonly partitions: readonly PartitionInfo[];
      readonly catalogRevision: number;
    }>
  >;
  deleteTopic(
    topic: { readonly name: string; readonly topicId: string | null },
    context: RequestContext,
  ): Promise<Result<{ readonly catalogRevision: number }>>;
  describeTopic(
    name: string,
    context: RequestContext,
  ): Promise<
    Result<{
      readonly topic: TopicInfo;
      readonly partitions: readonly PartitionInfo[];
      /** Of the brokers that the partitions name, by id. */
      readonly brokers: readonly BrokerAddress[];
      readonly catalogRevision: number;
    }>
  >;
  listTopics(
    page: { readonly includeInternal: boolean; readonly limit: number; readonly after: string },
    context: RequestContext,
  ): Promise<
    Result<{ readonly topics: readonly TopicInfo[]; readonly more: boolean; readonly catalogRevision: number }>
  >;
  describeCluster(context: RequestContext): Promise<Result<ClusterInfo>>;
  /** @param brokerId null: the one that is asked */
  describeBroker(brokerId: BrokerId | null, context: RequestContext): Promise<Result<BrokerReport>>;
  /** What operators ask of the cluster; a dry run changes nothing and tells the same. */
  operate(
    operation: ClusterOperation,
    dryRun: boolean,
    context: RequestContext,
  ): Promise<Result<OperationReport & { readonly catalogRevision: number }>>;

  joinGroup(request: JoinGroup, context: RequestContext): Promise<Result<Membership>>;
  heartbeat(request: Heartbeat, context: RequestContext): Promise<Result<HeartbeatAnswer>>;
  leaveGroup(request: LeaveGroup, context: RequestContext): Promise<Result<null>>;
  /** Follows a member until what is given back is called. Only the coordinator does. */
  watchMember(request: MemberRef, listener: MembershipListener, context: RequestContext): Result<() => void>;
  /** Groups with names after `after`, at most `limit`. */
  listGroups(
    page: { readonly after: string; readonly limit: number },
    context: RequestContext,
  ): Promise<Result<GroupPage>>;
  describeGroup(group: string, context: RequestContext): Promise<Result<GroupReport>>;
  deleteGroup(group: string, context: RequestContext): Promise<Result<null>>;
  commitOffsets(request: CommitOffsets, context: RequestContext): Promise<Result<CommitAnswer>>;
  fetchCommitted(
    request: {
      readonly group: string;
      readonly partitions: readonly { readonly topic: string; readonly partitions: readonly number[] }[] | null;
    },
    context: RequestContext,
  ): Promise<Result<readonly CommittedOffset[]>>;
}
