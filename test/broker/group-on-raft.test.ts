/** Consumer groups on everything that is below them in production: Raft driver, group logs, RocksDB in a directory. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { GroupPartition } from '../../src/broker/group-partition.ts';
import { defaultGroupLimits } from '../../src/broker/group/group-limits.ts';
import { GroupService } from '../../src/broker/group-service.ts';
import { defaultGroupSettings } from '../../src/broker/group-settings.ts';
import type { Membership, RequestContext } from '../../src/broker/requests.ts';
import { GarbageMeter } from '../../src/log/garbage-meter.ts';
import { DurableGroupLogs } from '../../src/log/group-logs.ts';
import { RocksdbStore } from '../../src/log/rocksdb-store.ts';
import { TailCacheBudget } from '../../src/log/tail-cache-budget.ts';
import { millisPlus, toBrokerId, toGroupNumber, toOffset, toReplicaId } from '../../src/model/ids.ts';
import { randomUuid } from '../../src/model/random.ts';
import { raftLimitsDefault } from '../../src/raft/core/limits.ts';
import { driverLimitsDefault } from '../../src/raft/driver-limits.ts';
import { MultiRaftHost } from '../../src/raft/host.ts';
import { NoPeers } from '../../src/raft/transport.ts';
import { endOfTurn } from '../../src/raft/turns.ts';
import { crc32c } from '../../src/runtime/crc32c.ts';
import { realClock } from '../../src/runtime/real-clock.ts';
import { systemRandom } from '../../src/runtime/system-random.ts';
import { TableTopics } from '../fakes/table-topics.ts';
import { dump } from './group/bench.ts';
import { errorOf, valueOf } from './group-bench.ts';

const clusterId = 'c0ffee00-0000-4000-8000-000000000003';
const partitionCount = 2;
const context = (): RequestContext => ({
  principal: 'tester',
  tenant: 0,
  deadlineMs: millisPlus(realClock.monotonicMs(), 20_000),
  signal: new AbortController().signal,
});

interface Running {
  readonly service: GroupService;
  readonly machines: readonly GroupPartition[];
  /** Also called when the test is over: what still runs would keep a test that failed from ending. */
  readonly stop: () => Promise<void>;
}

async function run(t: TestContext, path: string, topics: TableTopics): Promise<Running> {
  const fatal = (error: unknown): void => {
    throw error;
  };
  const newIncarnation = (): string => randomUuid(systemRandom);
  const founding = {
    brokerId: toBrokerId(0),
    clusterId: null,
    mayFound: true,
    newIncarnation,
    processNonce: randomUuid(systemRandom),
  };
  const store = await RocksdbStore.open({ path, ...founding, crc32c, clock: realClock, onFault: fatal });
  const cache = new TailCacheBudget(1024 * 1024);
  const host = new MultiRaftHost({
    logs: new DurableGroupLogs({ store, crc32c, cache, garbage: new GarbageMeter() }),
    ...{ clusterId, mayVote: true, clock: realClock, random: systemRandom, crc32c, fatal },
    ...{ raftLimits: raftLimitsDefault, driverLimits: driverLimitsDefault },
    ...{ transport: new NoPeers(), directory: new NoPeers(), schedule: endOfTurn, observer: {} },
  });
  const catalogRevision = (): number => topics.revision;
  const service = new GroupService({
    ...{ clock: realClock, random: systemRandom, topics, catalogRevision, partitionCount },
    settings: { ...defaultGroupSettings, limits: { ...defaultGroupLimits, membersMax: 1 } },
  });
  const machines: GroupPartition[] = [];
  for (let partition = 0; partition < partitionCount; partition++) {
    const machine = service.machine(partition);
    assert.ok(machine instanceof GroupPartition);
    machines.push(machine);
    const replicaId = toReplicaId(partition + 1);
    const spec = { group: toGroupNumber(partition + 10), replicaId, voters: [replicaId] };
    service.opened(partition, await host.start(spec, machine));
  }
  while (machines.some((machine) => machine.unavailable() !== null)) await sleep(5);
  let stopping: Promise<void> | null = null;
  const stop = (): Promise<void> => {
    stopping ??= (async () => {
      service.close();
      await host.close();
      await store.close();
    })();
    return stopping;
  };
  t.after(stop);
  return { service, machines, stop };
}

const commit = (service: GroupService, group: string, member: Membership, sequence: number, offset: number) => {
  const { memberId, memberEpoch } = member;
  const offsets = [
    { topic: 't', topicId: null, partition: 0, offset: toOffset(offset), leaderEpoch: null, metadata: '' },
  ];
  return service.commitOffsets({ group, member: { memberId, memberEpoch, sequence }, offsets }, context());
};

test('pit-P108: members and committed offsets of both partitions are there after a restart, exactly', async (t) => {
  const path = join(await mkdtemp(join(tmpdir(), 'sluice-groups-')), 'data');
  const topics = new TableTopics();
  topics.create('t', 3);
  const names = Array.from({ length: 20 }, (_, i) => `group-${i}`);

  const first = await run(t, path, topics);
  assert.deepEqual(new Set(names.map((name) => first.service.partitionOf(name))), new Set([0, 1]));
  const joinAs = (service: GroupService, group: string, resumeToken: Uint8Array | null) =>
    service.joinGroup({ group, topics: ['t'], resumeToken, clientId: 'test', joinId: null }, context());
  const members = await Promise.all(names.map(async (name) => valueOf(await joinAs(first.service, name, null))));
  await Promise.all(
    names.flatMap((name, i) =>
      [1, 2, 3].map(async (sequence) => {
        const member = members[i] ?? assert.fail();
        assert.deepEqual(valueOf(await commit(first.service, name, member, sequence, sequence * 100 + i)), [null]);
      }),
    ),
  );
  const before = first.machines.map((machine) => dump(machine.coordinator));
  await first.stop();

  const second = await run(t, path, topics);
  assert.deepEqual(
    second.machines.map((machine) => dump(machine.coordinator)),
    before,
  );
  for (const [i, name] of names.entries()) {
    const member = members[i] ?? assert.fail();
    assert.equal(errorOf(await joinAs(second.service, name, null)).code, 'GROUP_MAX_SIZE_REACHED');
    const back = valueOf(await joinAs(second.service, name, member.resumeToken));
    assert.deepEqual([back.memberId, back.memberEpoch, back.assignment], [member.memberId, 2, member.assignment]);
    assert.equal(errorOf(await commit(second.service, name, member, 4, 1)).code, 'STALE_MEMBER_EPOCH');
    const request = { group: name, partitions: [{ topic: 't', partitions: [0, 1] }] };
    const found = valueOf(await second.service.fetchCommitted(request, context()));
    assert.deepEqual(
      found.map(({ offset }) => offset),
      [300 + i, null],
    );
  }
  await second.stop();
  await rm(join(path, '..'), { recursive: true });
});
