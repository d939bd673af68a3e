import assert from 'node:assert/strict';
import { test } from 'node:test';
import { InvariantViolation } from '../../../src/model/assert.ts';
import type { EntryDraft } from '../../../src/model/entry.ts';
import { toLogIndex, toMillis, toTerm } from '../../../src/model/ids.ts';
import { entryOverheadBytes } from '../../../src/raft/core/limits.ts';
import { UnstableLog } from '../../../src/raft/core/unstable-log.ts';
import { crc32c } from '../../../src/runtime/crc32c.ts';
import { SeededRandom } from '../../fakes/seeded-random.ts';
import { imageOf, recoveredFrom } from './cluster.ts';

const genesis = { revision: 0, voters: [], outgoing: [], learners: [] };
const draft = (text: string): EntryDraft => {
  return { kind: 'batch', count: 2, payload: Buffer.from(text), maxTimestampMs: null };
};
const index = toLogIndex;

/** A log with an entry for each of these terms, all on disk, the first `commit` committed. */
function logOf(terms: readonly number[], commit = 0): UnstableLog {
  return new UnstableLog(recoveredFrom(imageOf(terms, { commit }), genesis), index(commit), crc32c);
}

test('a sealed entry follows its predecessor in index, offset and chain, and its stamp never falls', () => {
  const log = logOf([1]);
  const first = log.seal(draft('a'), toTerm(2), toMillis(1_000));
  const second = log.seal(draft('b'), toTerm(2), toMillis(900));
  assert.deepEqual(
    [first, second].map((one) => [one.index, one.term, one.baseOffset, one.appendTimeMs]),
    [
      [2, 2, 1, 1_000],
      [3, 2, 3, 1_000],
    ],
  );
  assert.equal(log.endOffset, 5);
  assert.notEqual(first.chain, second.chain);
});

test('pit-P36: an offset beyond 2^53 fails loudly', () => {
  const recovered = recoveredFrom(imageOf([1], {}), genesis);
  const endOffset = Number.MAX_SAFE_INTEGER as typeof recovered.endOffset;
  const log = new UnstableLog({ ...recovered, endOffset }, index(0), crc32c);
  assert.throws(() => log.seal(draft('a'), toTerm(1), toMillis(0)), InvariantViolation);
});

test('what was not handed out is handed out once, with the truncation before it', () => {
  const log = logOf([1, 1, 1]);
  assert.equal(log.takeUnsaved(), null);
  log.truncateAfter(log.positionAt(index(1))!, toTerm(1));
  log.seal(draft('a'), toTerm(2), toMillis(0));
  const unsaved = log.takeUnsaved();
  assert.equal(unsaved?.truncateAfter, 1);
  assert.deepEqual(
    unsaved.entries.map((one) => [one.index, one.term]),
    [[2, 2]],
  );
  assert.equal(log.takeUnsaved(), null);
});

test('entries that were never handed out are truncated without a word to the disk', () => {
  const log = logOf([1]);
  log.seal(draft('a'), toTerm(1), toMillis(0));
  log.truncateAfter(log.positionAt(index(1))!, toTerm(1));
  assert.equal(log.takeUnsaved(), null);
  assert.equal(log.lastIndex, 1);
});

test('raft-4: what is committed is not truncated', () => {
  const log = logOf([1, 1, 1], 2);
  assert.throws(() => log.truncateAfter({ index: index(1), endOffset: log.endOffset, chain: 1 }, toTerm(1)), /raft-4/);
});

test('uncommitted bytes follow appends, commits and truncations', () => {
  const log = logOf([]);
  for (const text of ['aaaa', 'bb', 'c']) log.seal(draft(text), toTerm(1), toMillis(0));
  assert.equal(log.uncommittedBytes, 7 + 3 * entryOverheadBytes);
  log.committed(index(1));
  assert.equal(log.uncommittedBytes, 3 + 2 * entryOverheadBytes);
  log.truncateAfter(log.positionAt(index(2))!, toTerm(1));
  assert.equal(log.uncommittedBytes, 2 + entryOverheadBytes);
});

test('raft-log-2: memory gives back what is handed out and committed, and nothing else', () => {
  const log = logOf([]);
  for (const text of ['a', 'b', 'c', 'd']) log.seal(draft(text), toTerm(1), toMillis(0));
  log.committed(index(3));
  log.release(index(4), 0);
  assert.equal(log.memoryFirst, 1, 'nothing was handed out');
  log.takeUnsaved();
  log.release(index(2), Infinity);
  assert.equal(log.memoryFirst, 3);
  log.release(index(2), 0);
  assert.equal(log.memoryFirst, 4, 'under pressure committed entries go too');
  assert.equal(log.entryAt(index(3)), null);
  assert.equal(log.positionAt(index(3))?.endOffset, 6);
  assert.deepEqual(log.slice(index(3), 1_000), null);
  assert.equal(log.slice(index(4), 0)?.length, 1, 'one entry always fits');
});

test('terms, back-off hints and positions against a plain list, over random logs', () => {
  const random = new SeededRandom(3);
  for (let round = 0; round < 300; round++) {
    const terms: number[] = [];
    for (let i = random.below(30); i > 0; i--) terms.push((terms.at(-1) ?? 1) + (random.below(4) === 0 ? 1 : 0));
    const log = logOf(terms);
    if (terms.length > 2 && random.below(2) === 0) {
      const keep = 1 + random.below(terms.length - 1);
      terms.length = keep;
      log.truncateAfter(log.positionAt(index(keep))!, toTerm(terms[keep - 1]!));
      // what follows is of a term that the old tail may have had too
      for (let i = random.below(4); i > 0; i--) {
        terms.push(terms.at(-1)! + random.below(2));
        log.seal(draft('x'), toTerm(terms.at(-1)!), toMillis(0));
      }
    }
    for (let at = 0; at <= terms.length + 1; at++) {
      const expected = at === 0 ? 0 : (terms[at - 1] ?? null);
      assert.equal(log.termAt(index(at)), expected, `term at ${at} of ${terms.join()}`);
      for (let term = 0; term < 12; term++) {
        let hint = Math.min(at, terms.length);
        while (hint > 0 && terms[hint - 1]! > term) hint--;
        assert.equal(log.lastIndexOfTerm(index(at), toTerm(term)), hint, `${at} ${term} in ${terms.join()}`);
      }
    }
  }
});

/** Cuts a log so that it begins at `first`; the chain value before it is checked where it is known. */
const cut = (log: UnstableLog, first: number): void => {
  log.compacted(index(first), log.positionAt(index(first - 1))?.chain ?? 77);
};

test('a log that is cut at its front knows the term at the cut, and nothing before it', () => {
  const log = logOf([1, 1, 2, 2, 3], 4);
  cut(log, 4);
  assert.deepEqual(
    [1, 2, 3, 4, 5, 6].map((at) => log.termAt(index(at))),
    [null, null, 2, 2, 3, null],
  );
  assert.equal(log.lastIndexOfTerm(index(5), toTerm(1)), 3, 'a hint never points before the cut');
  assert.throws(() => cut(log, 6), /raft-log-5/);
});

test('memory does not grow with the number of entries that passed through', () => {
  const log = logOf([]);
  for (let i = 1; i <= 5_000; i++) {
    log.seal(draft('x'), toTerm(1), toMillis(0));
    log.takeUnsaved();
    log.committed(index(i));
    log.release(index(i), Infinity);
  }
  assert.equal(log.memoryBytes, 0);
  assert.equal(log.memoryFirst, 5_001);
});

test('pit-P82: two truncations before a write reach the disk as the lower one', () => {
  const log = logOf([1, 1, 1, 1]);
  const at = (place: number): Parameters<UnstableLog['truncateAfter']>[0] => {
    return log.positionAt(index(place))!;
  };
  log.truncateAfter(at(2), toTerm(1));
  log.seal(draft('a'), toTerm(2), toMillis(0));
  log.truncateAfter(at(1), toTerm(1));
  log.seal(draft('b'), toTerm(3), toMillis(0));
  log.seal(draft('c'), toTerm(3), toMillis(0));
  log.truncateAfter(at(2), toTerm(3));
  const unsaved = log.takeUnsaved();
  assert.equal(unsaved?.truncateAfter, 1);
  assert.deepEqual(
    unsaved.entries.map((entry) => [entry.index, entry.term]),
    [[2, 3]],
  );
});

test('a cut at or before the present one changes nothing', () => {
  const log = logOf([1, 1, 2, 2], 4);
  cut(log, 4);
  cut(log, 2);
  assert.equal(log.firstIndex, 4);
  assert.equal(log.termAt(index(3)), 2);
});
