import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { GrpcObject, ServiceClientConstructor } from '@grpc/grpc-js';
import { Client, credentials, loadPackageDefinition, status as Status } from '@grpc/grpc-js';
import { service as healthService } from 'grpc-health-check';
import { BindError } from '../../src/api/server.ts';
import type { ListTopicsRequest, ListTopicsResponse } from '../../src/gen/sluice/v1/topic.ts';
import { ok, refuse } from '../../src/model/errors.ts';
import { fakeBroker } from '../fakes/fake-broker.ts';
import type { Answer } from './rig.ts';
import { call, codeOf, startRig, until } from './rig.ts';

const noTopics = { topics: [], more: false, catalogRevision: 1 };
const listing = (): ListTopicsRequest => ({ includeInternal: false, pageSize: undefined, pageToken: '' });
const never = (): Promise<never> => new Promise(() => undefined);

test('a refusal of the broker arrives with its status and its detail', async (t) => {
  const broker = fakeBroker({
    listTopics: () => Promise.resolve(refuse('LEADER_NOT_AVAILABLE', 'Wait.', { retryAfterMs: 5 })),
  });
  const { topics } = await startRig(t, broker);
  const answer = await call<ListTopicsResponse>((reply) => topics.listTopics(listing(), reply));
  assert.ok(answer.kind === 'error');
  assert.equal(answer.status, Status.UNAVAILABLE);
  assert.deepEqual([codeOf(answer), answer.detail?.retryAfterMs], ['LEADER_NOT_AVAILABLE', 5n]);
});

test('a caller that goes away aborts what waits for it, and nothing is left (pit-P122)', async (t) => {
  const broker = fakeBroker({ listTopics: never });
  const { server, topics } = await startRig(t, broker);
  const calls = Array.from({ length: 50 }, () => topics.listTopics(listing(), () => undefined));
  await until(() => broker.calls.length === 50);
  assert.equal(server.load.calls, 50);
  for (const each of calls) each.cancel();
  await until(() => broker.contexts().every(({ signal }) => signal.aborted));
  assert.deepEqual([server.load.calls, server.load.requestBytes], [0, 0]);
});

test('the broker is told the deadline of the caller', async (t) => {
  const broker = fakeBroker({ listTopics: () => Promise.resolve(ok(noTopics)) });
  const { topics } = await startRig(t, broker);
  const before = performance.now();
  await call((reply) => topics.listTopics(listing(), { deadline: Date.now() + 5_000 } as never, reply));
  const deadlineMs = broker.contexts()[0]!.deadlineMs - before;
  assert.ok(deadlineMs > 4_000 && deadlineMs < 6_000, String(deadlineMs));
});

test('without a deadline of the caller ours holds: the outcome is unknown then', async (t) => {
  const { server, topics } = await startRig(t, fakeBroker({ listTopics: never }), { unaryMsMax: 20 });
  const answer = await call((reply) => topics.listTopics(listing(), reply));
  assert.equal(codeOf(answer), 'REQUEST_TIMED_OUT');
  assert.ok(answer.kind === 'error' && answer.status === Status.DEADLINE_EXCEEDED && answer.detail?.indeterminate);
  assert.equal(server.load.calls, 0);
});

test('a handler that throws is a defect: the caller hears INTERNAL, the process is told', async (t) => {
  const rig = await startRig(t, fakeBroker());
  assert.equal(codeOf(await call((reply) => rig.topics.listTopics(listing(), reply))), 'INTERNAL');
  assert.equal(rig.defects.splice(0).length, 1);
});

test('more calls than the limit are refused with the name of the limit', async (t) => {
  const broker = fakeBroker({ listTopics: never });
  const { topics } = await startRig(t, broker, { callsInFlightMax: 2 });
  const held = [1, 2].map(() => topics.listTopics(listing(), () => undefined));
  await until(() => broker.calls.length === 2);
  const answer = await call((reply) => topics.listTopics(listing(), reply));
  assert.equal(codeOf(answer), 'LIMIT_REACHED');
  assert.ok(answer.kind === 'error' && answer.status === Status.RESOURCE_EXHAUSTED);
  assert.deepEqual([answer.detail?.fields['limit'], answer.detail?.retryAfterMs], ['callsInFlightMax', 100n]);
  for (const each of held) each.cancel();
});

test('draining refuses what comes, ends what only waits, and lets the rest be answered', async (t) => {
  let finish = (): void => undefined;
  const broker = fakeBroker({
    fetch: never,
    deleteTopic: () => new Promise((resolve) => (finish = () => resolve(ok({ catalogRevision: 9 })))),
  });
  const { server, topics, log } = await startRig(t, broker);
  const waiting = call((reply) =>
    log.fetch({ partitions: [], maxWaitMs: undefined, minBytes: undefined, maxBytes: undefined, format: 0 }, reply),
  );
  assert.equal(codeOf(await waiting), 'INVALID_REQUEST');
  const fetching = call((reply) =>
    log.fetch(
      {
        partitions: [
          {
            topic: 'orders',
            partition: 0,
            fetchOffset: 0n,
            topicId: undefined,
            leaderEpoch: undefined,
            maxBytes: undefined,
          },
        ],
        maxWaitMs: 60_000,
        minBytes: undefined,
        maxBytes: undefined,
        format: 0,
      },
      reply,
    ),
  );
  const deleting: Promise<Answer<unknown>> = call((reply) =>
    topics.deleteTopic({ name: 'orders', topicId: undefined }, reply),
  );
  await until(() => broker.calls.length === 2);
  server.drain();
  assert.equal(codeOf(await fetching), 'BROKER_SHUTTING_DOWN');
  assert.equal(codeOf(await call((reply) => topics.listTopics(listing(), reply))), 'BROKER_SHUTTING_DOWN');
  finish();
  assert.equal(codeOf(await deleting), 'ok');
  assert.equal(server.load.calls, 0);
});

test('closing does not wait longer than its grace for callers that hold on', async (t) => {
  const { server, topics } = await startRig(t, fakeBroker({ listTopics: never }));
  const held = call((reply) => topics.listTopics(listing(), reply));
  await until(() => server.load.calls === 1);
  const before = performance.now();
  await server.close(50);
  assert.ok(performance.now() - before < 2_000);
  const answer = await held;
  assert.ok(answer.kind === 'error');
  await until(() => server.load.calls === 0 && server.load.connections === 0);
});

test('health tells liveness, startup and readiness apart', async (t) => {
  const { server, address } = await startRig(t, fakeBroker());
  const Health = loadPackageDefinition({ 'grpc.health.v1.Health': healthService });
  const Constructor = (((Health['grpc'] as GrpcObject)['health'] as GrpcObject)['v1'] as GrpcObject)[
    'Health'
  ] as ServiceClientConstructor;
  const client = new Constructor(address, credentials.createInsecure());
  t.after(() => client.close());
  const check = (service: string): Promise<string> =>
    new Promise((resolve) => {
      const method = client['check'] as (
        request: object,
        reply: (error: { code: number } | null, value: { status: string }) => void,
      ) => void;
      method.call(client, { service }, (error, value) =>
        resolve(error === null ? value.status : `error ${error.code}`),
      );
    });
  const all = (): Promise<string[]> => Promise.all(['', 'readiness', 'startup', 'liveness', 'other'].map(check));
  assert.deepEqual(await all(), ['SERVING', 'SERVING', 'SERVING', 'SERVING', `error ${Status.NOT_FOUND}`]);
  server.serve(fakeBroker(), { ready: false });
  assert.deepEqual((await all()).slice(0, 4), ['NOT_SERVING', 'NOT_SERVING', 'SERVING', 'SERVING']);
});

test('a port in use is one line that says what to do', async (t) => {
  const first = await startRig(t, fakeBroker());
  const second = await startRig(t, fakeBroker());
  await assert.rejects(second.server.listen('127.0.0.1', first.port), (error) => {
    assert.ok(error instanceof BindError);
    assert.match(error.message, /^127\.0\.0\.1:\d+ is in use: stop what listens there, or choose another port/);
    return true;
  });
});

test('a method that does not exist is UNIMPLEMENTED', async (t) => {
  const { address } = await startRig(t, fakeBroker());
  const client = new Client(address, credentials.createInsecure());
  t.after(() => client.close());
  const answer = await call((reply) =>
    client.makeUnaryRequest('/sluice.v1.TopicService/Explode', () => Buffer.alloc(0), String, {}, reply as never),
  );
  assert.ok(answer.kind === 'error' && answer.status === Status.UNIMPLEMENTED);
});
