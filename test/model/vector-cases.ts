/** The batches of the golden vectors: what goes in. What an independent encoder made of them is in vectors/. */
import { toMillis, toProducerEpoch, toProducerId, toSequence } from '../../src/model/ids.ts';
import type { BatchProducer } from '../../src/model/record-batch.ts';
import type { NewRecord, RecordHeader } from '../../src/model/record.ts';

export interface VectorCase {
  readonly name: string;
  readonly records: readonly NewRecord[];
  readonly producer: BatchProducer | null;
}

const utf8 = new TextEncoder();
const bytesOf = (text: string | null): Uint8Array | null => (text === null ? null : utf8.encode(text));

function record(
  timestampMs: number,
  key: string | null,
  value: string | null,
  headers: readonly (readonly [name: string, value: string | null])[] = [],
): NewRecord {
  const list: RecordHeader[] = headers.map(([name, content]) => ({ name, value: bytesOf(content) }));
  return { timestampMs: toMillis(timestampMs), key: bytesOf(key), value: bytesOf(value), headers: list };
}

const producer: BatchProducer = {
  id: toProducerId(4_294_967_297),
  epoch: toProducerEpoch(7),
  baseSequence: toSequence(2_147_483_640),
};
const start = 1_700_000_000_000;

export const vectorCases: readonly VectorCase[] = [
  { name: 'one record', records: [record(start, 'key', 'value')], producer },
  { name: 'no producer', records: [record(start, 'key', 'value')], producer: null },
  {
    name: 'null and empty keys and values',
    records: [record(start, null, null), record(start, '', ''), record(start, null, ''), record(start, '', null)],
    producer,
  },
  {
    name: 'headers: order, duplicates, null and empty values, names beyond ASCII',
    records: [
      record(start, 'k', 'v', [
        ['trace', 'a'],
        ['trace', 'b'],
        ['empty', ''],
        ['null', null],
        ['größe', 'ü'],
        ['漢字', '😀'],
        ['😀', null],
      ]),
    ],
    producer,
  },
  {
    name: 'timestamps that fall and rise',
    records: [start, start - 1, start - 2 ** 30, start + 2 ** 30].map((time) => record(time, null, 'x')),
    producer,
  },
  {
    name: 'lengths of one, two and three bytes',
    records: [63, 64, 8_191, 8_192].map((length) => record(start, null, 'x'.repeat(length))),
    producer,
  },
  {
    name: 'many small records',
    records: Array.from({ length: 200 }, (_, i) => record(start + i, `key-${i % 7}`, `{"n":${i},"origin":"SEA"}`)),
    producer,
  },
];

/**
 * Timestamps more than 2^31 ms from the first. There is no vector of it: the encoder's zigzag of 64 bits shifts the sign
 * by 31, so that it writes them wrong (1.35.0). Its decoder reads them right.
 */
export const farTimestamps: VectorCase = {
  name: 'timestamps far apart',
  records: [start, 0, start + 2 ** 31, 2 ** 53 - 1].map((time) => record(time, null, 'x')),
  producer,
};
