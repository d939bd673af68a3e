/**
 * Produces encoded batches to the leaders of all partitions in turn, one unary call each, at the profile's rate. What it
 * answers: how long an acknowledgement takes at this load, and whether a burst is taken.
 */
import exec from 'k6/execution';
import type { Options } from 'k6/options';
import { brokerAt, call } from '../lib/brokers.ts';
import { guarded } from '../lib/guarded.ts';
import { bytesProduced, producesForwarded, recordsProduced } from '../lib/metrics.ts';
import { openLoad, optionsOf } from '../lib/options.ts';
import { bytesPerCall, encodedBatch } from '../lib/payload.ts';
import type { RunTopic } from '../lib/run-topic.ts';
import { dropTopic, makeTopic } from '../lib/run-topic.ts';
import { settings, topic } from '../lib/settings.ts';
import { plans } from '../plans/profiles.ts';

export { handleSummary } from '../lib/options.ts';

const plan = plans.produce[settings.profile];
const recordBatch = encodedBatch();
const tags = { topic, acks: settings.acks };
const acks = settings.acks === 'all' ? 'ACKS_ALL' : 'ACKS_LEADER';
/** Leaders that this virtual user learnt from replies, by partition. */
const learnt = new Map<number, number>();

export const options: Options = optionsOf('produce', { producers: openLoad('produce', plan.producers) });
export const setup = (): RunTopic => makeTopic();
export const teardown = (): void => dropTopic();

export const produce = guarded(async ({ leaders }: RunTopic): Promise<void> => {
  const partition = exec.scenario.iterationInTest % settings.partitions;
  const broker = learnt.get(partition) ?? leaders[partition] ?? 0;
  const outcome = await call(broker, 'Produce', { topic, partition, acks, recordBatch }, { tags });
  if (outcome.kind === 'refused') return;
  const { leader } = outcome.message;
  producesForwarded.add(leader !== undefined, tags);
  const moved = leader === undefined ? null : brokerAt(leader.address);
  if (moved !== null) learnt.set(partition, moved);
  recordsProduced.add(settings.records, tags);
  bytesProduced.add(bytesPerCall, tags);
});
