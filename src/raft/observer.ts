/** What this layer reports; metrics/ counts it, tests record it. */
import type { BrokerId, GroupNumber } from '../model/ids.ts';
import type { Alarm, RoleState } from './core/ready.ts';
import type { SnapshotMeta } from './core/snapshot.ts';

export interface RaftObserver {
  roleChanged?(group: GroupNumber, state: RoleState): void;
  quarantined?(group: GroupNumber, reason: string): void;
  /** A person should look at it; the group goes on. */
  alarm?(group: GroupNumber, alarm: Alarm): void;
  /** A leader's state took the place of what was here. */
  snapshotInstalled?(group: GroupNumber, meta: SnapshotMeta): void;
  /** A snapshot came in damaged, or larger than what is allowed; the group goes on as it was, and asks again (P48). */
  snapshotDamaged?(group: GroupNumber, detail: string): void;
  /** A message from a peer, or to one, was dropped; or a snapshot was not sent or taken. */
  dropped?(group: GroupNumber, why: string): void;
  /** A frame about all groups from another broker was dropped. */
  frameDropped?(from: BrokerId, why: string): void;
}
