import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  CommitLedger,
  decodeOrigin,
  markedCommit,
  MarkCheck,
  markKey,
  originKey,
} from '../../src/log/commit-ledger.ts';
import type { StoreChange } from '../../src/log/store.ts';
import { SeededRandom } from '../fakes/seeded-random.ts';

const incarnation = '01234567-89ab-4cde-8f01-23456789abcd';

/** The store's own keys after some engine writes were applied. */
class OwnKeys {
  readonly #pairs = new Map<string, Uint8Array>();

  apply(changes: readonly StoreChange[]): void {
    for (const change of changes) {
      if (change.kind === 'put') this.#pairs.set(hex(change.key), change.value);
      else if (change.kind === 'delete') this.#pairs.delete(hex(change.key));
      else for (const key of this.keys()) if (key >= hex(change.from) && key < hex(change.to)) this.#pairs.delete(key);
    }
  }

  keys(): readonly string[] {
    return [...this.#pairs.keys()].sort();
  }

  /** What an opening concludes: the newest write if nothing is missing, else null. */
  newest(): number | null {
    const origin = this.#pairs.get(hex(originKey));
    if (origin === undefined) return null;
    const check = new MarkCheck(decodeOrigin(origin)?.lowest ?? -1);
    for (const key of this.keys()) if (key !== hex(originKey)) check.see(Buffer.from(key, 'hex'));
    return check.isComplete ? check.newest : null;
  }
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

describe('the commit ledger', () => {
  it('encodes what it reads', () => {
    assert.equal(markedCommit(markKey(2 ** 40 + 5)), 2 ** 40 + 5);
    assert.equal(markedCommit(Uint8Array.of(0xff, 2)), null);
    const [origin] = new CommitLedger(incarnation, 9).firstChanges();
    assert.ok(origin?.kind === 'put');
    assert.deepEqual(decodeOrigin(origin.value), { incarnation: incarnation.replaceAll('-', ''), lowest: 9 });
    assert.equal(decodeOrigin(origin.value.subarray(1)), null);
    assert.ok(Buffer.compare(markKey(255), markKey(256)) < 0);
  });

  it('deletes the marks of flushed writes but for the last', () => {
    const ledger = new CommitLedger(incarnation, 1);
    ledger.sawFile(4, 2);
    ledger.sawFile(9, 12);
    ledger.liveFiles([4, 9]);
    assert.equal(ledger.changesFor(13).length, 1, 'nothing was flushed after the first mark');
    ledger.liveFiles([9]);
    const [origin, deleted, mark] = ledger.changesFor(14);
    assert.ok(origin?.kind === 'put' && deleted?.kind === 'delete-range' && mark?.kind === 'put');
    assert.equal(decodeOrigin(origin.value)?.lowest, 11);
    assert.equal(markedCommit(deleted.to), 11);
    assert.equal(markedCommit(mark.key), 14);
    assert.equal(ledger.lowest, 11);
    assert.equal(ledger.changesFor(15).length, 1);
  });

  it('pit-P86 finds every gap, whatever was flushed, forgotten or lost', () => {
    const random = new SeededRandom(11);
    let gaps = 0;
    for (let run = 0; run < 300; run++) {
      // what the engine keeps: writes by the write-ahead file they are in; flushed files have tables
      const files: { readonly number: number; readonly writes: (readonly StoreChange[])[] }[] = [];
      let flushed = 0;
      const ledger = new CommitLedger(incarnation, 1);
      let commit = 1;
      const write = (changes: readonly StoreChange[]): void => {
        files.at(-1)!.writes.push(changes);
      };
      const switchFile = (): void => {
        const number = (files.at(-1)?.number ?? 0) + 1 + random.below(3);
        files.push({ number, writes: [] });
      };
      switchFile();
      write(ledger.firstChanges());
      ledger.sawFile(files[0]!.number, 1);
      for (let step = 0; step < 40; step++) {
        const before = files.length;
        commit++;
        if (random.below(5) === 0) switchFile(); // before or after the write, the store can not tell
        write(ledger.changesFor(commit));
        if (random.below(5) === 0) switchFile();
        for (const file of files.slice(before)) ledger.sawFile(file.number, commit);
        while (flushed < files.length - 1 && random.below(3) === 0) flushed++;
        if (files.length > before) ledger.liveFiles(files.slice(flushed).map((file) => file.number));
      }
      const recovered = (kept: readonly (typeof files)[number][]): number | null => {
        const keys = new OwnKeys();
        for (const file of kept) for (const changes of file.writes) keys.apply(changes);
        return keys.newest();
      };
      assert.equal(recovered(files), commit);
      const used = files.filter((file) => file.writes.length > 0);
      const lost = used.length - 2 - random.below(Math.min(4, used.length - 1)); // any but the newest: a live file, or tables that were forgotten
      const isTrimmed = used[lost]!.writes.length > 0 && lastMark(used[lost]!.writes) < ledger.lowest;
      const rest = recovered(used.filter((_, n) => n !== lost));
      if (!isTrimmed) {
        assert.equal(rest, null, `run ${run}: file ${lost} of ${used.length}`);
        gaps++;
      }
    }
    assert.ok(gaps > 100);
  });
});

function lastMark(writes: readonly (readonly StoreChange[])[]): number {
  const mark = writes.at(-1)!.at(-1)!;
  return mark.kind === 'put' ? (markedCommit(mark.key) ?? 0) : 0;
}
