/** A coordinator with topics, a clock of its own and a log: decides, encodes, applies, stores, in one step. */
import assert from 'node:assert/strict';
import type { ErrorCode } from '../../../src/model/errors.ts';
import type { Millis } from '../../../src/model/ids.ts';
import { toMemberEpoch, toMillis, toOffset } from '../../../src/model/ids.ts';
import type { StatePair } from '../../../src/model/raft-state.ts';
import type { Assignment } from '../../../src/broker/group/assignment.ts';
import { Coordinator } from '../../../src/broker/group/coordinator.ts';
import type { Decision, HandleContext } from '../../../src/broker/group/decision.ts';
import type { GroupEvent } from '../../../src/broker/group/group-event.ts';
import type { GroupLimits } from '../../../src/broker/group/group-limits.ts';
import { defaultGroupLimits } from '../../../src/broker/group/group-limits.ts';
import type { GroupView, MemberState } from '../../../src/broker/group/group.ts';
import type {
  HeartbeatAnswer,
  JoinAnswer,
  JoinRequest,
  TopicPartitions,
} from '../../../src/broker/group/membership.ts';
import type { CommitAnswer, OffsetToCommit } from '../../../src/broker/group/offset-decisions.ts';
import { encodeEntry } from '../../../src/broker/group/record-codec.ts';
import type { AssignorName, GroupEntry } from '../../../src/broker/group/records.ts';
import { TableTopics } from '../../fakes/table-topics.ts';

export const groupRef = { tenant: 0, groupId: 'g' };

export class Bench {
  readonly topics = new TableTopics();
  coordinator = new Coordinator();
  readonly entries: { readonly payload: Uint8Array; readonly atMs: Millis }[] = [];
  readonly events: GroupEvent[] = [];
  readonly limits: GroupLimits;
  assignor: AssignorName = 'uniform';
  nowMs = toMillis(1_000_000);
  /** Whether members are missed that have not left. */
  silent = false;
  readonly #state = new Map<string, StatePair>();
  #joined = 0;
  #lives = 0;

  constructor(limits: Partial<GroupLimits> = {}) {
    this.limits = { ...defaultGroupLimits, ...limits };
  }

  get group(): GroupView {
    const group = this.coordinator.groups.find(groupRef);
    assert.ok(group);
    return group;
  }

  get context(): HandleContext {
    const { nowMs, topics, limits, assignor } = this;
    const shell = { sessionRemainingMs: () => 30_000, isSilent: () => this.silent, retryAfterMs: 100 };
    return { nowMs, topics, limits, assignor, groupsPending: 0, ...shell };
  }

  get state(): readonly StatePair[] {
    return [...this.#state.values()].sort((a, b) => Buffer.compare(a.key, b.key));
  }

  advance(ms: number): void {
    this.nowMs = toMillis(this.nowMs + ms);
  }

  member(memberId: string): MemberState {
    const member = this.group.members.get(memberId);
    assert.ok(member, memberId);
    return member;
  }

  /** Applies what was decided; answers the response, or throws the refusal's code. */
  settle<T>(decision: Decision<T>): T {
    if (decision.kind === 'refused') throw new Error(decision.error.code, { cause: decision.error });
    if (decision.entry !== null) this.applyEntry(decision.entry);
    return decision.response;
  }

  applyEntry(entry: GroupEntry): void {
    const payload = encodeEntry(entry);
    this.entries.push({ payload, atMs: this.nowMs });
    const applied = this.coordinator.apply(payload, this.nowMs);
    this.events.push(...applied.events);
    for (const change of applied.changes) {
      const name = Buffer.from(change.key).toString('hex');
      if (change.kind === 'put') this.#state.set(name, change);
      else this.#state.delete(name);
    }
  }

  /** Members are called m1, m2, ... in the order in which they join; the nonce's hash is `<name>-nonce`. */
  join(topics: readonly string[], more: Partial<JoinRequest> = {}): JoinAnswer {
    const memberId = `m${this.#joined + 1}`;
    const fresh = { memberId, nonceHash: `${memberId}-nonce` };
    const request = { ...groupRef, topics, clientId: 'client', resume: null, fresh, ...more };
    const answer = this.settle(this.coordinator.join(request, this.context));
    if (!answer.resumed) this.#joined += 1;
    return answer;
  }

  /** A process with an instance id; each brings a nonce of its own. */
  joinStatic(instanceId: string, topics: readonly string[], retryOf?: string): JoinAnswer {
    const nonceHash = retryOf ?? `life-${++this.#lives}`;
    return this.join(topics, { instanceId, fresh: { memberId: `m${this.#joined + 1}`, nonceHash } });
  }

  resume(memberId: string, topics?: readonly string[], nonceHash = `${memberId}-nonce`): JoinAnswer {
    const { topics: known = [], instanceId = null } =
      this.coordinator.groups.find(groupRef)?.members.get(memberId) ?? {};
    return this.join(topics ?? known, { instanceId, resume: { memberId, nonceHash } });
  }

  heartbeat(memberId: string, memberEpoch: number, owned: readonly TopicPartitions[]): HeartbeatAnswer {
    const request = { ...groupRef, memberId, memberEpoch: toMemberEpoch(memberEpoch), owned };
    return this.settle(this.coordinator.heartbeat(request, this.context));
  }

  /** A heartbeat at the current epoch that reports `owned`; by default what is assigned. */
  beat(memberId: string, owned: Assignment = this.member(memberId).assigned): HeartbeatAnswer {
    return this.heartbeat(memberId, this.member(memberId).epoch, listed(owned));
  }

  leave(memberId: string, memberEpoch = Number(this.member(memberId).epoch), keepPlace = false): void {
    const request = { ...groupRef, memberId, memberEpoch: toMemberEpoch(memberEpoch), keepPlace };
    this.settle(this.coordinator.leave(request, this.context));
  }

  expire(
    memberId: string,
    cause: 'session-expired' | 'revocation-expired' = 'session-expired',
    memberEpoch = Number(this.member(memberId).epoch),
  ): boolean {
    const request = { ...groupRef, memberId, memberEpoch: toMemberEpoch(memberEpoch), cause };
    return this.settle(this.coordinator.expire(request, this.context));
  }

  /** Commits at the member's current epoch unless told another. */
  commit(
    memberId: string,
    sequence: number,
    offsets: readonly OffsetToCommit[],
    memberEpoch = Number(this.member(memberId).epoch),
  ): CommitAnswer {
    const member = { memberId, memberEpoch: toMemberEpoch(memberEpoch), sequence };
    return this.settle(this.coordinator.commit({ ...groupRef, member, offsets }, this.context));
  }

  commitAsTool(offsets: readonly OffsetToCommit[]): CommitAnswer {
    return this.settle(this.coordinator.commit({ ...groupRef, member: null, offsets }, this.context));
  }

  sweep(): boolean {
    return this.settle(this.coordinator.sweep(groupRef, this.context));
  }

  /** The committed offset, null if there is none. */
  offset(topic: string, partition: number): number | null {
    const request = { ...groupRef, partitions: [{ topic, partitions: [partition] }] };
    const found = this.coordinator.fetchCommitted(request, this.context);
    if (found.kind === 'refused') throw new Error(found.error.code, { cause: found.error });
    return found.value[0]?.committed?.offset ?? null;
  }

  /** Goes on with a coordinator that was restarted. */
  restart(from: 'fromState' | 'fromLog'): void {
    this.coordinator = this.restarted()[from];
  }

  /** Coordinators that were restarted on what is stored: from the state keys, and from the first entry on. */
  restarted(): { readonly fromState: Coordinator; readonly fromLog: Coordinator } {
    const fromState = new Coordinator();
    fromState.load(this.state.slice(0, 2));
    fromState.load(this.state.slice(2));
    const fromLog = new Coordinator();
    for (const { payload, atMs } of this.entries) fromLog.apply(payload, atMs);
    return { fromState, fromLog };
  }
}

export const at = (topic: string, partition: number, offset: number, more: Partial<OffsetToCommit> = {}) => ({
  topic,
  topicId: null,
  partition,
  offset: toOffset(offset),
  leaderEpoch: null,
  metadata: '',
  ...more,
});

export const listed = (assignment: Assignment): TopicPartitions[] =>
  [...assignment].map(([topicId, partitions]) => ({ topic: '', topicId, partitions }));

/** Asserts that a call is refused with this code. */
export function refuses(code: ErrorCode, call: () => unknown): void {
  assert.throws(call, { message: code });
}

/** Everything that a coordinator holds, for comparison: independent of the order in which it came. */
export function dump(coordinator: Coordinator): unknown {
  const groups = [...coordinator.groups.all()].map((group) => ({
    ...{ tenant: group.tenant, groupId: group.groupId, assignor: group.assignor, epoch: group.epoch },
    createdRevision: group.createdRevision,
    ...{ catalogRevision: group.catalogRevision, emptySinceMs: group.emptySinceMs, topics: sorted(group.topics) },
    members: sorted(group.members).map(([memberId, member]) => [memberId, { ...member, ...images(member) }]),
    offsets: sorted(group.offsets.topics).map(([id, { topic, partitions }]) => [id, topic, sorted(partitions)]),
    count: group.offsets.count,
    history: group.history,
    holders: [...group.topics.values()].map((shape) =>
      Array.from({ length: shape.partitionCount }, (_, partition) => group.holders.holderOf(shape.topicId, partition)),
    ),
  }));
  const { bytes, size } = coordinator.groups;
  return { bytes, size, groups: groups.sort((a, b) => (a.groupId < b.groupId ? -1 : 1)) };
}

const images = ({ target, assigned, revoking }: MemberState) => ({
  target: [...target],
  assigned: [...assigned],
  revoking: [...revoking],
});

const sorted = <K extends string | number, V>(map: ReadonlyMap<K, V>): [K, V][] =>
  [...map].sort(([a], [b]) => (a < b ? -1 : 1));
