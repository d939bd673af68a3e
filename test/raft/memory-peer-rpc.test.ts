import assert from 'node:assert/strict';
import test from 'node:test';
import { toBrokerId } from '../../src/model/ids.ts';
import type { PeerIdentity } from '../../src/raft/peer-identity.ts';
import { MemoryPeerRpc } from '../fakes/memory-peer-rpc.ts';

const identity = (broker: number): PeerIdentity => ({
  brokerId: toBrokerId(broker),
  clusterId: null,
  incarnation: `00000000-0000-4000-8000-00000000000${broker}`,
  bootNumber: 1,
  processNonce: `00000000-0000-4000-9000-00000000000${broker}`,
  recoveredCommit: 0,
  earlierStarts: [],
  peerAddress: null,
});

test('the fake tells what was certainly not carried out from what may have been', async () => {
  const [one, two] = [toBrokerId(1), toBrokerId(2)];
  const network = new MemoryPeerRpc();
  const client = network.rpcOf(one, 'one:9401', () => identity(1));
  const server = network.rpcOf(two, 'two:9401', () => identity(2));
  const heard: string[] = [];
  server.serve('echo', (from, payload) => {
    heard.push(`${from.brokerId} ${Buffer.from(payload).toString()}`);
    return Promise.resolve(payload);
  });
  const call = (address: string, method = 'echo') =>
    client.call({ kind: 'address', address }, method, Buffer.from('x'), 100);

  const answer = await call('two:9401');
  assert.equal(answer.kind === 'answered' && answer.from.brokerId, two);
  assert.equal((await call('three:9401')).kind, 'not-sent');
  assert.equal((await call('two:9401', 'unheard of')).kind, 'not-sent');
  network.mute.add(two);
  assert.equal((await call('two:9401')).kind, 'unknown');
  network.cutOff.add(two);
  const to = { kind: 'broker', broker: two } as const;
  assert.equal((await client.call(to, 'echo', Buffer.from('x'), 100)).kind, 'not-sent');
  assert.deepEqual(heard, ['1 x', '1 x']);
});
