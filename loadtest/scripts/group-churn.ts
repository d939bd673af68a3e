/**
 * Members come to a consumer group and leave it while others stay and commit. What it answers: how long it takes until a
 * newcomer has partitions, and whether a partition is ever in two members' hands, or a commit of one that has left is taken.
 */
import exec from 'k6/execution';
import type { Options } from 'k6/options';
import { callNow } from '../lib/brokers.ts';
import { awaitCoordinator } from '../lib/coordinator.ts';
import { guarded } from '../lib/guarded.ts';
import { Member } from '../lib/member.ts';
import type { MemberDescription } from '../lib/messages.ts';
import {
  fencedCommitsAccepted,
  groupMembers,
  joinedInVain,
  partitionsAssignedTwice,
  rebalanceMs,
} from '../lib/metrics.ts';
import { everySecond, longLived, optionsOf } from '../lib/options.ts';
import { pause } from '../lib/pause.ts';
import type { RunTopic } from '../lib/run-topic.ts';
import { dropTopic, makeTopic } from '../lib/run-topic.ts';
import { group, groupTags, settings } from '../lib/settings.ts';
import { plans } from '../plans/profiles.ts';

export { handleSummary } from '../lib/options.ts';

const plan = plans['group-churn'][settings.profile];
const tags = groupTags;
/** Between two commits, seconds. */
const commitEverySeconds = 0.5;

export const options: Options = optionsOf('group-churn', {
  steady: longLived('stay', plan.steady, plan.seconds),
  comers: longLived('comeAndGo', plan.comers, plan.seconds),
  watcher: everySecond('watch', plan.seconds),
});
export const teardown = (): void => dropTopic();

export function setup(): RunTopic {
  awaitCoordinator();
  return makeTopic();
}

const endMs = (): number => exec.scenario.startTime + plan.seconds * 1_000;

export const stay = guarded(async (run: RunTopic): Promise<void> => {
  const member = new Member(exec.vu.idInTest, run);
  if (!(await member.join(`steady-${exec.vu.idInTest}`))) return;
  await live(member, endMs());
  await member.leave();
});

export const comeAndGo = guarded(async (run: RunTopic): Promise<void> => {
  await pause(plan.quietSeconds * 1_000);
  while (Date.now() + plan.staySeconds * 1_000 <= endMs()) {
    const broker = exec.vu.idInTest;
    const member = new Member(broker, run);
    const joinedMs = Date.now();
    if (!(await member.join(`comer-${exec.vu.idInTest}`))) continue;
    await live(member, joinedMs + plan.staySeconds * 1_000, joinedMs);
    const { current } = member;
    await member.leave();
    if (current === null) continue;
    const outcome = await Member.commitAfterwards(broker, current);
    fencedCommitsAccepted.add(outcome.kind === 'answered' ? 1 : 0, tags);
  }
});

/** @param joinedMs of a member whose first partition is waited for */
async function live(member: Member, untilMs: number, joinedMs: number | null = null): Promise<void> {
  let waiting = joinedMs;
  let nextCommitMs = 0;
  while (Date.now() < untilMs && member.current !== null) {
    if (waiting !== null && member.positions.size > 0) {
      rebalanceMs.add(Date.now() - waiting, tags);
      joinedInVain.add(0, tags);
      waiting = null;
    }
    if (Date.now() >= nextCommitMs) {
      await member.commit();
      nextCommitMs = Date.now() + commitEverySeconds * 1_000;
    }
    await member.tend();
    await pause(20);
  }
  if (waiting !== null) joinedInVain.add(1, tags);
}

/** Looks at the group as somebody who does not take part. */
export function watch(): void {
  const outcome = callNow(0, 'DescribeGroup', { group }, { tags, expected: ['GROUP_ID_NOT_FOUND'] });
  if (outcome.kind === 'refused') return;
  const { members } = outcome.message;
  groupMembers.add(members.length, tags);
  partitionsAssignedTwice.add(heldTwice(members), tags);
}

/** Partitions that two members have. What a member still has to give up it has. */
function heldTwice(members: readonly MemberDescription[]): number {
  const held = members.flatMap(({ assigned, revoking }) => [
    ...new Set([...assigned, ...revoking].flatMap(({ partitions }) => partitions)),
  ]);
  return held.length - new Set(held).size;
}
