/** An invariant of Sluice is false: a defect. Ends the process, or quarantines one group (design D7). Never caught elsewhere. */
export class InvariantViolation extends Error {
  override readonly name = 'InvariantViolation';
  /** The invariant's name, for example `raft-3`. */
  readonly invariant: string;

  constructor(invariant: string, detail: string) {
    super(detail === '' ? invariant : `${invariant} (${detail})`);
    this.invariant = invariant.split(':', 1)[0] ?? invariant;
  }
}

/**
 * Asserts an invariant, in production too.
 * @param invariant its name and rule, for example `'raft-3: the commit index never regresses'`
 * @param detail the values that break it
 */
export function assert(condition: boolean, invariant: string, detail = ''): asserts condition {
  if (!condition) throw new InvariantViolation(invariant, detail);
}

/** Gives back a value that can not be absent here, and says why. */
export function must<T>(value: T | null | undefined, why: string): T {
  if (value === null || value === undefined) throw new InvariantViolation('must', why);
  return value;
}
