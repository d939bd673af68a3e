/**
 * The calls of the contract as the client makes them. The generated stubs copy every message once more than needed, so
 * the definitions here hand grpc-js a view of the encoded bytes.
 */
import type { BinaryWriter } from '@bufbuild/protobuf/wire';
import * as cluster from './gen/sluice/v1/cluster.ts';
import * as group from './gen/sluice/v1/group.ts';
import * as log from './gen/sluice/v1/log.ts';
import * as topic from './gen/sluice/v1/topic.ts';
import { encodeProduce } from './produce-frame.ts';

/**
 * What repeating a call after a lost answer does: `none` has no effect at all, `repeatable` does no harm, `once` may
 * report its own first attempt as a conflict and is therefore not repeated.
 */
export type Effect = 'none' | 'repeatable' | 'once';

export interface Method<Request, Response> {
  readonly path: string;
  readonly effect: Effect;
  readonly serialize: (request: Request) => Buffer;
  readonly deserialize: (bytes: Buffer) => Response;
}

interface Codec<T> {
  encode(message: T): BinaryWriter;
  decode(bytes: Uint8Array): T;
}

const method = <Request, Response>(
  path: string,
  effect: Effect,
  request: Codec<Request>,
  response: Codec<Response>,
): Method<Request, Response> => ({
  path: `/sluice.v1.${path}`,
  effect,
  serialize(message) {
    const bytes = request.encode(message).finish();
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  },
  deserialize: (bytes) => response.decode(bytes),
});

export const methods = {
  produceStream: {
    ...method('LogService/ProduceStream', 'repeatable', log.ProduceStreamRequest, log.ProduceStreamResponse),
    serialize: encodeProduce,
  },
  initProducer: method('LogService/InitProducer', 'repeatable', log.InitProducerRequest, log.InitProducerResponse),
  resolveAppend: method('LogService/ResolveAppend', 'repeatable', log.ResolveAppendRequest, log.ResolveAppendResponse),
  fetchStream: method('LogService/FetchStream', 'none', log.FetchStreamRequest, log.FetchStreamResponse),
  listOffsets: method('LogService/ListOffsets', 'none', log.ListOffsetsRequest, log.ListOffsetsResponse),
  deleteRecords: method('LogService/DeleteRecords', 'repeatable', log.DeleteRecordsRequest, log.DeleteRecordsResponse),
  explain: method('ClusterService/Explain', 'none', cluster.ExplainRequest, cluster.ExplainResponse),
  joinGroup: method('GroupService/JoinGroup', 'repeatable', group.JoinGroupRequest, group.JoinGroupResponse),
  heartbeat: method('GroupService/Heartbeat', 'repeatable', group.HeartbeatRequest, group.HeartbeatResponse),
  leaveGroup: method('GroupService/LeaveGroup', 'repeatable', group.LeaveGroupRequest, group.LeaveGroupResponse),
  commit: method('GroupService/Commit', 'repeatable', group.CommitRequest, group.CommitResponse),
  fetchCommitted: method(
    'GroupService/FetchCommitted',
    'none',
    group.FetchCommittedRequest,
    group.FetchCommittedResponse,
  ),
  membership: method('GroupService/Membership', 'none', group.MembershipRequest, group.MembershipResponse),
  listGroups: method('GroupService/ListGroups', 'none', group.ListGroupsRequest, group.ListGroupsResponse),
  describeGroup: method('GroupService/DescribeGroup', 'none', group.DescribeGroupRequest, group.DescribeGroupResponse),
  deleteGroup: method('GroupService/DeleteGroup', 'once', group.DeleteGroupRequest, group.DeleteGroupResponse),
  fetch: method('LogService/Fetch', 'none', log.FetchRequest, log.FetchResponse),
  createTopic: method('TopicService/CreateTopic', 'once', topic.CreateTopicRequest, topic.CreateTopicResponse),
  alterTopic: method('TopicService/AlterTopic', 'repeatable', topic.AlterTopicRequest, topic.AlterTopicResponse),
  deleteTopic: method('TopicService/DeleteTopic', 'once', topic.DeleteTopicRequest, topic.DeleteTopicResponse),
  describeTopic: method('TopicService/DescribeTopic', 'none', topic.DescribeTopicRequest, topic.DescribeTopicResponse),
  listTopics: method('TopicService/ListTopics', 'none', topic.ListTopicsRequest, topic.ListTopicsResponse),
  describeCluster: method(
    'ClusterService/DescribeCluster',
    'none',
    cluster.DescribeClusterRequest,
    cluster.DescribeClusterResponse,
  ),
  describeBroker: method(
    'ClusterService/DescribeBroker',
    'none',
    cluster.DescribeBrokerRequest,
    cluster.DescribeBrokerResponse,
  ),
  drainBroker: method(
    'ClusterService/DrainBroker',
    'repeatable',
    cluster.DrainBrokerRequest,
    cluster.DrainBrokerResponse,
  ),
  undrainBroker: method(
    'ClusterService/UndrainBroker',
    'repeatable',
    cluster.UndrainBrokerRequest,
    cluster.UndrainBrokerResponse,
  ),
  decommissionBroker: method(
    'ClusterService/DecommissionBroker',
    'repeatable',
    cluster.DecommissionBrokerRequest,
    cluster.DecommissionBrokerResponse,
  ),
  replaceBroker: method(
    'ClusterService/ReplaceBroker',
    'repeatable',
    cluster.ReplaceBrokerRequest,
    cluster.ReplaceBrokerResponse,
  ),
  moveReplicas: method(
    'ClusterService/MoveReplicas',
    'repeatable',
    cluster.MoveReplicasRequest,
    cluster.MoveReplicasResponse,
  ),
  transferLeadership: method(
    'ClusterService/TransferLeadership',
    'repeatable',
    cluster.TransferLeadershipRequest,
    cluster.TransferLeadershipResponse,
  ),
  finalizeUpgrade: method(
    'ClusterService/FinalizeUpgrade',
    'repeatable',
    cluster.FinalizeUpgradeRequest,
    cluster.FinalizeUpgradeResponse,
  ),
  addPartitions: method(
    'TopicService/AddPartitions',
    'repeatable',
    topic.AddPartitionsRequest,
    topic.AddPartitionsResponse,
  ),
  changeReplicationFactor: method(
    'TopicService/ChangeReplicationFactor',
    'repeatable',
    topic.ChangeReplicationFactorRequest,
    topic.ChangeReplicationFactorResponse,
  ),
} as const;
