/** A defect to plant: one rule of the design or of the list of pitfalls, broken in one place. */
export interface Mutant {
  /** Which tests have to kill it. Default: those of `src/raft`. */
  readonly suite?: 'record-path' | 'groups';
  /** Unique; begins with the rule. */
  readonly name: string;
  /** `P17` of the list of pitfalls, `D3` of the design, `raft-8` of raft-node.ts. */
  readonly rule: string;
  /** Relative to the repository. */
  readonly file: string;
  /** Occurs exactly once in the file. */
  readonly search: string;
  readonly replace: string;
  /** What goes wrong, in one sentence. */
  readonly breaks: string;
}
