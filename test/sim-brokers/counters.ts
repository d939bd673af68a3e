/** How often something happened in a run, and how often it must have happened in many: else the suite fails as vacuous. */
const names = [
  'acked',
  'duplicates',
  /** A batch that was acknowledged came again, and was answered with its offset. */
  'replayed',
  /** The same of one that is too old for its offset to be remembered. */
  'replayedOld',
  'unknown',
  'refused',
  'forwarded',
  'fetchedRecords',
  'topicsCreated',
  'topicsDeleted',
  /** A topic was made under a name that a deleted one had. */
  'topicsRecreated',
  /** Clients that asked for a topic by its id were told that it is gone. */
  'staleTopicIds',
  'ordersDone',
  /** An order, or a rehearsal of one, was refused for good. */
  'ordersRefused',
  /** An order was refused for now. */
  'ordersPutOff',
  'ordersUnanswered',
  'transfers',
  'drained',
  'undrained',
  'decommissioned',
  'brokersRemoved',
  /** A removed broker still had a vote in the catalog that it could not do without. */
  'removedStillNeeded',
  'disksGivenUp',
  /** A machine whose disk was given up got an empty one. */
  'renewed',
  'partitionsAdded',
  'factorsChanged',
  'topicsAltered',
  'addressesChanged',
  'clockJumps',
  /** A log start was moved by retention. */
  'logStartsMoved',
  /** A replica was given the state of a group although it ran already. */
  'statesInstalled',
  /** A reader was told that what it wants was dropped. */
  'readersBelowLogStart',
  /** A group reached a placement that was asked for. */
  'movesFinished',
  'membersJoined',
  'membersLeft',
  'membersCrashed',
  'membersPaused',
  /** A member was told that it is none any more, or somebody else. */
  'membersFenced',
  /** A member gave up partitions that it was told to. */
  'revocations',
  'commitsAcked',
  'commitsFenced',
  'committedFetched',
  /** Groups whose partitions each had one owner again after the faults. */
  'groupsHealed',
  'groupsRemoved',
  'brokersJoined',
  'brokersStopped',
  'crashes',
  'allCrashed',
  'pauses',
  'failedWrites',
  'wiped',
  'rolledBack',
  /** Nobody could have found the old copy for certain, so the disk was left alone. */
  'oldCopiesUnknown',
  /** A broker's start ended because the cluster does not take its disk. */
  'startsRefused',
  /** A broker was set apart because another one knows its disk as an old copy. */
  'condemned',
  'catalogLeaders',
  'partitionLeaders',
  /** The leader of the catalog was killed on purpose. */
  'catalogLeadersKilled',
  /** Partitions that clients produced to again after the faults. */
  'partitionsHealed',
] as const;

export type CounterName = (typeof names)[number];
export type Counters = Record<CounterName, number>;

export const noCounts = (): Counters => Object.fromEntries(names.map((name) => [name, 0])) as Counters;

/** What a hundred seeds must show at least: a third of what they do show, or less. */
const leastPerHundred: Partial<Counters> = {
  acked: 3_000,
  duplicates: 20,
  replayed: 120,
  replayedOld: 15,
  unknown: 15,
  refused: 15,
  forwarded: 2_000,
  fetchedRecords: 15_000,
  topicsCreated: 60,
  topicsDeleted: 40,
  topicsRecreated: 25,
  staleTopicIds: 40,
  movesFinished: 10,
  membersJoined: 300,
  membersLeft: 80,
  membersCrashed: 100,
  membersPaused: 100,
  membersFenced: 5,
  revocations: 80,
  commitsAcked: 500,
  committedFetched: 100,
  groupsHealed: 50,
  ordersDone: 150,
  ordersRefused: 25,
  transfers: 5,
  drained: 5,
  undrained: 5,
  brokersRemoved: 1,
  renewed: 2,
  partitionsAdded: 6,
  factorsChanged: 3,
  topicsAltered: 8,
  addressesChanged: 25,
  clockJumps: 15,
  logStartsMoved: 80,
  statesInstalled: 4,
  readersBelowLogStart: 40,
  groupsRemoved: 60,
  brokersJoined: 25,
  brokersStopped: 15,
  crashes: 250,
  allCrashed: 8,
  pauses: 25,
  failedWrites: 15,
  wiped: 8,
  rolledBack: 6,
  startsRefused: 40,
  condemned: 6,
  catalogLeaders: 100,
  catalogLeadersKilled: 8,
  partitionsHealed: 60,
};

/** Fewer seeds than this say nothing about what is rare. */
const seedsMin = 100;

/** What was seen too seldom, one line each; nothing for a short run. */
export function vacuous(counts: Readonly<Record<string, number>>, seeds: number): string[] {
  if (seeds < seedsMin) return [];
  return Object.entries(leastPerHundred).flatMap(([name, least]) => {
    const wanted = Math.ceil((least * seeds) / 100);
    const seen = counts[name] ?? 0;
    return seen >= wanted ? [] : [`${name}: ${seen}, and ${seeds} seeds must show ${wanted}`];
  });
}
