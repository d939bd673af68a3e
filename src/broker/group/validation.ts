/** Form checks that need no state. Each answers a refusal or null. */
import type { Refused } from '../../model/errors.ts';
import { refuse } from '../../model/errors.ts';
import type { GroupLimits } from './group-limits.ts';

const groupIdPattern = /^[A-Za-z0-9._-]{1,249}$/;
const clientIdLengthMax = 249;

export function refuseGroupId(groupId: string): Refused | null {
  if (groupIdPattern.test(groupId)) return null;
  const message = "A group id has 1 to 249 characters of letters, digits, '.', '_' and '-'.";
  return refuse('INVALID_GROUP_ID', message, { fields: { groupIdLength: String(groupId.length) } });
}

export function refuseClientId(clientId: string): Refused | null {
  if (clientId.length <= clientIdLengthMax) return null;
  const fields = { limit: String(clientIdLengthMax), actual: String(clientId.length) };
  return refuse('INVALID_REQUEST', `A client id has at most ${clientIdLengthMax} characters.`, { fields });
}

export function refuseInstanceId(instanceId: string | null): Refused | null {
  if (instanceId === null || groupIdPattern.test(instanceId)) return null;
  const message = "An instance id has 1 to 249 characters of letters, digits, '.', '_' and '-'.";
  return refuse('INVALID_REQUEST', message, { fields: { instanceIdLength: String(instanceId.length) } });
}

export function refuseSubscription(topics: readonly string[], limits: GroupLimits): Refused | null {
  if (topics.length > 0 && topics.length <= limits.topicsPerMemberMax) return null;
  const fields = { limit: String(limits.topicsPerMemberMax), actual: String(topics.length) };
  const message = `A member subscribes to 1 to ${limits.topicsPerMemberMax} topics, by name.`;
  return refuse('INVALID_REQUEST', message, { fields });
}
