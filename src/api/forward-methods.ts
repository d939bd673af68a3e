/** The calls that brokers hand to each other; both ends use this list. */
import {
  DescribeBrokerRequest,
  DescribeBrokerResponse,
  ExplainRequest,
  ExplainResponse,
} from '../gen/sluice/v1/cluster.ts';
import {
  CommitRequest,
  CommitResponse,
  DeleteGroupRequest,
  DeleteGroupResponse,
  DescribeGroupRequest,
  DescribeGroupResponse,
  FetchCommittedRequest,
  FetchCommittedResponse,
  HeartbeatRequest,
  HeartbeatResponse,
  JoinGroupRequest,
  JoinGroupResponse,
  LeaveGroupRequest,
  LeaveGroupResponse,
  ListGroupsRequest,
  ListGroupsResponse,
} from '../gen/sluice/v1/group.ts';
import {
  DeleteRecordsRequest,
  DeleteRecordsResponse,
  FetchRequest,
  FetchResponse,
  ListOffsetsRequest,
  ListOffsetsResponse,
  ResolveAppendRequest,
  ResolveAppendResponse,
} from '../gen/sluice/v1/log.ts';
import { DescribeTopicRequest, DescribeTopicResponse } from '../gen/sluice/v1/topic.ts';
import type { Codec, ForwardedMethod } from './forward-calls.ts';

const method = <Request, Response>(
  name: string,
  request: Codec<Request>,
  response: Codec<Response>,
  changes: boolean,
): ForwardedMethod<Request, Response> => ({ name: `forward-${name}`, request, response, changes });

export const forwardedMethods = {
  fetch: method('fetch', FetchRequest, FetchResponse, false),
  listOffsets: method('list-offsets', ListOffsetsRequest, ListOffsetsResponse, false),
  resolveAppend: method('resolve-append', ResolveAppendRequest, ResolveAppendResponse, true),
  deleteRecords: method('delete-records', DeleteRecordsRequest, DeleteRecordsResponse, true),
  explain: method('explain', ExplainRequest, ExplainResponse, false),
  joinGroup: method('join-group', JoinGroupRequest, JoinGroupResponse, true),
  heartbeat: method('heartbeat', HeartbeatRequest, HeartbeatResponse, true),
  leaveGroup: method('leave-group', LeaveGroupRequest, LeaveGroupResponse, true),
  commit: method('commit', CommitRequest, CommitResponse, true),
  fetchCommitted: method('fetch-committed', FetchCommittedRequest, FetchCommittedResponse, false),
  listGroups: method('list-groups', ListGroupsRequest, ListGroupsResponse, false),
  describeGroup: method('describe-group', DescribeGroupRequest, DescribeGroupResponse, false),
  deleteGroup: method('delete-group', DeleteGroupRequest, DeleteGroupResponse, true),
  describeTopic: method('describe-topic', DescribeTopicRequest, DescribeTopicResponse, false),
  describeBroker: method('describe-broker', DescribeBrokerRequest, DescribeBrokerResponse, false),
} as const;
