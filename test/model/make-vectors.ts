/**
 * Writes test/model/vectors/ with the encoder of @platformatic/kafka, which shares no code with ours. Run it only when
 * vector-cases.ts changes, on a Node whose zlib has zstd (22.15 or later), and commit what it wrote:
 *
 *     node --import tsx test/model/make-vectors.ts
 */
import { createRecordsBatch, murmur2 } from '@platformatic/kafka';
import { writeFileSync } from 'node:fs';
import { compressionTypes } from '../../src/model/compression.ts';
import type { CompressionType } from '../../src/model/compression.ts';
import type { NewRecord } from '../../src/model/record.ts';
import type { VectorCase } from './vector-cases.ts';
import { vectorCases } from './vector-cases.ts';

const write = (name: string, content: unknown): void =>
  writeFileSync(new URL(`vectors/${name}.json`, import.meta.url), `${JSON.stringify(content, null, 2)}\n`);

type Message = Parameters<typeof createRecordsBatch>[0][number];

const batches = vectorCases.flatMap((entry) =>
  (entry.name === 'many small records' ? compressionTypes : (['none'] as const)).map((compression) => ({
    name: entry.name,
    compression,
    base64: encode(entry, compression).toString('base64'),
  })),
);

write('batches', batches);

const keys = ['', 'a', 'ab', 'abc', 'abcd', 'SEA', 'ORD', 'user-1042', 'größe', '漢字', '😀', 'x'.repeat(100)];
write(
  'murmur2',
  keys.map((key) => ({ key, hash: murmur2(Buffer.from(key)) })),
);

function encode({ records, producer }: VectorCase, compression: CompressionType): Buffer {
  const options = {
    compression,
    sequences: { getWithDefault: () => producer?.baseSequence ?? 0 },
    ...(producer === null ? {} : { producerId: BigInt(producer.id), producerEpoch: producer.epoch }),
  };
  // Of its map of sequences the encoder uses this one method.
  return createRecordsBatch(records.map(toMessage), options as unknown as Parameters<typeof createRecordsBatch>[1])
    .buffer;
}

function toMessage(record: NewRecord): Message {
  const buffer = (bytes: Uint8Array | null): Buffer | undefined => (bytes === null ? undefined : Buffer.from(bytes));
  const message = {
    topic: 't',
    partition: 0,
    key: buffer(record.key),
    value: buffer(record.value),
    timestamp: BigInt(record.timestampMs ?? -1),
    // Buffers are keys by identity, so that names may repeat.
    headers: new Map(record.headers.map(({ name, value }) => [Buffer.from(name), buffer(value)])),
  };
  // Its types want headers without null values; its encoder takes them.
  return message as unknown as Message;
}
