/** A run against a made-up consumer, with a clock that the test moves. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ManualClock } from '../../../test/fakes/manual-clock.ts';
import { toMillis, toOffset } from '../../../src/model/ids.ts';
import type { StoredInChunk } from '../src/chunk-reader.ts';
import { BrokerError } from '../src/errors.ts';
import type { Cursor } from '../src/fetcher.ts';
import { HandlerRun } from '../src/handler-run.ts';
import type { RunHost } from '../src/handler-run.ts';
import { InRecord } from '../src/record.ts';
import type { OutRecord } from '../src/record.ts';
import { runSettings } from '../src/run-options.ts';
import type { HandlerContext, RunOptions } from '../src/run-options.ts';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

interface Running {
  readonly offset: number;
  readonly partition: number;
  readonly context: HandlerContext;
  readonly end: (error?: Error) => void;
}

/** Partitions whose records are numbered; `keyOf` gives their keys. Held-back partitions are not taken from. */
class Rig {
  readonly clock = new ManualClock();
  readonly running: Running[] = [];
  readonly begun: string[] = [];
  readonly done: string[] = [];
  readonly failures: BrokerError[] = [];
  readonly letters: { topic: string; letter: OutRecord<Uint8Array, Uint8Array> }[] = [];
  readonly parked: string[] = [];
  readonly troubles: string[] = [];
  /** Of each partition: how many records there are, and the next. */
  readonly ends: number[] = [];
  readonly next: number[] = [];
  readonly heldBack = new Set<string>();
  taken = 0;
  valueBytes = 10;
  stalls = 0;
  letterFault: BrokerError | null = null;
  keyOf: (offset: number) => string | null = () => null;
  headersOf: (offset: number) => [string, string][] = () => [];
  readonly run: HandlerRun<string, Uint8Array>;

  constructor(
    options: RunOptions,
    counts: readonly number[],
    limits: { bytesMax?: number; maxProcessingMs?: number; topics?: string[] } = {},
  ) {
    const host: RunHost<string, Uint8Array> = {
      take: (isWanted) => this.#take(isWanted),
      toRecord: ({ stored, chunk }) => {
        const { topic, partition } = chunk.cursor;
        const { offset, value, timestampMs } = stored;
        const fields = { topic, partition, offset, timestampMs, leaderEpoch: 1, value, headers: [] };
        return new InRecord({ ...fields, key: stored.key === null ? null : Buffer.from(stored.key).toString() });
      },
      unreadable: () => null,
      letGo: (key) => this.heldBack.delete(key),
      park: (key, isParked) => this.parked.push(`${isParked ? '+' : '-'}${key}`),
      done: (_work, key, offset) => this.done.push(`${key}:${offset}`),
      ended: () => undefined,
      stalled: () => (this.stalls += 1),
      send: (topic, letter) => {
        if (this.letterFault !== null) return Promise.reject(this.letterFault);
        this.letters.push({ topic: topic ?? '', letter });
        return Promise.resolve();
      },
      troubled: (status) => this.troubles.push(`${status.type} ${status.offset}`),
      failed: (error) => this.failures.push(error),
    };
    const { bytesMax = 1_000_000, maxProcessingMs = null, topics = ['t'] } = limits;
    const environment = {
      clock: this.clock,
      random: { below: (bound: number) => bound - 1, bytes: () => Buffer.alloc(0) },
    };
    this.run = new HandlerRun<string, Uint8Array>(
      (record, context) =>
        new Promise((resolve, reject) => {
          const { offset, partition } = record;
          this.begun.push(`${partition}/${offset}`);
          const running: Running = {
            ...{ offset, partition, context },
            end: (error) => {
              this.running.splice(this.running.indexOf(running), 1);
              if (error === undefined) resolve();
              else reject(error);
            },
          };
          this.running.push(running);
        }),
      runSettings(options, topics),
      'g',
      { bytesMax, maxProcessingMs },
      environment,
      host,
    );
    counts.forEach((count, partition) => {
      this.ends[partition] = count;
      this.next[partition] = 0;
      this.run.begin(`t/${partition}`, 0, false);
    });
  }

  get offsets(): number[] {
    return this.running.map(({ offset }) => offset);
  }

  async end(offset: number, error?: Error): Promise<void> {
    this.running.find((each) => each.offset === offset)?.end(error);
    await turn();
  }

  #take(isWanted: (key: string) => boolean): StoredInChunk | null {
    for (let partition = 0; partition < this.ends.length; partition++) {
      const key = `t/${partition}`;
      const offset = this.next[partition] ?? 0;
      if (this.heldBack.has(key) || offset >= (this.ends[partition] ?? 0)) continue;
      if (!isWanted(key)) {
        this.heldBack.add(key);
        continue;
      }
      this.next[partition] = offset + 1;
      this.taken += 1;
      const keyText = this.keyOf(offset);
      const cursor = { topic: 't', partition } as Cursor;
      const stored = {
        offset: toOffset(offset),
        key: keyText === null ? null : Buffer.from(keyText),
        value: Buffer.alloc(this.valueBytes),
        headers: this.headersOf(offset).map(([name, text]) => ({ name, value: Buffer.from(text) })),
        timestampMs: toMillis(5),
      };
      return { stored, chunk: { cursor, leaderEpoch: 1 } as StoredInChunk['chunk'], nextOffset: offset + 1 };
    }
    return null;
  }
}

describe('a run', () => {
  it('by partition: one record of each at a time, in order, however many handlers are free', async () => {
    const rig = new Rig({ concurrency: 10 }, [3, 3]);
    rig.run.pump();
    assert.deepEqual(rig.begun, ['0/0', '1/0']);
    assert.ok(rig.taken <= 4, 'no more is taken than it takes to find work');
    for (let n = 0; n < 3; n++) for (const running of [...rig.running]) running.end();
    for (let n = 0; n < 4; n++) {
      await turn();
      for (const running of [...rig.running]) running.end();
    }
    assert.deepEqual(rig.begun.filter((name) => name.startsWith('0')), ['0/0', '0/1', '0/2']); // prettier-ignore
    assert.deepEqual([rig.done.at(-1), rig.begun.length], ['t/1:3', 6]);
  });

  it('by key: keys overtake each other, a key keeps its order, and only the prefix is told as done', async () => {
    const rig = new Rig({ concurrency: 3, orderBy: 'key' }, [8]);
    rig.keyOf = (offset) => ['slow', 'a', 'slow', 'b', 'a', 'b', 'c', 'd'][offset] ?? null;
    rig.run.pump();
    assert.deepEqual(rig.offsets, [0, 1, 3]);
    await rig.end(1);
    assert.deepEqual(rig.offsets, [0, 3, 4]);
    await rig.end(3);
    await rig.end(4);
    await rig.end(5);
    await rig.end(6);
    await rig.end(7);
    assert.deepEqual(rig.offsets, [0], 'the slow key alone waits');
    assert.deepEqual(rig.done, []);
    await rig.end(0);
    assert.deepEqual(rig.done, ['t/0:2']);
    await rig.end(2);
    assert.deepEqual(rig.done, ['t/0:2', 't/0:8']);
  });

  it('goes no further ahead of a slow record than its window', async () => {
    const rig = new Rig({ concurrency: 2, orderBy: 'none', window: 5 }, [100]);
    rig.run.pump();
    for (let offset = 1; offset < 20; offset++) await rig.end(offset);
    assert.equal(rig.taken, 5);
    assert.deepEqual(rig.offsets, [0]);
    await rig.end(0);
    assert.deepEqual(rig.offsets, [5, 6]);
  });

  it('holds no more bytes than it may, and still one record of each partition', () => {
    const rig = new Rig({ concurrency: 100, orderBy: 'none' }, [50, 50], { bytesMax: 3_000 });
    rig.valueBytes = 800;
    rig.run.pump();
    assert.deepEqual(rig.begun, ['0/0', '0/1', '0/2', '1/0']);
  });

  it('never has more handlers than it may, and uses all of them', async () => {
    const rig = new Rig({ concurrency: 7, orderBy: 'none' }, [200, 200, 200]);
    rig.run.pump();
    let most = 0;
    while (rig.running.length > 0) {
      most = Math.max(most, rig.running.length);
      rig.running[rig.begun.length % rig.running.length]?.end();
      await turn();
    }
    assert.equal(most, 7);
    assert.equal(rig.begun.length, 600);
    assert.deepEqual(new Set(rig.done.filter((name) => name.endsWith(':200'))).size, 3);
  });

  it('tries again in place, with growing waits that hold the lane and no handler', async () => {
    const rig = new Rig({ concurrency: 1, orderBy: 'key', retry: { maxAttempts: 3, initialMs: 100 } }, [3]);
    rig.keyOf = (offset) => ['a', 'a', 'b'][offset] ?? null;
    rig.run.pump();
    await rig.end(0, new Error('once'));
    assert.deepEqual(rig.offsets, [2], 'another key goes on');
    await rig.end(2);
    assert.deepEqual(rig.offsets, []);
    rig.clock.advance(98);
    assert.deepEqual(rig.offsets, []);
    rig.clock.advance(1);
    assert.deepEqual(rig.running.map(({ context }) => context.attempt), [2]); // prettier-ignore
    await rig.end(0, new Error('twice'));
    rig.clock.advance(199);
    await rig.end(0);
    assert.deepEqual([rig.done, rig.offsets], [['t/0:1'], [1]]);
  });

  it('ends with HANDLER_FAILED after the last attempt, says where, and counts nothing of it', async () => {
    const rig = new Rig({ concurrency: 3, orderBy: 'none', retry: { maxAttempts: 2, initialMs: 10 } }, [10]);
    rig.run.pump();
    const cause = new Error('bad');
    await rig.end(1, cause);
    rig.clock.advance(10);
    await rig.end(2);
    await rig.end(1, cause);
    const [error] = rig.failures;
    assert.deepEqual([error?.code, error?.cause, error?.topic, error?.partition], ['HANDLER_FAILED', cause, 't', 0]);
    const begun = rig.begun.length;
    while (rig.running.length > 0) await rig.end(rig.offsets[0] ?? -1);
    assert.equal(rig.begun.length, begun, 'nothing more was begun');
    assert.equal(rig.done.at(-1), 't/0:1');
    assert.equal(rig.run.isIdle, true);
  });

  it('does not try again what retryIf excludes', async () => {
    const retry = { maxAttempts: 9, retryIf: (error: unknown) => !(error instanceof TypeError) };
    const rig = new Rig({ retry, deadLetter: { topic: 'dead' } }, [2]);
    rig.run.pump();
    await rig.end(0, new TypeError('no'));
    assert.deepEqual(rig.letters.map(({ topic }) => topic), ['dead']); // prettier-ignore
    assert.deepEqual([rig.done, rig.offsets], [['t/0:1'], [1]]);
  });

  it('writes a dead letter that says where the record was and why, and only then goes past it', async () => {
    const rig = new Rig({ retry: { maxAttempts: 2 }, deadLetter: { topic: 'dead' } }, [2]);
    rig.headersOf = () => [['mine', 'x']];
    rig.keyOf = () => 'k';
    rig.run.pump();
    await rig.end(0, new Error('first'));
    rig.clock.advance(1_000);
    await rig.end(0, new Error('second'));
    const { letter } = rig.letters[0] ?? assert.fail();
    assert.equal(Buffer.from(letter.key ?? []).toString(), 'k');
    const headers = Object.fromEntries((letter.headers ?? []).map(([name, value]) => [name, String(value)]));
    assert.deepEqual(headers, {
      mine: 'x',
      'sluice-origin-topic': 't',
      'sluice-origin-partition': '0',
      'sluice-origin-offset': '0',
      'sluice-origin-timestamp-ms': '5',
      'sluice-group': 'g',
      'sluice-attempts': '2',
      'sluice-error': 'Error: second',
    });
    assert.deepEqual(rig.troubles, ['retrying 0', 'dead-lettered 0']);
    rig.letterFault = new BrokerError('UNKNOWN_TOPIC_OR_PARTITION', 'no such topic');
    await rig.end(1, new Error('first'));
    rig.clock.advance(1_000);
    await rig.end(1, new Error('second'));
    assert.deepEqual([rig.failures[0]?.code, rig.done], ['UNKNOWN_TOPIC_OR_PARTITION', ['t/0:1']]);
  });

  it('sends through the retry topic, where a record waits for its time and its attempts count on', async () => {
    const topics = ['t', 'again'];
    const options = { retry: { maxAttempts: 3, initialMs: 500, topic: 'again' }, deadLetter: { topic: 'dead' } };
    const first = new Rig(options, [2], { topics });
    first.run.pump();
    await first.end(0, new Error('x'));
    assert.deepEqual(first.offsets, [1], 'those behind it do not wait');
    const letter = first.letters[0]?.letter ?? assert.fail();
    const headers = (letter.headers ?? []).map(([name, value]): [string, string] => [name, String(value)]);
    const second = new Rig(options, [1], { topics });
    second.headersOf = () => headers;
    second.run.pump();
    assert.deepEqual(second.begun, []);
    second.clock.advance(499);
    const [running] = second.running;
    assert.deepEqual([running?.context.attempt, running?.context.origin.topic], [2, 't']);
    await second.end(0, new Error('y'));
    const again = second.letters[0] ?? assert.fail();
    assert.equal(again.topic, 'again');
    assert.ok(again.letter.headers?.some(([name, value]) => name === 'sluice-attempts' && value === '2'));
    assert.throws(() => runSettings(options, ['t']), { code: 'INVALID_REQUEST' });
  });

  it('pauses what waits and what is to be tried again, and goes on where it was', async () => {
    const rig = new Rig({ concurrency: 2, orderBy: 'none', retry: { initialMs: 10 } }, [4, 1]);
    rig.run.pump();
    assert.deepEqual(rig.begun, ['0/0', '0/1']);
    rig.run.pause('t/0');
    await rig.end(0, new Error('again'));
    rig.clock.advance(1_000);
    await rig.end(1);
    assert.deepEqual(rig.begun.slice(2), ['1/0'], 'only the other partition');
    rig.heldBack.clear();
    rig.run.resume('t/0');
    await turn();
    assert.deepEqual(rig.begun.slice(3), ['0/0']);
    rig.running.find(({ partition }) => partition === 0)?.end();
    await turn();
    assert.deepEqual(rig.done, ['t/0:2']);
  });

  it('counts nothing that was begun before a seek, and begins nothing until that has ended', async () => {
    const rig = new Rig({ concurrency: 4, orderBy: 'none' }, [4]);
    rig.run.pump();
    assert.deepEqual(rig.offsets, [0, 1, 2, 3]);
    rig.next[0] = 2;
    const work = rig.run.begin('t/0', 2, false);
    rig.run.pump();
    for (const offset of [0, 1, 2]) await rig.end(offset);
    assert.equal(rig.begun.length, 4);
    await rig.end(3);
    assert.deepEqual(rig.begun.slice(4), ['0/2', '0/3']);
    assert.equal(work.processed, 2);
    await rig.end(2);
    assert.equal(work.processed, 3);
  });

  it('tells handlers when their work is in vain, and swallows what they do then', async () => {
    const rig = new Rig({ concurrency: 2, orderBy: 'none' }, [5]);
    rig.run.pump();
    const [first, second] = rig.running as [Running, Running];
    const { signal } = first.context;
    rig.run.end('t/0');
    assert.equal(signal.aborted, false);
    rig.run.abort('t/0', new BrokerError('PARTITION_NOT_OWNED', 'gone'));
    assert.equal((signal.reason as BrokerError).code, 'PARTITION_NOT_OWNED');
    assert.equal(second.context.signal.aborted, true, 'also to one that asks later');
    await rig.end(0, signal.reason as Error);
    await rig.end(1, new Error('late'));
    assert.deepEqual([rig.failures, rig.begun.length, rig.run.isIdle], [[], 2, true]);
  });

  it('says when a handler takes longer than it may', async () => {
    const rig = new Rig({ concurrency: 2, orderBy: 'none' }, [3], { maxProcessingMs: 100 });
    rig.run.pump();
    rig.clock.advance(60);
    await rig.end(0);
    rig.clock.advance(39);
    assert.equal(rig.stalls, 0);
    rig.clock.advance(1);
    assert.equal(rig.stalls, 1);
  });

  it('parks a partition that is stuck, so that it takes no room from others, and unparks it', async () => {
    const rig = new Rig({ concurrency: 3 }, [10, 1]);
    rig.run.pump();
    await rig.end(0);
    for (const running of [...rig.running]) if (running.partition === 1) running.end();
    await turn();
    assert.deepEqual(rig.parked, []);
    rig.clock.advance(2_000);
    assert.deepEqual(rig.parked, ['+t/0']);
    for (const running of [...rig.running]) running.end();
    await turn();
    assert.deepEqual(rig.parked, ['+t/0', '-t/0']);
  });

  it('gives timers and sockets their turn while handlers end at once', async () => {
    const rig = new Rig({ concurrency: 1 }, [5_000]);
    const quick = new HandlerRun<string, Uint8Array>(
      () => undefined,
      runSettings({}, ['t']),
      'g',
      { bytesMax: 1e6, maxProcessingMs: null },
      { clock: rig.clock, random: { below: () => 0, bytes: () => Buffer.alloc(0) } },
      hostOf(rig),
    );
    quick.begin('t/0', 0, false);
    quick.pump();
    let turns = 0;
    while (rig.taken < 5_000) {
      await turn();
      turns += 1;
    }
    assert.ok(turns >= 5, `${turns}`);
  });

  it('refuses options that make no sense', () => {
    for (const options of [
      { concurrency: 0 },
      { concurrency: 1.5 },
      { window: 0 },
      { orderBy: 'topic' as 'key' },
      { retry: { maxAttempts: 0 } },
    ])
      assert.throws(() => runSettings(options, ['t']), { code: 'INVALID_REQUEST' });
  });
});

/** The rig's records for another run. */
function hostOf(rig: Rig): RunHost<string, Uint8Array> {
  let next = 0;
  return {
    take: () => {
      if (next >= 5_000) return null;
      rig.taken += 1;
      const stored = { offset: toOffset(next), key: null, value: null, headers: [], timestampMs: null };
      const chunk = { cursor: { topic: 't', partition: 0 }, leaderEpoch: 1 } as StoredInChunk['chunk'];
      return { stored, chunk, nextOffset: ++next };
    },
    toRecord: () => {
      const fields = { topic: 't', partition: 0, offset: 0, timestampMs: null, leaderEpoch: 1, headers: [] };
      return new InRecord<string, Uint8Array>({ ...fields, key: null, value: null });
    },
    unreadable: () => null,
    letGo: () => undefined,
    park: () => undefined,
    done: () => undefined,
    ended: () => undefined,
    stalled: () => undefined,
    send: () => Promise.resolve(),
    troubled: () => undefined,
    failed: (error) => assert.fail(error),
  };
}
