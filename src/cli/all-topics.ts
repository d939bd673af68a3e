/** Every topic with its partitions, as the whole cluster tells it. */
import type { Admin, TopicDescription } from '../../clients/typescript/src/index.ts';
import { BrokerError } from '../../clients/typescript/src/errors.ts';

/** Topics that are asked for at the same time. */
const askedMax = 8;

/** A topic that is deleted meanwhile is left out. By name. */
export async function describeTopics(
  admin: Admin,
  { includeInternal }: { readonly includeInternal: boolean },
): Promise<readonly TopicDescription[]> {
  const names = (await admin.listTopics({ includeInternal })).map(({ name }) => name);
  const described: TopicDescription[] = [];
  for (let from = 0; from < names.length; from += askedMax) {
    const some = await Promise.all(names.slice(from, from + askedMax).map((name) => describedOrNull(admin, name)));
    described.push(...some.filter((topic) => topic !== null));
  }
  return described;
}

async function describedOrNull(admin: Admin, name: string): Promise<TopicDescription | null> {
  try {
    return await admin.describeTopic(name);
  } catch (error) {
    if (BrokerError.is(error, 'UNKNOWN_TOPIC_OR_PARTITION')) return null;
    throw error;
  }
}
