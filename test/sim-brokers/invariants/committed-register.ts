import type { Entry } from '../../../src/model/entry.ts';
import { decodeEntry } from '../../../src/broker/group/record-codec.ts';
import type { GroupRecord } from '../../../src/broker/group/records.ts';
import { BrokerInvariant } from '../invariant.ts';
import type { BrokerWorld } from '../broker-world.ts';

/** A commit that a member was told is stored. */
export interface CommitAck {
  readonly key: string;
  readonly memberId: string;
  readonly memberEpoch: number;
  readonly sequence: number;
  readonly offset: number;
}

/** What a client was told is committed, and when it asked and heard. */
export interface CommittedFetched {
  readonly key: string;
  readonly from: number;
  readonly through: number;
  /** Null: nothing. */
  readonly offset: number | null;
}

interface Written {
  readonly at: number;
  readonly offset: number | null;
  readonly stamp: readonly [number, number];
}

export const registerKey = (group: string, topicId: string, partition: number): string =>
  `${group} ${topicId}/${partition}`;

/**
 * inv-B8: the committed offset of a group's partition is a register: who is told that his commit is stored finds it in the
 * log; who asks is told what was there at some moment of the call; later is by (member epoch, sequence), so a late duplicate
 * undoes nothing. Reliability 2.0 and 3.7; P112, P113.
 */
export class CommittedRegister extends BrokerInvariant {
  readonly id = 'inv-B8';
  readonly #registers = new Map<string, Written[]>();
  readonly #commits = new Map<string, number>();
  readonly #epochs = new Map<string, number>();

  constructor(world: BrokerWorld) {
    super(world);
    world.committed.onCommitted.push((group, entry) => {
      const isGroups = world.catalog.topicOfGroup.get(group)?.internal === true;
      if (isGroups && entry.kind === 'command') this.#take(entry);
    });
  }

  override onCommitAcked({ key, memberId, memberEpoch, sequence, offset }: CommitAck): void {
    const stored = this.#commits.get(`${key} ${memberId} ${memberEpoch} ${sequence}`);
    this.check(
      stored === offset,
      `${memberId} was told that ${offset} is committed for ${key}, in the log is ${stored ?? 'nothing'}`,
    );
  }

  override onCommittedFetched({ key, from, through, offset }: CommittedFetched): void {
    const written = this.#registers.get(key) ?? [];
    const isTrue = [null, ...written].some((one, at) => {
      const until = written[at]?.at ?? Infinity;
      return (one?.offset ?? null) === offset && (one?.at ?? 0) <= through && until >= from;
    });
    this.check(
      isTrue,
      `${key} is said to be committed at ${offset} since ${from}: ${JSON.stringify(written.slice(-3))}`,
    );
  }

  #take({ payload }: Entry): void {
    const entry = decodeEntry(payload);
    const { guard, groupId } = entry;
    if (guard !== null && this.#epochs.get(`${groupId} ${guard.memberId}`) !== guard.epoch) return;
    for (const record of entry.records) this.#record(groupId, record);
  }

  #record(groupId: string, record: GroupRecord): void {
    switch (record.kind) {
      case 'member-joined':
      case 'member-resumed':
      case 'member-away':
      case 'member-assigned':
        this.#epochs.set(`${groupId} ${record.memberId}`, record.epoch);
        return;
      case 'member-left':
        this.#epochs.delete(`${groupId} ${record.memberId}`);
        return;
      case 'offsets-committed':
        for (const { topicId, partition, offset } of record.offsets) {
          const { memberEpoch, sequence } = record.stamp;
          const key = registerKey(groupId, topicId, partition);
          this.#commits.set(`${key} ${record.memberId} ${memberEpoch} ${sequence}`, offset);
          this.#write(key, offset, [memberEpoch, sequence]);
        }
        return;
      case 'offsets-removed':
        for (const partition of record.partitions)
          this.#write(registerKey(groupId, record.topicId, partition), null, null);
        return;
      case 'target-changed':
      case 'group-created':
      case 'assignor-chosen':
      case 'group-deleted':
    }
  }

  /** @param stamp null: whatever was there before */
  #write(key: string, offset: number | null, stamp: readonly [number, number] | null): void {
    const written = this.#registers.get(key) ?? [];
    this.#registers.set(key, written);
    const last = written.at(-1)?.stamp ?? [0, 0];
    const isOlder = stamp !== null && (stamp[0] < last[0] || (stamp[0] === last[0] && stamp[1] <= last[1]));
    if (isOlder) return;
    written.push({ at: this.world.scheduler.now, offset, stamp: stamp ?? [0, 0] });
  }
}
