import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { test } from 'node:test';
import { createLogger } from '../../src/runtime/logger.ts';
import { Shutdown } from '../../src/runtime/shutdown.ts';

/** A process that only writes down how it would end. */
class FakeProcess extends EventEmitter {
  readonly exits: number[] = [];

  exit(code: number): void {
    this.exits.push(code);
    this.emit('exited');
  }
}

function setUp(): { process: FakeProcess; shutdown: Shutdown; lines: Record<string, unknown>[] } {
  const process = new FakeProcess();
  const lines: Record<string, unknown>[] = [];
  const logger = createLogger('info', (line) => lines.push(JSON.parse(line) as Record<string, unknown>));
  const shutdown = new Shutdown(process, logger);
  shutdown.install();
  return { process, shutdown, lines };
}

const exited = (process: FakeProcess): Promise<unknown> => new Promise((resolve) => process.once('exited', resolve));

test('a signal runs the steps one after the other and ends with 0', async () => {
  const { process, shutdown, lines } = setUp();
  const ran: string[] = [];
  shutdown.setSteps([
    { name: 'one', run: async () => void (await Promise.resolve(), ran.push('one')) },
    { name: 'two', run: () => void ran.push('two') },
  ]);
  const end = exited(process);
  process.emit('SIGTERM');
  await end;
  assert.deepEqual([ran, process.exits], [['one', 'two'], [0]]);
  assert.deepEqual(
    lines.map(({ msg, signal, step }) => [msg, signal ?? step]),
    [
      ['shutting down', 'SIGTERM'],
      ['shutdown step done', 'one'],
      ['shutdown step done', 'two'],
    ],
  );
});

test('a second signal ends at once, whatever is still going on', () => {
  const { process, shutdown } = setUp();
  shutdown.setSteps([{ name: 'for ever', run: () => new Promise(() => undefined) }]);
  process.emit('SIGINT');
  assert.deepEqual(process.exits, []);
  process.emit('SIGTERM');
  assert.deepEqual(process.exits, [1]);
});

test('a step that fails ends with 1 and is told', async () => {
  const { process, shutdown, lines } = setUp();
  shutdown.setSteps([{ name: 'bad', run: () => Promise.reject(new Error('no')) }]);
  const end = exited(process);
  process.emit('SIGTERM');
  await end;
  assert.deepEqual(process.exits, [1]);
  assert.equal(lines.at(-1)!['msg'], 'broken: the process ends');
});

test('what nobody caught ends with 1 and one line, with the chain of causes', () => {
  const { process, lines } = setUp();
  const disk = new Error('EIO');
  process.emit('unhandledRejection', new Error('the write failed', { cause: disk }));
  process.emit('uncaughtException', new Error('and another'));
  assert.deepEqual(process.exits, [1]);
  assert.equal(lines.length, 1);
  const { err } = lines[0] as { err: { message: string; stack: string } };
  assert.equal(err.message, 'the write failed: EIO');
  assert.match(err.stack, /caused by: Error: EIO/);
});

test('a fault in the middle of an orderly shutdown ends with 1', async () => {
  const { process, shutdown } = setUp();
  let finish = (): void => undefined;
  shutdown.setSteps([{ name: 'slow', run: () => new Promise<void>((resolve) => (finish = resolve)) }]);
  process.emit('SIGTERM');
  shutdown.fail(new Error('the disk failed'));
  finish();
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(process.exits, [1]);
});
