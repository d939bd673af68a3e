import type { LogIndex, Offset, Term } from '../../model/ids.ts';
import type { TermStart } from '../../model/raft-state.ts';
import type { Configuration } from './configuration.ts';

/** Identifies a snapshot and says what follows it. */
export interface SnapshotMeta {
  readonly id: string;
  readonly lastIndex: LogIndex;
  readonly lastTerm: Term;
  readonly endOffset: Offset;
  readonly chain: number;
  readonly configuration: Configuration;
  readonly terms: readonly TermStart[];
  readonly byteLength: number;
}
