/** What one process of the memory case does to a broker: how many read never, how many push, and how. */

export interface Crowd {
  readonly port: number;
  /** Clients that open a FetchStream with all the credit that there is, and never read. */
  readonly neverReaders: number;
  /** What they ask for, from the first record on. */
  readonly history: { readonly topic: string; readonly partitions: number };
  /** Clients that push batches over a ProduceStream each. */
  readonly producers: number;
  readonly flood: { readonly topic: string; readonly partitions: number };
  /** All of them together, bytes a second, whether the broker takes it or not. */
  readonly pushBytesPerSecond: number;
  /** True: a producer that is refused pushes nothing for as long as it was told. */
  readonly obeys: boolean;
}

/** What came of it. */
export interface CrowdTally {
  /** Streams that never read, opened so far; those that the broker cut off are opened again. */
  opened: number;
  cut: number;
  /** Batches that were sent, that were acknowledged, and that were not sent because the connection took no more. */
  sent: number;
  acked: number;
  heldBack: number;
  /** Connections of producers that broke. */
  broken: number;
  /** Errors of batches, by code. */
  errors: Record<string, number>;
}

export type CrowdMessage = { readonly kind: 'ready' } | { readonly kind: 'tally'; readonly tally: CrowdTally };
export type CrowdOrder = { readonly kind: 'begin'; readonly crowd: Crowd } | { readonly kind: 'tell' };
