import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import fc from 'fast-check';
import { lineBytesMax, linesOf } from '../../src/cli/input-lines.ts';

async function read(pieces: readonly Uint8Array[]): Promise<{ number: number; bytes: Buffer }[]> {
  const lines: { number: number; bytes: Buffer }[] = [];
  for await (const some of linesOf(Readable.from(pieces)))
    lines.push(...some.map(({ number, bytes }) => ({ number, bytes: Buffer.from(bytes) })));
  return lines;
}

test('lines are the same bytes however the input is cut into pieces', async () => {
  const bytes = fc.array(fc.constantFrom(0x0a, 0x0d, 0x61, 0xff), { maxLength: 60 });
  await fc.assert(
    fc.asyncProperty(bytes, fc.array(fc.nat(60), { maxLength: 6 }), async (input, cuts) => {
      const all = Buffer.from(input);
      const edges = [0, ...cuts.map((cut) => Math.min(cut, all.length)).sort((a, b) => a - b), all.length];
      const pieces = edges.slice(1).map((edge, at) => all.subarray(edges[at], edge));
      const expected = all.toString('latin1').split('\n');
      if (expected.at(-1) === '') expected.pop();
      assert.deepEqual(
        await read(pieces),
        expected.map((line, at) => ({ number: at + 1, bytes: Buffer.from(line, 'latin1') })),
      );
    }),
  );
});

test('a line without end is refused before it fills the memory', async () => {
  const piece = Buffer.alloc(1024 * 1024, 'x');
  let taken = 0;
  function* endless(): Generator<Buffer> {
    yield Buffer.from('first\n');
    for (;;) {
      taken += piece.length;
      yield piece;
    }
  }
  await assert.rejects(async () => {
    for await (const lines of linesOf(Readable.from(endless()))) assert.equal(lines.length, 1);
  }, /Line 2 is longer than/);
  assert.ok(taken <= lineBytesMax + 20 * piece.length);
});
