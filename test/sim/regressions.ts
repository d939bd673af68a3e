/** Seeds that once failed, and why: they run before every change. A seed means what it meant as long as what it draws stays. */
export interface Regression {
  readonly seed: number;
  /** The invariant that broke, and what was wrong. */
  readonly why: string;
}

export const regressions: readonly Regression[] = [
  {
    seed: 102_243,
    why: 'inv-I6, the check itself: a leader that led again was held to a configuration of its first time, whose quorum others had replaced',
  },
];
