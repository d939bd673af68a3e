/** The bounds within which every behaviour of a group is tried. */
import type { Configuration } from '../../src/raft/core/configuration.ts';
import type { Message } from '../../src/raft/core/messages.ts';
import type { Image } from '../raft/core/cluster.ts';

/** How often each kind of event may happen in one behaviour; 0 to 7. */
export interface Budget {
  /** Deliveries of a message that stays on its way. */
  readonly duplicates: number;
  readonly crashes: number;
  readonly proposals: number;
  readonly changes: number;
  /** Deadlines of leaders. */
  readonly beats: number;
  readonly transfers: number;
}

export interface Scope {
  readonly name: string;
  /** One sentence: what is tried. */
  readonly about: string;
  readonly genesis: Configuration;
  /** What each replica starts from; its replicas are numbered from 1 on. */
  readonly images: readonly Image[];
  /** The largest term, and the largest index, that a campaign or a proposal may lead to. */
  readonly termMax: number;
  readonly indexMax: number;
  readonly budget: Budget;
  /** Writes become durable one by one, by choice, and a crash loses the others; false: at once. */
  readonly slowDisk: boolean;
  /** Configurations that a leader may be asked for. */
  readonly targets: readonly Configuration[];
  /** True: the network always loses it. Loss at random needs no word: a message that is never delivered is lost. */
  readonly loses: (message: Message) => boolean;
  /** The network also loses every refusal and every notice of a later term: they only hurry things on. */
  readonly losesNotices: boolean;
  /**
   * Where the search begins. `equal`: all replicas are alike, so it is enough that the first campaigns first; `led`: the
   * first was elected and everything that followed from it has arrived; `given`: the images differ.
   */
  readonly from: 'equal' | 'led' | 'given';
}

export const budgetNames = ['duplicates', 'crashes', 'proposals', 'changes', 'beats', 'transfers'] as const;

/** Three bits a kind. */
export function packBudget(budget: Budget): number {
  return budgetNames.reduce((packed, name, i) => packed | (budget[name] << (3 * i)), 0);
}

/** What one event of the kind costs. */
export const costOf = (name: keyof Budget): number => 1 << (3 * budgetNames.indexOf(name));

export const leftOf = (packed: number, name: keyof Budget): number => (packed >> (3 * budgetNames.indexOf(name))) & 7;
