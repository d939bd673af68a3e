/** A produce request as it goes onto the wire. The generated code would copy the batch three times. */
import { ProduceRequest, ProduceStreamRequest } from './gen/sluice/v1/log.ts';

/** A request whose batch may have room before it in its buffer, which nobody else uses. */
export interface RoomyProduceRequest extends ProduceStreamRequest {
  /** Default 0: none. */
  readonly headroomBytes?: number;
}

// the fields' numbers are those of proto/sluice/v1/log.proto; a test compares with the generated code
const produceTag = (2 << 3) | 2;
const recordBatchTag = (6 << 3) | 2;
const nothing = new Uint8Array(0);

/** What `ProduceStreamRequest.encode` writes, but with the batch last; written before the batch, in its buffer. */
export function encodeProduce({ headroomBytes = 0, produce, ...others }: RoomyProduceRequest): Buffer {
  const batch = produce?.payload?.$case === 'recordBatch' ? produce.payload.value : nothing;
  const fields = produce === undefined ? nothing : fieldsBefore(produce, batch);
  const writer = ProduceStreamRequest.encode({ ...others, produce: undefined });
  if (produce !== undefined)
    writer
      .uint32(produceTag)
      .uint32(fields.length + batch.length)
      .raw(fields);
  const head = writer.finish();
  if (head.length > Math.min(headroomBytes, batch.byteOffset)) return Buffer.concat([head, batch]);
  const start = batch.byteOffset - head.length;
  const message = Buffer.from(batch.buffer, start, head.length + batch.length);
  message.set(head);
  return message;
}

/** Everything but the batch's bytes. */
function fieldsBefore(produce: ProduceRequest, batch: Uint8Array): Uint8Array {
  if (produce.payload?.$case !== 'recordBatch') return ProduceRequest.encode(produce).finish();
  const writer = ProduceRequest.encode({ ...produce, payload: undefined });
  return writer.uint32(recordBatchTag).uint32(batch.length).finish();
}
