/** The catalog as its log has committed it: what is true now, and what was true when. */
import { CatalogState } from '../../src/broker/catalog-state.ts';
import type { CatalogCommand, TopicEntry } from '../../src/broker/catalog-commands.ts';
import { decodeCommand } from '../../src/broker/catalog-commands.ts';
import type { TopicConfig } from '../../src/broker/topic-config.ts';
import type { GroupNumber } from '../../src/model/ids.ts';
import { catalogGroup } from '../../src/model/ids.ts';
import type { CommittedLogs } from './committed-logs.ts';

export interface TopicHistory {
  readonly topicId: string;
  readonly name: string;
  readonly internal: boolean;
  /** By partition. */
  readonly groups: GroupNumber[];
  /** Every configuration that it ever had. */
  readonly configs: TopicConfig[];
  readonly createdAt: number;
  /** Null: it is there. */
  deletedAt: number | null;
}

export class CatalogHistory {
  /** As committed now. */
  readonly state = new CatalogState();
  /** By topic id, all that ever were. */
  readonly topics = new Map<string, TopicHistory>();
  readonly topicOfGroup = new Map<GroupNumber, TopicHistory>();
  /** Hears of each command when it is first known to be committed. */
  readonly onCommand: ((command: CatalogCommand) => void)[] = [];
  readonly #now: () => number;

  constructor(committed: CommittedLogs, now: () => number) {
    this.#now = now;
    committed.onCommitted.push((group, entry) => {
      if (group === catalogGroup && entry.kind === 'command') this.#take(decodeCommand(entry.payload));
    });
  }

  /** Topics of clients that are there. */
  get live(): readonly TopicEntry[] {
    return [...this.state.topics.values()].filter(({ internal }) => !internal);
  }

  /** Whether some topic had the name at some moment of this time, ends included. */
  existed(name: string, from: number, through: number): boolean {
    return [...this.topics.values()].some(
      (topic) => topic.name === name && topic.createdAt <= through && (topic.deletedAt ?? Infinity) >= from,
    );
  }

  /** Whether no topic had the name at some moment of this time. */
  wasFree(name: string, from: number, through: number): boolean {
    const held = [...this.topics.values()].filter((topic) => topic.name === name);
    return !held.some((topic) => topic.createdAt < from && (topic.deletedAt ?? Infinity) > through);
  }

  #take(command: CatalogCommand): void {
    this.state.replay(command);
    if (command.kind === 'create-topic') {
      const { topicId, name, internal, partitions } = command.topic;
      const groups = partitions.map((place) => place.group);
      const configs = [command.topic.config];
      const topic = { topicId, name, internal, groups, configs, createdAt: this.#now(), deletedAt: null };
      this.topics.set(topicId, topic);
      for (const group of groups) this.topicOfGroup.set(group, topic);
    }
    if (command.kind === 'alter-topic') this.topics.get(command.topicId)?.configs.push(command.config);
    const grown = command.kind === 'add-partitions' ? this.topics.get(command.topicId) : undefined;
    if (command.kind === 'add-partitions' && grown !== undefined) {
      for (const { group } of command.partitions) {
        grown.groups.push(group);
        this.topicOfGroup.set(group, grown);
      }
    }
    if (command.kind === 'delete-topic') {
      const topic = this.topics.get(command.topicId);
      if (topic !== undefined) topic.deletedAt = this.#now();
    }
    for (const told of this.onCommand) told(command);
  }
}
