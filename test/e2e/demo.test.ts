/** `npm run demo`, with fewer flights: it proves what it says, and leaves nothing behind. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { worstOrigins } from '../../examples/flights/flights.ts';
import { Sink } from '../../examples/flights/sink.ts';
import { Waits } from '../../examples/flights/waits.ts';

const demo = fileURLToPath(new URL('../../examples/flights/demo.ts', import.meta.url));

interface Ended {
  readonly code: number | null;
  readonly output: string;
}

/** Runs the demo in a temporary directory of its own; `heard` is told all that it has printed so far. */
function run(
  t: TestContext,
  args: readonly string[],
  heard: (output: string, interrupt: () => void) => void = () => undefined,
): { readonly ended: Promise<Ended>; readonly folder: string } {
  const folder = mkdtempSync(path.join(tmpdir(), 'sluice-demo-test-'));
  const child = spawn(process.execPath, ['--import', 'tsx', demo, ...args], {
    env: { ...process.env, TMPDIR: folder },
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
      heard(output, () => child.kill('SIGINT'));
    });
  t.after(() => {
    child.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  });
  return { folder, ended: new Promise((resolve) => child.on('close', (code) => resolve({ code, output }))) };
}

const isOurs = (name: string): boolean => name.startsWith('sluice-');

/** Whether anybody listens there. */
function isOpen(address: string): Promise<boolean> {
  const [host = '', port = ''] = address.split(':');
  return new Promise((resolve) => {
    const socket = net.connect(Number(port), host);
    const end = (open: boolean): void => {
      socket.destroy();
      resolve(open);
    };
    socket.once('connect', () => end(true)).once('error', () => end(false));
  });
}

describe('the demo', { timeout: 85_000 }, () => {
  test('on three brokers kills two leaders and the consumer, and finds that nothing is lost', async (t) => {
    const { ended, folder } = run(t, ['--records', '6000', '--rate', '3000']);
    const { code, output } = await ended;
    assert.equal(code, 0, output);
    assert.equal(output.match(/killed broker \d, the leader of partition \d, the busiest/g)?.length, 2, output);
    assert.equal(output.match(/started broker \d again/g)?.length, 2, output);
    assert.match(output, /killed the consumer with SIGKILL/);
    assert.match(output, /produced: 6000 of 6000/);
    assert.match(output, /Longest pause that the producer saw.*: \d+\.\d\d s/);
    assert.doesNotMatch(output, /WRONG/);
    assert.deepEqual(readdirSync(folder).filter(isOurs), [], 'its data is gone');
  });

  test('ends its brokers and removes their data on Ctrl-C', async (t) => {
    let interrupted = false;
    const { ended, folder } = run(t, ['--brokers', '1', '--records', '9000', '--rate', '100'], (output, interrupt) => {
      if (interrupted || !/produced .* \d % [1-9]/.test(output)) return;
      interrupted = true;
      interrupt();
    });
    const { code, output } = await ended;
    assert.equal(code, 130, output);
    const address = /broker on (\S+)/.exec(output)?.[1] ?? assert.fail(output);
    assert.equal(await isOpen(address), false);
    assert.deepEqual(readdirSync(folder).filter(isOurs), []);
  });

  test('says what is wrong with its options', async (t) => {
    const { code, output } = await run(t, ['--brokers', 'three']).ended;
    assert.equal(code, 2);
    assert.match(output, /--brokers is a number from 1 to 7, not "three"/);
  });
});

test('the judge of the demo sees records that come twice, in wrong order, or not at all', () => {
  const sink = new Sink();
  const take = (offset: number, n: number): void =>
    sink.take({ partition: 0, offset, flight: { n, origin: 'XNA', delay: 1 } });
  take(0, 0);
  take(1, 2);
  take(2, 1);
  assert.equal(sink.outOfOrder, 1);
  take(2, 1);
  assert.deepEqual([sink.redelivered, sink.duplicated], [1, 0]);
  take(3, 1);
  assert.deepEqual([sink.redelivered, sink.duplicated], [1, 1]);
  assert.deepEqual([sink.has(3), sink.distinct, sink.positions], [false, 3, [4]]);
  assert.deepEqual(worstOrigins(sink.flights, 3), [{ origin: 'XNA', flights: 3, meanDelay: 1 }]);
  assert.deepEqual(worstOrigins(sink.flights, 4), []);
});

test('the longest wait is of one record, and the busiest partition the one with most of them', () => {
  const waits = new Waits();
  assert.equal(waits.longest, null);
  waits.take(3, 10);
  waits.take(1, 500);
  waits.take(3, 20);
  assert.deepEqual([waits.longest, waits.busiest, waits.of(3), waits.of(0)], [{ ms: 500, partition: 1 }, 3, 2, 0]);
});
