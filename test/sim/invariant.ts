/** What every invariant of the simulator is: it watches the world and throws when it is broken. One file each. */
import type { Entry } from '../../src/model/entry.ts';
import type { GroupNumber, LogIndex } from '../../src/model/ids.ts';
import type { RoleState } from '../../src/raft/core/ready.ts';
import type { SnapshotMeta } from '../../src/raft/core/snapshot.ts';
import type { BeatDelivery, Delivery } from './sim-network.ts';
import type { SimNode } from './sim-node.ts';
import type { Operation, Read } from './workload.ts';
import type { SimWorld } from './sim-world.ts';

/** An invariant is broken: the run ends, and its seed is printed. */
export class SimViolation extends Error {
  override readonly name = 'SimViolation';
  readonly invariant: string;

  constructor(invariant: string, detail: string) {
    super(`${invariant}: ${detail}`);
    this.invariant = invariant;
  }
}

export abstract class Invariant {
  /** For example `inv-I1`. */
  abstract readonly id: string;
  protected readonly world: SimWorld;

  constructor(world: SimWorld) {
    this.world = world;
  }

  /** A message is about to leave. */
  onSend?(delivery: Delivery): void;
  /** A frame is about to leave. */
  onBeat?(delivery: BeatDelivery): void;
  onRole?(node: SimNode, group: GroupNumber, state: RoleState): void;
  /** An entry was applied; `hash` is the machine's state after it. */
  onApplied?(node: SimNode, group: GroupNumber, entry: Entry, hash: number): void;
  /** A snapshot took the place of everything; `hash` is the machine's state now. */
  onInstalled?(node: SimNode, group: GroupNumber, meta: SnapshotMeta, hash: number): void;
  /** The node has started once more, from its synced image. */
  onRestart?(node: SimNode): void;
  /** Its process is about to end: the last look at what it came to in the same event. */
  onCrashing?(node: SimNode): void;
  onCrash?(node: SimNode): void;
  onOperationStarted?(operation: Operation): void;
  onOperationAcked?(operation: Operation): void;
  /** Something happened on the node: called once after the event; must be cheap. */
  onTouched?(node: SimNode): void;
  /** After every node on which something happened was looked at. */
  onEventOver?(): void;
  onReadStarted?(read: Read): void;
  onReadRefused?(read: Read): void;
  onReadConfirmed?(read: Read, index: LogIndex): void;
  /** After the drain: every node that can be up is up and everything is quiet. */
  atEnd?(): void;

  protected check(holds: boolean, detail: string): asserts holds {
    if (!holds) throw new SimViolation(this.id, detail);
  }
}
