/** Clients that propose operations and remember what they were told: the truth that the oracles compare with. */
import type { Entry, EntryDraft } from '../../src/model/entry.ts';
import type { GroupNumber, LogIndex } from '../../src/model/ids.ts';
import type { SimNode } from './sim-node.ts';
import type { SimRandom } from './sim-random.ts';
import type { SimWorld } from './sim-world.ts';

export interface Operation {
  readonly id: number;
  readonly client: number;
  readonly group: GroupNumber;
  readonly startedAt: number;
  /** `open`: no answer; the proposer may have died, so it may be committed or not for ever. */
  state: 'open' | 'acked' | 'unknown' | 'refused';
  index: number | null;
  offset: number | null;
  ackedAt: number | null;
}

/** A linearizable read of how far the log reaches. */
export interface Read {
  readonly id: number;
  readonly group: GroupNumber;
  readonly node: SimNode;
  readonly startedAt: number;
}

const idBytes = 8;

export function operationOf(entry: Entry): number | null {
  if (entry.kind !== 'batch' && entry.kind !== 'command') return null;
  return Number(new DataView(entry.payload.buffer, entry.payload.byteOffset).getBigUint64(0));
}

export interface WorkloadSettings {
  readonly clients: number;
  /** Mean time between two operations of a client, in ms. */
  readonly pauseMsMean: number;
  readonly payloadBytesMax: number;
  /** Share of operations that are linearizable reads, 0 to 1. */
  readonly readShare: number;
}

export class Workload {
  readonly operations = new Map<number, Operation>();
  /** Acknowledged operations, by group. */
  readonly acked = new Map<GroupNumber, number>();
  readonly #world: SimWorld;
  readonly #random: SimRandom;
  readonly #settings: WorkloadSettings;
  #running = false;
  #nextId = 1;
  #lastLost = '';

  constructor(world: SimWorld, random: SimRandom, settings: WorkloadSettings) {
    this.#world = world;
    this.#random = random;
    this.#settings = settings;
  }

  start(): void {
    this.#running = true;
    for (let client = 0; client < this.#settings.clients; client++) this.#next(client);
  }

  stop(): void {
    this.#running = false;
  }

  #next(client: number): void {
    this.#world.scheduler.after(this.#random.exponential(this.#settings.pauseMsMean), () => {
      if (!this.#running) return;
      const burst = this.#random.chance(0.1) ? 5 : 1;
      for (let i = 0; i < burst; i++) {
        const group = this.#random.pick(this.#world.groups);
        if (this.#random.chance(this.#settings.readShare)) this.read(group);
        else this.propose(client, group);
      }
      this.#next(client);
    });
  }

  /** Proposes to a node that says it leads; sometimes to one that does not. */
  propose(client: number, group: GroupNumber): void {
    const node = this.#chooseNode(group);
    if (node !== undefined) this.#proposeAt(client, group, node);
  }

  /** Proposes to this node, on behalf of a client that has no other. */
  proposeAt(group: GroupNumber, node: SimNode): void {
    this.#proposeAt(0, group, node);
  }

  #proposeAt(client: number, group: GroupNumber, node: SimNode): void {
    const operation: Operation = {
      id: this.#nextId++,
      client,
      group,
      startedAt: this.#world.scheduler.now,
      state: 'open',
      index: null,
      offset: null,
      ackedAt: null,
    };
    this.operations.set(operation.id, operation);
    this.#world.tell('onOperationStarted', operation);
    const payload = new Uint8Array(idBytes + this.#random.below(this.#settings.payloadBytesMax));
    new DataView(payload.buffer).setBigUint64(0, BigInt(operation.id));
    const isData = this.#world.planOf(group).kind === 'data';
    const count = isData ? this.#random.between(1, 3) : 0;
    const draft = { kind: isData ? 'batch' : 'command', count, payload, maxTimestampMs: null } as const;
    const { life } = node;
    // a process that stands still takes the request when it goes on
    node.enter('input', () => {
      if (node.life === life) this.#take(operation, draft, node);
    });
  }

  /** Asks how far the log reaches, of a node that says it leads or one that does not. */
  read(group: GroupNumber): void {
    const node = this.#chooseNode(group);
    if (node === undefined) return;
    const read: Read = { id: this.#nextId++, group, node, startedAt: this.#world.scheduler.now };
    const { life } = node;
    this.#world.tell('onReadStarted', read);
    node.enter('input', () => {
      const raft = node.groups.get(group);
      if (node.life !== life || raft === undefined) return;
      raft.readIndex((index) => {
        if (node.life === life && node.alive) this.#answered(read, index);
      });
    });
  }

  #answered(read: Read, index: LogIndex | null): void {
    this.#world.count(index === null ? 'readsRefused' : 'readsConfirmed');
    if (index === null) this.#world.tell('onReadRefused', read);
    else this.#world.tell('onReadConfirmed', read, index);
  }

  #take(operation: Operation, draft: EntryDraft, node: SimNode): void {
    const raft = node.groups.get(operation.group);
    const { life } = node;
    if (raft === undefined) return;
    if (node.disk.mood.space !== 'ample' && raft.role.role === 'leader') {
      // the broker asks its disk reserve before it proposes (design D10)
      this.#refuse(operation);
      this.#world.count('refusedForSpace');
      return;
    }
    const proposed = raft.propose(draft, {
      outcome: (outcome) => {
        if (!node.alive || node.life !== life) return;
        if (outcome.kind === 'unknown') this.#lose(operation, node, outcome.why);
        else this.#acknowledge(operation);
      },
    });
    if (proposed.kind === 'refused') {
      this.#refuse(operation);
      return;
    }
    operation.index = proposed.index;
    operation.offset = proposed.baseOffset;
  }

  #refuse(operation: Operation): void {
    operation.state = 'refused';
    this.#world.count('refused');
  }

  #acknowledge(operation: Operation): void {
    operation.state = 'acked';
    operation.ackedAt = this.#world.scheduler.now;
    this.#world.count('acked');
    this.acked.set(operation.group, (this.acked.get(operation.group) ?? 0) + 1);
    this.#world.tell('onOperationAcked', operation);
  }

  #lose(operation: Operation, node: SimNode, why: string): void {
    operation.state = 'unknown';
    this.#world.count('unknown');
    // one leadership may leave many open
    const lost = `${node.number}/${operation.group}/${this.#world.scheduler.now}`;
    if (why !== 'leadership-lost' || this.#lastLost === lost) return;
    this.#lastLost = lost;
    this.#world.count('leadersLostInFlight');
  }

  #chooseNode(group: GroupNumber): SimNode | undefined {
    const alive = this.#world.nodes.filter((node) => node.groups.has(group));
    if (alive.length === 0) return undefined;
    const leaders = alive.filter((node) => node.groups.get(group)?.role.role === 'leader');
    return leaders.length === 0 || this.#random.chance(0.05) ? this.#random.pick(alive) : this.#random.pick(leaders);
  }
}
