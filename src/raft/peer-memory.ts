/**
 * What this broker must not forget about others, so that a disk that was rolled back to an old copy is found (design D4,
 * reliability P87). One record per data directory that ever spoke to it.
 *
 * A copy that was taken before the peer's present start is found for certain: no message of a process is read before its
 * (boot number, nonce) is durable here, and a copy starts with a number that is remembered already, or, started more
 * often, with a history that has another process under that number. A copy that was taken since is found by the commit
 * number, which every frame carries: the first start of the copy tells what it found, and its own writes later do not
 * hide what it lacks. That number is made durable here at most
 * `noteMs` after it was heard, and not before the frame is used: waiting would add an fsync to every acknowledgement. So
 * one case is left: the copy is younger than that, and every broker that heard of anything newer lost its memory by a
 * crash within the same time. All else needs no luck.
 *
 * It is a file of its own and no key of the store: each broker that remembers another's commit number by an engine write
 * would raise its own, which the other one remembers in turn, for ever.
 */

export interface RememberedPeer {
  /** UUID of the data directory. */
  readonly incarnation: string;
  /** The highest start that spoke, and the process that it was. */
  readonly bootNumber: number;
  readonly processNonce: string;
  /** The highest number of an engine write that it called durable. */
  readonly durableCommit: number;
}

export interface PeerMemory {
  /** Null: this data directory never spoke here. Sees what `remember` and `noteCommit` were called with at once. */
  remembered(incarnation: string): RememberedPeer | null;
  /**
   * Resolves once it is durable: `true`; or `false` if too many are remembered already. The caller has checked that it
   * goes back in nothing.
   */
  remember(peer: RememberedPeer): Promise<boolean>;
  /** The peer, which is remembered, called this durable; lower numbers are late and change nothing. Durable soon. */
  noteCommit(incarnation: string, durableCommit: number): void;
}
