/** Every limit of the front door with its default. grpc-js ships without most of them (reliability 4.2). */

export interface ApiLimits {
  /** One request message. Above it: MESSAGE_TOO_LARGE. */
  readonly requestBytesMax: number;
  /** What the gRPC layer takes in at all, inflated if it was compressed. Above it: RESOURCE_EXHAUSTED without a detail. */
  readonly receiveBytesMax: number;
  /** Messages nested in one request (records, headers, partitions): each costs far more memory than its bytes. */
  readonly requestNodesMax: number;

  /** Connections. More are closed before a byte is read. */
  readonly connectionsMax: number;
  /** Connections from one IP address. More are closed at once. */
  readonly connectionsPerAddressMax: number;
  /** Calls open at the same time on one connection; the client's library queues what is above. */
  readonly connectionStreamsMax: number;
  /** A connection without calls is closed after this time, milliseconds. */
  readonly connectionIdleMsMax: number;
  /** A connection is asked to end after this time (give or take 10 %), so that load spreads, milliseconds. */
  readonly connectionAgeMsMax: number;
  /** How long its calls may go on then, milliseconds. */
  readonly connectionGraceMsMax: number;
  /** A silent connection is pinged after this time, milliseconds. */
  readonly keepaliveMs: number;
  /** And closed if it does not answer for this long, milliseconds. */
  readonly keepaliveTimeoutMs: number;
  /** Headers of one call. */
  readonly headerBytesMax: number;

  /** HTTP/2 receive window of one stream: what a client may have under way on one call. */
  readonly streamWindowBytes: number;
  /** The same of one connection, as long as `receiveWindowBytesMax` allows; then connections get the 64 KiB of HTTP/2. */
  readonly connectionWindowBytes: number;
  /** Receive windows of all connections together. */
  readonly receiveWindowBytesMax: number;

  /** Calls that are being worked on, streams counted once. */
  readonly callsInFlightMax: number;
  /** Request bytes that are being worked on: above it calls are refused and streams are not read. */
  readonly requestBytesInFlightMax: number;
  /** An unary call is answered by then, whatever its own deadline says, milliseconds. */
  readonly unaryMsMax: number;
  /** Requests of one ProduceStream that have no reply yet: above it the stream is not read. */
  readonly produceStreamRequestsMax: number;
  /** Their bytes. */
  readonly produceStreamBytesMax: number;
  /** Large replies of all calls that are written but have not left yet: above it fetches are refused, streams wait. */
  readonly replyBytesUnsentMax: number;
  /** A caller that takes in nothing of a large reply for this long is cut off, milliseconds. */
  readonly replyStallMsMax: number;
  /** Bytes of one FetchStream that are written but have not left yet: above it nothing is read for it. */
  readonly fetchStreamUnsentBytesMax: number;
  /** Partitions that a silent FetchStream asks about at a time, to say why nothing comes. Range 1 to 1,000. */
  readonly explainedPartitionsMax: number;
  /** Hint in refusals for a limit, milliseconds. */
  readonly retryAfterMs: number;
}

const mebibyte = 1024 * 1024;
const minuteMs = 60_000;

export const defaultApiLimits: ApiLimits = {
  requestBytesMax: 4 * mebibyte,
  receiveBytesMax: 8 * mebibyte,
  requestNodesMax: 250_000,

  connectionsMax: 2_000,
  connectionsPerAddressMax: 1_000,
  connectionStreamsMax: 256,
  connectionIdleMsMax: 5 * minuteMs,
  connectionAgeMsMax: 60 * minuteMs,
  connectionGraceMsMax: 10 * minuteMs,
  keepaliveMs: 30_000,
  keepaliveTimeoutMs: 10_000,
  headerBytesMax: 16 * 1024,

  streamWindowBytes: mebibyte,
  connectionWindowBytes: 2 * mebibyte,
  receiveWindowBytesMax: 256 * mebibyte,

  callsInFlightMax: 20_000,
  requestBytesInFlightMax: 256 * mebibyte,
  unaryMsMax: 3 * minuteMs,
  produceStreamRequestsMax: 1_024,
  produceStreamBytesMax: 16 * mebibyte,
  replyBytesUnsentMax: 256 * mebibyte,
  replyStallMsMax: minuteMs,
  fetchStreamUnsentBytesMax: 2 * mebibyte,
  explainedPartitionsMax: 100,
  retryAfterMs: 100,
};
