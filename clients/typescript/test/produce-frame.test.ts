import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { BatchBuffers, headroomBytes } from '../src/batch-buffers.ts';
import { Acks, ProduceStreamRequest } from '../src/gen/sluice/v1/log.ts';
import { Compression } from '../src/gen/sluice/v1/record.ts';
import { encodeProduce } from '../src/produce-frame.ts';

const request = (batch: Uint8Array, topic = 'orders', correlationId = 300n): ProduceStreamRequest => ({
  correlationId,
  explainAfterMs: 1_500,
  produce: {
    ...{ topic, topicId: '0b8e6a54-6f0e-4e61-9d2c-2f6c3a3f6f0e', partition: 7, routingKey: undefined },
    payload: { $case: 'recordBatch', value: batch },
    ...{ acks: Acks.ACKS_ALL, producer: undefined, compression: Compression.COMPRESSION_UNSPECIFIED },
    ...{ timeoutMs: 30_000, expectedEndOffset: 12n, everyReplica: undefined },
  },
});

/** A batch in a buffer with that much before it. */
function batchBehind(roomBytes: number, length = 70_000): Uint8Array {
  const batch = new Uint8Array(roomBytes + length).subarray(roomBytes);
  for (let at = 0; at < batch.length; at++) batch[at] = (at * 31) & 0xff;
  return batch;
}

describe('a produce request on the wire', () => {
  it('is read as what the generated code would have written', () => {
    for (const correlationId of [0n, 1n, 2n ** 40n]) {
      const message = request(batchBehind(headroomBytes), 't'.repeat(249), correlationId);
      const generated = ProduceStreamRequest.decode(ProduceStreamRequest.encode(message).finish());
      const written = Uint8Array.from(encodeProduce({ ...message, headroomBytes }));
      assert.deepEqual(ProduceStreamRequest.decode(written), generated);
    }
  });

  it('is written before the batch, without a copy of it', () => {
    const batch = batchBehind(headroomBytes);
    assert.equal(encodeProduce({ ...request(batch), headroomBytes }).buffer, batch.buffer);
  });

  it('leaves what is before the batch alone where that is somebody else’s', () => {
    const whole = new Uint8Array(1_024).fill(9);
    const message = request(whole.subarray(600));
    const read = ProduceStreamRequest.decode(encodeProduce(message));
    assert.deepEqual(read.produce?.payload, { $case: 'recordBatch', value: Buffer.from(whole.subarray(600)) });
    assert.ok(whole.every((byte) => byte === 9));
  });

  it('may be without a batch', () => {
    const empty = { ...request(new Uint8Array(0)), produce: undefined };
    assert.deepEqual(ProduceStreamRequest.decode(encodeProduce({ ...empty, headroomBytes })), empty);
  });
});

describe('buffers of batches', () => {
  const fullBytes = 65_536;

  it('buffers-1: come back once they are given back, and are never two batches’', () => {
    const buffers = new BatchBuffers(fullBytes, 1 << 20);
    const [first, second] = [buffers.take(fullBytes), buffers.take(fullBytes)];
    assert.notEqual(first.bytes.buffer, second.bytes.buffer);
    buffers.giveBack(first.bytes.subarray(headroomBytes));
    assert.equal(buffers.take(fullBytes).bytes.buffer, first.bytes.buffer);
    assert.notEqual(buffers.take(fullBytes).bytes.buffer, first.bytes.buffer);
  });

  it('buffers-2: are kept up to a limit, and not when nothing is on its way', () => {
    const buffers = new BatchBuffers(fullBytes, 3 * fullBytes);
    const taken = Array.from({ length: 10 }, () => buffers.take(fullBytes));
    for (const { bytes } of taken) buffers.giveBack(bytes.subarray(headroomBytes));
    const again = Array.from({ length: 10 }, () => buffers.take(fullBytes).bytes.buffer);
    assert.equal(again.filter((buffer) => taken.some(({ bytes }) => bytes.buffer === buffer)).length, 2);
    buffers.giveBack(taken[0]!.bytes.subarray(headroomBytes));
    buffers.letGo();
    assert.notEqual(buffers.take(fullBytes).bytes.buffer, taken[0]!.bytes.buffer);
  });

  it('are as small as small batches, and are kept only if they are full ones', () => {
    const buffers = new BatchBuffers(fullBytes, 1 << 20);
    const small = buffers.take(4_096);
    assert.equal(small.bytes.length, headroomBytes + 4_096);
    buffers.giveBack(small.bytes.subarray(headroomBytes));
    assert.notEqual(buffers.take(4_096).bytes.buffer, small.bytes.buffer);
  });
});
