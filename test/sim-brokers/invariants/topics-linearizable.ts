import { BrokerInvariant } from '../invariant.ts';
import type { TopicAnswer } from '../topic-client.ts';

/**
 * inv-B9: what clients are told of topics agrees with the order in which the catalog changed: who is told that a topic was
 * made can find it in the catalog's log within the call; a refusal was right at some moment of the call; a topic id is
 * given once and never comes back. Reliability 2.0; P78, P118.
 */
export class TopicsLinearizable extends BrokerInvariant {
  readonly id = 'inv-B9';
  readonly #made = new Set<string>();

  override onTopicAnswer({ kind, topic, from, through, refused, topicId }: TopicAnswer): void {
    const { catalog } = this.world;
    switch (refused) {
      case null:
        break;
      case 'TOPIC_ALREADY_EXISTS':
        this.check(catalog.existed(topic, from, through), `${topic} is said to exist, and did not since ${from}`);
        return;
      case 'UNKNOWN_TOPIC_OR_PARTITION':
        this.check(catalog.wasFree(topic, from, through), `${topic} is said not to exist, and did since ${from}`);
        return;
      default:
        return;
    }
    if (kind === 'delete') {
      const gone = [...catalog.topics.values()].some(
        ({ name, deletedAt }) => name === topic && deletedAt !== null && deletedAt >= from && deletedAt <= through,
      );
      this.check(gone, `${topic} is said to be deleted, and was not since ${from}`);
      return;
    }
    const found = catalog.topics.get(topicId ?? '');
    this.check(
      found?.name === topic,
      `${topic} is said to have id ${topicId}, which the catalog knows as ${found?.name}`,
    );
    if (kind === 'describe') return;
    this.check(found.createdAt >= from && found.createdAt <= through, `${topicId} was made at ${found.createdAt}`);
    this.check(!this.#made.has(found.topicId), `topic id ${found.topicId} was given twice`);
    this.#made.add(found.topicId);
  }
}
