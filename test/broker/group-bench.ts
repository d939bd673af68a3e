/** A GroupService with one partition of `__groups` over a scripted Raft group, on a clock that the test moves. */
import assert from 'node:assert/strict';
import type { BrokerError, Result } from '../../src/model/errors.ts';
import type { MemberEpoch } from '../../src/model/ids.ts';
import { toMemberEpoch, toMillis, toOffset } from '../../src/model/ids.ts';
import type { GroupEvent } from '../../src/broker/group/group-event.ts';
import { defaultGroupLimits } from '../../src/broker/group/group-limits.ts';
import type { GroupLimits } from '../../src/broker/group/group-limits.ts';
import type { Rebalance } from '../../src/broker/group/rebalance-history.ts';
import { GroupPartition } from '../../src/broker/group-partition.ts';
import { GroupService } from '../../src/broker/group-service.ts';
import type { GroupSettings } from '../../src/broker/group-settings.ts';
import { defaultGroupSettings } from '../../src/broker/group-settings.ts';
import type { CommitAnswer, Membership, RequestContext, TopicPartitions } from '../../src/broker/requests.ts';
import { ManualClock } from '../fakes/manual-clock.ts';
import { ScriptedRaftGroup } from '../fakes/scripted-raft-group.ts';
import { SeededRandom } from '../fakes/seeded-random.ts';
import { TableTopics } from '../fakes/table-topics.ts';

export class ServiceBench {
  readonly clock = new ManualClock();
  readonly topics = new TableTopics();
  readonly events: GroupEvent[] = [];
  readonly service: GroupService;
  readonly raft: ScriptedRaftGroup;
  machine: GroupPartition;

  constructor(settings: Partial<GroupSettings> = {}, limits: Partial<GroupLimits> = {}) {
    this.service = new GroupService({
      clock: this.clock,
      random: new SeededRandom(1),
      topics: this.topics,
      catalogRevision: () => this.topics.revision,
      partitionCount: 1,
      settings: { ...defaultGroupSettings, ...settings, limits: { ...defaultGroupLimits, ...limits } },
      leaderHint: () => null,
      observe: (event) => this.events.push(event),
    });
    this.machine = this.#machine();
    this.raft = new ScriptedRaftGroup(this.machine, this.clock);
    this.service.opened(0, this.raft);
  }

  /** What moved partitions of the group `g`, as it remembers. */
  get rebalances(): readonly Rebalance[] {
    return this.machine.coordinator.groups.find({ tenant: 0, groupId: 'g' })?.history ?? [];
  }

  /** With a topic `t` and leading. */
  static serving(
    settings: Partial<GroupSettings> = {},
    limits: Partial<GroupLimits> = {},
    partitions = 2,
  ): ServiceBench {
    const bench = new ServiceBench(settings, limits);
    bench.topics.create('t', partitions);
    bench.raft.lead();
    return bench;
  }

  /** The process ends and starts again on the same disk, and leads again. */
  restart(from: 'state' | 'log' = 'state', survives = false): void {
    this.machine.close();
    this.raft.stop(survives);
    this.machine = this.#machine();
    this.raft.restart(this.machine, from);
    this.service.opened(0, this.raft);
    this.raft.lead();
  }

  context(waitMs = 10_000, signal = new AbortController().signal): RequestContext {
    return { principal: 'test', tenant: 0, deadlineMs: toMillis(this.clock.monotonicMs() + waitMs), signal };
  }

  join(resumeToken: Uint8Array | null = null, group = 'g', topics = ['t']): Promise<Result<Membership>> {
    return this.service.joinGroup({ group, topics, resumeToken, clientId: 'client', joinId: null }, this.context());
  }

  /** A first join that can be tried again. */
  joinAs(joinId: string, waitMs = 10_000, group = 'g'): Promise<Result<Membership>> {
    const request = { group, topics: ['t'], resumeToken: null, clientId: 'client', joinId };
    return this.service.joinGroup(request, this.context(waitMs));
  }

  async joined(resumeToken: Uint8Array | null = null, group = 'g'): Promise<Membership> {
    return valueOf(await this.join(resumeToken, group));
  }

  heartbeat(member: Pick<Membership, 'memberId' | 'memberEpoch'>, owned: readonly TopicPartitions[] = [], group = 'g') {
    const { memberId, memberEpoch } = member;
    return this.service.heartbeat({ group, memberId, memberEpoch, owned }, this.context());
  }

  commit(
    member: Pick<Membership, 'memberId' | 'memberEpoch'>,
    sequence: number,
    offset: number,
    partition = 0,
    context = this.context(),
    group = 'g',
  ): Promise<Result<CommitAnswer>> {
    const { memberId, memberEpoch } = member;
    const offsets = [
      { topic: 't', topicId: null, partition, offset: toOffset(offset), leaderEpoch: null, metadata: '' },
    ];
    return this.service.commitOffsets({ group, member: { memberId, memberEpoch, sequence }, offsets }, context);
  }

  async committed(partition = 0, group = 'g'): Promise<number | null> {
    const request = { group, partitions: [{ topic: 't', partitions: [partition] }] };
    return valueOf(await this.service.fetchCommitted(request, this.context()))[0]?.offset ?? null;
  }

  #machine(): GroupPartition {
    const machine = this.service.machine(0);
    assert.ok(machine instanceof GroupPartition);
    return machine;
  }
}

export function valueOf<T>(result: Result<T>): T {
  if (result.kind === 'ok') return result.value;
  return assert.fail(`${result.error.code}: ${result.error.message}`);
}

export function errorOf(result: Result<unknown>): BrokerError {
  return result.kind === 'refused' ? result.error : assert.fail('was not refused');
}

/** Lets everything that is ready go on. */
export const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** What a promise has come to by now; null: it waits. */
export async function nowOf<T>(promise: Promise<T>): Promise<T | null> {
  await settle();
  return Promise.race([promise, Promise.resolve(null)]);
}

export const epochOf = (epoch: number): MemberEpoch => toMemberEpoch(epoch);
