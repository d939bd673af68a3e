/**
 * How often something happened in a run, and how often it must have happened in many ("sometimes" assertions): a suite that
 * never saw a truncation or a replaced voter proves nothing about them, and fails as vacuous.
 */
const names = [
  'acked',
  'refused',
  /** A client was told that the outcome is unknown. */
  'unknown',
  'elections',
  'leaderChanges',
  /** Leadership ended with proposals in flight. */
  'leadersLostInFlight',
  'crashes',
  'pauses',
  /** A log lost more than one entry of its end to another leader's. */
  'truncations',
  /** An entry that a majority had durably was replaced all the same: Figure 8 of the Raft paper. */
  'figureEights',
  'readsConfirmed',
  'readsRefused',
  /** A read was refused by a former leader that had missed what others acknowledged before the read. */
  'staleReadsPrevented',
  'configurations',
  'configurationsUnderPartition',
  'jointConfigurations',
  'promotions',
  'removals',
  'transfers',
  'lateCatalogRequests',
  'disksLost',
  /** A whole disk went back, its floor too, so that only others can tell. */
  'oldCopies',
  /** Others told it: by the number of its start, and by what it held. */
  'oldCopiesFoundByBoot',
  'oldCopiesFoundByCommit',
  /** Nobody could have found it for certain, so it was left alone. */
  'oldCopiesUnknown',
  /** A node refused to speak with another one. */
  'turnedAway',
  /** A node did not answer a candidate, because too few knew it as healthy after its start. */
  'votesPutOff',
  /** A replica whose disk was lost was a voter, and is none any more. */
  'replacements',
  'quarantines',
  'failedWrites',
  'fullDisks',
  /** A leader below its reserve took no new records. */
  'refusedForSpace',
  'snapshotsInstalled',
  /** The run ended with only part of the links whole: chain, star, ring. */
  'partialTopologies',
  /** Everything was lost, and nothing false was told. */
  'haltedSafely',
] as const;

export type CounterName = (typeof names)[number];
export type Counters = Record<CounterName, number>;

export const noCounts = (): Counters => Object.fromEntries(names.map((name) => [name, 0])) as Counters;

/** What a thousand short seeds must show at least: a third of what they do show, or less. */
const leastPerThousand: Partial<Counters> = {
  acked: 200_000,
  elections: 2_000,
  leadersLostInFlight: 300,
  crashes: 1_500,
  pauses: 300,
  truncations: 150,
  figureEights: 8,
  readsConfirmed: 30_000,
  staleReadsPrevented: 50,
  configurations: 700,
  configurationsUnderPartition: 150,
  jointConfigurations: 150,
  promotions: 200,
  removals: 120,
  transfers: 50,
  lateCatalogRequests: 15,
  disksLost: 100,
  oldCopies: 15,
  oldCopiesFoundByBoot: 5,
  oldCopiesFoundByCommit: 5,
  turnedAway: 100,
  votesPutOff: 100,
  replacements: 120,
  quarantines: 80,
  failedWrites: 150,
  fullDisks: 150,
  refusedForSpace: 500,
  partialTopologies: 60,
  snapshotsInstalled: 300,
  haltedSafely: 3,
};

/** Fewer seeds than this say nothing about what is rare. */
const seedsMin = 500;

/** What was seen too seldom, one line each; nothing for a short run. */
export function vacuous(counts: Readonly<Record<string, number>>, seeds: number): string[] {
  if (seeds < seedsMin) return [];
  return Object.entries(leastPerThousand).flatMap(([name, least]) => {
    const wanted = Math.ceil((least * seeds) / 1_000);
    const seen = counts[name] ?? 0;
    return seen >= wanted ? [] : [`${name}: ${seen}, and ${seeds} seeds must show ${wanted}`];
  });
}
