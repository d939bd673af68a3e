/** A replica that is too far behind is brought up by a snapshot: driver, log and store together (reliability 2-C). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toOffset } from '../../src/model/ids.ts';
import type { Message } from '../../src/raft/core/messages.ts';
import { emptyConfiguration } from '../../src/raft/core/configuration.ts';
import { MemoryLogs } from '../fakes/memory-log.ts';
import { MemoryStore } from '../fakes/memory-store.ts';
import type { Backings, StoreBacking } from './snapshot-rig.ts';
import { Cluster, memoryLogs, memoryStores, onStore, replica, rocksdbStores, stateOf } from './snapshot-rig.ts';
import { Listening, command, settle } from './rig.ts';

const isChunk = (message: Message): boolean => message.kind === 'snapshot-chunk';

const everyBacking: readonly (readonly [string, Backings])[] = [
  ['logs in memory', memoryLogs],
  ['the durable log', memoryStores],
  ['RocksDB', rocksdbStores],
];

for (const [on, backings] of everyBacking) {
  for (const kind of ['data', 'commands'] as const) {
    test(`a replica of a ${kind} group that is behind the log is brought up, goes on, restarts, and leads, on ${on}`, () =>
      backings(async (open) => {
        const cluster = await Cluster.started(kind, open);
        await cluster.propose(3);
        const { follower } = cluster;
        await cluster.outrun(follower);
        await cluster.heal();
        assert.equal(follower.rig.installed.length, 1, 'by one snapshot');
        assert.ok(follower.group.log.firstIndex > 1);
        if (kind === 'commands')
          assert.ok(follower.machine.lines.includes('reset'), 'nothing of the old state is left');
        await cluster.propose(2);
        const again = await cluster.crash(follower.id);
        await cluster.heal();
        assert.deepEqual(again.rig.installed, []);
        await cluster.until(() => again.group.role.leader !== null, 'it hears its leader');
        cluster.leader.group.transferLeadership(replica(follower.id));
        await cluster.until(() => cluster.serving?.id === follower.id, 'it leads');
        await cluster.propose(3);
        await cluster.heal();
        await cluster.close();
      }));

    test(`pit-P44 a learner with an empty log learns a ${kind} group's state and voters, and can be made one, on ${on}`, () =>
      backings(async (open) => {
        const cluster = await Cluster.started(kind, open);
        await cluster.propose(3);
        await cluster.outrun(cluster.follower);
        await cluster.heal();
        const learner = await cluster.start(4, undefined, []);
        const change = async (
          target: Partial<typeof emptyConfiguration> & { readonly revision: number },
        ): Promise<void> => {
          const listening = new Listening();
          const wanted = { ...emptyConfiguration, voters: [1, 2, 3].map(replica), ...target };
          assert.equal(cluster.leader.group.changeConfiguration(wanted, listening).kind, 'accepted');
          await cluster.until(() => listening.heard.includes('committed'), 'the change is committed');
        };
        await change({ revision: 1, learners: [replica(4)] });
        await cluster.until(() => cluster.agrees(), 'all agree');
        assert.equal(learner.rig.installed.length, 1);
        await change({ revision: 2, voters: [1, 2, 3, 4].map(replica) });
        await cluster.until(() => cluster.agrees(), 'all agree');
        assert.deepEqual(learner.group.membership.configuration.voters, [1, 2, 3, 4]);
        const again = await cluster.crash(4);
        assert.deepEqual(again.group.membership.configuration.voters, [1, 2, 3, 4]);
        await cluster.heal();
        await cluster.close();
      }));

    test(`pit-P48 a damaged snapshot of a ${kind} group is refused and told; a whole one comes later, on ${on}`, () =>
      backings(async (open) => {
        const cluster = await Cluster.started(kind, open);
        await cluster.propose(3);
        const { follower } = cluster;
        const before = stateOf(follower.machine);
        await cluster.outrun(follower);
        cluster.network.cutOff.clear();
        cluster.network.alters = (message) => {
          if (message.kind !== 'snapshot-chunk' || message.position !== 10) return message;
          const bytes = Uint8Array.from(message.bytes);
          bytes[0] = (bytes[0] ?? 0) ^ 4;
          return { ...message, bytes };
        };
        await cluster.until(() => follower.rig.damaged.length >= 2, 'it is refused');
        assert.deepEqual([follower.rig.installed, stateOf(follower.machine)], [[], before]);
        assert.equal(follower.group.quarantine, null);
        assert.ok(follower.rig.dropped.includes('7 snapshot-damaged'));
        await cluster.heal();
        assert.equal(follower.rig.installed.length, 1);
        await cluster.close();
      }));

    test(`pit-P46 a leader that is lost in the middle: the next one sends a ${kind} group's snapshot anew, on ${on}`, () =>
      backings(async (open) => {
        const cluster = await Cluster.started(kind, open);
        await cluster.propose(3);
        const { follower } = cluster;
        await cluster.outrun(follower);
        let count = 0;
        cluster.network.loses = (message) => isChunk(message) && ++count > 2;
        cluster.network.cutOff.clear();
        await cluster.until(() => count > 3, 'the transfer has begun');
        const old = cluster.leader;
        cluster.network.loses = (message) => isChunk(message) && message.from === old.id;
        const [next] = [...cluster.members.values()].filter((member) => member !== old && member !== follower);
        old.group.transferLeadership(replica(next!.id));
        await cluster.until(() => cluster.serving === next, 'another one leads');
        if (kind === 'data') await cluster.moveLogStart(toOffset(next!.group.highWatermark));
        await cluster.propose(8);
        await cluster.until(() => cluster.agrees(), 'all agree');
        assert.deepEqual(follower.rig.damaged, []);
        await cluster.close();
      }));
  }
}

for (const kind of ['data', 'commands'] as const) {
  test(`pit-P41 pit-P42 pit-P82 the power of a replica of a ${kind} group goes at any step of an installation`, async () => {
    let installed = 0;
    for (let chunksUntilCut = 1; ; chunksUntilCut += kind === 'data' ? 1 : 2) {
      const open = (): Promise<StoreBacking> => Promise.resolve(onStore(new MemoryStore()));
      const cluster = await Cluster.started(kind, open, { snapshotChunkBytes: kind === 'data' ? 10 : 40 });
      await cluster.propose(2);
      const { follower } = cluster;
      await cluster.outrun(follower);
      const { store } = follower.backing as StoreBacking;
      let chunks = 0;
      let isLast = false;
      cluster.network.alters = (message) => {
        if (message.kind !== 'snapshot-chunk' || message.to !== follower.id) return message;
        // what is written from here on is seen, and lost with the power
        if (++chunks === chunksUntilCut) store.hold();
        isLast ||= message.last;
        return message;
      };
      cluster.network.cutOff.clear();
      await cluster.until(() => chunks >= chunksUntilCut || isLast, 'it goes');
      const reached = chunks >= chunksUntilCut;
      if (reached) await settle();
      if (reached) installed += follower.rig.installed.length;
      cluster.network.alters = (message) => message;
      await cluster.crash(follower.id);
      await cluster.heal();
      await cluster.close();
      if (!reached) break;
    }
    assert.equal(installed, 0, 'what is not durable is not told');
  });
}

test('pit-P47 entries that are committed and not applied yet when the snapshot is whole are not applied behind it', async () => {
  const logs = new Map<number, MemoryLogs>();
  let opened = 0;
  const open = (): Promise<{ logs: MemoryLogs; crash: () => Promise<never> }> => {
    const made = new MemoryLogs();
    logs.set(++opened, made);
    return Promise.resolve({ logs: made, crash: () => Promise.reject(new Error('not used')) });
  };
  const cluster = await Cluster.started('commands', open, { applyBytesMax: 1 });
  await cluster.propose(2);
  const { follower } = cluster;
  const log = logs.get(follower.id)!.logs.get(follower.group.group)!;
  // reads are slow from now on: what is committed is applied one by one, each after a read
  log.cold = true;
  let release = (): void => undefined;
  const readEntries = log.readEntries.bind(log);
  log.readEntries = async (...args) => {
    await new Promise<void>((resolve) => (release = resolve));
    return readEntries(...args);
  };
  await cluster.propose(3);
  await cluster.outrun(follower);
  cluster.network.cutOff.clear();
  await cluster.pass(5_000);
  assert.deepEqual(follower.rig.installed, [], 'it waits for the read');
  release();
  log.cold = false;
  log.readEntries = readEntries;
  await cluster.heal();
  assert.equal(follower.rig.installed.length, 1);
  assert.equal(follower.group.quarantine, null);
  await cluster.close();
});

test('pit-P49 a leader keeps what a live follower lacks, up to a number of bytes, and then sends a snapshot', async () => {
  for (const [lagBytesMax, snapshots] of [
    [1_000_000, 0],
    [20, 1],
  ] as const) {
    for (const kind of ['data', 'commands'] as const) {
      const cluster = await Cluster.started(kind, () => Promise.resolve(onStore(new MemoryStore())), {
        lagBytesMax,
        commandEntriesKept: 0,
      });
      await cluster.propose(3);
      const { follower } = cluster;
      // it is heard, but gets nothing
      cluster.network.loses = ({ kind: what, to }) => what === 'append-request' && to === follower.id;
      await cluster.propose(12);
      const { highWatermark } = cluster.leader.group;
      if (kind === 'data') await cluster.moveLogStart(highWatermark);
      await cluster.propose(12);
      const { firstIndex } = cluster.leader.group.log;
      assert.equal(firstIndex <= follower.group.log.lastIndex + 1, snapshots === 0, `${kind}: ${cluster.describe()}`);
      await cluster.heal();
      assert.equal(follower.rig.installed.length, snapshots);
      const { log } = cluster.leader.group;
      if (kind === 'data') assert.equal(log.logStart, highWatermark);
      // at once what lies below the log start; a command log is looked at with the next command
      if (kind === 'commands') await cluster.propose(1);
      await cluster.until(() => log.firstIndex > 12, 'what is not needed any more goes');
      await cluster.close();
    }
  }
});

test('pit-P80 a broker sends, and takes, a bounded number of snapshots at a time; the others get their turn', async () => {
  const logs: MemoryLogs[] = [];
  const open = (): Promise<{ logs: MemoryLogs; crash: () => Promise<never> }> => {
    const made = new MemoryLogs();
    logs.push(made);
    return Promise.resolve({ logs: made, crash: () => Promise.reject(new Error('not used')) });
  };
  const cluster = await Cluster.started('commands', open, { snapshotsSentMax: 1, snapshotChunkBytes: 5 });
  await cluster.propose(10);
  const change = (revision: number, learners: readonly number[]): void => {
    const wanted = { ...emptyConfiguration, revision, voters: [1, 2, 3].map(replica), learners: learners.map(replica) };
    assert.equal(cluster.leader.group.changeConfiguration(wanted, new Listening()).kind, 'accepted');
  };
  for (const id of [4, 5, 6]) await cluster.start(id, undefined, []);
  const { rig } = cluster.leader;
  change(1, [4, 5, 6]);
  const opened = (): number =>
    logs.reduce((sum, one) => sum + (one.logs.get(cluster.leader.group.group)?.snapshotsOpen ?? 0), 0);
  let most = 0;
  await cluster.until(() => {
    most = Math.max(most, opened());
    return cluster.agrees();
  }, 'all agree');
  assert.equal(most, 1);
  assert.ok(rig.dropped.includes('7 snapshot-slots'));
  await cluster.until(() => opened() === 0, 'nothing is held');
  await cluster.close();
});

test('a snapshot whose receiver is gone gives its place back after a while, and the group can be stopped meanwhile', async () => {
  const logs: MemoryLogs[] = [];
  const open = (): Promise<{ logs: MemoryLogs; crash: () => Promise<never> }> => {
    const made = new MemoryLogs();
    logs.push(made);
    return Promise.resolve({ logs: made, crash: () => Promise.reject(new Error('not used')) });
  };
  const cluster = await Cluster.started('data', open, { snapshotStallMs: 3_000 });
  await cluster.propose(3);
  const { follower } = cluster;
  await cluster.outrun(follower);
  const opened = (): number =>
    logs.reduce((sum, one) => sum + (one.logs.get(follower.group.group)?.snapshotsOpen ?? 0), 0);
  cluster.network.loses = isChunk;
  cluster.network.cutOff.clear();
  await cluster.until(() => opened() === 1, 'one is opened');
  cluster.network.cutOff.add(follower.id);
  await cluster.until(() => opened() === 0, 'its place is given back');
  await cluster.heal();
  await cluster.outrun(follower);
  let count = 0;
  cluster.network.loses = (message) => isChunk(message) && ++count > 1;
  cluster.network.cutOff.clear();
  await cluster.until(() => count > 1, 'one is under way');
  await cluster.close();
  assert.equal(opened(), 0);
});

test('a leader that is asked for entries which it has just cut does not ask its log for them again and again', async () => {
  const logs = new Map<number, MemoryLogs>();
  let opened = 0;
  const open = (): Promise<{ logs: MemoryLogs; crash: () => Promise<never> }> => {
    const made = new MemoryLogs();
    logs.set(++opened, made);
    return Promise.resolve({ logs: made, crash: () => Promise.reject(new Error('not used')) });
  };
  const limits = { commandEntriesKept: 0, lagBytesMax: 0 };
  // what is committed is read from the log again
  const cluster = await Cluster.started('commands', open, limits, { memoryBytesMax: 0 });
  await cluster.propose(1);
  const { follower, leader } = cluster;
  const log = logs.get(leader.id)!.logs.get(leader.group.group)!;
  log.cold = true;
  let reads = 0;
  const readEntries = log.readEntries.bind(log);
  log.readEntries = (from, through, bytesMax) => {
    if (from < log.firstIndex) reads++;
    return readEntries(from, through, bytesMax);
  };
  // the cut is in memory; its write never ends
  const compactThrough = log.compactThrough.bind(log);
  log.compactThrough = (through) => {
    log.hold();
    return compactThrough(through);
  };
  cluster.network.loses = ({ kind, to }) => kind === 'append-request' && to === follower.id;
  const isCut = (): boolean => log.firstIndex > follower.group.log.lastIndex + 1;
  await cluster.until(
    () => isCut() || leader.group.propose(command('more.'), new Listening()).kind === 'refused',
    'a cut',
  );
  assert.ok(isCut(), cluster.describe());
  cluster.network.loses = () => false;
  await cluster.until(() => follower.rig.installed.length === 1, 'it gets a snapshot instead');
  assert.ok(reads < 10, `${reads} reads for what is not there`);
  log.compactThrough = compactThrough;
  log.release();
  await cluster.heal();
  await cluster.close();
});

test('pit-P47: what an earlier write lets go of is told to the core only once it knows of the snapshot that is being installed', async () => {
  const logs = new Map<number, MemoryLogs>();
  let opened = 0;
  const open = (): Promise<{ logs: MemoryLogs; crash: () => Promise<never> }> => {
    const made = new MemoryLogs();
    logs.set(++opened, made);
    return Promise.resolve({ logs: made, crash: () => Promise.reject(new Error('not used')) });
  };
  const cluster = await Cluster.started('data', open);
  const { follower } = cluster;
  const log = logs.get(follower.id)!.logs.get(follower.group.group)!;
  // a checkpoint is on the disk, and the driver does not hear of it yet
  let tellSaved: (() => void) | null = null;
  const saveCheckpoint = log.saveCheckpoint.bind(log);
  log.saveCheckpoint = async (checkpoint) => {
    await saveCheckpoint(checkpoint);
    await new Promise<void>((resolve) => (tellSaved = resolve));
  };
  await cluster.propose(6);
  await cluster.until(() => tellSaved !== null, 'a checkpoint is saved');
  // the log is another one at once, and its write takes a while
  const receiveSnapshot = log.receiveSnapshot.bind(log);
  log.receiveSnapshot = (head) => {
    const receipt = receiveSnapshot(head);
    const install = receipt.install.bind(receipt);
    receipt.install = () => {
      log.hold();
      return install();
    };
    return receipt;
  };
  const before = log.lastIndex;
  await cluster.outrun(follower);
  cluster.network.cutOff.clear();
  await cluster.until(() => log.firstIndex > before + 1, 'a snapshot is being installed');
  assert.deepEqual(follower.rig.installed, []);
  tellSaved!();
  await settle();
  assert.equal(follower.group.quarantine, null);
  log.saveCheckpoint = saveCheckpoint;
  log.release();
  await cluster.heal();
  assert.equal(follower.rig.installed.length, 1);
  await cluster.close();
});

test('pit-P46: the answer to a chunk waits until the chunk is on the disk', async () => {
  const logs = new Map<number, MemoryLogs>();
  let opened = 0;
  const open = (): Promise<{ logs: MemoryLogs; crash: () => Promise<never> }> => {
    const made = new MemoryLogs();
    logs.set(++opened, made);
    return Promise.resolve({ logs: made, crash: () => Promise.reject(new Error('not used')) });
  };
  const cluster = await Cluster.started('commands', open);
  const { follower } = cluster;
  await cluster.outrun(follower);
  const log = logs.get(follower.id)!.logs.get(follower.group.group)!;
  let chunks = 0;
  const answers: Message[] = [];
  const answered = (): number => answers.length;
  cluster.network.loses = (message) => {
    if (message.from === follower.id && message.kind === 'snapshot-reply') answers.push(message);
    if (message.to === follower.id && message.kind === 'snapshot-chunk' && chunks++ === 0) log.hold();
    return false;
  };
  cluster.network.cutOff.clear();
  await cluster.until(() => chunks > 0, 'a chunk is sent');
  await cluster.pass(200);
  assert.equal(answered(), 0);
  log.release();
  await cluster.pass(200);
  assert.ok(answered() > 0);
  await cluster.heal();
  await cluster.close();
});
