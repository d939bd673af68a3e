import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ErrorCode } from '../../src/gen/sluice/v1/error.ts';
import type { CommitOffsets } from '../../src/broker/requests.ts';
import type {
  CommitRequest,
  CommitResponse,
  FetchCommittedResponse,
  HeartbeatResponse,
  JoinGroupResponse,
  OffsetToCommit,
} from '../../src/gen/sluice/v1/group.ts';
import { ok, refuse } from '../../src/model/errors.ts';
import { toMemberEpoch, toMillis, toOffset, toTerm } from '../../src/model/ids.ts';
import { fakeBroker, topicUuid } from '../fakes/fake-broker.ts';
import { call, codeName, codeOf, startRig } from './rig.ts';

const assignment = [{ topic: 'orders', topicId: topicUuid, partitions: [0, 2] }];

test('a join is answered with membership, assignment and times', async (t) => {
  const token = Uint8Array.of(1, 2, 3);
  const broker = fakeBroker({
    joinGroup: () =>
      Promise.resolve(
        ok({
          memberId: 'm-1',
          memberEpoch: toMemberEpoch(4),
          resumeToken: token,
          assignment,
          sessionTimeoutMs: 45_000,
          heartbeatIntervalMs: 5_000,
        }),
      ),
  });
  const { groups } = await startRig(t, broker);
  const joinId = '0B1E3F52-6f0a-4c6e-9d1b-2f3a4c5d6e7f';
  const request = { group: 'g', topics: ['orders'], resumeToken: undefined, clientId: 'me', joinId };
  const joined = await call<JoinGroupResponse>((reply) => groups.joinGroup(request, reply));
  assert.ok(joined.kind === 'ok');
  assert.deepEqual(
    { ...joined.value, resumeToken: [...joined.value.resumeToken] },
    {
      memberId: 'm-1',
      memberEpoch: 4,
      resumeToken: [1, 2, 3],
      assignment,
      sessionTimeoutMs: 45_000n,
      heartbeatIntervalMs: 5_000n,
    },
  );
  const asked = {
    group: 'g',
    topics: ['orders'],
    resumeToken: null,
    clientId: 'me',
    joinId: joinId.toLowerCase(),
    instanceId: null,
    assignor: null,
    rack: null,
  };
  assert.deepEqual(broker.calls[0]!.args[0], asked);
});

test('sem-K7: a way to share that there is not is refused', async (t) => {
  const { groups } = await startRig(t, fakeBroker({}));
  const request = { group: 'g', topics: ['orders'], resumeToken: undefined, clientId: 'me', joinId: undefined };
  const refused = await call<JoinGroupResponse>((reply) => groups.joinGroup({ ...request, assignor: 'sticky' }, reply));
  assert.equal(refused.kind === 'error' ? refused.detail?.code : null, ErrorCode.ERROR_CODE_UNSUPPORTED_ASSIGNOR);
});

test('an unchanged assignment is absent in the answer to a heartbeat, an empty one is there', async (t) => {
  const answers = [null, []];
  const { groups } = await startRig(
    t,
    fakeBroker({
      heartbeat: () =>
        Promise.resolve(ok({ memberEpoch: toMemberEpoch(5), assignment: answers.shift()!, heartbeatIntervalMs: 9 })),
    }),
  );
  const request = { group: 'g', memberId: 'm', memberEpoch: 5, owned: assignment };
  const [unchanged, nothing] = [
    await call<HeartbeatResponse>((reply) => groups.heartbeat(request, reply)),
    await call<HeartbeatResponse>((reply) => groups.heartbeat(request, reply)),
  ];
  assert.ok(unchanged.kind === 'ok' && nothing.kind === 'ok');
  assert.deepEqual([unchanged.value.assignment, nothing.value.assignment], [undefined, { partitions: [] }]);
});

const offset = (more: Partial<OffsetToCommit> = {}): OffsetToCommit => ({
  topic: 'orders',
  topicId: undefined,
  partition: 0,
  offset: 7n,
  leaderEpoch: undefined,
  metadata: '',
  ...more,
});

const commitOf = (more: Partial<CommitRequest> = {}): CommitRequest => ({
  group: 'g',
  memberId: 'm',
  memberEpoch: 2,
  sequence: 3n,
  offsets: [offset()],
  ...more,
});

test('a commit reaches the coordinator with its order, and each offset is answered', async (t) => {
  const broker = fakeBroker({
    commitOffsets: () => Promise.resolve(ok([null, refuse('PARTITION_NOT_OWNED', 'Not yours.').error])),
  });
  const { groups } = await startRig(t, broker);
  const offsets = [offset({ leaderEpoch: 9, metadata: 'here' }), offset({ partition: 1, offset: 0n })];
  const answer = await call<CommitResponse>((reply) => groups.commit(commitOf({ offsets }), reply));
  assert.ok(answer.kind === 'ok');
  assert.deepEqual(
    answer.value.partitions.map(({ topic, partition, error }) => [
      topic,
      partition,
      error === undefined ? null : codeName(error),
    ]),
    [
      ['orders', 0, null],
      ['orders', 1, 'PARTITION_NOT_OWNED'],
    ],
  );
  const request = broker.calls[0]!.args[0] as CommitOffsets;
  assert.deepEqual(request.member, { memberId: 'm', memberEpoch: 2, sequence: 3 });
  assert.deepEqual(request.offsets[0], {
    topic: 'orders',
    topicId: null,
    partition: 0,
    offset: 7,
    leaderEpoch: 9,
    metadata: 'here',
  });
});

test('an offset tool commits without a member; half a member is refused', async (t) => {
  const broker = fakeBroker({ commitOffsets: () => Promise.resolve(ok([null])) });
  const { groups } = await startRig(t, broker);
  const send = async (more: Partial<CommitRequest>): Promise<string> =>
    codeOf(await call((reply) => groups.commit(commitOf(more), reply)));
  const none = { memberId: undefined, memberEpoch: undefined, sequence: undefined };
  assert.equal(await send(none), 'ok');
  assert.equal((broker.calls[0]!.args[0] as CommitOffsets).member, null);
  assert.equal(await send({ ...none, memberEpoch: 1 }), 'INVALID_REQUEST');
  assert.equal(await send({ ...none, sequence: 1n }), 'INVALID_REQUEST');
  assert.equal(await send({ memberEpoch: undefined }), 'INVALID_REQUEST');
  assert.equal(await send({ sequence: undefined }), 'INVALID_REQUEST');
});

test('bad input is refused with its specific error', async (t) => {
  const broker = fakeBroker();
  const { groups } = await startRig(t, broker);
  const commit = async (more: Partial<CommitRequest>): Promise<string> =>
    codeOf(await call((reply) => groups.commit(commitOf(more), reply)));
  const join = async (more: object): Promise<string> =>
    codeOf(
      await call((reply) =>
        groups.joinGroup({ group: 'g', topics: ['a'], resumeToken: undefined, clientId: '', ...more }, reply),
      ),
    );
  assert.deepEqual(
    [
      await commit({ group: '' }),
      await commit({ group: 'no spaces' }),
      await commit({ memberId: '' }),
      await commit({ offsets: [] }),
      await commit({ offsets: [offset({ offset: undefined })] }),
      await commit({ offsets: [offset({ offset: -1n })] }),
      await commit({ offsets: [offset({ offset: 2n ** 53n })] }),
      await commit({ offsets: [offset({ topic: '!' })] }),
      await commit({ offsets: [offset({ metadata: 'ä'.repeat(2_049) })] }),
      await commit({ memberEpoch: -1 }),
    ],
    [
      'INVALID_GROUP_ID',
      'INVALID_GROUP_ID',
      'INVALID_REQUEST',
      'INVALID_REQUEST',
      'INVALID_REQUEST',
      'INVALID_REQUEST',
      'INVALID_REQUEST',
      'INVALID_TOPIC',
      'OFFSET_METADATA_TOO_LARGE',
      'INVALID_REQUEST',
    ],
  );
  assert.deepEqual(
    [
      await join({ topics: [] }),
      await join({ topics: Array(101).fill('a') }),
      await join({ topics: ['a', 'b b'] }),
      await join({ clientId: 'x'.repeat(250) }),
      await join({ resumeToken: new Uint8Array(2_000) }),
      await join({ joinId: '' }),
      await join({ joinId: 'mine' }),
    ],
    [
      'INVALID_REQUEST',
      'INVALID_REQUEST',
      'INVALID_TOPIC',
      'INVALID_REQUEST',
      'INVALID_RESUME_TOKEN',
      'INVALID_REQUEST',
      'INVALID_REQUEST',
    ],
  );
  assert.deepEqual(broker.calls, []);
});

test('an offset that was never committed is absent, not 0 (pit-P117)', async (t) => {
  const where = { topic: 'orders', topicId: topicUuid };
  const broker = fakeBroker({
    fetchCommitted: () =>
      Promise.resolve(
        ok([
          {
            ...where,
            partition: 0,
            offset: toOffset(0),
            leaderEpoch: toTerm(1),
            metadata: 'm',
            ...{ commitTimeMs: toMillis(5), newerThanGroup: false },
          },
          {
            ...{ ...where, partition: 1, offset: null, leaderEpoch: null, metadata: '', commitTimeMs: null },
            newerThanGroup: true,
          },
        ]),
      ),
  });
  const { groups } = await startRig(t, broker);
  const found = await call<FetchCommittedResponse>((reply) =>
    groups.fetchCommitted({ group: 'g', partitions: [] }, reply),
  );
  assert.ok(found.kind === 'ok');
  assert.deepEqual(
    found.value.offsets.map((each) => [each.offset, each.leaderEpoch, each.commitTimeMs, each.newerThanGroup]),
    [
      [0n, 1, 5n, false],
      [undefined, undefined, undefined, true],
    ],
  );
  assert.deepEqual(broker.calls[0]!.args[0], { group: 'g', partitions: null });
});
