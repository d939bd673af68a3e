/** Clients that propose operations and remember what they were told: the truth that the oracles compare with. */
import type { Entry } from '../../src/model/entry.ts';
import type { GroupNumber } from '../../src/model/ids.ts';
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
}

export class Workload {
  readonly operations = new Map<number, Operation>();
  readonly #world: SimWorld;
  readonly #random: SimRandom;
  readonly #settings: WorkloadSettings;
  #running = false;
  #nextId = 1;

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
      for (let i = 0; i < burst; i++) this.propose(client, this.#random.pick(this.#world.groups));
      this.#next(client);
    });
  }

  /** Proposes to a node that says it leads; sometimes to one that does not. */
  propose(client: number, group: GroupNumber): void {
    const node = this.#chooseNode(group);
    const raft = node?.groups.get(group);
    if (node === undefined || raft === undefined) return;
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
    const life = node.life;
    const proposed = raft.propose(
      { kind: isData ? 'batch' : 'command', count, payload, maxTimestampMs: null },
      {
        outcome: (outcome) => {
          if (!node.alive || node.life !== life) return;
          if (outcome.kind === 'unknown') {
            operation.state = 'unknown';
            return;
          }
          operation.state = 'acked';
          operation.ackedAt = this.#world.scheduler.now;
          this.#world.counters.acked++;
          this.#world.tell('onOperationAcked', operation);
        },
      },
    );
    if (proposed.kind === 'refused') {
      operation.state = 'refused';
      this.#world.counters.refused++;
      return;
    }
    operation.index = proposed.index;
    operation.offset = proposed.baseOffset;
  }

  #chooseNode(group: GroupNumber): SimNode | undefined {
    const alive = this.#world.nodes.filter((node) => node.groups.has(group));
    if (alive.length === 0) return undefined;
    const leaders = alive.filter((node) => node.groups.get(group)?.role.role === 'leader');
    return leaders.length === 0 || this.#random.chance(0.05) ? this.#random.pick(alive) : this.#random.pick(leaders);
  }
}
