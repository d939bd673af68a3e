import type { GroupNumber } from '../../../src/model/ids.ts';
import type { RoleState } from '../../../src/raft/core/ready.ts';
import { BrokerInvariant } from '../invariant.ts';
import type { SimBroker } from '../sim-broker.ts';

/** inv-I1: at most one leader in a group and term, restarts and lost disks included. Raft paper, figure 3. */
export class ElectionSafety extends BrokerInvariant {
  readonly id = 'inv-I1';
  readonly #leaders = new Map<string, number>();

  override onRole(broker: SimBroker, group: GroupNumber, role: RoleState): void {
    if (role.role !== 'leader') return;
    const key = `${group}/${role.term}`;
    const known = this.#leaders.get(key);
    this.check(
      known === undefined || known === broker.number,
      `group/term ${key}: b${known} and b${broker.number} lead`,
    );
    this.#leaders.set(key, broker.number);
  }
}
