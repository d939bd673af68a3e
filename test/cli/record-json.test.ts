import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { InRecord } from '../../clients/typescript/src/index.ts';
import { recordFromJson, RecordJsonError, recordToJson } from '../../src/cli/record-json.ts';

const parse = (text: string): ReturnType<typeof recordFromJson> => recordFromJson(Buffer.from(text));
const plain = (bytes: Uint8Array | null | undefined): number[] | null => (bytes ? [...bytes] : null);

test('a record comes back from its JSON byte by byte', () => {
  const bytes = fc.uint8Array({ maxLength: 12 });
  const record = fc.record({
    key: fc.option(bytes),
    value: fc.option(bytes),
    timestampMs: fc.option(fc.maxSafeNat()),
    headers: fc.array(fc.tuple(fc.string(), bytes), { maxLength: 3 }),
  });
  fc.assert(
    fc.property(record, (fields) => {
      const read = new InRecord({ topic: 't', partition: 3, offset: 2 ** 53 - 1, leaderEpoch: 1, ...fields });
      const back = parse(JSON.stringify(recordToJson(read)));
      assert.deepEqual(plain(back.key), plain(fields.key));
      assert.deepEqual(plain(back.value), plain(fields.value));
      assert.equal(back.timestampMs ?? null, fields.timestampMs);
      assert.equal(back.partition, 3);
      assert.deepEqual(
        back.headers?.map(([name, value]) => [name, plain(value as Uint8Array)]),
        fields.headers.map(([name, value]) => [name, plain(value)]),
      );
    }),
  );
});

test('the short forms that people write are taken', () => {
  const { key, value, headers, partition } = parse('{"value":"ä","headers":{"a":"b"},"partition":0}');
  assert.deepEqual([plain(key), plain(value), partition], [null, [0xc3, 0xa4], 0]);
  assert.deepEqual(
    headers?.map(([name, text]) => [name, Buffer.from(text ?? '').toString()]),
    [['a', 'b']],
  );
  assert.equal(parse('{}').value, null);
});

test('what could be misread is refused with the field and what it must be', () => {
  const wrong: readonly (readonly [string, RegExp])[] = [
    ['', /no valid JSON/],
    ['[1]', /must be an object like/],
    ['null', /must be an object like/],
    ['{"valeu":"x"}', /unknown field "valeu"; there are key,/],
    ['{"value":12345678901234567890}', /"value" must be a string or null/],
    ['{"value":{"a":1}}', /"value" must be a string or null/],
    ['{"key":1,"value":"x"}', /"key" must be a string or null/],
    ['{"value":"x","valueBase64":"eA=="}', /can not be given together/],
    ['{"valueBase64":"%%"}', /"valueBase64" must be base64/],
    ['{"timestampMs":-1}', /"timestampMs" must be a whole number/],
    ['{"timestampMs":"1e3"}', /"timestampMs" must be a whole number/],
    ['{"partition":1.5}', /"partition" must be a whole number/],
    ['{"headers":"x"}', /"headers" must be a list/],
    ['{"headers":[1]}', /"headers" must be a list/],
    ['{"headers":[{"name":"n","value":null}]}', /header "n" needs a value/],
  ];
  for (const [text, says] of wrong) {
    assert.throws(
      () => parse(text),
      (error) => error instanceof RecordJsonError && says.test(error.message),
      text,
    );
  }
});
