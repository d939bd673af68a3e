/** How the system suites speak: one line a case, with its figures. */
export interface SuiteOptions {
  /** Fewer repetitions, for every change; the full numbers are for releases. */
  readonly short: boolean;
  /** Runs only the cases whose name contains this; null: all. */
  readonly only: string | null;
  readonly report: Report;
}

export type Figures = Readonly<Record<string, number | string>>;

/** What a case found. `problems` is empty if it passed. */
export interface CaseResult {
  readonly figures: Figures;
  readonly problems: readonly string[];
}

/** Problems that are printed of one case. */
const problemsShownMax = 8;

export class Report {
  #passed = 0;
  #failed = 0;

  get passed(): number {
    return this.#passed;
  }

  get failed(): number {
    return this.#failed;
  }

  /** Runs one case and prints its line. A case that throws has failed. */
  async run(name: string, body: () => Promise<CaseResult>): Promise<void> {
    const start = performance.now();
    const { figures, problems } = await body().catch((error: unknown) => ({
      figures: {},
      problems: [error instanceof Error ? (error.stack ?? error.message) : String(error)],
    }));
    const seconds = ((performance.now() - start) / 1_000).toFixed(1);
    const cells = Object.entries({ ...figures, seconds }).map(([key, value]) => `${key}=${value}`);
    console.log(`${problems.length === 0 ? 'ok    ' : 'FAILED'} ${name.padEnd(34)} ${cells.join(' ')}`);
    for (const problem of problems.slice(0, problemsShownMax)) console.log(`       ${problem}`);
    if (problems.length > problemsShownMax) console.log(`       and ${problems.length - problemsShownMax} more`);
    if (problems.length === 0) this.#passed++;
    else this.#failed++;
  }
}
