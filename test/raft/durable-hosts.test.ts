/** Three hosts on the durable logs: what Raft promises, through the stores that keep it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toReplicaId } from '../../src/model/ids.ts';
import { GarbageMeter } from '../../src/log/garbage-meter.ts';
import { DurableGroupLogs } from '../../src/log/group-logs.ts';
import { TailCacheBudget } from '../../src/log/tail-cache-budget.ts';
import type { RaftGroup } from '../../src/raft/group.ts';
import { crc32c } from '../../src/runtime/crc32c.ts';
import { ManualClock } from '../fakes/manual-clock.ts';
import { MemoryNetwork } from '../fakes/memory-network.ts';
import { MemoryStore } from '../fakes/memory-store.ts';
import { Listening, RecordingData, Rig, batch, groupSeven, settle } from './rig.ts';

interface Member {
  readonly store: MemoryStore;
  readonly rig: Rig;
  readonly machine: RecordingData;
  readonly group: RaftGroup;
}

const voters = [1, 2, 3].map(toReplicaId);
const clusterTime = { step: 50 };

class DurableThree {
  readonly clock = new ManualClock();
  readonly network = new MemoryNetwork();
  readonly members = new Map<number, Member>();

  async start(id: number, store = new MemoryStore()): Promise<Member> {
    // a small cache, so that followers and applies read from the store too
    const cache = new TailCacheBudget(2_000);
    const groupLogs = new DurableGroupLogs({ store, crc32c, cache, garbage: new GarbageMeter() });
    const rig = new Rig({ clock: this.clock, transport: this.network.transportOf(id), seed: id, groupLogs });
    const machine = new RecordingData();
    const group = await rig.host.start({ group: groupSeven, replicaId: toReplicaId(id), voters }, machine);
    const member = { store, rig, machine, group };
    this.members.set(id, member);
    return member;
  }

  async pass(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= clusterTime.step) {
      this.clock.advance(clusterTime.step);
      await settle();
    }
  }

  get leader(): [number, Member] {
    const leader = [...this.members].find(([, member]) => member.group.role.serving);
    assert.ok(leader !== undefined, 'somebody serves');
    return leader;
  }
}

test('entries survive truncation, power cuts of every store in turn, and reads past the cache', async () => {
  const three = new DurableThree();
  for (const id of voters) await three.start(id);
  await three.pass(3_000);
  let expected = '';
  const write = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i++) {
      const text = `${expected.length} `.padEnd(100, 'x');
      const listening = new Listening();
      three.leader[1].group.propose(batch(text), listening);
      await three.pass(clusterTime.step);
      assert.equal(listening.heard.at(-1), 'committed');
      expected += text;
    }
  };
  await write(30);
  // the leader is cut off with a tail that nobody else has: it is truncated when it comes back
  const [cutOff, old] = three.leader;
  three.network.cutOff.add(cutOff);
  const lost = [new Listening(), new Listening()];
  for (const one of lost) old.group.propose(batch('never'), one);
  await three.pass(6_000);
  await write(10);
  three.network.cutOff.clear();
  await three.pass(3_000);
  for (const one of lost) assert.equal(one.heard.at(-1), 'unknown leadership-lost');
  // the power of one broker after the other fails
  for (const id of voters) {
    const { store } = three.members.get(id)!;
    three.network.cutOff.add(id);
    three.members.delete(id);
    const after = store.powerCut();
    await three.pass(4_000);
    await write(3);
    three.network.cutOff.delete(id);
    await three.start(id, after);
    await three.pass(3_000);
  }
  for (const [id, { machine, group }] of three.members) {
    assert.equal(group.quarantine, null);
    assert.equal(machine.state, expected, `${id} agrees`);
    assert.equal(group.highWatermark, 49);
  }
});
