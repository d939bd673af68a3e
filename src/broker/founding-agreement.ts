/**
 * How the listed founders agree on one cluster (design D4). Pure: from what a founder holds and what the others said to
 * what it does next. founding-talk.ts asks and answers.
 *
 * Every founder asks all others who they are. Only the founder with the lowest id makes a genesis, and only once every
 * other one has said, to this very process, that it is a founder by the same list and holds none. It keeps it on its disk
 * before it tells anybody. The others are told when they ask, and keep it if it names the disk that they have.
 *
 * Why two bootstraps can not form two clusters (P62). A cluster decides something only while a majority of the disks that
 * its genesis names hold that genesis. Invariants:
 * - founding-1: a disk holds at most one genesis, for good, and it is one that names the disk.
 * - founding-2: a genesis is made only by the lowest founder, for a disk that holds none, after every founder said that it
 *   holds none either.
 * Take two geneses of one list. The lowest founder made both, so its disk was emptied in between (founding-1), and the
 * second was made when no founder that was asked held the first (founding-2). Whoever came to hold the first later had
 * been told of it before by the disk that is gone, at most until it had kept it; and two majorities of one list share a
 * broker, whose one disk holds one of the two (founding-1). So the two never have a majority of disks at the same time, and
 * what the first had decided before, on disks of which a majority was then lost, no founder knew of. A broker that is in two lists
 * holds one genesis too, and says so to everybody who asks: who is not named joins that cluster as a learner.
 * A founder that can not hear all others waits for ever rather than founding alone.
 */
import type { BrokerId, ReplicaId } from '../model/ids.ts';
import { toReplicaId } from '../model/ids.ts';
import type { BrokerEntry } from './catalog-commands.ts';

/** What a founder says of itself. Its place in the list gives its replica id, so that is not part of it. */
export type FounderInfo = Omit<BrokerEntry, 'catalogReplica' | 'joined'>;

/** How a cluster began. */
export interface Genesis {
  /** UUID. */
  readonly clusterId: string;
  /** In the order of the list: the first has the catalog's replica 1. */
  readonly founders: readonly FounderInfo[];
}

/** The answer to who one is. */
export type FoundingAnswer =
  /** A founder by its settings. */
  | {
      readonly kind: 'founder';
      readonly list: readonly BrokerId[];
      readonly self: FounderInfo;
      /** Null: it holds none. */
      readonly genesis: Genesis | null;
    }
  /** It is in a cluster that it did not found. */
  | { readonly kind: 'member'; readonly clusterId: string };

/** Where a founder stands. */
export interface FoundingState {
  readonly self: FounderInfo;
  /** Ids of all founders, this one among them. */
  readonly list: readonly BrokerId[];
  /** Held on this disk; null: none. */
  readonly genesis: Genesis | null;
  /** The newest answer of each of the others to this process. */
  readonly heard: ReadonlyMap<BrokerId, FoundingAnswer>;
}

export type FoundingStep =
  /** The catalog's group may be founded. */
  | { readonly kind: 'begin'; readonly genesis: Genesis }
  /** Keep it on the disk first. */
  | { readonly kind: 'keep'; readonly genesis: Genesis }
  /** Make a genesis of these, and keep it. */
  | { readonly kind: 'make'; readonly founders: readonly FounderInfo[] }
  /** There is a cluster already, and this disk is not among its founders. */
  | { readonly kind: 'join'; readonly clusterId: string }
  /** Somebody has not answered yet, or the lowest founder has not made it. */
  | { readonly kind: 'wait'; readonly for: readonly BrokerId[] }
  /** The settings of two founders contradict each other; nothing is founded until one is changed. */
  | { readonly kind: 'contradiction'; readonly why: string };

export function nextFoundingStep(state: FoundingState): FoundingStep {
  const { self, list, genesis, heard } = state;
  if (genesis !== null) return { kind: 'begin', genesis };
  const answers = [...heard.values()];
  for (const answer of answers) {
    if (answer.kind === 'member') return { kind: 'join', clusterId: answer.clusterId };
    if (answer.genesis !== null) return meet(self, answer.genesis);
  }
  for (const [broker, answer] of heard) {
    if (answer.kind === 'founder' && answer.list.join() !== list.join())
      return contradiction(state, broker, answer.list);
  }
  const others = list.filter((broker) => broker !== self.brokerId);
  const missing = others.filter((broker) => !heard.has(broker));
  const lowest = Math.min(...list);
  if (missing.length > 0 || lowest !== self.brokerId) {
    return { kind: 'wait', for: missing.length > 0 ? missing : list.filter((broker) => broker === lowest) };
  }
  const infos = new Map(answers.map((answer) => (answer.kind === 'founder' ? [answer.self.brokerId, answer.self] : [self.brokerId, self]))); // prettier-ignore
  return { kind: 'make', founders: list.map((broker) => infos.get(broker) ?? self) };
}

/** What somebody else holds: kept if it names this disk (founding-1), else its cluster is joined. */
function meet(self: FounderInfo, genesis: Genesis): FoundingStep {
  return names(genesis, self) ? { kind: 'keep', genesis } : { kind: 'join', clusterId: genesis.clusterId };
}

export const names = (genesis: Genesis, self: FounderInfo): boolean =>
  genesis.founders.some((one) => one.brokerId === self.brokerId && one.incarnation === self.incarnation);

/** The catalog's founding brokers: replica ids by the place in the list, from 1. */
export const foundingBrokers = ({ founders }: Genesis): readonly BrokerEntry[] =>
  founders.map((founder, at) => ({ ...founder, catalogReplica: replicaAt(at), joined: true }));

const replicaAt = (at: number): ReplicaId => toReplicaId(at + 1);

function contradiction({ list }: FoundingState, broker: BrokerId, other: readonly BrokerId[]): FoundingStep {
  const why = `broker ${broker} names the founders ${other.join(', ')}, and this one names ${list.join(', ')}`;
  return { kind: 'contradiction', why };
}
