import assert from 'node:assert/strict';
import fc from 'fast-check';
import { test } from 'node:test';
import { toMillis } from '../../src/model/ids.ts';
import { recordContentBytes, utf8Length } from '../../src/model/record.ts';

test('the UTF-8 length of a text is that of its encoding, lone surrogates included', () => {
  const encoder = new TextEncoder();
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string({ unit: 'binary' }),
        fc.string({ unit: 'binary' }).map((text) => text.slice(1)),
      ),
      (text) => {
        assert.equal(utf8Length(text), encoder.encode(text).length);
      },
    ),
  );
  for (const text of ['\ud800', '\udc00', '\udc00\ud800', 'a\ud800b', '\ud800é', '\ud800\ud800\udc00', '😀']) {
    assert.equal(utf8Length(text), encoder.encode(text).length);
  }
});

test('what counts for the limit of a record is key, value and headers', () => {
  const record = {
    key: new Uint8Array(3),
    value: new Uint8Array(5),
    headers: [
      { name: 'ü', value: new Uint8Array(7) },
      { name: 'ab', value: null },
    ],
    timestampMs: toMillis(0),
  };
  assert.equal(recordContentBytes(record), 3 + 5 + 2 + 7 + 2);
  assert.equal(recordContentBytes({ key: null, value: null, headers: [], timestampMs: null }), 0);
});
