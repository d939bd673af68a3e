/** How `npm run loadtest` ends; the numbers mean what they mean for `sluice` (docs/CLI.md), and docs/LOADTEST.md says so. */
export const exits = {
  /** Every threshold is met. */
  met: 0,
  failed: 1,
  usage: 2,
  /** k6 is missing and can not be built. */
  noK6: 3,
  /** No broker answers. */
  unavailable: 6,
  /** A threshold is missed. */
  missed: 8,
  interrupted: 130,
} as const;

/** A reason to end that is worth one line. */
export class LoadtestEnds extends Error {
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}
