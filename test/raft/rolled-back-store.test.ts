/** A data directory that went back to an old copy as a whole, floor included: only the other brokers can tell (P87). */
import assert from 'node:assert/strict';
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { GarbageMeter } from '../../src/log/garbage-meter.ts';
import { DurableGroupLogs } from '../../src/log/group-logs.ts';
import { RocksdbStore } from '../../src/log/rocksdb-store.ts';
import { TailCacheBudget } from '../../src/log/tail-cache-budget.ts';
import { toBrokerId, toReplicaId } from '../../src/model/ids.ts';
import { randomUuid } from '../../src/model/random.ts';
import { raftLimitsDefault } from '../../src/raft/core/limits.ts';
import { driverLimitsDefault } from '../../src/raft/driver-limits.ts';
import type { RaftGroup } from '../../src/raft/group.ts';
import { MultiRaftHost } from '../../src/raft/host.ts';
import { endOfTurn } from '../../src/raft/turns.ts';
import { crc32c } from '../../src/runtime/crc32c.ts';
import { realClock } from '../../src/runtime/real-clock.ts';
import { systemRandom } from '../../src/runtime/system-random.ts';
import { MemoryLogs } from '../fakes/memory-log.ts';
import { AddressBook, clusterId, incarnationOf, PeerRig, until } from './peer-rig.ts';
import { batch, groupSeven, Listening, RecordingData } from './rig.ts';

const voters = [1, 2, 3].map(toReplicaId);
const limits = { backoffMinMs: 10, backoffMaxMs: 200 };

/** One life of a broker. */
class Life {
  readonly rig: PeerRig;
  readonly host: MultiRaftHost;
  readonly machine = new RecordingData();
  readonly fatal: unknown[] = [];
  /** Settles when the store has written down that another broker knows better. */
  markedLost: Promise<void> | null = null;
  readonly store: RocksdbStore | null;
  group!: RaftGroup;

  constructor(broker: number, book: AddressBook, store: RocksdbStore | null) {
    this.store = store;
    const { bootNumber = 1, earlierStarts = [], processNonce, recovery } = store ?? {};
    const start = { bootNumber, recoveredCommit: recovery?.recoveredCommit ?? 0, earlierStarts };
    const identity = processNonce === undefined ? start : { ...start, processNonce };
    this.rig = new PeerRig({ broker, book, limits, identity });
    const { peers } = this.rig;
    const cache = new TailCacheBudget(1_000_000);
    const logs =
      store === null ? new MemoryLogs() : new DurableGroupLogs({ store, crc32c, cache, garbage: new GarbageMeter() });
    this.host = new MultiRaftHost({
      ...{ logs, clusterId, crc32c, transport: peers, directory: peers },
      mayVote: recovery?.state !== 'lost',
      clock: realClock,
      random: systemRandom,
      raftLimits: raftLimitsDefault,
      driverLimits: driverLimitsDefault,
      schedule: endOfTurn,
      observer: {},
      condemned: () => {
        this.markedLost = store?.markLost() ?? null;
      },
      fatal: (error) => this.fatal.push(error),
    });
  }

  async start(book: AddressBook): Promise<this> {
    await this.rig.listen(book);
    this.group = await this.host.start(
      { group: groupSeven, replicaId: toReplicaId(this.rig.broker), voters },
      this.machine,
    );
    return this;
  }

  async end(): Promise<void> {
    await this.host.close();
    this.rig.peers.close();
    await this.store?.close();
  }
}

/** Has it committed by whoever of them leads; again if that one is deposed meanwhile. */
async function append(text: string, among: readonly Life[]): Promise<void> {
  for (;;) {
    await until(() => leaderOf(among) !== undefined);
    const listening = new Listening();
    const proposed = leaderOf(among)?.group.propose(batch(text), listening);
    if (proposed?.kind !== 'accepted') continue;
    await until(() => listening.heard.some((line) => line === 'committed' || line.startsWith('unknown')));
    if (listening.heard.includes('committed')) return;
  }
}

const leaderOf = (among: readonly Life[]): Life | undefined => among.find(({ group }) => group.role.serving);

const lives = new Set<Life>();
const directories: string[] = [];
after(async () => {
  for (const life of lives) await life.end();
  for (const path of directories) await rm(path, { recursive: true, force: true });
});

async function openStore(path: string): Promise<RocksdbStore> {
  return RocksdbStore.open({
    path,
    brokerId: toBrokerId(1),
    clusterId,
    mayFound: true,
    newIncarnation: () => incarnationOf(1),
    processNonce: randomUuid(systemRandom),
    crc32c,
    clock: realClock,
    onFault: (fault) => {
      throw fault;
    },
  });
}

test(
  'pit-P87 pit-P61: a whole directory that was rolled back is found by one peer, votes no more, and remembers it',
  {
    timeout: 120_000,
  },
  async () => {
    const path = await mkdtemp(join(tmpdir(), 'sluice-rolled-back-'));
    const copy = await mkdtemp(join(tmpdir(), 'sluice-old-copy-'));
    directories.push(path, copy);
    const book = new AddressBook();
    for (const id of voters) book.replicas.set(id, toBrokerId(id));
    const begin = async (broker: number, store: RocksdbStore | null): Promise<Life> => {
      const life = new Life(broker, book, store);
      if (store !== null) keepTelling(life, store);
      lives.add(life);
      return life.start(book);
    };
    const finish = async (life: Life): Promise<void> => {
      lives.delete(life);
      await life.end();
    };
    const two = await begin(2, null);
    const three = await begin(3, null);
    const first = await begin(1, await openStore(path));
    const everybody = [first, two, three];
    await append('a', everybody);
    await until(() => first.machine.state === 'a');
    await finish(first);
    await cp(path, copy, { recursive: true });

    const second = await begin(1, await openStore(path));
    for (let i = 0; i < 5; i++) await append(`${i}`, [second, two, three]);
    await until(() => second.machine.state.includes('4'));
    // it has spoken to its leader, whose log it took; how much of it that one has heard of does not matter
    assert.ok([two, three].some(({ rig }) => rig.memory.remembered(incarnationOf(1))?.bootNumber === 2));
    await finish(second);

    // the disk comes back as it was, and is started more often than it ever was: no number gives it away for certain, for
    // it writes with every start, and the others heard only of a part of what is lost
    await rm(path, { recursive: true });
    await cp(copy, path, { recursive: true });
    await (await openStore(path)).close();
    const store = await openStore(path);
    assert.equal(store.recovery.state, 'healthy', 'the floor went back with the rest');
    assert.equal(store.bootNumber, 3);
    const third = await begin(1, store);
    await until(() => third.group.quarantine !== null);
    assert.match(
      third.group.quarantine!,
      /^broker [23] refuses this one as rolled-back: the disk of broker 1 has had another start 2 than the one/,
    );
    await third.markedLost;
    const others = [two, three];
    await append('z', others);
    assert.deepEqual([third.group.role.role, third.group.role.leader, third.machine.state], ['follower', null, 'a']);
    await finish(third);

    // nobody is there to say so any more, and it knows
    await finish(two);
    await finish(three);
    const fourth = await begin(1, await openStore(path));
    assert.equal(fourth.store!.recovery.state, 'lost');
    assert.match(fourth.group.quarantine!, /lost writes that it had acknowledged/);
    assert.deepEqual(
      [first, second, third, fourth, two, three].flatMap(({ fatal }) => fatal),
      [],
    );
  },
);

/** Frames carry the number of the store that is newest when they leave. */
function keepTelling({ rig }: Life, store: RocksdbStore): void {
  Object.defineProperty(rig, 'durableCommit', { get: () => store.commitNumbers.durable });
}
