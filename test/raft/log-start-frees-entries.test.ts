/** The log start on the durable log: what lies below it leaves the disk without waiting for the next checkpoint. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { logStartDraft } from '../../src/raft/log-start.ts';
import { toOffset } from '../../src/model/ids.ts';
import { logsOn } from '../fakes/log-fixture.ts';
import { MemoryStore } from '../fakes/memory-store.ts';
import { Listening, RecordingData, Rig, batch, settle } from './rig.ts';

test('inv-log-9 a log start that is applied stores the state, so that all below it is removed at once', async () => {
  const rig = new Rig({ groupLogs: logsOn(new MemoryStore()) });
  const group = await rig.startData(new RecordingData());
  await settle();
  for (const text of ['a', 'b', 'c']) group.propose(batch(text), new Listening());
  await settle();
  const end = group.log.endOffset;
  group.propose(logStartDraft(toOffset(end)), new Listening());
  await settle();
  assert.equal(group.log.logStart, end);
  assert.equal(group.log.firstIndex, group.log.lastIndex + 1);
});
