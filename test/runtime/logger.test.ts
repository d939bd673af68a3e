import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLogger, logSettings } from '../../src/runtime/logger.ts';

function recording(level: 'info' | 'warn'): { lines: string[]; logger: ReturnType<typeof createLogger> } {
  const lines: string[] = [];
  return { lines, logger: createLogger(level, (line) => lines.push(line)) };
}

test('a line is an event with fields, in JSON, with its level by name and the time in UTC', () => {
  const { lines, logger } = recording('info');
  logger.child({ component: 'raft' }).info({ group: 3 }, 'elected');
  const { time, ...rest } = JSON.parse(lines[0]!) as Record<string, unknown>;
  assert.deepEqual(rest, { level: 'info', component: 'raft', group: 3, msg: 'elected' });
  assert.match(String(time), /^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
});

test('what is below the level is not written', () => {
  const { lines, logger } = recording('warn');
  logger.info({}, 'quiet');
  logger.warn({}, 'loud');
  assert.equal(lines.length, 1);
});

test('only settings that are no defaults are told, each with its source', () => {
  const { lines, logger } = recording('info');
  logSettings(logger, [
    { path: 'listen.client.port', value: 1, source: '--set' },
    { path: 'log.level', value: 'info', source: 'default' },
  ]);
  const { settings, defaults } = JSON.parse(lines[0]!) as Record<string, unknown>;
  assert.deepEqual([settings, defaults], [{ 'listen.client.port': { value: 1, source: '--set' } }, 1]);
});
