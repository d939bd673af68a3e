/** Every pitfall of terms, replication, snapshots, membership, transfer and many groups has a script, or a reason why not. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { scriptFiles } from './script-files.ts';

/** Pitfalls 1 to 82 that a script of the core can not show, and who shows them. */
const shownElsewhere: Readonly<Record<number, string>> = {
  13: 'a lost hard state is found by the log and the durable floor, before there is a core',
  37: 'buffers belong to the log and the wire',
  38: 'lint: no async in the core',
  39: 'the driver ends the process',
  40: 'state machines and their batches',
  41: 'the order of writes and deletions is the log’s',
  45: 'the producer table is the broker’s',
  49: 'when a log is cut is the trimmer’s decision',
  51: 'channels of the transport',
  62: 'the cluster id is checked by the host, founding by the catalog',
  63: 'there is no forced reconfiguration',
  71: 'lint: no wall clock in the core',
  72: 'the client',
  74: 'the host takes a frame apart',
  75: 'there is no quiescing',
  76: 'channels of the transport',
  77: 'the timer wheel of the host',
  78: 'group numbers are never reused, which the host checks',
  80: 'limits of the host',
  81: 'the store',
};

test('every pitfall from 1 to 82 is named by a script, or shown elsewhere', () => {
  const named = new Set<number>();
  for (const file of scriptFiles()) {
    const text = readFileSync(path.join(import.meta.dirname, file), 'utf8');
    for (const [, number] of text.matchAll(/^# .*pit-P(\d+)/gm)) named.add(Number(number));
  }
  const missing = Array.from({ length: 82 }, (_, i) => i + 1).filter((number) => !named.has(number));
  assert.deepEqual(missing, Object.keys(shownElsewhere).map(Number));
});
