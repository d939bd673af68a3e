import assert from 'node:assert/strict';
import { test } from 'node:test';
import { InvariantViolation } from '../../src/model/assert.ts';
import { GroupDriver } from '../../src/raft/driver.ts';
import { StoreFault } from '../../src/log/store.ts';
import { toGroupNumber, toOffset, toReplicaId } from '../../src/model/ids.ts';
import { logStartDraft } from '../../src/raft/log-start.ts';
import { Listening, RecordingCommands, RecordingData, Rig, batch, command, groupSeven, one, settle } from './rig.ts';

test('a group of one elects itself without waiting and serves once its own no-op is applied (pit-P18, pit-P32)', async () => {
  const rig = new Rig();
  const machine = new RecordingData();
  const group = await rig.startData(machine);
  assert.equal(group.nextAppend(), null);
  assert.deepEqual(group.propose(batch('early'), new Listening()), { kind: 'refused', why: 'not-leader' });
  await settle();
  assert.deepEqual(machine.lines, [
    'restore nothing',
    'role candidate term 1',
    'role leader term 1',
    'apply 1 no-op',
    'committed 0',
    'role leader term 1 serving',
  ]);
  assert.equal(rig.clock.monotonicMs(), 0);
  assert.deepEqual(group.nextAppend(), { term: 1, baseOffset: 0 });
});

test('a proposal hears of its durability, then of its outcome, after it was applied and became visible', async () => {
  const rig = new Rig();
  const machine = new RecordingData();
  const group = await rig.startData(machine);
  await settle();
  machine.lines.length = 0;
  const proposed = group.propose(batch('ab', 2), {
    durable: () => machine.lines.push('durable'),
    outcome: ({ kind }) => machine.lines.push(`outcome ${kind} at ${group.highWatermark}`),
  });
  assert.ok(proposed.kind === 'accepted');
  assert.equal(proposed.baseOffset, 0);
  await settle();
  assert.deepEqual(machine.lines, ['durable', 'apply 2 batch ab', 'committed 2', 'outcome committed at 2']);
});

test('proposals of one turn become one write, in order', async () => {
  const rig = new Rig();
  const group = await rig.startData(new RecordingData());
  await settle();
  const before = rig.log().writes.length;
  for (const text of ['a', 'b', 'c']) group.propose(batch(text), new Listening());
  await settle();
  const [write, ...more] = rig.log().writes.slice(before);
  assert.deepEqual(more, []);
  assert.deepEqual(
    write?.entries.map((entry) => [entry.index, entry.baseOffset, Buffer.from(entry.payload).toString()]),
    [
      [2, 0, 'a'],
      [3, 1, 'b'],
      [4, 2, 'c'],
    ],
  );
});

test('pit-P23: the leader counts itself only once its write is durable', async () => {
  const rig = new Rig();
  const group = await rig.startData(new RecordingData());
  await settle();
  rig.log().hold();
  const listening = new Listening();
  group.propose(batch('a'), listening);
  await settle();
  assert.deepEqual([listening.heard, group.commitIndex, group.highWatermark], [[], 1, 0]);
  rig.log().release();
  await settle();
  assert.deepEqual([listening.heard, group.commitIndex, group.highWatermark], [['durable', 'committed'], 2, 1]);
});

test('writes overlap: a proposal does not wait until an earlier write is durable', async () => {
  const rig = new Rig();
  const group = await rig.startData(new RecordingData());
  await settle();
  rig.log().hold();
  const [first, second] = [new Listening(), new Listening()];
  group.propose(batch('a'), first);
  await settle();
  group.propose(batch('b'), second);
  await settle();
  assert.equal(rig.log().heldWrites, 2);
  rig.log().release(1);
  await settle();
  assert.deepEqual([first.heard, second.heard], [['durable', 'committed'], []]);
});

test('pit-P30: what is in flight when the group stops is unknown, never failed', async () => {
  const rig = new Rig();
  const group = await rig.startData(new RecordingData());
  await settle();
  rig.log().hold();
  const listening = new Listening();
  group.propose(batch('a'), listening);
  const stopping = rig.host.stop(groupSeven);
  assert.deepEqual(listening.heard, ['unknown stopped']);
  assert.deepEqual(group.propose(batch('b'), new Listening()), { kind: 'refused', why: 'stopped' });
  rig.log().release();
  await stopping;
  assert.deepEqual(listening.heard, ['unknown stopped']);
});

test('pit-P33: a leader takes a bounded number of bytes that are not committed', async () => {
  const rig = new Rig({ raft: { uncommittedBytesMax: 1_000 } });
  const group = await rig.startData(new RecordingData());
  await settle();
  rig.log().hold();
  const large = batch('x'.repeat(5_000));
  assert.equal(group.propose(large, new Listening()).kind, 'accepted', 'one entry is always taken');
  assert.deepEqual(group.propose(batch('b'), new Listening()), { kind: 'refused', why: 'uncommitted-limit' });
  rig.log().release();
  await settle();
  assert.equal(group.propose(batch('b'), new Listening()).kind, 'accepted');
});

test('a restart finds every committed entry, applies each once, and goes on in a higher term', async () => {
  const rig = new Rig();
  const group = await rig.startData(new RecordingData());
  await settle();
  for (const text of ['a', 'b']) group.propose(batch(text), new Listening());
  await settle();
  const again = new Rig({ logs: rig.logs.crash() });
  const machine = new RecordingData();
  const restarted = await again.startData(machine);
  await settle();
  assert.deepEqual(machine.of('apply'), ['apply 1 no-op', 'apply 2 batch a', 'apply 3 batch b', 'apply 4 no-op']);
  assert.deepEqual(restarted.nextAppend(), { term: 2, baseOffset: 2 });
  assert.equal(restarted.highWatermark, 2);
});

test('a clean stop stores the state, so that a restart applies nothing twice', async () => {
  const rig = new Rig();
  const group = await rig.startData(new RecordingData());
  await settle();
  group.propose(batch('a'), new Listening());
  await settle();
  await rig.host.close();
  const again = new Rig({ logs: rig.logs.crash() });
  const machine = new RecordingData();
  const restarted = await again.startData(machine);
  assert.equal(restarted.highWatermark, 1);
  await settle();
  assert.deepEqual(machine.of('restore'), ['restore a']);
  assert.deepEqual(machine.of('apply'), ['apply 3 no-op']);
});

test('the state of a data group is stored after a number of entries', async () => {
  const rig = new Rig({ driver: { checkpointEntriesMax: 3 } });
  const group = await rig.startData(new RecordingData());
  for (const text of ['a', 'b', 'c', 'd']) {
    await settle();
    group.propose(batch(text), new Listening());
  }
  await settle();
  const again = new Rig({ logs: rig.logs.crash() });
  const machine = new RecordingData();
  await again.startData(machine);
  await settle();
  assert.deepEqual(machine.of('restore'), ['restore ab']);
  assert.deepEqual(machine.of('apply'), ['apply 4 batch c', 'apply 5 batch d', 'apply 6 no-op']);
});

test('entries that are not in the cache are read in pages and applied in order', async () => {
  const rig = new Rig({ driver: { applyBytesMax: 2 } });
  const machine = new RecordingData();
  const group = await rig.startData(machine);
  await settle();
  rig.log().cold = true;
  const all = ['aa', 'bb', 'cc', 'dd'].map((text) => {
    const listening = new Listening();
    group.propose(batch(text), listening);
    return listening;
  });
  await settle();
  assert.equal(machine.state, 'aabbccdd');
  for (const listening of all) assert.deepEqual(listening.heard, ['durable', 'committed']);
});

test('state keys are stored with the applied index, and a restart loads them instead of applying again (pit-P93)', async () => {
  const rig = new Rig();
  const group = await rig.startCommands(new RecordingCommands());
  await settle();
  for (const text of ['x', 'y']) group.propose(command(text), new Listening());
  await settle();
  const again = new Rig({ logs: rig.logs.crash() });
  const machine = new RecordingCommands();
  await again.startCommands(machine);
  await settle();
  assert.deepEqual(machine.of('load'), ['load x,y']);
  assert.deepEqual(machine.of('apply'), ['apply 4 no-op']);
});

test('the log of a command group is cut once its state stands for it', async () => {
  const rig = new Rig({ driver: { commandEntriesMax: 10, commandEntriesKept: 4 } });
  const group = await rig.startCommands(new RecordingCommands());
  for (let i = 0; i < 30; i++) {
    await settle();
    group.propose(command(`key ${i}`), new Listening());
  }
  await settle();
  const log = rig.log();
  assert.ok(log.firstIndex > 10 && log.lastIndex - log.firstIndex < 12, `${log.firstIndex} to ${log.lastIndex}`);
  const again = new Rig({ logs: rig.logs.crash() });
  const machine = new RecordingCommands();
  const restarted = await again.startCommands(machine);
  await settle();
  assert.equal(machine.state.size, 30);
  assert.equal(restarted.role.serving, true);
});

test('pit-P50: the log start moves through the log, and only forward', async () => {
  const rig = new Rig();
  const group = await rig.startData(new RecordingData());
  await settle();
  group.propose(batch('abcd', 4), new Listening());
  group.propose(logStartDraft(toOffset(3)), new Listening());
  group.propose(logStartDraft(toOffset(2)), new Listening());
  await settle();
  assert.equal(group.log.logStart, 3);
});

test('a broken invariant in apply sets this group apart and no other (design D7)', async () => {
  const rig = new Rig();
  const [machine, neighbour] = [new RecordingData(), new RecordingData()];
  const group = await rig.startData(machine);
  const other = await rig.startData(neighbour, toGroupNumber(8));
  await settle();
  machine.beforeApply = () => {
    throw new InvariantViolation('partition-9: example', 'here');
  };
  const [listening, unharmed] = [new Listening(), new Listening()];
  group.propose(batch('a'), listening);
  other.propose(batch('b'), unharmed);
  await settle();
  assert.deepEqual(listening.heard, ['durable', 'unknown quarantined']);
  assert.equal(group.quarantine, 'partition-9: example (here)');
  assert.deepEqual(machine.of('quarantined'), ['quarantined partition-9: example (here)']);
  assert.deepEqual(group.propose(batch('c'), new Listening()), { kind: 'refused', why: 'quarantined' });
  assert.equal(group.role.serving, false);
  assert.deepEqual(unharmed.heard, ['durable', 'committed']);
  assert.deepEqual(rig.fatal, []);
});

test('pit-P40: a run of entries that fails in its middle stores nothing of itself, and is applied from its start again', async () => {
  const rig = new Rig();
  const machine = new RecordingCommands();
  const group = await rig.startCommands(machine);
  await settle();
  group.propose(command('first'), new Listening());
  await settle();
  machine.beforeApply = (entry) => {
    if (Buffer.from(entry.payload).toString() === 'bad') throw new InvariantViolation('catalog-1: example', '');
  };
  const listening = ['good', 'bad', 'late'].map((text) => {
    const one = new Listening();
    group.propose(command(text), one);
    return one;
  });
  await settle();
  for (const one of listening) assert.deepEqual(one.heard, ['durable', 'unknown quarantined']);
  const again = new Rig({ logs: rig.logs.crash() });
  const healed = new RecordingCommands();
  await again.startCommands(healed);
  await settle();
  assert.deepEqual(healed.of('load'), ['load first']);
  assert.deepEqual(healed.of('apply').slice(0, 3), [
    'apply 3 command good',
    'apply 4 command bad',
    'apply 5 command late',
  ]);
});

test('an entry that is damaged on disk sets the group apart', async () => {
  const rig = new Rig();
  const group = await rig.startData(new RecordingData());
  await settle();
  Object.assign(rig.log(), { cold: true, damaged: true });
  const listening = new Listening();
  group.propose(batch('a'), listening);
  await settle();
  assert.equal(group.quarantine, 'an entry does not match its checksum');
  assert.deepEqual(listening.heard, ['durable', 'unknown quarantined']);
});

test('pit-P83: a failed write is fatal and acknowledges nothing', async () => {
  const rig = new Rig();
  const group = await rig.startData(new RecordingData());
  await settle();
  rig.log().failNext = new StoreFault('fdatasync: EIO');
  const listening = new Listening();
  group.propose(batch('a'), listening);
  await settle();
  assert.deepEqual(rig.fatal.map(String), ['StoreFault: fdatasync: EIO']);
  assert.deepEqual(listening.heard, []);
});

test('pit-P39: any other error in apply ends the process instead of leaving a group that never applies', async () => {
  const rig = new Rig();
  const machine = new RecordingData();
  const group = await rig.startData(machine);
  await settle();
  machine.beforeApply = () => {
    throw new TypeError('a defect');
  };
  group.propose(batch('a'), new Listening());
  await settle();
  assert.deepEqual(rig.fatal.map(String), ['TypeError: a defect']);
});

test('pit-P13: damaged metadata breaks one group, and nothing is created in its place', async () => {
  const rig = new Rig();
  await rig.startData(new RecordingData());
  await settle();
  await rig.host.close();
  const logs = rig.logs.crash();
  logs.damaged.add(groupSeven);
  const again = new Rig({ logs });
  const group = await again.startData(new RecordingData());
  assert.equal(group.quarantine, 'metadata is damaged');
  assert.deepEqual(group.propose(batch('a'), new Listening()), { kind: 'refused', why: 'quarantined' });
  await assert.rejects(group.log.readFrom(toOffset(0), toOffset(1), 1), /metadata is damaged/);
});

test('inv-I11: a broker that lost acknowledged writes takes part in nothing, alone or among others', async () => {
  for (const voters of [[one], [one, toReplicaId(2), toReplicaId(3)]]) {
    const rig = new Rig({ mayVote: false });
    const group = await rig.host.start({ group: groupSeven, replicaId: one, voters }, new RecordingData());
    await settle();
    rig.clock.advance(100_000);
    await settle();
    assert.match(group.quarantine ?? '', /lost writes/);
    assert.equal(rig.log().writes.length, 0);
  }
});

test('append times never fall, whatever the wall clock does (design D23)', async () => {
  const rig = new Rig();
  const group = await rig.startData(new RecordingData());
  await settle();
  const first = group.propose(batch('a'), new Listening());
  rig.clock.wallOffsetMs -= 60_000;
  const second = group.propose(batch('b'), new Listening());
  assert.ok(first.kind === 'accepted' && second.kind === 'accepted');
  assert.ok(second.appendTimeMs >= first.appendTimeMs);
});

test('a linearizable read of a group of one is answered in the same turn; a stopped group refuses it', async () => {
  const rig = new Rig();
  const group = await rig.startData(new RecordingData());
  assert.ok(group instanceof GroupDriver);
  const answers: (number | null)[] = [];
  group.readIndex((index) => answers.push(index));
  await settle();
  assert.equal(answers.length, 1, 'refused: its own no-op was not committed yet');
  group.propose(batch('a'), new Listening());
  await settle();
  group.readIndex((index) => answers.push(index));
  await settle();
  await rig.host.close();
  group.readIndex((index) => answers.push(index));
  assert.deepEqual(answers, [null, 2, null]);
});

test('host-3 to host-5: a log of another kind, cluster or replica is set apart, and stays as it is', async () => {
  const rig = new Rig();
  await rig.startData(new RecordingData());
  await settle();
  await rig.host.close();
  const again = new Rig({ logs: rig.logs.crash() });
  const other = await again.startCommands(new RecordingCommands());
  assert.match(other.quarantine ?? '', /host-3/);
  const foreign = new Rig({ logs: rig.logs.crash() });
  const spec = { group: groupSeven, replicaId: toReplicaId(2), voters: [toReplicaId(2)] };
  const replica = await foreign.host.start(spec, new RecordingData());
  assert.match(replica.quarantine ?? '', /host-5/);
  const strange = new Rig({ logs: rig.logs.crash(), clusterId: 'f0000000-0000-4000-8000-0000000000ff' });
  const cluster = await strange.startData(new RecordingData());
  assert.match(cluster.quarantine ?? '', /host-4/);
  assert.deepEqual([...foreign.logs.logs.keys()], [groupSeven]);
});

test('a group that was removed is gone; it can be founded anew', async () => {
  const rig = new Rig();
  const group = await rig.startData(new RecordingData());
  await settle();
  const listening = new Listening();
  group.propose(batch('a'), listening);
  await rig.host.remove(groupSeven);
  assert.deepEqual(listening.heard, ['unknown stopped']);
  assert.deepEqual(await rig.host.existing(), []);
  const again = await rig.startData(new RecordingData());
  assert.deepEqual(await rig.host.existing(), [{ group: groupSeven, replicaId: one }]);
  await settle();
  assert.equal(again.highWatermark, 0);
});

test('a group of one sets no timer while it leads', async () => {
  const rig = new Rig();
  await rig.startData(new RecordingData());
  await settle();
  rig.clock.advance(10_000);
  assert.equal(rig.clock.timers, 0);
});
