import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { PeerRecord } from '../../src/log/peer-memory-file.ts';
import { noteMs, PeerMemoryFile, peersRememberedMax } from '../../src/log/peer-memory-file.ts';
import { StoreOpenError } from '../../src/log/store.ts';
import type { PeerMemory } from '../../src/raft/peer-memory.ts';
import { crc32c } from '../../src/runtime/crc32c.ts';
import { ManualClock } from '../fakes/manual-clock.ts';

const peer = (part: Partial<PeerRecord> = {}): PeerRecord => ({
  incarnation: '00000000-0000-4000-8000-000000000001',
  bootNumber: 1,
  processNonce: '00000000-0000-4000-9000-000000000001',
  durableCommit: 10,
  ...part,
});

interface Place {
  readonly directory: string;
  readonly clock: ManualClock;
  readonly faults: unknown[];
  readonly open: () => Promise<PeerMemoryFile>;
}

async function withMemory(use: (place: Place) => Promise<void>): Promise<void> {
  const directory = await mkdtemp(join(os.tmpdir(), 'sluice-peers-'));
  const clock = new ManualClock();
  const faults: unknown[] = [];
  const onFault = (error: unknown): void => void faults.push(error);
  const open = (): Promise<PeerMemoryFile> => PeerMemoryFile.open({ directory, crc32c, clock, onFault });
  try {
    await use({ directory, clock, faults, open });
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

describe('what is remembered of other brokers', () => {
  it('pit-P87 a start that spoke is durable before it is answered', () =>
    withMemory(async ({ open }) => {
      const memory: PeerMemory = await open();
      assert.equal(memory.remembered(peer().incarnation), null);
      const remembered = memory.remember(peer());
      assert.deepEqual(memory.remembered(peer().incarnation), peer(), 'a second one sees it at once');
      assert.equal(await remembered, true);
      assert.deepEqual((await open()).remembered(peer().incarnation), peer());
      const next = peer({ bootNumber: 2, processNonce: '00000000-0000-4000-9000-000000000002', durableCommit: 7 });
      await memory.remember(next);
      assert.deepEqual((await open()).remembered(peer().incarnation), { ...next, durableCommit: 10 }, 'peers-2');
    }));

  it('inv-peers-1 a boot number does not fall and belongs to one process', () =>
    withMemory(async ({ open }) => {
      const memory = await open();
      await memory.remember(peer({ bootNumber: 3 }));
      await assert.rejects(memory.remember(peer({ bootNumber: 2 })), /peers-1/);
      await assert.rejects(memory.remember(peer({ bootNumber: 3, processNonce: 'another' })), /peers-1/);
    }));

  it('pit-P87 a commit number that has risen is durable soon, and at the end at once', () =>
    withMemory(async ({ open, clock }) => {
      const memory = await open();
      await memory.remember(peer());
      memory.noteCommit(peer().incarnation, 40);
      memory.noteCommit(peer().incarnation, 30);
      memory.noteCommit('never heard of', 99);
      assert.equal(memory.remembered(peer().incarnation)?.durableCommit, 40);
      assert.equal((await open()).remembered(peer().incarnation)?.durableCommit, 10, 'not yet');
      clock.advance(noteMs);
      await memory.remember(peer({ durableCommit: 40 })); // waits for the write that is under way
      assert.equal((await open()).remembered(peer().incarnation)?.durableCommit, 40);
      memory.noteCommit(peer().incarnation, 50);
      await memory.close();
      assert.equal((await open()).remembered(peer().incarnation)?.durableCommit, 50);
    }));

  it('takes no more than it has room for', () =>
    withMemory(async ({ open }) => {
      const memory = await open();
      const all = Array.from({ length: peersRememberedMax }, (_, i) => memory.remember(peer({ incarnation: `${i}` })));
      assert.ok((await Promise.all(all)).every((room) => room));
      assert.equal(await memory.remember(peer({ incarnation: 'one more' })), false);
      assert.equal(await memory.remember(peer({ incarnation: '7', bootNumber: 2 })), true);
    }));

  it('a damaged file keeps the broker from starting and says what to do', () =>
    withMemory(async ({ open, directory }) => {
      await (await open()).remember(peer());
      const path = join(directory, 'peers');
      const text = await readFile(path, 'utf8');
      await writeFile(path, text.replace('"bootNumber":1', '"bootNumber":0'));
      await assert.rejects(
        open(),
        (error) => error instanceof StoreOpenError && /is damaged: restore it/.test(error.message),
      );
    }));

  it('pit-P83 a disk that fails is reported once and nothing is remembered any more', () =>
    withMemory(async ({ open, directory, faults }) => {
      const memory = await open();
      await rm(directory, { recursive: true });
      await assert.rejects(memory.remember(peer()));
      await assert.rejects(memory.remember(peer({ bootNumber: 2 })));
      assert.equal(faults.length, 1);
    }));
});
