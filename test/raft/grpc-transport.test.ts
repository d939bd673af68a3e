import assert from 'node:assert/strict';
import { createConnection } from 'node:net';
import { after, describe, it } from 'node:test';
import type { Entry, EntryKind } from '../../src/model/entry.ts';
import { entryKindNumbers } from '../../src/model/entry.ts';
import {
  termZero,
  toBrokerId,
  toGroupNumber,
  toLogIndex,
  toMillis,
  toOffset,
  toReplicaId,
  toTerm,
} from '../../src/model/ids.ts';
import type { BeatFrame } from '../../src/raft/beat-frame.ts';
import { emptyConfiguration } from '../../src/raft/core/configuration.ts';
import type { Message } from '../../src/raft/core/messages.ts';
import { PeerBindError } from '../../src/raft/grpc-service.ts';
import type { RefusalCode } from '../../src/raft/peer-admission.ts';
import { peerCallBytesMax } from '../../src/raft/peer-rpc.ts';
import { AddressBook, CuttableProxy, incarnationOf, loopback, PeerRig, until, VolatilePeerMemory } from './peer-rig.ts';
import type { PeerRigOptions } from './peer-rig.ts';

const [one, two] = [toBrokerId(1), toBrokerId(2)];
/** Broker n holds replica n. */
const [replicaOne, replicaTwo] = [toReplicaId(1), toReplicaId(2)];
const group = toGroupNumber(7);

/** A limit for the whole test: what never comes about fails and does not hang. */
const options = { timeout: 60_000 };

const open: { readonly close: () => unknown }[] = [];
const closing = <T extends { readonly close: () => unknown }>(thing: T): T => {
  open.push(thing);
  return thing;
};
after(async () => {
  for (const thing of open) await thing.close();
});

async function rig(options: PeerRigOptions): Promise<PeerRig> {
  const made = new PeerRig(options);
  closing(made.peers);
  return made.listen(options.book);
}

interface Pair {
  readonly book: AddressBook;
  readonly a: PeerRig;
  readonly b: PeerRig;
}

/** Brokers 1 and 2, which know where each other's replicas are. */
async function pair(first: Partial<PeerRigOptions> = {}, second: Partial<PeerRigOptions> = {}): Promise<Pair> {
  const book = new AddressBook();
  book.replicas.set(replicaOne, one).set(replicaTwo, two);
  const a = await rig({ broker: 1, book, ...first });
  const b = await rig({ broker: 2, book, ...second });
  return { book, a, b };
}

function append(payloadBytes: number, sequence = 1): Message {
  const entry: Entry = {
    kind: 'batch',
    term: toTerm(1),
    index: toLogIndex(1),
    baseOffset: toOffset(0),
    count: 1,
    appendTimeMs: toMillis(5),
    maxTimestampMs: null,
    payloadCrc: 1,
    chain: 2,
    payload: Buffer.alloc(payloadBytes, 3),
  };
  return {
    kind: 'append-request',
    from: replicaOne,
    to: replicaTwo,
    term: toTerm(1),
    prevIndex: toLogIndex(0),
    prevTerm: termZero,
    prevEndOffset: toOffset(0),
    prevChain: null,
    sequence,
    entries: [entry],
    commit: toLogIndex(0),
  };
}

const vote = (from = replicaOne, to = replicaTwo): Message => ({
  kind: 'vote-request',
  from,
  to,
  term: toTerm(3),
  pre: true,
  lastIndex: toLogIndex(9),
  lastTerm: toTerm(2),
  transfer: false,
  configuration: {
    ...emptyConfiguration,
    revision: 2,
    voters: [replicaOne, replicaTwo],
    learners: [toReplicaId(2 ** 40)],
  },
});

const beat = (sequence: number): BeatFrame => ({
  kind: 'request',
  process: 1,
  sequence,
  base: 0,
  revision: 1,
  announced: [],
  ended: [],
});

describe('brokers on their port', () => {
  it('messages and beats arrive, in order, from who sent them', options, async () => {
    const { a, b } = await pair();
    for (let i = 1; i <= 50; i++) a.peers.send(group, append(1_000, i));
    a.peers.send(group, vote());
    a.peers.sendBeat(two, beat(1));
    await until(() => b.messages.length === 51 && b.beats.length === 1);
    const appends = b.messages.map(({ message }) => message).filter((message) => message.kind === 'append-request');
    assert.deepEqual(
      appends.map(({ sequence }) => sequence),
      Array.from({ length: 50 }, (_, i) => i + 1),
    );
    assert.equal(Buffer.compare(appends[0]!.entries[0]!.payload, Buffer.alloc(1_000, 3)), 0);
    assert.deepEqual(b.beats, [{ from: one, frame: beat(1) }]);
    assert.deepEqual(a.connected.sort(), ['beat', 'bulk']);
    assert.deepEqual([...a.peers.standing.welcomedBy], [[two, b.identity.incarnation]]);
    assert.deepEqual([a.drops, b.drops], [[], []]);
  });

  it('what all groups say in one turn shares frames, in the order in which it was said', options, async () => {
    const { a, b } = await pair();
    const spoken = [vote(), append(0, 1), append(700, 2), vote(), append(0, 3), append(20_000, 4), vote()];
    a.peers.send(group, vote());
    await until(() => b.messages.length === 1);
    for (let round = 0; round < 200; round++) for (const message of spoken) a.peers.send(group, message);
    await until(() => b.messages.length === 1 + 200 * spoken.length);
    const kinds = (kind: string): string[] =>
      b.messages
        .slice(1)
        .flatMap(({ message }) =>
          message.kind === kind ? [message.kind === 'append-request' ? `${message.sequence}` : ''] : [],
        );
    assert.equal(kinds('vote-request').length, 600);
    assert.equal(kinds('append-request').join(''), '1234'.repeat(200));
    assert.deepEqual([a.drops, b.drops], [[], []]);
  });

  it(
    'a replica that the directory does not know is learned from its messages, and belongs to one broker',
    options,
    async () => {
      const { a, b, book } = await pair();
      const [far, near] = [toReplicaId(91), toReplicaId(92)];
      book.replicas.set(near, two);
      assert.equal(b.peers.brokerOf(far), null);
      a.peers.send(group, vote(far, near));
      await until(() => b.messages.length === 1);
      assert.equal(b.peers.brokerOf(far), one);
      const c = await rig({ broker: 3, book });
      c.peers.send(group, vote(far, near));
      c.peers.send(group, vote(replicaOne, near));
      await until(() => b.drops.length === 2);
      assert.deepEqual(b.drops, ['wrong-source', 'wrong-source']);
      assert.equal(b.messages.length, 1);
      book.replicas.set(far, toBrokerId(3));
      c.peers.send(group, vote(far, near));
      await until(() => b.messages.length === 2);
    },
  );

  it(
    'promise-D7: entries of a kind that only a newer version knows are told of, and nothing else is lost',
    options,
    async () => {
      const { a, b, book } = await pair();
      const request = append(10);
      assert.ok(request.kind === 'append-request');
      // the reader's own table was made before
      Object.assign(entryKindNumbers, { 'of-tomorrow': 99 });
      const entries = request.entries.map((entry) => ({ ...entry, kind: 'of-tomorrow' as EntryKind }));
      a.peers.send(group, { ...request, entries });
      a.peers.send(group, append(10, 2));
      await until(() => b.messages.length === 1 && b.newer.length === 1);
      const { from, to, term } = request;
      const what = 'entry 1 of the leader is of kind 99, unknown here: upgrade this broker';
      assert.deepEqual(b.newer, [{ group, from, to, term, what }]);
      assert.deepEqual([b.drops, a.disconnected], [[], []]);
      // nobody may say so for a replica that is not its own
      const c = await rig({ broker: 3, book });
      c.peers.send(group, { ...request, entries });
      await until(() => b.drops.length === 1);
      assert.deepEqual([b.drops, b.newer.length], [['wrong-source'], 1]);
      Reflect.deleteProperty(entryKindNumbers, 'of-tomorrow');
    },
  );

  it('whom nobody knows nothing is sent to', options, async () => {
    const { a, book } = await pair();
    a.peers.send(group, { ...vote(), to: toReplicaId(404) });
    book.replicas.set(toReplicaId(5), toBrokerId(5));
    a.peers.send(group, { ...append(10), to: toReplicaId(5) });
    assert.deepEqual(a.drops, ['unknown-peer', 'unknown-peer']);
    await until(() => a.unreachable.length === 1);
    assert.deepEqual(a.unreachable, [{ group, replica: toReplicaId(5) }]);
  });

  it(
    'pit-P35 a message at the limit goes through and one above it is dropped, the connection stays',
    options,
    async () => {
      const { a, b } = await pair({ limits: { bulkUnsentBytesMax: 64 * 1024 * 1024 } });
      a.peers.send(group, append(8 * 1024 * 1024));
      a.peers.send(group, append(8 * 1024 * 1024 + 64 * 1024));
      a.peers.send(group, append(8 * 1024 * 1024 - 1, 2));
      await until(() => b.messages.length === 2);
      assert.deepEqual(a.drops, ['too-large']);
      assert.deepEqual(a.disconnected, []);
    },
  );

  it('a frame above the limit of the receiver ends the stream, and the next one goes on', options, async () => {
    const { a, b } = await pair({ limits: { frameBytesMax: 64 * 1024 * 1024 } });
    a.peers.send(group, append(9 * 1024 * 1024));
    await until(() => a.disconnected.length === 1);
    assert.match(a.disconnected[0]!, /larger than max|RESOURCE_EXHAUSTED/);
    await until(() => a.unreachable.length === 1);
    await until(() => a.connected.filter((lane) => lane === 'bulk').length === 2);
    a.peers.send(group, append(10));
    await until(() => b.messages.length === 1);
  });

  it('a port in use is said in one line', options, async () => {
    const { a, b } = await pair();
    await assert.rejects(
      b.peers.listen(loopback, a.port),
      (error) => error instanceof PeerBindError && /is in use: stop what listens there/.test(error.message),
    );
  });
});

describe('the handshake of brokers', () => {
  interface Case {
    readonly code: RefusalCode;
    readonly detail: RegExp;
    readonly caller?: Partial<PeerRigOptions>;
    readonly called?: Partial<PeerRigOptions>;
    readonly known?: string;
  }

  function remembering(bootNumber: number, processNonce: string, durableCommit: number): Partial<PeerRigOptions> {
    const memory = new VolatilePeerMemory();
    void memory.remember({ incarnation: incarnationOf(1), bootNumber, processNonce, durableCommit });
    return { memory };
  }

  const nonce = '00000000-0000-4000-9000-000000000001';
  const otherNonce = '00000000-0000-4000-9000-000000000002';
  const cases: Readonly<Record<string, Case>> = {
    'pit-P62 another cluster': {
      code: 'other-cluster',
      detail: /belongs to cluster aaaaaaaa-/,
      caller: { identity: { clusterId: 'aaaaaaaa-0000-4000-8000-00000000000a' } },
    },
    'a broker without a cluster, on a stream for members': {
      code: 'no-cluster-yet',
      detail: /belongs to cluster none yet/,
      caller: { identity: { clusterId: null } },
    },
    'another secret': { code: 'wrong-secret', detail: /same cluster\.secret/, caller: { secret: 'something else' } },
    'no secret': { code: 'wrong-secret', detail: /same cluster\.secret/, caller: { secret: '' } },
    'pit-P61 another data directory than the catalog knows': {
      code: 'other-incarnation',
      detail: /put its disk back, or replace it/,
      known: incarnationOf(9),
    },
    'pit-P87 a start that is long past': {
      code: 'old-boot',
      detail: /start 5 of its data directory, and start 6 was here/,
      caller: { identity: { bootNumber: 5 } },
      called: remembering(6, nonce, 0),
    },
    'pit-P87 a start that another process has used': {
      code: 'boot-reused',
      detail: /another process was start 6/,
      caller: { identity: { bootNumber: 6, processNonce: nonce } },
      called: remembering(6, otherNonce, 0),
    },
    'pit-P87 a disk that was rolled back before this start': {
      code: 'rolled-back',
      detail: /holds 99 writes and held 100/,
      caller: { identity: { bootNumber: 7, recoveredCommit: 99 } },
      called: remembering(6, otherNonce, 100),
    },
    'pit-P87 a disk that was rolled back under a running process': {
      code: 'rolled-back',
      detail: /holds 0 writes and held 100/,
      caller: { identity: { bootNumber: 6, processNonce: nonce, recoveredCommit: 100 } },
      called: remembering(6, nonce, 100),
    },
  };

  for (const [name, { code, detail, caller, called, known }] of Object.entries(cases)) {
    it(`refuses ${name}, on every stream, and says why`, options, async () => {
      const { a, b, book } = await pair(caller, called);
      if (known !== undefined) book.incarnations.set(one, known);
      a.peers.send(group, append(10));
      a.peers.sendBeat(two, beat(1));
      await until(() => b.turnedAway.length >= 2 && a.refused.length >= 2);
      assert.deepEqual([b.turnedAway[0]?.code, b.turnedAway[1]?.code], [code, code]);
      assert.match(b.turnedAway[0]!.detail, detail);
      assert.deepEqual(a.refused[0], { by: 'peer', refusal: b.turnedAway[0] });
      assert.deepEqual([b.messages, b.beats, [...a.peers.standing.welcomedBy]], [[], [], []]);
      // what is said of the disk is kept: it ends this broker's part in every group
      const isOfDisk = code === 'old-boot' || code === 'boot-reused' || code === 'rolled-back';
      const condemnation = isOfDisk ? { by: two, ...b.turnedAway[0]! } : null;
      assert.deepEqual(a.peers.standing.condemnation, condemnation);
      await until(() => a.unreachable.length >= 1);
    });
  }

  it('refuses an id that is in use already', options, async () => {
    const { b, book } = await pair();
    const twin = await rig({ broker: 2, book: new AddressBook(), identity: { incarnation: incarnationOf(9) } });
    const address = book.addresses.get(two)!;
    assert.equal(
      (await twin.peers.call({ kind: 'address', address }, 'any', Buffer.alloc(1), 20_000)).kind,
      'not-sent',
    );
    assert.equal(b.turnedAway[0]?.code, 'wrong-broker');
    assert.match(b.turnedAway[0].detail, /broker id 2 is in use already/);
  });

  it('the caller refuses a broker too: one that is not whom it sought', options, async () => {
    const { a, b, book } = await pair();
    const three = toBrokerId(3);
    book.addresses.set(three, book.addresses.get(two)!);
    a.peers.sendBeat(three, beat(1));
    await until(() => a.refused.length === 1);
    assert.equal(a.refused[0]?.by, 'us');
    assert.deepEqual(a.refused[0].refusal.code, 'wrong-broker');
    assert.deepEqual(b.beats, []);
  });

  it(
    'pit-P87 a peer is remembered before its first message is read, and its commit numbers as they rise',
    options,
    async () => {
      const memory = new VolatilePeerMemory();
      let let_ = (): void => undefined;
      const gate = new Promise<void>((resolve) => (let_ = resolve));
      const remember = memory.remember.bind(memory);
      memory.remember = async (peer) => {
        await gate;
        return remember(peer);
      };
      const { a, b } = await pair({}, { memory });
      a.durableCommit = 40;
      a.peers.send(group, append(10));
      await until(() => b.peers.connections === 1);
      await new Promise((resolve) => setTimeout(resolve, 50));
      assert.deepEqual([b.messages, a.connected], [[], []]);
      let_();
      await until(() => b.messages.length === 1);
      const { incarnation, bootNumber, processNonce } = a.identity;
      assert.deepEqual(memory.remembered(incarnation), { incarnation, bootNumber, processNonce, durableCommit: 40 });
      a.durableCommit = 41;
      a.peers.send(group, append(10));
      await until(() => memory.remembered(incarnation)?.durableCommit === 41);
    },
  );

  it('a broker that was started again is not heard from its former life', options, async () => {
    const { a, b, book } = await pair();
    a.peers.send(group, vote());
    await until(() => b.messages.length === 1);
    const again = await rig({ broker: 1, book, identity: { bootNumber: 2 } });
    again.peers.send(group, vote());
    await until(() => b.messages.length === 2 && a.disconnected.length >= 1);
    await until(() => a.refused.some(({ refusal }) => refusal.code === 'old-boot'));
    a.peers.send(group, vote());
    await until(() => a.drops.length > 0 || b.turnedAway.length > 1);
    assert.equal(b.messages.length, 2);
  });

  it(
    'one address after the other is tried, past nobody and past another broker, until the right one is found',
    options,
    async () => {
      const { a, b, book } = await pair({ limits: { backoffMinMs: 5, backoffMaxMs: 20 } });
      const other = await rig({ broker: 3, book });
      book.addresses.set(two, `${loopback}:1 ${book.addresses.get(other.broker)!} ${book.addresses.get(two)!}`);
      for (let sent = 0; b.messages.length === 0; sent++) {
        a.peers.send(group, vote());
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      assert.ok(a.refused.some(({ refusal }) => refusal.code === 'wrong-broker'));
      assert.deepEqual(other.messages, []);
    },
  );

  it(
    'a broker that was started elsewhere is found as soon as it speaks, whatever was waited for',
    options,
    async () => {
      const backoff = { backoffMinMs: 600_000, backoffMaxMs: 600_000 };
      const { a, b } = await pair({ limits: backoff });
      a.peers.send(group, vote());
      await until(() => b.messages.length === 1);
      b.peers.close();
      await until(() => a.disconnected.length === 1);
      // where a looks for it nobody is any more
      const book = new AddressBook();
      book.addresses.set(one, `${loopback}:${a.port}`);
      book.replicas.set(replicaOne, one).set(replicaTwo, two);
      const again = await rig({ broker: 2, book, identity: { bootNumber: 2 } });
      again.identity = { ...again.identity, peerAddress: `${loopback}:${again.port}` };
      again.peers.send(group, vote(replicaTwo, replicaOne));
      await until(() => a.messages.length === 1);
      a.peers.send(group, vote());
      await until(() => again.messages.length === 1);
    },
  );

  it('pit-P87 a commit number that has risen is told to whom nothing else is said, once', options, async () => {
    const memory = new VolatilePeerMemory();
    const noted: number[] = [];
    const note = memory.noteCommit.bind(memory);
    memory.noteCommit = (incarnation, durableCommit) => {
      noted.push(durableCommit);
      note(incarnation, durableCommit);
    };
    const { a, b } = await pair({ limits: { tellCommitMs: 20 } }, { memory });
    a.durableCommit = 40;
    a.peers.standing.meet(two);
    await until(() => a.connected.length === 1);
    a.durableCommit = 41;
    await until(() => memory.remembered(a.identity.incarnation)?.durableCommit === 41);
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.ok(noted.length <= 2 && noted.at(-1) === 41, noted.join());
    a.durableCommit = 42;
    await until(() => memory.remembered(a.identity.incarnation)?.durableCommit === 42);
    assert.deepEqual([b.drops, b.messages, b.beats], [[], [], []]);
  });

  it('garbage on the port hurts nobody', options, async () => {
    const { a, b } = await pair();
    for (const noise of [
      'GET / HTTP/1.1\r\n\r\n',
      '\0'.repeat(5_000),
      'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nnot a frame of it',
    ]) {
      const socket = createConnection(b.port, loopback);
      socket.on('error', () => undefined).resume();
      socket.write(noise);
      await new Promise((resolve) => socket.on('close', resolve).end());
    }
    a.peers.send(group, append(10));
    await until(() => b.messages.length === 1);
    assert.deepEqual(b.turnedAway, []);
  });

  it('who says nothing is cut off', options, async () => {
    const { a, b } = await pair({}, { limits: { handshakeMs: 100 } });
    const silent = new VolatilePeerMemory();
    silent.remember = () => new Promise(() => undefined);
    const mute = await rig({ broker: 4, book: new AddressBook(), memory: silent });
    const book = new AddressBook();
    book.addresses.set(toBrokerId(4), `${loopback}:${mute.port}`);
    const impatient = await rig({ broker: 5, book, limits: { handshakeMs: 100 } });
    impatient.peers.sendBeat(toBrokerId(4), beat(1));
    await until(() => impatient.disconnected.length === 1);
    assert.match(impatient.disconnected[0]!, /no answer within 100 ms/);
    a.peers.sendBeat(two, beat(1));
    await until(() => b.beats.length === 1);
  });
});

describe('connections of brokers that break', () => {
  const quick = { backoffMinMs: 10, backoffMaxMs: 100 };

  it('a reset connection is made again, and the core is told what may be lost', options, async () => {
    const { a, b, book } = await pair({ limits: quick });
    const proxy = closing(await CuttableProxy.to(b.port));
    book.addresses.set(two, proxy.address);
    a.peers.send(group, append(10));
    await until(() => b.messages.length === 1);
    proxy.reset();
    await until(() => a.unreachable.length === 1 && a.disconnected.length === 1);
    assert.deepEqual(a.unreachable, [{ group, replica: replicaTwo }]);
    await until(() => a.connected.length === 2);
    a.peers.send(group, append(10));
    await until(() => b.messages.length === 2);
  });

  it('who is heard no more is told of when its last connection with beats broke, and not before', options, async () => {
    const { book, b } = await pair();
    const proxy = closing(await CuttableProxy.to(b.port));
    book.addresses.set(two, proxy.address);
    const c = await rig({ broker: 3, book });
    const silent: number[] = [];
    b.peers.onSilent((from) => silent.push(from));
    c.peers.sendBeat(two, beat(1));
    void c.peers.call({ kind: 'broker', broker: two }, 'nothing', new Uint8Array(), 5_000);
    await until(() => b.beats.length === 1 && b.peers.connections === 2);
    c.peers.identityChanged();
    await until(() => b.peers.connections === 1);
    assert.deepEqual(silent, [], 'the stream with its beats is there');
    proxy.reset();
    await until(() => silent.length > 0);
    assert.deepEqual([...new Set(silent)], [3]);
  });

  it('a connection that swallows everything is given up, its queue is bounded, and it recovers', options, async () => {
    const limits = { ...quick, bulkUnsentBytesMax: 4 * 1024 * 1024, keepaliveMs: 500, keepaliveTimeoutMs: 500 };
    const { a, b, book } = await pair({ limits });
    const proxy = closing(await CuttableProxy.to(b.port));
    book.addresses.set(two, proxy.address);
    a.peers.send(group, append(10));
    await until(() => b.messages.length === 1);
    proxy.swallow();
    // 64 KiB each: at most the queue, HTTP/2's windows and the sockets' buffers take some of it
    for (let i = 0; i < 400; i++) a.peers.send(group, append(64 * 1024));
    assert.ok(a.drops.length > 0 && a.drops.every((reason) => reason === 'queue-full'));
    await until(() => a.unreachable.length > 0);
    await until(() => a.disconnected.length === 1);
    proxy.reset();
    await until(() => a.connected.length === 2);
    const before = b.messages.length;
    a.peers.send(group, append(10, 77));
    await until(() => b.messages.length > before);
    const last = b.messages.at(-1)?.message;
    assert.ok(last?.kind === 'append-request' && last.sequence === 77);
  });

  it('a peer that is not there is tried with pauses that grow, and found when it comes', options, async () => {
    const book = new AddressBook();
    book.replicas.set(replicaOne, one).set(replicaTwo, two);
    const a = await rig({ broker: 1, book, limits: { backoffMinMs: 20, backoffMaxMs: 200 } });
    const b = new PeerRig({ broker: 2, book });
    closing(b.peers);
    await b.listen(book);
    const { port } = b;
    b.peers.close();
    const began = Date.now();
    a.peers.sendBeat(two, beat(1));
    await until(() => a.disconnected.length === 6);
    // half of 40, 80, 160, 200 and 200 ms at least
    assert.ok(Date.now() - began >= 340, `${Date.now() - began} ms`);
    a.peers.sendBeat(two, beat(2));
    assert.ok(a.drops.includes('disconnected'));
    const back = new PeerRig({ broker: 2, book });
    closing(back.peers);
    await back.peers.listen(loopback, port);
    await until(() => a.connected.length === 1);
    a.peers.sendBeat(two, beat(3));
    await until(() => back.beats.length === 1);
  });

  it('a receiver whose store is behind does not read bulk, and still hears beats', options, async () => {
    let congested = true;
    const { a, b } = await pair({}, { isCongested: () => congested });
    for (let i = 0; i < 200; i++) a.peers.send(group, append(64 * 1024, i));
    a.peers.sendBeat(two, beat(1));
    await until(() => b.beats.length === 1 && b.messages.length > 0);
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.ok(b.messages.length < 100, `${b.messages.length} were read`);
    congested = false;
    await until(() => b.messages.length === 200);
    assert.deepEqual(a.drops, []);
  });

  it('pit-P51 pit-P76 beats are not delayed by bulk', options, async () => {
    const { a, b } = await pair();
    /** Bulk messages that had left before a beat did, by the beat's number. */
    const bulkBefore = new Map<number, number>();
    let overtook = 0;
    let arrived = 0;
    b.peers.onBeat((_from, { sequence: number }) => {
      arrived += 1;
      if (b.messages.length < (bulkBefore.get(number) ?? 0)) overtook += 1;
    });
    let sequence = 0;
    a.peers.sendBeat(two, beat(0));
    await until(() => arrived === 1);
    let bulk = 0;
    const end = performance.now() + 1_500;
    while (performance.now() < end) {
      // 16 MiB queued, more than a connection takes in that time: a beat that waited behind it would never overtake
      for (let i = 0; i < 64; i++) a.peers.send(group, append(256 * 1024));
      bulk += 64;
      sequence += 1;
      bulkBefore.set(sequence, bulk - a.drops.length);
      a.peers.sendBeat(two, beat(sequence));
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    await until(() => arrived === sequence + 1);
    assert.ok(sequence > 2 && overtook > sequence / 2, `${overtook} of ${sequence} overtook the bulk before them`);
  });
});

describe('requests between brokers', () => {
  const toTwo = { kind: 'broker', broker: two } as const;

  it(
    'pit-P123: to one whose bytes are swallowed are unknown when it is given up, and the next ones get through',
    options,
    async () => {
      const { a, b, book } = await pair({});
      const proxy = closing(await CuttableProxy.to(b.port));
      book.addresses.set(two, proxy.address);
      b.peers.serve('echo', (_from, payload) => Promise.resolve(payload));
      a.peers.send(group, append(10));
      assert.equal((await a.peers.call(toTwo, 'echo', Buffer.from('a'), 5_000)).kind, 'answered');
      await until(() => b.messages.length === 1);
      proxy.swallow();
      const begunMs = performance.now();
      const hanging = a.peers.call(toTwo, 'echo', Buffer.from('b'), 30_000);
      await new Promise((resolve) => setTimeout(resolve, 50));
      a.peers.giveUp(two);
      assert.deepEqual((await hanging).kind, 'unknown');
      assert.ok(performance.now() - begunMs < 2_500, 'long before the connection itself would be found dead');
      assert.deepEqual(a.unreachable, [], 'streams that nobody waits for go on');
      proxy.reset();
      assert.equal((await a.peers.call(toTwo, 'echo', Buffer.from('c'), 30_000)).kind, 'answered');
    },
  );

  it('are answered, also by who is only known by an address', options, async () => {
    const { a, b, book } = await pair({ identity: { clusterId: null } });
    const heard: unknown[] = [];
    b.peers.serve('reverse', (from, payload, timeoutMs) => {
      heard.push([from.brokerId, from.clusterId, timeoutMs]);
      return Promise.resolve(Buffer.from(payload).reverse());
    });
    for (const to of [toTwo, { kind: 'address', address: book.addresses.get(two)! } as const]) {
      const reply = await a.peers.call(to, 'reverse', Buffer.from('abc'), 5_000);
      assert.equal(reply.kind === 'answered' && Buffer.from(reply.payload).toString(), 'cba');
      assert.deepEqual(reply.kind === 'answered' && reply.from, b.identity);
    }
    assert.deepEqual(heard, [
      [one, null, 5_000],
      [one, null, 5_000],
    ]);
    a.identity = { ...a.identity, clusterId: b.identity.clusterId };
    a.peers.identityChanged();
    assert.equal((await a.peers.call(toTwo, 'reverse', Buffer.from('abc'), 5_000)).kind, 'answered');
    assert.deepEqual(heard.at(-1), [one, b.identity.clusterId, 5_000]);
  });

  it(
    'tell who answers, also when that broker has come into a cluster since the connection was opened',
    options,
    async () => {
      const { a, b, book } = await pair({ identity: { clusterId: null } });
      const joined = b.identity;
      b.identity = { ...joined, clusterId: null };
      b.peers.serve('echo', (_from, payload) => Promise.resolve(payload));
      const seed = { kind: 'address', address: book.addresses.get(two)! } as const;
      const before = await a.peers.call(seed, 'echo', Buffer.from('abc'), 5_000);
      assert.equal(before.kind === 'answered' && before.from.clusterId, null);
      b.identity = joined;
      b.peers.identityChanged();
      let told: string | null = null;
      // a call that leaves before the end of the old connection has come says what it was opened with
      while (told === null) {
        const reply = await a.peers.call(seed, 'echo', Buffer.from('abc'), 5_000);
        told = reply.kind === 'answered' ? reply.from.clusterId : null;
      }
      assert.equal(told, joined.clusterId);
    },
  );

  it('many at once are answered each by its own', options, async () => {
    const { a, b } = await pair();
    b.peers.serve('echo', async (_from, payload) => {
      await new Promise((resolve) => setTimeout(resolve, Number(Buffer.from(payload).toString()) % 7));
      return payload;
    });
    const calls = Array.from({ length: 500 }, (_, i) => a.peers.call(toTwo, 'echo', Buffer.from(String(i)), 20_000));
    const replies = await Promise.all(calls);
    replies.forEach((reply, i) =>
      assert.equal(reply.kind === 'answered' && Buffer.from(reply.payload).toString(), String(i)),
    );
  });

  it('what was certainly not carried out is told from what may have been', options, async () => {
    const { a, b, book } = await pair({ limits: { backoffMinMs: 10, backoffMaxMs: 50 } });
    const proxy = closing(await CuttableProxy.to(b.port));
    book.addresses.set(two, proxy.address);
    let carriedOut = 0;
    b.peers.serve('hang', () => {
      carriedOut += 1;
      return new Promise(() => undefined);
    });
    b.peers.serve('break', () => Promise.reject(new Error('a defect')));
    const call = (method: string, timeoutMs = 20_000, bytes = 3) =>
      a.peers.call(toTwo, method, Buffer.alloc(bytes), timeoutMs);

    assert.equal((await call('no such method')).kind, 'not-sent');
    assert.equal((await call('hang', 20_000, peerCallBytesMax + 1)).kind, 'not-sent');
    assert.equal((await call('hang', 100)).kind, 'unknown');
    assert.equal((await call('break')).kind, 'unknown');
    assert.match(String(b.defects[0]), /a defect/);
    const lost = call('hang');
    await until(() => carriedOut === 2);
    proxy.reset();
    assert.equal((await lost).kind, 'unknown');

    b.peers.close();
    await proxy.close();
    assert.equal((await call('hang')).kind, 'not-sent');
    const nobody = await a.peers.call({ kind: 'broker', broker: toBrokerId(77) }, 'hang', Buffer.alloc(1), 100);
    assert.equal(nobody.kind, 'not-sent');
    assert.equal(carriedOut, 2);
  });

  it('a refused caller is told so at once, and that nothing was carried out', options, async () => {
    const { a, b } = await pair({ secret: 'wrong' });
    b.peers.serve('echo', (_from, payload) => Promise.resolve(payload));
    assert.equal((await a.peers.call(toTwo, 'echo', Buffer.alloc(1), 20_000)).kind, 'not-sent');
    assert.equal(a.refused[0]?.refusal.code, 'wrong-secret');
  });

  it('more than a peer has room for is refused and not queued', options, async () => {
    const { a, b } = await pair({}, { limits: { servedCallsMax: 2 } });
    const finish: (() => void)[] = [];
    b.peers.serve('wait', (_from, payload) => new Promise((resolve) => finish.push(() => resolve(payload))));
    const calls = [1, 2, 3].map(() => a.peers.call(toTwo, 'wait', Buffer.alloc(1), 20_000));
    const busy = await calls[2]!;
    assert.ok(busy.kind === 'not-sent' && busy.why.startsWith('busy'));
    for (const done of finish) done();
    assert.deepEqual((await Promise.all(calls)).map(({ kind }) => kind).sort(), ['answered', 'answered', 'not-sent']);
  });
});
