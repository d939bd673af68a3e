import type { BrokerError } from './errors.ts';
import type { StatusesMissed } from './status.ts';

/** What happens to a client's connections in the background. */
export type ClientStatus =
  | StatusesMissed
  /** A broker answered, for the first time or after it had not been reached. */
  | { readonly type: 'connected'; readonly broker: string }
  /** A broker could not be reached, or its connection broke; others are asked for a while. */
  | { readonly type: 'disconnected'; readonly broker: string }
  /** A partition is led by another broker, as far as is known. */
  | { readonly type: 'leader-moved'; readonly topic: string; readonly partition: number; readonly broker: string }
  /** A consumer of this client ended with an error. */
  | { readonly type: 'consumer-failed'; readonly group: string; readonly error: BrokerError }
  /** The last one. */
  | { readonly type: 'closed' };
