/** LogService as it is registered: the generated methods with hot ones tuned, and their handlers. */
import type { Server } from '@grpc/grpc-js';
import type {
  DeleteRecordsRequest,
  FetchRequest,
  InitProducerRequest,
  ListOffsetsRequest,
  ProduceRequest,
  ResolveAppendRequest,
} from '../gen/sluice/v1/log.ts';
import { LogServiceService } from '../gen/sluice/v1/log.ts';
import type { CallDesk } from './call-desk.ts';
import { deleteRecords } from './delete-records.ts';
import { fetch } from './fetch.ts';
import { fetchReplyBytes, serializeFetchReply, serializeFetchStreamReply } from './fetch-reply.ts';
import { fetchStream } from './fetch-stream.ts';
import type { NodeFields } from './incoming.ts';
import { listOffsets } from './offsets.ts';
import type { ProduceDoor } from './produce.ts';
import { initProducer, produce, produceNodes } from './produce.ts';
import { parseStreamedProduce, produceStream, serializeProduceReply } from './produce-stream.ts';
import { resolveAppend } from './resolve-append.ts';
import { tuneService } from './service.ts';

/** Partitions in FetchStreamRequest.start. */
const fetchStreamNodes: NodeFields = { 1: { 1: 'leaf' } };

/** @param door its `broker` is asked for anew with every call: it changes when the broker has started */
export function addLogService(server: Server, desk: CallDesk, door: ProduceDoor): void {
  const { codecs } = door;
  const { limits } = desk;
  const definition = tuneService(LogServiceService, limits, {
    produce: { nodes: produceNodes },
    produceStream: { parse: (bytes) => parseStreamedProduce(bytes, limits), serialize: serializeProduceReply },
    fetch: { serialize: serializeFetchReply },
    fetchStream: { nodes: fetchStreamNodes, serialize: serializeFetchStreamReply },
  });
  server.addService(definition, {
    produce: desk.unary((request: ProduceRequest, context) => produce(door, request, context)),
    produceStream: produceStream(desk, door),
    resolveAppend: desk.unary((request: ResolveAppendRequest, context) =>
      resolveAppend(door.broker, door.clock, request, context),
    ),
    initProducer: desk.unary((request: InitProducerRequest, context) => initProducer(door.broker, request, context)),
    fetch: desk.unary((request: FetchRequest, context) => fetch(door.broker, codecs, request, context), {
      onlyWaits: true,
      replyBytes: fetchReplyBytes,
    }),
    fetchStream: fetchStream(desk, door),
    deleteRecords: desk.unary((request: DeleteRecordsRequest, context) =>
      deleteRecords(door.broker, door.clock, request, context),
    ),
    listOffsets: desk.unary((request: ListOffsetsRequest, context) => listOffsets(door.broker, request, context)),
  });
}
