import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { CallDesk } from '../../src/api/call-desk.ts';
import type { PeerAnswer, Routes } from '../../src/api/forward-port.ts';
import { serveForwarded } from '../../src/api/forward-service.ts';
import { forwardingBroker } from '../../src/api/forwarding-broker.ts';
import { defaultForwardLimits } from '../../src/api/forward-limits.ts';
import { fromErrorDetail } from '../../src/api/forward-answers.ts';
import { defaultApiLimits } from '../../src/api/limits.ts';
import { errorDetail } from '../../src/api/status.ts';
import type {
  GroupReport,
  AppendReceipt,
  AppendRequest,
  BrokerApi,
  BrokerReport,
  FetchAnswer,
  FetchPartitionRequest,
  PartitionInfo,
  RequestContext,
} from '../../src/broker/requests.ts';
import type { BrokerError, ErrorCode, LeaderHint, Result } from '../../src/model/errors.ts';
import { errorTraits, ok, refuse } from '../../src/model/errors.ts';
import type { BrokerId } from '../../src/model/ids.ts';
import {
  toBrokerId,
  toGroupNumber,
  toMemberEpoch,
  toMillis,
  toOffset,
  toProducerEpoch,
  toProducerId,
  toSequence,
  toTerm,
} from '../../src/model/ids.ts';
import { realClock } from '../../src/runtime/real-clock.ts';
import type { FakeBroker } from '../fakes/fake-broker.ts';
import { acceptingAppends, fakeBroker, fetchedFrom, receiptAt, topicUuid } from '../fakes/fake-broker.ts';
import { MemoryForwardPeers } from '../fakes/memory-forward-peers.ts';
import { batchOf, codecs, record } from './rig.ts';

const here = toBrokerId(1);
const there = toBrokerId(2);
const elsewhere = toBrokerId(3);

interface Forwarding {
  readonly peers: MemoryForwardPeers;
  readonly near: FakeBroker;
  readonly far: FakeBroker;
  /** What clients of the near broker talk to. */
  readonly broker: BrokerApi;
  /** Where everything belongs now; partitions by number. */
  routes: { leader: BrokerId | null; reader: (partition: number) => BrokerId | null };
  readonly learned: LeaderHint[];
  /** Who was asked in vain, and for what. */
  readonly missed: string[];
}

function forwarding(
  near: Parameters<typeof fakeBroker>[0],
  far: Parameters<typeof fakeBroker>[0],
  limits: Partial<typeof defaultApiLimits> = {},
): Forwarding {
  const peers = new MemoryForwardPeers();
  const nearBroker = fakeBroker(near);
  const farBroker = fakeBroker(far);
  const desk = new CallDesk({
    clock: realClock,
    limits: { ...defaultApiLimits, ...limits },
    onDefect: (defect) => {
      throw defect;
    },
  });
  serveForwarded(peers.of(there), desk, { broker: farBroker, codecs, clock: realClock });
  const learned: LeaderHint[] = [];
  const missed: string[] = [];
  const state: Forwarding['routes'] = { leader: there, reader: () => there };
  const routes: Routes = {
    leaderOf: () => state.leader,
    readerOf: (_tenant, { partition }) => state.reader(partition),
    coordinatorOf: () => state.leader,
    brokerOf: () => state.leader,
    addressOf: (broker) => (broker === there ? 'there:9400' : null),
    otherBrokers: () => (state.leader === null ? [] : [state.leader]),
    learnLeader: (_tenant, _ref, hint) => learned.push(hint),
    learnCoordinator: (_group, hint) => learned.push(hint),
    missed: (_tenant, { partition }, asked) => missed.push(`${partition} at ${asked}`),
    missedCoordinator: (group, asked) => missed.push(`${group} at ${asked}`),
  };
  const broker = forwardingBroker({ broker: nearBroker, routes, peers: peers.of(here), clock: realClock });
  return { peers, near: nearBroker, far: farBroker, broker, routes: state, learned, missed };
}

const context = (waitMs = 5_000, signal = new AbortController().signal): RequestContext => ({
  principal: 'somebody',
  tenant: 0,
  deadlineMs: toMillis(Math.ceil(realClock.monotonicMs()) + waitMs),
  signal,
});

const appendTo = (partition: number, value: string, bytes = 0): AppendRequest => ({
  topic: 'orders',
  topicId: topicUuid,
  partition,
  batch: batchOf([record(value.padEnd(bytes, '.'))]),
  acks: 'all',
});

const fetchOf = (...partitions: readonly number[]): readonly FetchPartitionRequest[] =>
  partitions.map((partition) => ({
    topic: 'orders',
    topicId: topicUuid,
    partition,
    fetchOffset: toOffset(0),
    leaderEpoch: null,
    bytesMax: 1_000_000,
  }));

const codeOf = (result: Result<unknown>): string => (result.kind === 'ok' ? 'ok' : result.error.code);
const hint: LeaderHint = { brokerId: elsewhere, address: 'elsewhere:9400', leaderEpoch: toTerm(9) };
/** As the receipt of who was asked and is not the leader says. */
const ledThere: LeaderHint = { brokerId: there, address: 'there:9400', leaderEpoch: receiptAt(0).leaderEpoch };
const notLeader = refuse('NOT_LEADER_OR_FOLLOWER', 'another broker leads', { leaderHint: hint });
const answerOf = (...partitions: FetchAnswer['partitions']): Result<FetchAnswer> =>
  ok({ partitions, catalogRevision: 3 });

describe('appends that belong elsewhere', () => {
  it('reach the leader once, in order, and come back with its receipt, which names it', async () => {
    const { broker, near, far, peers } = forwarding({}, acceptingAppends());
    const answers = await Promise.all(['a', 'b', 'c'].map((value) => broker.append(appendTo(4, value), context())));
    assert.deepEqual(
      answers.map((answer) => (answer.kind === 'ok' ? answer.value : answer)),
      [0, 1, 2].map((offset): AppendReceipt => ({ ...receiptAt(offset), partition: 4, leader: ledThere })),
    );
    assert.equal(near.calls.length, 0);
    assert.equal(peers.calls.length, 1, 'what comes in one turn travels in one call');
    const sent = far.calls.filter(({ method }) => method === 'append').map(({ args }) => args[0] as AppendRequest);
    assert.deepEqual(sent.map(({ batch }) => Buffer.from(batch)), ['a', 'b', 'c'].map((value) => Buffer.from(appendTo(4, value).batch))); // prettier-ignore
    assert.equal(far.contexts()[0]?.principal, 'somebody');
  });

  it('keep their way while anything of the partition is out, though this broker leads by now', async () => {
    const { broker, near, peers, routes } = forwarding(acceptingAppends(), acceptingAppends());
    let release = (): void => undefined;
    peers.hold = new Promise((resolve) => (release = resolve));
    const first = broker.append(appendTo(4, 'a'), context());
    await new Promise((resolve) => setImmediate(resolve));
    routes.leader = null;
    const second = broker.append(appendTo(4, 'b'), context());
    const other = broker.append(appendTo(5, 'x'), context());
    assert.equal(codeOf(await other), 'ok');
    assert.equal(near.calls.length, 1, 'another partition is appended here');
    release();
    assert.deepEqual([codeOf(await first), codeOf(await second)], ['ok', 'ok']);
    assert.equal(near.calls.length, 1);
    assert.equal(codeOf(await broker.append(appendTo(4, 'c'), context())), 'ok');
    assert.equal(near.calls.length, 2, 'nothing is out any more');
  });

  it('are unknown if no answer came, are not sent again, and what waits behind is refused', async () => {
    const { broker, far, peers } = forwarding({}, acceptingAppends());
    peers.fate = (): PeerAnswer => ({ kind: 'unknown', why: 'the connection broke' });
    const first = broker.append(appendTo(4, 'a'), context());
    await Promise.resolve();
    await Promise.resolve();
    const behind = broker.append(appendTo(4, 'b'), context());
    assert.equal(codeOf(await first), 'APPEND_INTERRUPTED');
    assert.equal(errorTraits.APPEND_INTERRUPTED.indeterminate, true);
    assert.equal(codeOf(await behind), 'LEADER_NOT_AVAILABLE');
    assert.equal(peers.calls.length, 1);
    assert.equal(far.calls.filter(({ method }) => method === 'append').length, 1);
  });

  it('are certainly not appended if they could not be sent', async () => {
    const { broker, peers } = forwarding({}, acceptingAppends());
    peers.fate = (): PeerAnswer => ({ kind: 'not-sent', why: 'no connection' });
    const answer = await broker.append(appendTo(4, 'a'), context());
    assert.equal(codeOf(answer), 'LEADER_NOT_AVAILABLE');
    assert.equal(errorTraits.LEADER_NOT_AVAILABLE.indeterminate, false);
  });

  it('teach where the leader is, and fail in order behind a refusal that says so', async () => {
    let refused = 0;
    const { broker, learned, routes } = forwarding(acceptingAppends(), {
      ...acceptingAppends(),
      append: () => Promise.resolve(++refused > 0 ? notLeader : ok(receiptAt(0))),
    });
    const order: string[] = [];
    const first = broker.append(appendTo(4, 'a'), context()).then((answer) => order.push(`a ${codeOf(answer)}`));
    await Promise.resolve();
    await Promise.resolve();
    const behind = broker.append(appendTo(4, 'b'), context()).then((answer) => order.push(`b ${codeOf(answer)}`));
    await Promise.all([first, behind]);
    assert.deepEqual(order, ['a NOT_LEADER_OR_FOLLOWER', 'b NOT_LEADER_OR_FOLLOWER']);
    assert.equal(refused, 1, 'what waited behind was not sent after it');
    assert.deepEqual(learned, [hint]);
    routes.leader = null;
    assert.equal(codeOf(await broker.append(appendTo(4, 'c'), context())), 'ok', 'the next one asks anew');
  });

  it('that waited here for a leader go to it, in order and once', async () => {
    const waiting: ((answer: Result<AppendReceipt>) => void)[] = [];
    const near = { append: () => new Promise<Result<AppendReceipt>>((resolve) => waiting.push(resolve)) };
    const { broker, far, routes, peers } = forwarding(near, acceptingAppends());
    routes.leader = null;
    const answers = ['a', 'b', 'c'].map((value) => broker.append(appendTo(4, value), context()));
    assert.equal(waiting.length, 3);
    routes.leader = there;
    for (const answer of waiting) answer(notLeader);
    await Promise.resolve();
    const behind = broker.append(appendTo(4, 'd'), context());
    assert.deepEqual((await Promise.all([...answers, behind])).map(codeOf), ['ok', 'ok', 'ok', 'ok']);
    const sent = far.calls.filter(({ method }) => method === 'append').map(({ args }) => args[0] as AppendRequest);
    assert.deepEqual(sent.map(({ batch }) => Buffer.from(batch)), ['a', 'b', 'c', 'd'].map((value) => Buffer.from(appendTo(4, value).batch))); // prettier-ignore
    assert.equal(waiting.length, 3, 'nothing is appended here');
    assert.ok(peers.calls.length <= 2);
  });

  it('that are refused here hear it if nobody else is known to lead', async () => {
    const { broker, far, routes } = forwarding({ append: () => Promise.resolve(notLeader) }, acceptingAppends());
    routes.leader = null;
    assert.equal(codeOf(await broker.append(appendTo(4, 'a'), context())), 'NOT_LEADER_OR_FOLLOWER');
    assert.equal(far.calls.length, 0);
  });

  it('travel in calls below the limit', async () => {
    const { broker, peers } = forwarding({}, acceptingAppends());
    const bytes = Math.ceil(defaultForwardLimits.appendsBytesMax / 6);
    const many = Array.from({ length: 12 }, (_, i) => broker.append(appendTo(4, `${i}`, bytes), context()));
    assert.deepEqual(new Set((await Promise.all(many)).map(codeOf)), new Set(['ok']));
    assert.ok(peers.calls.length >= 3, `${peers.calls.length} calls`);
    for (const { payload } of peers.calls) assert.ok(payload.length < 8 * 1024 * 1024, `${payload.length} bytes`);
  });

  it('are each refused if the leader has no room for calls', async () => {
    const { broker, far } = forwarding({}, acceptingAppends(), { callsInFlightMax: 0 });
    const answers = await Promise.all(['a', 'b'].map((value) => broker.append(appendTo(4, value), context())));
    assert.deepEqual(answers.map(codeOf), ['LIMIT_REACHED', 'LIMIT_REACHED']);
    assert.equal(far.calls.length, 0);
  });

  it('are checked at the leader like those of clients', async () => {
    const { broker, far } = forwarding({}, acceptingAppends());
    const broken = appendTo(4, 'a');
    broken.batch[60] = (broken.batch[60] ?? 0) ^ 1;
    assert.equal(codeOf(await broker.append(broken, context())), 'CORRUPT_MESSAGE');
    assert.equal(far.calls.length, 0);
  });
});

describe('reads of partitions without a replica here', () => {
  const request = (partitions: readonly FetchPartitionRequest[], waitMsMax: number): Parameters<BrokerApi['fetch']>[0] => ({
    partitions,
    waitMsMax,
    bytesMin: 1,
    bytesMax: 1_000_000,
  }); // prettier-ignore

  it('come from the broker that has one, byte for byte', async () => {
    const batches = [batchOf([record('a')]), batchOf([record('b'), record('c')])];
    const { broker } = forwarding({}, { fetch: () => Promise.resolve(answerOf(fetchedFrom(2, batches, 3))) });
    const answer = await broker.fetch(request(fetchOf(2), 0), context());
    assert.ok(answer.kind === 'ok');
    assert.deepEqual(
      answer.value.partitions.map((each) => ({ ...each, batches: each.batches.map((batch) => Buffer.from(batch)) })),
      [{ ...fetchedFrom(2, [], 3), batches: batches.map((batch) => Buffer.from(batch)) }],
    );
  });

  it('are merged with those that are read here; whoever has something first ends the wait', async () => {
    const farWaits: number[] = [];
    const batch = batchOf([record('late')]);
    const { broker, routes } = forwarding(
      { fetch: ({ partitions }) => Promise.resolve(answerOf(...partitions.map((each) => fetchedFrom(each.partition, [], 0)))) }, // prettier-ignore
      {
        fetch: (asked) => {
          farWaits.push(asked.waitMsMax);
          const found = asked.waitMsMax === 0 ? [] : [batch];
          return Promise.resolve(answerOf(fetchedFrom(1, found, found.length)));
        },
      },
    );
    routes.reader = (partition) => (partition === 1 ? there : null);
    const answer = await broker.fetch(request(fetchOf(0, 1), 300), context());
    assert.ok(answer.kind === 'ok');
    assert.deepEqual(
      answer.value.partitions.map(({ partition, batches }) => [partition, batches.length]),
      [[1, 1]],
    );
    assert.deepEqual(farWaits, [0, 300]);
  });

  it('fail for their partitions alone if the other broker can not be reached', async () => {
    const { broker, peers, routes } = forwarding(
      { fetch: () => Promise.resolve(answerOf(fetchedFrom(0, [batchOf([record('a')])], 1))) },
      {},
    );
    routes.reader = (partition) => (partition === 1 ? there : null);
    peers.fate = (): PeerAnswer => ({ kind: 'unknown', why: 'the connection broke' });
    const answer = await broker.fetch(request(fetchOf(0, 1), 0), context());
    assert.ok(answer.kind === 'ok');
    assert.deepEqual(
      answer.value.partitions.map(({ partition, error }) => [partition, error?.code ?? null]),
      [
        [0, null],
        [1, 'LEADER_NOT_AVAILABLE'],
      ],
    );
  });

  it('go on in a stream: here and there, each from where it was, until one fails', async () => {
    const sent: string[] = [];
    let nearTurn = 0;
    const { broker, routes } = forwarding(
      {
        openCursor: () =>
          ok({
            next: () => {
              nearTurn++;
              if (nearTurn > 1) return new Promise<never>(() => undefined);
              return Promise.resolve({ partitions: [fetchedFrom(0, [batchOf([record('n')])], 1)], catalogRevision: 1 });
            },
            close: () => undefined,
          }),
      },
      {
        fetch: ({ partitions }) => {
          const [asked] = partitions;
          assert.ok(asked !== undefined);
          sent.push(`${asked.partition} from ${asked.fetchOffset}`);
          if (asked.fetchOffset < 2)
            return Promise.resolve(answerOf(fetchedFrom(1, [batchOf([record('f')])], asked.fetchOffset + 1)));
          const error: BrokerError = { code: 'OFFSET_OUT_OF_RANGE', message: 'no more' };
          return Promise.resolve(answerOf({ ...fetchedFrom(1, [], 2), error, nextOffset: null }));
        },
      },
    );
    routes.reader = (partition) => (partition === 1 ? there : null);
    const gone = new AbortController();
    const cursor = broker.openCursor(fetchOf(0, 1), context(5_000, gone.signal));
    assert.ok(cursor.kind === 'ok');
    const seen: string[] = [];
    for (let i = 0; i < 4; i++) {
      const answer = await cursor.value.next(1_000);
      for (const { partition, error, nextOffset } of answer?.partitions ?? [])
        seen.push(`${partition} ${error?.code ?? String(nextOffset)}`);
    }
    assert.deepEqual(seen.filter((line) => line.startsWith('0')), ['0 1']); // prettier-ignore
    assert.deepEqual(seen.filter((line) => line.startsWith('1')), ['1 1', '1 2', '1 OFFSET_OUT_OF_RANGE']); // prettier-ignore
    assert.deepEqual(sent, ['1 from 0', '1 from 1', '1 from 2']);
    cursor.value.close();
    assert.equal(await cursor.value.next(1_000), null);
  });

  it('ask the leader what became of a batch, and do not call it known if no answer came', async () => {
    const answer = {
      ...{ topicId: topicUuid, partition: 3, outcome: 'never' as const, baseOffset: null, appendTimeMs: null },
      ...{ leaderEpoch: toTerm(4), catalogRevision: 9 },
    };
    const { broker, far, peers } = forwarding({}, { resolveAppend: () => Promise.resolve(ok(answer)) });
    const producer = { id: toProducerId(7), epoch: toProducerEpoch(1), baseSequence: toSequence(5) };
    const asked = { producer, secret: new Uint8Array(16).fill(3), count: 2, ageMs: 40 };
    const request = { topic: 'orders', topicId: null, partition: 3, ...asked };
    assert.deepEqual(await broker.resolveAppend(request, context()), ok(answer));
    const [arrived] = far.calls[0]!.args as [typeof request];
    assert.deepEqual({ ...arrived, secret: [...arrived.secret] }, { ...request, secret: [...request.secret] });
    peers.fate = (): PeerAnswer => ({ kind: 'unknown', why: 'the connection broke' });
    const open = await broker.resolveAppend(request, context());
    assert.ok(open.kind === 'refused' && errorTraits[open.error.code].indeterminate, JSON.stringify(open));
  });

  it('look for offsets where each partition is led, and answer in the order of the queries', async () => {
    const found = (partition: number, offset: number): Parameters<typeof ok>[0] => ({
      topic: 'orders',
      topicId: topicUuid,
      partition,
      error: null,
      offset: toOffset(offset),
      timestampMs: null,
      leaderEpoch: toTerm(1),
    });
    const { broker, routes } = forwarding({}, {
      listOffsets: (queries) => Promise.resolve(ok(queries.map(({ partition }) => found(partition, partition * 10)) as never)),
    }); // prettier-ignore
    routes.leader = there;
    const at = { kind: 'latest' } as const;
    const answer = await broker.listOffsets(
      [3, 1].map((partition) => ({ topic: 'orders', topicId: null, partition, at })),
      context(),
    );
    assert.deepEqual(answer, ok([found(3, 30), found(1, 10)]));
  });
});

describe('partitions without a replica here', () => {
  it('are asked of another replica next time, if the one that was asked is away or names nobody', async () => {
    const nobody = refuse('NOT_LEADER_OR_FOLLOWER', 'not here');
    const hidden = { offset: null, timestampMs: null, leaderEpoch: null };
    const { broker, peers, missed, learned } = forwarding({}, {
      append: () => Promise.resolve(nobody),
      fetch: () => Promise.resolve(answerOf({ ...fetchedFrom(6, [], 0), error: nobody.error })),
      listOffsets: (queries) => Promise.resolve(ok(queries.map((query) => ({ ...query, topicId: topicUuid, ...hidden, error: nobody.error })))),
    }); // prettier-ignore
    const query = { topic: 'orders', topicId: null, partition: 7, at: { kind: 'latest' } } as const;
    const read = { partitions: fetchOf(6), waitMsMax: 0, bytesMin: 1, bytesMax: 1_000 };
    const ask = async (): Promise<void> => {
      await broker.append(appendTo(5, 'a'), context());
      await broker.fetch(read, context());
      await broker.listOffsets([query], context());
    };
    await ask();
    assert.deepEqual(missed.splice(0), ['5 at 2', '6 at 2', '7 at 2']);
    peers.fate = (): PeerAnswer => ({ kind: 'not-sent', why: 'it is dead' });
    await ask();
    assert.deepEqual(missed.splice(0), ['5 at 2', '6 at 2', '7 at 2']);
    assert.deepEqual(learned, []);
  });
});

describe('calls for a group that is coordinated elsewhere', () => {
  const member = { group: 'billing', memberId: 'm1', memberEpoch: toMemberEpoch(2) };

  it('reach its coordinator and come back as they were answered', async () => {
    const membership = {
      memberId: 'm1',
      memberEpoch: toMemberEpoch(2),
      resumeToken: Uint8Array.of(1, 2, 3),
      assignment: [{ topic: 'orders', topicId: topicUuid, partitions: [0, 2] }],
      sessionTimeoutMs: 45_000,
      heartbeatIntervalMs: 5_000,
    };
    const stale: BrokerError = { code: 'PARTITION_NOT_OWNED', message: 'not yours' };
    const committed = {
      topic: 'orders',
      topicId: topicUuid,
      partition: 0,
      offset: toOffset(7),
      leaderEpoch: null,
      metadata: 'm',
      commitTimeMs: toMillis(1_700_000_000_000),
      newerThanGroup: true,
    };
    const { broker, far, near } = forwarding(
      {},
      {
        joinGroup: () => Promise.resolve(ok(membership)),
        heartbeat: () => Promise.resolve(ok({ memberEpoch: toMemberEpoch(3), assignment: null, heartbeatIntervalMs: 5_000 })), // prettier-ignore
        leaveGroup: () => Promise.resolve(ok(null)),
        commitOffsets: () => Promise.resolve(ok([null, stale])),
        fetchCommitted: () => Promise.resolve(ok([committed])),
      },
    );
    const join = {
      group: 'billing',
      topics: ['orders'],
      resumeToken: null,
      clientId: 'c',
      joinId: null,
      ...{ instanceId: 'i', assignor: 'range' as const, rack: 'r' },
    };
    const joined = await broker.joinGroup(join, context());
    assert.ok(joined.kind === 'ok');
    assert.deepEqual({ ...joined.value, resumeToken: [...joined.value.resumeToken] }, { ...membership, resumeToken: [1, 2, 3] }); // prettier-ignore
    assert.deepEqual(
      await broker.heartbeat({ ...member, owned: membership.assignment }, context()),
      ok({ memberEpoch: toMemberEpoch(3), assignment: null, heartbeatIntervalMs: 5_000 }),
    );
    assert.deepEqual(await broker.leaveGroup({ ...member, keepPlace: true }, context()), ok(null));
    const offsets = [0, 1].map((partition) => ({
      topic: 'orders',
      topicId: topicUuid,
      partition,
      offset: toOffset(7),
      leaderEpoch: toTerm(1),
      metadata: '',
    }));
    const { memberId, memberEpoch } = member;
    const commit = { group: 'billing', member: { memberId, memberEpoch, sequence: 4 }, offsets };
    const commits = await broker.commitOffsets(commit, context());
    assert.deepEqual(commits.kind === 'ok' ? commits.value.map((error) => error?.code ?? null) : commits, [null, 'PARTITION_NOT_OWNED']); // prettier-ignore
    assert.deepEqual(await broker.fetchCommitted({ group: 'billing', partitions: null }, context()), ok([committed]));
    const args = (method: keyof BrokerApi): unknown => far.calls.find((each) => each.method === method)?.args[0];
    assert.deepEqual(args('joinGroup'), join);
    assert.deepEqual(args('heartbeat'), { ...member, owned: membership.assignment });
    assert.deepEqual(args('leaveGroup'), { ...member, reason: 'left', keepPlace: true });
    assert.deepEqual(args('commitOffsets'), commit);
    assert.deepEqual(args('fetchCommitted'), { group: 'billing', partitions: null });
    assert.equal(near.calls.length, 0);
  });

  it('tell of groups as their coordinators do, each group once, and of brokers that are silent', async () => {
    const at = (coordinator: number, group: string) => ({
      ...{ group, phase: 'stable' as const, memberCount: 2, offsetCount: 7, coordinator: toBrokerId(coordinator) },
    });
    const report: GroupReport = {
      ...{ groupId: 'b', phase: 'reconciling', assignor: 'range', epoch: toMemberEpoch(4), emptySinceMs: null },
      members: [
        {
          ...{ memberId: 'm', clientId: 'c', topics: ['t'], epoch: toMemberEpoch(3), phase: 'revoking', suspect: true },
          ...{ assigned: [{ topic: 't', topicId: topicUuid, partitions: [0] }], revoking: [], awaited: [] },
          ...{ sessionRemainingMs: 30_000, instanceId: 'i', away: true, rack: 'r' },
        },
      ],
      offsetCount: 7,
      rebalances: [
        {
          ...{ atMs: toMillis(5), reason: 'session-expired', memberId: 'n', clientId: '', epoch: toMemberEpoch(4) },
          ...{ memberCount: 1, membersAffected: 1 },
        },
      ],
      coordinator: toBrokerId(2),
    };
    const { broker, peers } = forwarding(
      { listGroups: () => Promise.resolve(ok({ groups: [at(1, 'a'), at(1, 'b')], more: false, silent: [] })) },
      {
        listGroups: () => Promise.resolve(ok({ groups: [at(2, 'b'), at(2, 'c')], more: false, silent: [] })),
        describeGroup: () => Promise.resolve(ok(report)),
        deleteGroup: () => Promise.resolve(refuse('NON_EMPTY_GROUP', 'it has members')),
      },
    );
    const list = async (limit: number): Promise<unknown> => {
      const listed = await broker.listGroups({ after: '', limit }, context());
      assert.ok(listed.kind === 'ok');
      return [listed.value.groups.map(({ group }) => group).join(''), listed.value.more, listed.value.silent.length];
    };
    assert.deepEqual(await list(10), ['abc', false, 0]);
    assert.deepEqual(await list(2), ['ab', true, 0]);
    assert.deepEqual(await broker.describeGroup('b', context()), ok(report));
    assert.equal(codeOf(await broker.deleteGroup('b', context())), 'NON_EMPTY_GROUP');
    peers.fate = (): PeerAnswer => ({ kind: 'not-sent', why: 'it is dead' });
    assert.deepEqual(await list(10), ['ab', false, 1]);
  });

  it('teach who coordinates, and are unknown only if they may have changed something', async () => {
    const { broker, peers, learned } = forwarding({}, { leaveGroup: () => Promise.resolve(notLeader) });
    assert.equal(codeOf(await broker.leaveGroup(member, context())), 'NOT_LEADER_OR_FOLLOWER');
    assert.deepEqual(learned, [hint]);
    peers.fate = (): PeerAnswer => ({ kind: 'unknown', why: 'the connection broke' });
    assert.equal(codeOf(await broker.leaveGroup(member, context())), 'REQUEST_TIMED_OUT');
    assert.equal(codeOf(await broker.fetchCommitted({ group: 'billing', partitions: null }, context())), 'LEADER_NOT_AVAILABLE'); // prettier-ignore
  });

  it('are asked of another replica next time, if the one that was asked is away, loads, or names nobody', async () => {
    const loading = refuse('COORDINATOR_LOAD_IN_PROGRESS', 'wait');
    const nobody = refuse('NOT_LEADER_OR_FOLLOWER', 'not here');
    const fenced = refuse('FENCED_MEMBER_EPOCH', 'somebody else is');
    const answers = [loading, nobody, fenced];
    const { broker, peers, missed } = forwarding({}, { leaveGroup: () => Promise.resolve(answers.shift() ?? fenced) });
    for (let n = 0; n < 3; n++) await broker.leaveGroup(member, context());
    assert.deepEqual(missed, ['billing at 2', 'billing at 2'], 'an answer that decides teaches nothing');
    peers.fate = (): PeerAnswer => ({ kind: 'not-sent', why: 'it is dead' });
    await broker.leaveGroup(member, context());
    peers.fate = (): PeerAnswer => ({ kind: 'unknown', why: 'it hangs' });
    await broker.leaveGroup(member, context());
    assert.equal(missed.length, 4);
  });
});

it('a broker speaks for itself, whichever is asked', async () => {
  const health = { healthy: false, unhealthyReason: 'set apart', healthUnknown: false };
  const ordered = { duty: 'draining', replicaCount: 3, replaceable: true, formatVersion: 2 } as const;
  const place = { brokerId: there, address: 'there:9400', incarnation: 'disk', version: '1', rack: 'r' };
  const report: BrokerReport = {
    broker: { ...place, ...health, ...ordered },
    replicas: { leaders: 1, followers: 2, learners: 3, quarantined: 4 },
    quarantined: [
      { group: toGroupNumber(0), partition: null, reason: 'a', sinceMs: toMillis(5) },
      {
        group: toGroupNumber(7),
        partition: { topic: 'orders', topicId: topicUuid, number: 0 },
        reason: 'b',
        sinceMs: toMillis(6),
      },
    ],
    disk: { level: 'low', freeBytes: 7, softReserveBytes: 8, hardReserveBytes: 9, ballastWhole: true },
    runtime: {
      ...{ pid: 10, nodeVersion: 'v22', startedAtMs: toMillis(11), cpuMs: 12, residentBytes: 13, heapUsedBytes: 14 },
      loopDelay: { p50Ms: 0.5, p99Ms: 1.5, maxMs: 2.5, spanMs: 15 },
    },
    peers: [
      { brokerId: here, connected: true, heardAgoMs: 0, unsentBytes: 16 },
      { brokerId: elsewhere, connected: false, heardAgoMs: null, unsentBytes: 0 },
    ],
  };
  const bare: BrokerReport = { ...report, disk: null, runtime: null, peers: [] };
  const { broker, near, routes, peers } = forwarding(
    { describeBroker: () => Promise.resolve(ok(bare)) },
    { describeBroker: () => Promise.resolve(ok(report)) },
  );
  assert.deepEqual(await broker.describeBroker(there, context()), ok(report));
  assert.equal(near.calls.length, 0);
  assert.deepEqual(await broker.describeBroker(null, context()), ok(bare));
  peers.fate = (): PeerAnswer => ({ kind: 'unknown', why: 'the connection broke' });
  assert.equal(codeOf(await broker.describeBroker(there, context())), 'LEADER_NOT_AVAILABLE');
  routes.leader = null;
  assert.deepEqual(await broker.describeBroker(here, context()), ok(bare));
});

describe('the description of a topic', () => {
  const topic = {
    ...{ name: 'orders', topicId: topicUuid, partitionCount: 2, replicationFactor: 1, internal: false },
    createdAtMs: toMillis(1_700_000_000_000),
    config: {
      'retention.ms': null,
      'retention.bytes': null,
      'retention.records': null,
      'min.insync.replicas': null,
      'message.timestamp.before.max.ms': null,
      'message.timestamp.after.max.ms': null,
    },
  };
  const replicas = [there, elsewhere];
  const hidden = { leader: null, leaderEpoch: null, logStart: null, highWatermark: null, inSync: [] };
  const led = { leader: elsewhere, leaderEpoch: toTerm(4), logStart: toOffset(2), highWatermark: toOffset(9) };
  const described = (...partitions: PartitionInfo[]): ReturnType<BrokerApi['describeTopic']> =>
    Promise.resolve(ok({ topic, partitions, brokers: [{ brokerId: elsewhere, address: 'third:9400' }], catalogRevision: 5 })); // prettier-ignore
  const own = { partition: 0, replicas: [here], ...led, leader: here, inSync: [here] };

  it('is completed by a replica, which knows the leader, and by the leader, which knows who is in sync', async () => {
    const other = { partition: 1, replicas };
    const { broker, peers, far } = forwarding(
      { describeTopic: () => described(own, { ...other, ...hidden }) },
      { describeTopic: () => described({ ...other, ...led, inSync: [] }) },
    );
    const leader = fakeBroker({ describeTopic: () => described({ ...other, ...led, inSync: replicas }) });
    const desk = new CallDesk({
      clock: realClock,
      limits: defaultApiLimits,
      onDefect: (defect) => assert.fail(String(defect)),
    });
    serveForwarded(peers.of(elsewhere), desk, { broker: leader, codecs, clock: realClock });
    const answer = await broker.describeTopic('orders', context());
    assert.ok(answer.kind === 'ok');
    assert.deepEqual(answer.value.partitions, [own, { ...other, ...led, inSync: replicas }]);
    assert.deepEqual([far.calls.length, leader.calls.length], [1, 1]);
  });

  it('is what this broker knows if nobody else can be asked, and asks nobody about what it leads', async () => {
    const open = { partition: 1, replicas, ...hidden };
    const { broker, peers, missed, near } = forwarding({ describeTopic: () => described(own, open) }, {});
    peers.fate = (): PeerAnswer => ({ kind: 'not-sent', why: 'it is dead' });
    const answer = await broker.describeTopic('orders', context());
    assert.ok(answer.kind === 'ok');
    assert.deepEqual(answer.value.partitions, [own, open]);
    assert.deepEqual([peers.calls.length, missed], [1, ['1 at 2']]);
    near.script.describeTopic = () => described(own);
    await broker.describeTopic('orders', context());
    assert.equal(peers.calls.length, 1);
  });
});

it('every error code survives the way between brokers', () => {
  for (const code of Object.keys(errorTraits) as ErrorCode[]) {
    const error: BrokerError = { code, message: 'why', leaderHint: hint, retryAfterMs: 7, fields: { a: 'b' } };
    assert.deepEqual(fromErrorDetail(errorDetail(error)), error);
  }
});
