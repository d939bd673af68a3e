/**
 * The process that is killed: opens the store and writes numbered values, many calls in flight, trims old ones, compacts
 * beside it, and says on its standard output what was acknowledged to it, before anything else happens.
 */
import { writeSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { DiskReserve } from '../../../src/log/disk-reserve.ts';
import { type RocksdbStore } from '../../../src/log/rocksdb-store.ts';
import { LiveWalSync, type WalSync, type WalSynced } from '../../../src/log/wal-sync.ts';
import { realClock } from '../../../src/runtime/real-clock.ts';
import { openStore } from './open-store.ts';
import { dataRange, keyOf, numberOf, putOf, trimKey, trimTo } from './records.ts';
import { encodeLine, type VictimOptions, type VictimSays } from './victim-options.ts';

const options = JSON.parse(process.argv[2]!) as VictimOptions;
const say = (says: VictimSays): number => writeSync(1, encodeLine(says));
const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
/** A write-ahead file was created since the last acknowledgement. */
let switched = false;

/** Syncs, and notices new files. The weak forms are what the suite must be able to catch. */
function watchedWalSync(databasePath: string, currentWal: () => Promise<number>): WalSync {
  const real = new LiveWalSync(databasePath, currentWal);
  let known = -1;
  const nothing: WalSynced = { created: [], live: null };
  const current = async (): Promise<WalSynced> => {
    const number = await currentWal();
    switched ||= known !== -1 && number !== known;
    known = number;
    if (options.sync === 'none') return nothing;
    const file = await open(join(databasePath, `${String(number).padStart(6, '0')}.log`), 'r+');
    await file.datasync();
    await file.close();
    return nothing;
  };
  const live = async (): Promise<WalSynced> => {
    const synced = await real.sync();
    switched ||= synced.created.length > 0;
    return synced;
  };
  return {
    sync: options.sync === 'live' ? live : current,
    live: () => real.live(),
    close: () => real.close(),
  };
}

const store = await openStore(options.path, {
  engine: { writeBufferBytes: options.writeBufferBytes, writeBuffersMax: 8 },
  openWalSync: watchedWalSync,
  onFault: (fault) => {
    say({ kind: 'fault', message: fault.message });
    process.kill(process.pid, 'SIGKILL'); // process.exit would wait for the engine, which waits for the dead disk
  },
});
switched = false;
const reserve =
  options.reserve === null
    ? null
    : await DiskReserve.start({
        path: options.path,
        ballastPath: join(options.path, 'ballast'),
        reserves: options.reserve,
        clock: realClock,
        onFault: () => process.exit(1),
      });

let next = await firstNumber(store);
let lowest = await trimmedTo(store);
say({ kind: 'opened', state: store.recovery.state, next });
if (options.reclaim) void reclaimForever();
await Promise.all(Array.from({ length: options.inFlight }, writeForever));
await store.close();
say({ kind: 'done' });
process.exit(0);

async function firstNumber(opened: RocksdbStore): Promise<number> {
  const [last] = await opened.scan({ ...dataRange, limit: 1, reverse: true });
  return last === undefined ? await trimmedTo(opened) : numberOf(last.key) + 1;
}

async function trimmedTo(opened: RocksdbStore): Promise<number> {
  const value = await opened.get(trimKey);
  return value === null ? 0 : Number(Buffer.from(value).readBigUInt64BE());
}

async function writeForever(): Promise<void> {
  while (options.stopAfter === null || next <= options.stopAfter) {
    if (next - lowest > 2 * options.keep) await trim();
    await writeSome();
  }
  if (options.end === 'kill') process.kill(process.pid, 'SIGKILL');
}

async function writeSome(): Promise<void> {
  const from = next;
  const puts = Array.from({ length: 1 + ((from * 7) % 5) }, (_, n) => putOf(from + n));
  const bytes = puts.reduce((sum, put) => sum + (put.kind === 'put' ? put.value.length : 0), 0);
  if (reserve?.admit(bytes) === false) {
    say({ kind: 'refused' });
    await wait(100);
    return;
  }
  next += puts.length;
  await store.write(puts);
  say({ kind: 'acked', number: from + puts.length - 1 });
  if (switched && options.cutOn === 'switch') writeSync(3, '!');
  switched = false;
}

async function trim(): Promise<void> {
  lowest = next - options.keep;
  const number = lowest;
  await store.write(trimTo(number));
  say({ kind: 'trimmed', number });
}

async function reclaimForever(): Promise<void> {
  for (;;) {
    await wait(40);
    await store.reclaim(dataRange.from, keyOf(next)).catch(() => undefined); // a failed disk is reported by the store
  }
}
