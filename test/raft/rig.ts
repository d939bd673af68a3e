/** A host on logs in memory, with machines that record what they are told. */
import type { Entry, EntryDraft } from '../../src/model/entry.ts';
import type { GroupNumber, Offset, ReplicaId } from '../../src/model/ids.ts';
import { toGroupNumber, toReplicaId } from '../../src/model/ids.ts';
import type { StateChange, StatePair } from '../../src/model/raft-state.ts';
import type { GroupLogs } from '../../src/log/log.ts';
import { raftLimitsDefault } from '../../src/raft/core/limits.ts';
import type { RaftLimits } from '../../src/raft/core/limits.ts';
import type { RoleState } from '../../src/raft/core/ready.ts';
import { driverLimitsDefault } from '../../src/raft/driver-limits.ts';
import type { DriverLimits } from '../../src/raft/driver-limits.ts';
import type {
  CommandMachine,
  DataMachine,
  ProposalListener,
  ProposalOutcome,
  RaftGroup,
} from '../../src/raft/group.ts';
import { MultiRaftHost } from '../../src/raft/host.ts';
import type { Condemnation } from '../../src/raft/standing.ts';
import { NoPeers } from '../../src/raft/transport.ts';
import type { PeerDirectory, PeerTransport } from '../../src/raft/transport.ts';
import { crc32c } from '../../src/runtime/crc32c.ts';
import { ManualClock } from '../fakes/manual-clock.ts';
import { MemoryLogs } from '../fakes/memory-log.ts';
import type { MemoryLog } from '../fakes/memory-log.ts';
import { SeededRandom } from '../fakes/seeded-random.ts';

export const one: ReplicaId = toReplicaId(1);
export const groupSeven: GroupNumber = toGroupNumber(7);

/** Lets promises and scheduled turns run until nothing is left to do. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
}

export function batch(text: string, count = 1): EntryDraft {
  return { kind: 'batch', count, payload: Buffer.from(text), maxTimestampMs: null };
}

export function command(text: string): EntryDraft {
  return { kind: 'command', count: 0, payload: Buffer.from(text), maxTimestampMs: null };
}

/** One line for everything the machine is told, in order. */
class Recorder {
  readonly lines: string[] = [];
  /** Runs before an entry is applied; may throw. */
  beforeApply: ((entry: Entry) => void) | null = null;

  roleChanged(state: RoleState): void {
    this.lines.push(`role ${state.role} term ${state.term}${state.serving ? ' serving' : ''}`);
  }

  committed(highWatermark: Offset): void {
    this.lines.push(`committed ${highWatermark}`);
  }

  quarantined(reason: string): void {
    this.lines.push(`quarantined ${reason}`);
  }

  record(entry: Entry): void {
    this.beforeApply?.(entry);
    const text = entry.kind === 'batch' || entry.kind === 'command' ? ` ${Buffer.from(entry.payload).toString()}` : '';
    this.lines.push(`apply ${entry.index} ${entry.kind}${text}`);
  }

  /** Lines that begin with a word. */
  of(word: string): string[] {
    return this.lines.filter((line) => line.startsWith(word));
  }
}

/** State: the applied payloads, joined. */
export class RecordingData extends Recorder implements DataMachine {
  readonly kind = 'data';
  state = '';

  restore(state: Uint8Array | null): void {
    this.state = state === null ? '' : Buffer.from(state).toString();
    this.lines.push(`restore ${state === null ? 'nothing' : this.state}`);
  }

  apply(entry: Entry): void {
    this.record(entry);
    if (entry.kind === 'batch') this.state += Buffer.from(entry.payload).toString();
  }

  checkpoint(): Uint8Array {
    return Buffer.from(this.state);
  }
}

/** State keys: one per command, named and valued by its payload. */
export class RecordingCommands extends Recorder implements CommandMachine {
  readonly kind = 'commands';
  readonly state = new Map<string, string>();

  reset(): void {
    this.state.clear();
    this.lines.push('reset');
  }

  loaded(): void {
    if (this.lines.includes('reset')) this.lines.push(`loaded ${this.state.size}`);
  }

  load(page: readonly StatePair[]): void {
    for (const { key, value } of page) this.state.set(Buffer.from(key).toString(), Buffer.from(value).toString());
    this.lines.push(`load ${[...this.state.keys()].join(',')}`);
  }

  apply(entry: Entry): readonly StateChange[] {
    this.record(entry);
    if (entry.kind !== 'command') return [];
    this.state.set(Buffer.from(entry.payload).toString(), String(entry.index));
    return [{ kind: 'put', key: entry.payload, value: Buffer.from(String(entry.index)) }];
  }
}

export interface RigOptions {
  readonly logs?: MemoryLogs;
  /** Other logs than those in memory. */
  readonly groupLogs?: GroupLogs;
  readonly raft?: Partial<RaftLimits>;
  readonly driver?: Partial<DriverLimits>;
  readonly mayVote?: boolean;
  readonly clusterId?: string;
  readonly transport?: PeerTransport & PeerDirectory;
  readonly clock?: ManualClock;
  readonly seed?: number;
}

export class Rig {
  readonly clock: ManualClock;
  readonly logs: MemoryLogs;
  readonly fatal: unknown[] = [];
  readonly dropped: string[] = [];
  /** Last indexes of the snapshots that were installed. */
  readonly installed: number[] = [];
  readonly damaged: string[] = [];
  readonly condemned: Condemnation[] = [];
  readonly host: MultiRaftHost;

  constructor(options: RigOptions = {}) {
    this.logs = options.logs ?? new MemoryLogs();
    this.clock = options.clock ?? new ManualClock();
    const transport = options.transport ?? new NoPeers();
    this.host = new MultiRaftHost({
      logs: options.groupLogs ?? this.logs,
      clusterId: options.clusterId ?? 'f0000000-0000-4000-8000-00000000000f',
      mayVote: options.mayVote ?? true,
      clock: this.clock,
      random: new SeededRandom(options.seed ?? 1),
      crc32c,
      raftLimits: { ...raftLimitsDefault, ...options.raft },
      driverLimits: { ...driverLimitsDefault, ...options.driver },
      transport,
      directory: transport,
      schedule: (run) => setImmediate(run),
      observer: {
        dropped: (group, why) => this.dropped.push(`${group} ${why}`),
        snapshotInstalled: (_group, { lastIndex }) => this.installed.push(lastIndex),
        snapshotDamaged: (_group, detail) => this.damaged.push(detail),
      },
      condemned: (condemnation) => this.condemned.push(condemnation),
      fatal: (error) => this.fatal.push(error),
    });
  }

  startData(machine: RecordingData, group = groupSeven): Promise<RaftGroup> {
    return this.host.start({ group, replicaId: one, voters: [one] }, machine);
  }

  startCommands(machine: RecordingCommands, group = groupSeven): Promise<RaftGroup> {
    return this.host.start({ group, replicaId: one, voters: [one] }, machine);
  }

  log(group = groupSeven): MemoryLog {
    return this.logs.logs.get(group)!;
  }
}

/** Records what one proposal hears. */
export class Listening implements ProposalListener {
  readonly heard: string[] = [];

  durable(): void {
    this.heard.push('durable');
  }

  outcome(outcome: ProposalOutcome): void {
    this.heard.push(outcome.kind === 'committed' ? 'committed' : `unknown ${outcome.why}`);
  }
}
