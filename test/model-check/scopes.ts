/** What is checked. Each scope looks at one part of the protocol closely, within bounds that can be searched. */
import type { Configuration } from '../../src/raft/core/configuration.ts';
import type { Message } from '../../src/raft/core/messages.ts';
import { ids, imageOf } from '../raft/core/cluster.ts';
import type { Scope } from './scope.ts';

const configuration = (revision: number, voters: number[], learners: number[] = []): Configuration => ({
  revision,
  voters: ids(...voters),
  outgoing: [],
  learners: ids(...learners),
});
const empty = imageOf([], {});
const nothing = { duplicates: 0, crashes: 0, proposals: 0, changes: 0, beats: 0, transfers: 0 };
const isHeartbeat = ({ kind }: Message): boolean => kind.startsWith('heartbeat');

const three = {
  genesis: configuration(0, [1, 2, 3]),
  images: [empty, empty, empty],
  targets: [],
  loses: isHeartbeat,
  losesNotices: true,
  from: 'equal',
} as const;

export const scopes: readonly Scope[] = [
  {
    ...three,
    name: 'elections',
    about: 'Three terms of elections, disks that lose what is not synced, repeated messages.',
    termMax: 3,
    indexMax: 3,
    budget: { ...nothing, duplicates: 1, crashes: 1 },
    slowDisk: true,
  },
  {
    ...three,
    name: 'figure 8',
    about: 'Two logs that differ in their last term, and two more terms (Raft paper, figure 8).',
    images: [
      imageOf([1, 1], { term: 1, vote: 1 }),
      imageOf([], { term: 2, vote: 3 }),
      imageOf([2], { term: 2, vote: 3 }),
    ],
    from: 'given',
    termMax: 4,
    indexMax: 3,
    budget: nothing,
    slowDisk: false,
  },
  {
    ...three,
    name: 'replication',
    about: 'Three terms, three entries, of which one is proposed; writes are durable at once.',
    termMax: 3,
    indexMax: 3,
    budget: { ...nothing, duplicates: 1, crashes: 1, proposals: 1 },
    slowDisk: false,
  },
  {
    ...three,
    name: 'slow disks',
    about: 'A leader with two entries, writes that wait while more arrives, a crash, another term.',
    from: 'led',
    termMax: 2,
    indexMax: 3,
    budget: { ...nothing, duplicates: 1, crashes: 1, proposals: 2 },
    slowDisk: true,
  },
  {
    ...three,
    name: 'heartbeats',
    about: 'Heartbeats that arrive late, twice or never, and leaders that step down for want of a quorum.',
    from: 'led',
    termMax: 2,
    indexMax: 3,
    loses: () => false,
    losesNotices: false,
    budget: { ...nothing, beats: 2, proposals: 1 },
    slowDisk: false,
  },
  {
    ...three,
    name: 'remove the leader',
    about: 'The leader of three voters is removed, with a crash and another term.',
    from: 'led',
    termMax: 2,
    indexMax: 3,
    targets: [configuration(1, [2, 3])],
    budget: { ...nothing, changes: 1, crashes: 1, proposals: 1 },
    slowDisk: false,
  },
  {
    ...three,
    name: 'promote a learner',
    about: 'A learner becomes the third voter.',
    genesis: configuration(0, [1, 2], [3]),
    from: 'led',
    termMax: 2,
    indexMax: 3,
    targets: [configuration(1, [1, 2, 3])],
    budget: { ...nothing, changes: 1, crashes: 1, proposals: 1 },
    slowDisk: true,
  },
  {
    ...three,
    name: 'joint',
    about: 'Two voters of three change at once, through a joint phase.',
    genesis: configuration(0, [1, 2], [3]),
    from: 'led',
    termMax: 2,
    indexMax: 4,
    targets: [configuration(1, [1, 3])],
    budget: { ...nothing, duplicates: 1, changes: 1, crashes: 1, proposals: 1 },
    slowDisk: false,
  },
];
