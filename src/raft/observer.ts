/** What this layer reports; metrics/ counts it, tests record it. */
import type { BrokerId, GroupNumber } from '../model/ids.ts';
import type { Alarm, RoleState } from './core/ready.ts';

export interface RaftObserver {
  roleChanged?(group: GroupNumber, state: RoleState): void;
  quarantined?(group: GroupNumber, reason: string): void;
  /** A person should look at it; the group goes on. */
  alarm?(group: GroupNumber, alarm: Alarm): void;
  /** A message from a peer, or to one, was dropped. */
  dropped?(group: GroupNumber, why: string): void;
  /** A frame about all groups from another broker was dropped. */
  frameDropped?(from: BrokerId, why: string): void;
}
