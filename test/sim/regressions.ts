/** Seeds that once failed, and why: they run before every change. A seed means what it meant as long as what it draws stays. */
export interface Regression {
  readonly seed: number;
  /** The invariant that broke, and what was wrong. */
  readonly why: string;
}

export const regressions: readonly Regression[] = [];
