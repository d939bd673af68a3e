/** Every limit of the brokers' port with its default. Sizes in bytes, times in milliseconds. */
import { peerCallBytesMax } from './peer-rpc.ts';

export interface PeerLimits {
  /** One frame, with everything around it. Above it a sender drops what it would send, and a receiver ends the stream. */
  readonly frameBytesMax: number;
  /** One frame of a handshake. */
  readonly handshakeBytesMax: number;
  /** From the first byte of a connection to the end of the handshake. */
  readonly handshakeMs: number;

  /** Unsent on the bulk stream to one peer: above it messages are dropped and the core is told. */
  readonly bulkUnsentBytesMax: number;
  /** Unsent on the beat stream to one peer: above it frames are dropped. */
  readonly beatUnsentBytesMax: number;
  /** Unsent requests to one peer: above it they are `not-sent`. */
  readonly callUnsentBytesMax: number;
  /** Messages without payload that leave in one turn share a frame of about this size at most. */
  readonly sharedFrameBytesMax: number;
  /** Of these, what was handed to gRPC and not taken by the socket: keeps a pipe full without a second, hidden queue. */
  readonly writeAheadBytes: number;
  /** Requests to one peer that have no answer yet, unsent ones included: above it they are `not-sent`. */
  readonly callsMax: number;
  /** Requests of one peer that are carried out at a time, and their bytes: above it they are answered with "busy". */
  readonly servedCallsMax: number;
  readonly servedCallBytesMax: number;
  /** Addresses that are called without a broker id (seeds, founders): above it calls are `not-sent`. */
  readonly addressesMax: number;
  /** A stream for requests that is not used for this long is closed. */
  readonly callIdleMs: number;

  /** The pause before the next attempt to connect doubles from the first to the second, each with up to half off. */
  readonly backoffMinMs: number;
  readonly backoffMaxMs: number;
  /** The same for a stream of requests, which wait for it: who is told soon that a peer is away can ask another one. */
  readonly callBackoffMaxMs: number;
  /** A silent connection is pinged after this time, and given up if it does not answer within the second. */
  readonly keepaliveMs: number;
  readonly keepaliveTimeoutMs: number;

  /**
   * A durable commit number that has risen is told to every broker that there is a connection to after at most this time,
   * though nothing else is: who follows speaks to its leaders only, and they may be the ones that are down when somebody
   * has to know.
   */
  readonly tellCommitMs: number;

  /** Replicas whose broker was learned from their own messages, because the directory did not know them yet. */
  readonly learnedReplicasMax: number;

  /** Connections from peers; more are closed before a byte is read. */
  readonly connectionsMax: number;
  readonly connectionsPerAddressMax: number;
  /** Streams on one connection; one is what brokers use. */
  readonly connectionStreamsMax: number;
  readonly headerBytesMax: number;
  /** HTTP/2 receive windows, as on the client port. */
  readonly streamWindowBytes: number;
  readonly connectionWindowBytes: number;
  readonly receiveWindowBytesMax: number;
}

const mebibyte = 1024 * 1024;

export const peerLimitsDefault: PeerLimits = {
  frameBytesMax: peerCallBytesMax + 64 * 1024,
  handshakeBytesMax: 4 * 1024,
  handshakeMs: 5_000,

  bulkUnsentBytesMax: 16 * mebibyte,
  beatUnsentBytesMax: 4 * mebibyte,
  callUnsentBytesMax: 64 * mebibyte,
  sharedFrameBytesMax: 64 * 1024,
  writeAheadBytes: mebibyte,
  callsMax: 10_000,
  servedCallsMax: 1_000,
  servedCallBytesMax: 64 * mebibyte,
  addressesMax: 64,
  callIdleMs: 60_000,

  backoffMinMs: 50,
  backoffMaxMs: 2_000,
  callBackoffMaxMs: 250,
  keepaliveMs: 10_000,
  keepaliveTimeoutMs: 5_000,

  tellCommitMs: 2_000,

  learnedReplicasMax: 100_000,

  connectionsMax: 1_024,
  connectionsPerAddressMax: 256,
  connectionStreamsMax: 4,
  headerBytesMax: 8 * 1024,
  streamWindowBytes: mebibyte,
  connectionWindowBytes: 2 * mebibyte,
  receiveWindowBytesMax: 256 * mebibyte,
};
