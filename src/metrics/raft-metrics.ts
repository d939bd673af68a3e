/** What Raft and the way to other brokers report: elections, leaderships, snapshots, what was dropped. */
import type { Registry } from 'prom-client';
import { Counter } from 'prom-client';
import type { GroupNumber } from '../model/ids.ts';
import type { CoreRole } from '../raft/core/ready.ts';
import type { RaftObserver } from '../raft/observer.ts';
import type { PeerObserver } from '../raft/peer-observer.ts';

export interface RaftMetrics {
  readonly raft: RaftObserver;
  readonly peers: PeerObserver;
  /** The replica of a group is not here any more. */
  readonly forget: (group: GroupNumber) => void;
}

export function raftMetrics(registry: Registry): RaftMetrics {
  const registers = [registry];
  const counter = (name: string, help: string): Counter => new Counter({ name, help, registers });
  const gained = counter(
    'sluice_raft_leaderships_gained_total',
    'Leaderships that replicas here won. Summed over brokers: how often leaders changed.',
  );
  const lost = counter('sluice_raft_leaderships_lost_total', 'Leaderships that replicas here gave up or lost.');
  const elections = counter(
    'sluice_raft_elections_total',
    'Elections that replicas here stood for, after a majority was ready to vote for them.',
  );
  const snapshots = counter('sluice_raft_snapshots_installed_total', 'Snapshots that took the place of a log here.');
  const quarantines = counter(
    'sluice_raft_quarantines_total',
    'Replicas that were set apart here because an invariant did not hold.',
  );
  const alarms = counter(
    'sluice_raft_alarms_total',
    'Followers that were found to have lost what they had acknowledged: replace them.',
  );
  const dropped = new Counter({
    name: 'sluice_peer_messages_dropped_total',
    help: 'Messages to or from other brokers that were dropped, by reason; Raft sends them again.',
    labelNames: ['reason'],
    registers,
  });
  const disconnects = counter(
    'sluice_peer_disconnects_total',
    'Connections to other brokers that ended or could not be made; each is tried again.',
  );
  const refused = counter(
    'sluice_peer_refusals_total',
    'Handshakes between this broker and another one that one of the two refused.',
  );
  /** Role of each replica here, as it was told last. */
  const roles = new Map<GroupNumber, CoreRole>();
  return {
    raft: {
      roleChanged: (group, { role }) => {
        const before = roles.get(group);
        roles.set(group, role);
        if (role === before) return;
        if (role === 'leader') gained.inc();
        if (before === 'leader') lost.inc();
        if (role === 'candidate') elections.inc();
      },
      quarantined: () => quarantines.inc(),
      alarm: () => alarms.inc(),
      snapshotInstalled: () => snapshots.inc(),
    },
    peers: {
      dropped: (reason) => dropped.inc({ reason }),
      disconnected: () => disconnects.inc(),
      refused: () => refused.inc(),
      turnedAway: () => refused.inc(),
    },
    forget: (group) => roles.delete(group),
  };
}
