/** GroupService, method by method. */
import type { GroupServiceService } from '../gen/sluice/v1/group.ts';
import type { BrokerApi } from '../broker/requests.ts';
import type { CallDesk } from './call-desk.ts';
import { deleteGroup, describeGroup, listGroups } from './group-operations.ts';
import { commit, fetchCommitted, heartbeat, joinGroup, leaveGroup } from './groups.ts';
import { membershipStream } from './membership-stream.ts';
import type { HandlersOf } from './service.ts';

/** The methods of GroupService. */
export function groupHandlers(desk: CallDesk, broker: () => BrokerApi): HandlersOf<typeof GroupServiceService> {
  return {
    joinGroup: desk.unary((request, context) => joinGroup(broker(), request, context)),
    heartbeat: desk.unary((request, context) => heartbeat(broker(), request, context)),
    leaveGroup: desk.unary((request, context) => leaveGroup(broker(), request, context)),
    commit: desk.unary((request, context) => commit(broker(), request, context)),
    fetchCommitted: desk.unary((request, context) => fetchCommitted(broker(), request, context)),
    membership: membershipStream(desk, broker),
    listGroups: desk.unary((request, context) => listGroups(broker(), request, context)),
    describeGroup: desk.unary((request, context) => describeGroup(broker(), request, context)),
    deleteGroup: desk.unary((request, context) => deleteGroup(broker(), request, context)),
  };
}
