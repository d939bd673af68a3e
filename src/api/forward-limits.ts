/** Limits of what is handed to other brokers. */
export interface ForwardLimits {
  /** Batch bytes in one call; one append always goes. Below the 8 MiB of a call between brokers. Default 4 MiB. */
  readonly appendsBytesMax: number;
  /** Appends in one call. Default 256. */
  readonly appendsMax: number;
  /** Longest wait of one forwarded read, milliseconds: a broker that died is noticed by then. Default 5,000. */
  readonly readWaitMsMax: number;
  /** How long other brokers are asked what they know of a topic, milliseconds. Default 1,000. */
  readonly describeMsMax: number;
  /** Time for an answer to travel, beyond what the caller waits for, milliseconds. Default 1,000. */
  readonly graceMs: number;
  /** When callers should try again, milliseconds. Default 100. */
  readonly retryAfterMs: number;
}

export const defaultForwardLimits: ForwardLimits = {
  appendsBytesMax: 4 * 1024 * 1024,
  appendsMax: 256,
  readWaitMsMax: 5_000,
  describeMsMax: 1_000,
  graceMs: 1_000,
  retryAfterMs: 100,
};
