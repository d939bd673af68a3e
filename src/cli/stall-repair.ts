/** What a person does about a stall: one sentence with the command to run. Pure. */
import type { Stall, StallReason, TopicPartition } from '../../clients/typescript/src/index.ts';

interface Place {
  /** `topic/n`. */
  readonly partition: string;
  /** The broker whose view it is, the leader if that could be reached. */
  readonly seenBy: number;
}

type Repair = (stall: Stall, place: Place) => string;

/** Null: it needs none. */
const repairs: Readonly<Record<StallReason, Repair | null>> = {
  'at-high-watermark': null,
  'no-leader': ({ missingBrokers }, { partition }) =>
    missingBrokers.length === 0
      ? `Wait some seconds and ask again; if it stays, look at "sluice broker describe" of the brokers that have ${partition}.`
      : `${start(missingBrokers)}; a leader is elected within seconds.`,
  'leader-unreachable': (_, { seenBy }) =>
    `Look at the network between broker ${seenBy} and the leader; "sluice broker describe ${seenBy}" tells how it reaches the others.`,
  'leader-recovering': () => 'Wait: it serves as soon as it has applied what came before it.',
  'waiting-for-quorum': ({ missingBrokers, blocksProduce }) =>
    blocksProduce ? `${start(missingBrokers)}; what waits goes on by itself.` : 'Wait: this is what every append does.',
  'not-enough-replicas': ({ missingBrokers }, { partition }) =>
    `${start(missingBrokers)}, or ask for less with "sluice topic alter ${topicOf(partition)} --min-insync majority".`,
  'replica-catching-up': () => 'Wait: it catches up by itself, and the others go on meanwhile.',
  throttled: (_, { seenBy }) =>
    `Produce less at a time, or look at how long fsync takes on broker ${seenBy}: its disk does not keep up.`,
  'disk-reserve': (_, { seenBy, partition }) =>
    `Make space on broker ${seenBy}: keep less with "sluice topic alter ${topicOf(partition)} --retention", or give it a larger disk.`,
  quarantined: (_, { seenBy }) =>
    `"sluice broker describe ${seenBy}" tells what broke. If other replicas are healthy, give broker ${seenBy} an empty disk with "sluice broker replace ${seenBy}".`,
  opening: () => 'Wait: it is opened in a moment.',
  'broker-not-running': (_, { seenBy }) => `Wait until broker ${seenBy} has started, or ask another with --brokers.`,
  unknown: () => 'Use a sluice command as new as the broker.',
};

const topicOf = (partition: string): string => partition.slice(0, partition.lastIndexOf('/'));

function start(brokers: readonly number[]): string {
  if (brokers.length === 0) return 'Bring the missing brokers back';
  if (brokers.length === 1) return `Start broker ${brokers.join('')} again`;
  return `Start brokers ${brokers.slice(0, -1).join(', ')} and ${brokers.at(-1) ?? ''} again`;
}

/** Null: nothing has to be done. */
export const repairOf = (stall: Stall, { topic, partition }: TopicPartition, seenBy: number): string | null =>
  repairs[stall.reason]?.(stall, { partition: `${topic}/${partition}`, seenBy }) ?? null;
