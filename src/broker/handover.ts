/** Hands over every leadership of a broker that is about to stop, or is drained, the catalog's too (handover-plan.ts). */
import type { Clock } from '../model/clock.ts';
import type { BrokerId, GroupNumber, ReplicaId } from '../model/ids.ts';
import type { RaftGroup } from '../raft/group.ts';
import type { DepartingGroup, Handed, HandoverLimits } from './handover-plan.ts';
import { planHandover } from './handover-plan.ts';
import type { ReplicaDirectory } from './replica-directory.ts';

/** How often it is looked who leads by now, milliseconds. */
const lookMs = 10;

interface HandoverDeps {
  /** Everything that runs here, the catalog too. */
  readonly groups: () => readonly RaftGroup[];
  /** True: the broker is not given any leadership. */
  readonly leadsNothing: (broker: BrokerId) => boolean;
  readonly directory: ReplicaDirectory;
  readonly clock: Clock;
  readonly limits: HandoverLimits & {
    /** After that long it ends, whatever is still led here, milliseconds. */
    readonly handoverMsMax: number;
  };
}

/** Resolves when nothing is led here any more that another broker could lead, or the time is over. */
export async function handOver({ groups, leadsNothing, directory, clock, limits }: HandoverDeps): Promise<void> {
  const deadlineMs = clock.monotonicMs() + limits.handoverMsMax;
  const handed = new Map<GroupNumber, Handed>();
  const isDeparting = (replica: ReplicaId): boolean => {
    const broker = directory.brokerOf(replica);
    return broker === null || leadsNothing(broker);
  };
  for (;;) {
    const running = groups().filter((raft) => raft.quarantine === null);
    const nowMs = clock.monotonicMs();
    const views = running.map(viewOf);
    const { transfers, isOpen } = planHandover({ groups: views, handed, isDeparting, nowMs, limits });
    if (!isOpen || nowMs >= deadlineMs) return;
    for (const { group, to } of transfers) {
      handed.set(group, { to: [...(handed.get(group)?.to ?? []), to], sinceMs: nowMs });
      running.find((raft) => raft.group === group)?.transferLeadership(to);
    }
    await new Promise<void>((resolve) => void clock.setTimer(lookMs, resolve));
  }
}

const viewOf = ({ group, role, membership, log, followers }: RaftGroup): DepartingGroup => ({
  ...{ group, role, followers },
  voters: membership.configuration.voters,
  lastIndex: log.lastIndex,
});
