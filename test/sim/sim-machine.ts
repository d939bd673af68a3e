/**
 * The state machines of the simulation: they keep a running hash of everything they applied, so that two replicas that
 * differ anywhere differ from there on (inv-I5), and tell the world of each entry.
 */
import type { Entry } from '../../src/model/entry.ts';
import type { Offset } from '../../src/model/ids.ts';
import type { StateChange, StatePair } from '../../src/model/raft-state.ts';
import type { CommandMachine, DataMachine } from '../../src/raft/group.ts';
import type { RoleState } from '../../src/raft/core/ready.ts';

/** What a machine tells; `hash` is its state after the entry. */
export interface MachineEvents {
  applied(entry: Entry, hash: number): void;
  roleChanged(state: RoleState): void;
  committed(highWatermark: Offset): void;
  quarantined(reason: string): void;
}

/** FNV-1a over what makes an entry: place, term and content. */
function hashAfter(hash: number, entry: Entry): number {
  let next = hash;
  for (const part of [entry.index, entry.term, entry.payloadCrc, entry.baseOffset, entry.count]) {
    next = Math.imul(next ^ (part >>> 0), 0x01000193) >>> 0;
  }
  return next;
}

const encode = (hash: number): Uint8Array => new Uint8Array(Uint32Array.of(hash).buffer);
const decode = (bytes: Uint8Array): number => new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);

/** Before the first entry. */
const emptyHash = 0x811c9dc5;

abstract class HashingMachine {
  readonly events: MachineEvents;
  hash = emptyHash;

  constructor(events: MachineEvents) {
    this.events = events;
  }

  protected take(entry: Entry): void {
    this.hash = hashAfter(this.hash, entry);
    this.events.applied(entry, this.hash);
  }
  roleChanged(state: RoleState): void {
    this.events.roleChanged(state);
  }
  committed(highWatermark: Offset): void {
    this.events.committed(highWatermark);
  }
  quarantined(reason: string): void {
    this.events.quarantined(reason);
  }
}

export class SimDataMachine extends HashingMachine implements DataMachine {
  readonly kind = 'data';

  restore(state: Uint8Array | null): void {
    this.hash = state === null ? emptyHash : decode(state);
  }
  apply(entry: Entry): void {
    this.take(entry);
  }
  checkpoint(): Uint8Array {
    return encode(this.hash);
  }
}

const hashKey = Uint8Array.of(1);

export class SimCommandMachine extends HashingMachine implements CommandMachine {
  readonly kind = 'commands';

  reset(): void {
    this.hash = emptyHash;
  }
  load(page: readonly StatePair[]): void {
    for (const { value } of page) this.hash = decode(value);
  }
  loaded(): void {
    // the hash is the last thing that was loaded
  }
  apply(entry: Entry): readonly StateChange[] {
    this.take(entry);
    return [{ kind: 'put', key: hashKey, value: encode(this.hash) }];
  }
}
