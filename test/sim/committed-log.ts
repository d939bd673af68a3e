/** What the cluster as a whole has committed: the first replica that applies an entry fixes it for all time. */
import type { Entry } from '../../src/model/entry.ts';
import type { GroupNumber } from '../../src/model/ids.ts';
import { toLogIndex } from '../../src/model/ids.ts';
import { decodeConfiguration, emptyConfiguration } from '../../src/raft/core/configuration.ts';
import type { IndexedConfiguration } from '../../src/raft/core/membership.ts';
import { SimViolation } from './invariant.ts';
import type { SimNode } from './sim-node.ts';
import type { SimWorld } from './sim-world.ts';
import { operationOf } from './workload.ts';

export class CommittedLog {
  readonly #world: SimWorld;
  readonly #entries = new Map<GroupNumber, Entry[]>();
  readonly #membership = new Map<GroupNumber, IndexedConfiguration>();
  /** Called once for each entry, when it is first known to be committed. */
  readonly onCommitted: ((node: SimNode, group: GroupNumber, entry: Entry) => void)[] = [];

  constructor(world: SimWorld) {
    this.#world = world;
  }

  /** Entries by index - 1. */
  entries(group: GroupNumber): readonly Entry[] {
    return this.#entries.get(group) ?? [];
  }

  /** The newest committed configuration. */
  membership(group: GroupNumber): IndexedConfiguration {
    const { voters } = this.#world.planOf(group);
    return this.#membership.get(group) ?? { index: toLogIndex(0), configuration: { ...emptyConfiguration, voters } };
  }

  applied(node: SimNode, group: GroupNumber, entry: Entry): void {
    const entries = this.#entries.get(group) ?? [];
    this.#entries.set(group, entries);
    const known = entries[entry.index - 1];
    if (known === undefined) {
      if (entries.length !== entry.index - 1) {
        throw new SimViolation(
          'inv-I5',
          `group ${group}: n${node.number} applied ${entry.index} after ${entries.length}`,
        );
      }
      entries.push(entry);
      this.#note(entry);
      for (const told of this.onCommitted) told(node, group, entry);
      if (entry.kind === 'configuration') {
        this.#membership.set(group, { index: entry.index, configuration: decodeConfiguration(entry.payload) });
      }
    } else if (known.term !== entry.term || known.chain !== entry.chain) {
      // State machine safety: Raft paper, figure 3
      throw new SimViolation('inv-I5', `group ${group} index ${entry.index}: n${node.number} applied another entry`);
    }
  }

  #note(entry: Entry): void {
    const id = operationOf(entry);
    const operation = id === null ? undefined : this.#world.workload.operations.get(id);
    if (operation === undefined) return;
    if (operation.index !== null && operation.index !== entry.index) {
      throw new SimViolation(
        'inv-B2',
        `operation ${operation.id} at index ${entry.index}, promised ${operation.index}`,
      );
    }
  }
}
