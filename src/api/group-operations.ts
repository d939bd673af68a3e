/** GroupService: what operators ask of groups. */
import type {
  DeleteGroupRequest,
  DeleteGroupResponse,
  DescribeGroupRequest,
  DescribeGroupResponse,
  GroupSummary as WireGroupSummary,
  ListGroupsRequest,
  ListGroupsResponse,
  MemberDescription as WireMember,
  Rebalance as WireRebalance,
} from '../gen/sluice/v1/group.ts';
import { GroupState, MemberState } from '../gen/sluice/v1/group.ts';
import type { MemberPhase } from '../broker/group/description.ts';
import type { GroupPhase } from '../broker/group/group.ts';
import type { Rebalance } from '../broker/group/rebalance-history.ts';
import type { BrokerApi, GroupMember, GroupReport, GroupSummary, RequestContext } from '../broker/requests.ts';
import type { Result } from '../model/errors.ts';
import { ok } from '../model/errors.ts';
import { FieldChecks, toInt32, toInt64, toInt64OrAbsent } from './convert.ts';
import { toWirePartitions } from './groups.ts';

const pageSizeRange = { from: 1, through: 1_000 };
const pageSizeDefault = 100;

export const groupStates = {
  empty: GroupState.GROUP_STATE_EMPTY,
  reconciling: GroupState.GROUP_STATE_RECONCILING,
  stable: GroupState.GROUP_STATE_STABLE,
} as const satisfies Record<GroupPhase, GroupState>;

export const memberStates = {
  stable: MemberState.MEMBER_STATE_STABLE,
  revoking: MemberState.MEMBER_STATE_REVOKING,
  waiting: MemberState.MEMBER_STATE_WAITING,
} as const satisfies Record<MemberPhase, MemberState>;

export async function listGroups(
  broker: BrokerApi,
  request: ListGroupsRequest,
  context: RequestContext,
): Promise<Result<ListGroupsResponse>> {
  const checks = new FieldChecks();
  const page = checks.finish({
    limit: checks.integerOr('page_size', request.pageSize, pageSizeRange, pageSizeDefault),
    // the token is the name of the last group of the page before
    after: request.pageToken === '' ? '' : checks.group('page_token', request.pageToken),
  });
  if (page.kind === 'refused') return page;
  const listed = await broker.listGroups(page.value, context);
  if (listed.kind === 'refused') return listed;
  const { groups, more, silent } = listed.value;
  return ok({
    groups: groups.map(toWireSummary),
    nextPageToken: more ? (groups.at(-1)?.group ?? '') : '',
    silentBrokerIds: silent.map(toInt32),
  });
}

export async function describeGroup(
  broker: BrokerApi,
  request: DescribeGroupRequest,
  context: RequestContext,
): Promise<Result<DescribeGroupResponse>> {
  const checks = new FieldChecks();
  const group = checks.finish(checks.group('group', request.group));
  if (group.kind === 'refused') return group;
  const described = await broker.describeGroup(group.value, context);
  return described.kind === 'refused' ? described : ok(toWireReport(described.value));
}

export async function deleteGroup(
  broker: BrokerApi,
  request: DeleteGroupRequest,
  context: RequestContext,
): Promise<Result<DeleteGroupResponse>> {
  const checks = new FieldChecks();
  const group = checks.finish(checks.group('group', request.group));
  if (group.kind === 'refused') return group;
  const deleted = await broker.deleteGroup(group.value, context);
  return deleted.kind === 'refused' ? deleted : ok({});
}

const toWireSummary = ({ group, phase, memberCount, offsetCount, coordinator }: GroupSummary): WireGroupSummary => ({
  group,
  state: groupStates[phase],
  memberCount: toInt32(memberCount),
  offsetCount: toInt32(offsetCount),
  coordinator: toInt32(coordinator),
});

const toWireReport = (report: GroupReport): DescribeGroupResponse => ({
  group: report.groupId,
  state: groupStates[report.phase],
  assignor: report.assignor,
  epoch: toInt32(report.epoch),
  emptySinceMs: toInt64OrAbsent(report.emptySinceMs),
  members: report.members.map(toWireMember),
  offsetCount: toInt32(report.offsetCount),
  rebalances: report.rebalances.map(toWireRebalance),
  coordinator: toInt32(report.coordinator),
});

const toWireMember = (member: GroupMember): WireMember => ({
  memberId: member.memberId,
  clientId: member.clientId,
  topics: [...member.topics],
  instanceId: member.instanceId ?? undefined,
  away: member.away,
  rack: member.rack ?? undefined,
  memberEpoch: toInt32(member.epoch),
  state: memberStates[member.phase],
  assigned: member.assigned.map(toWirePartitions),
  revoking: member.revoking.map(toWirePartitions),
  awaited: member.awaited.map(toWirePartitions),
  suspect: member.suspect,
  sessionRemainingMs: toInt64OrAbsent(member.sessionRemainingMs),
});

const toWireRebalance = (rebalance: Rebalance): WireRebalance => ({
  atMs: toInt64(rebalance.atMs),
  reason: rebalance.reason,
  memberId: rebalance.memberId ?? undefined,
  clientId: rebalance.clientId,
  epoch: toInt32(rebalance.epoch),
  memberCount: toInt32(rebalance.memberCount),
  membersAffected: toInt32(rebalance.membersAffected),
});
