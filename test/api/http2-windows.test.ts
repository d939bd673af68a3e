import assert from 'node:assert/strict';
import { connect } from 'node:http2';
import type { ClientHttp2Session } from 'node:http2';
import { test } from 'node:test';
import { Server } from '@grpc/grpc-js';
import { tuneHttp2 } from '../../src/api/http2-windows.ts';
import { defaultApiLimits } from '../../src/api/limits.ts';
import { fakeBroker } from '../fakes/fake-broker.ts';
import { eventOf, startRig, until } from './rig.ts';

const mebibyte = 1024 * 1024;

async function connectTo(port: number): Promise<ClientHttp2Session> {
  const session = connect(`http://127.0.0.1:${port}`);
  session.on('error', () => undefined);
  await Promise.all([eventOf(session, 'connect'), eventOf(session, 'remoteSettings')]);
  return session;
}

test('the windows in force are 1 MiB a stream and 2 MiB a connection, on both sides', async (t) => {
  const { server, port } = await startRig(t, fakeBroker());
  const session = await connectTo(port);
  t.after(() => session.destroy());
  assert.equal(session.remoteSettings.initialWindowSize, mebibyte);
  // what the client may send before it must wait: told by a frame that comes after the settings
  await until(() => session.state.remoteWindowSize === 2 * mebibyte);
  assert.deepEqual(server.windows, { inForce: [2 * mebibyte], budgetedBytes: 2 * mebibyte });
});

test('all connections share one budget: beyond it they get what HTTP/2 begins with', async (t) => {
  const { server, port } = await startRig(t, fakeBroker(), { receiveWindowBytesMax: 5 * mebibyte });
  const sessions: ClientHttp2Session[] = [];
  for (let i = 0; i < 4; i++) sessions.push(await connectTo(port));
  t.after(() => sessions.forEach((session) => session.destroy()));
  assert.deepEqual(server.windows.inForce, [2 * mebibyte, 2 * mebibyte, 65_535, 65_535]);
  assert.equal(server.windows.budgetedBytes, 4 * mebibyte + 2 * 65_535);
  sessions[0]!.destroy();
  await until(() => server.load.connections === 3);
  sessions.push(await connectTo(port));
  assert.equal(server.windows.inForce.at(-1), 2 * mebibyte);
});

test('headers, streams and connections are limited, and the limits are told to the client', async (t) => {
  const { server, port } = await startRig(t, fakeBroker(), { connectionsPerAddressMax: 2 });
  const session = await connectTo(port);
  const other = await connectTo(port);
  t.after(() => [session, other].forEach((each) => each.destroy()));
  assert.equal(session.remoteSettings.maxConcurrentStreams, 256);
  assert.equal(session.remoteSettings.maxHeaderListSize, 16 * 1024);
  const third = connect(`http://127.0.0.1:${port}`);
  third.on('error', () => undefined);
  await new Promise((resolve) => third.on('close', resolve));
  assert.equal(server.load.connections, 2);
});

test('connections above the limit are closed before a byte is read', async (t) => {
  const { server, port } = await startRig(t, fakeBroker(), { connectionsMax: 1 });
  const session = await connectTo(port);
  t.after(() => session.destroy());
  const second = connect(`http://127.0.0.1:${port}`);
  second.on('error', () => undefined);
  await new Promise((resolve) => second.on('close', resolve));
  assert.equal(server.load.connections, 1);
});

test('a call with more headers than the limit is reset, and the connection goes on', async (t) => {
  const { port } = await startRig(t, fakeBroker());
  const session = await connectTo(port);
  t.after(() => session.destroy());
  const huge = session.request({
    ':method': 'POST',
    ':path': '/sluice.v1.TopicService/ListTopics',
    'content-type': 'application/grpc',
    'x-huge': 'x'.repeat(40_000),
  });
  huge.on('error', () => undefined);
  await new Promise((resolve) => huge.on('close', resolve));
  assert.notEqual(huge.rstCode, 0);
  const health = session.request({ ':method': 'POST', ':path': '/no.such/Method', 'content-type': 'application/grpc' });
  const [headers] = (await eventOf(health, 'response')) as [Record<string, string>];
  assert.equal(headers['grpc-status'], '12');
  health.destroy();
});

test('a grpc-js without the private fields is a clear failure', () => {
  const server = new Server();
  Object.assign(server, { commonServerOptions: undefined });
  assert.throws(() => tuneHttp2(server, defaultApiLimits), /see http2-windows\.ts/);
});
