/**
 * Requests and answers between brokers, beside Raft: founding, joining, commands for the catalog's leader. The payloads
 * are the caller's own format. Both sides have proven the cluster secret before the first request is read.
 */
import type { BrokerId } from '../model/ids.ts';
import type { PeerIdentity } from './peer-identity.ts';

/** A broker by its id, found through PeerAddresses, or whoever listens at an address ("host:port"; seeds, founders). */
export type PeerTarget =
  { readonly kind: 'broker'; readonly broker: BrokerId } | { readonly kind: 'address'; readonly address: string };

export type PeerReply =
  /** The handler's answer. `from` is who gave it, as proven: for an address that is how one learns who is there. */
  | { readonly kind: 'answered'; readonly payload: Uint8Array; readonly from: PeerIdentity }
  /** Certainly not carried out and never will be: not reachable, refused, no such method there. May be repeated anywhere. */
  | { readonly kind: 'not-sent'; readonly why: string }
  /** It left, and no answer came: carried out or not, nobody here can tell. */
  | { readonly kind: 'unknown'; readonly why: string };

/**
 * Answers one request.
 * @param from who asks, as proven. Its `clusterId` is null while it has founded or joined none: a handler that is not for
 *   founding or joining must refuse it.
 * @param timeoutMs for how much longer the caller waits
 * @returns the answer; a rejection is a defect, and its caller is told `unknown`
 */
export type PeerHandler = (from: PeerIdentity, payload: Uint8Array, timeoutMs: number) => Promise<Uint8Array>;

/** Largest payload of a request or an answer, bytes: 8 MiB. */
export const peerCallBytesMax = 8 * 1024 * 1024;

export interface PeerRpc {
  /**
   * Sends one request; never rejects.
   * @param method name of at most 64 characters, the same on both sides
   * @param payload at most `peerCallBytesMax`; above it nothing is sent. Not changed by the caller until the reply is there.
   * @param timeoutMs 1 to 600,000. Connecting counts too: what could not be sent by then is `not-sent`.
   */
  call(to: PeerTarget, method: string, payload: Uint8Array, timeoutMs: number): Promise<PeerReply>;
  /** Answers the requests for a method from now on; once a method. */
  serve(method: string, handler: PeerHandler): void;
}
