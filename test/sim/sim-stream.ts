/** What travels on the streams between nodes; grpc-frames.ts has the same as bytes. */
import type { GroupNumber } from '../../src/model/ids.ts';
import type { BeatFrame } from '../../src/raft/beat-frame.ts';
import type { Message } from '../../src/raft/core/messages.ts';
import type { Link, NodeNumber } from './sim-network.ts';

/** What carries Raft. */
export type StreamContent =
  | { readonly kind: 'message'; readonly group: GroupNumber; readonly message: Message }
  | { readonly kind: 'beat'; readonly frame: BeatFrame };

export type StreamBody =
  | { readonly kind: 'handshake'; readonly bytes: Buffer }
  /** `durableCommit`: of the sender's disk, as every frame carries it (design D4). */
  | { readonly kind: 'content'; readonly content: StreamContent; readonly durableCommit: number }
  /** There is no such stream any more. */
  | { readonly kind: 'reset' };

/** Something on its way from one end of a stream to the other. */
export interface StreamFrame extends Link {
  /** Number of the stream, which is never used again. */
  readonly stream: number;
  /** Who has opened it. */
  readonly opener: NodeNumber;
  readonly body: StreamBody;
}
