/** Brings a group back from its log: the machine from its checkpoint or state keys, the core from the rest. */
import { assert, must } from '../model/assert.ts';
import type { Entry } from '../model/entry.ts';
import type { LogIndex, Offset } from '../model/ids.ts';
import { nextIndex, offsetZero, previousIndex, toLogIndex } from '../model/ids.ts';
import type { GroupLog } from '../log/log.ts';
import type { Configuration } from './core/configuration.ts';
import { decodeConfiguration, emptyConfiguration, encodeConfiguration } from './core/configuration.ts';
import type { IndexedConfiguration } from './core/membership.ts';
import type { RecoveredState } from './core/ready.ts';
import type { GroupSpec, StateMachine } from './group.ts';

const pageBytes = 1024 * 1024;

export interface Recovered {
  readonly state: RecoveredState;
  /** End offset at the applied index. */
  readonly appliedOffset: Offset;
}

/** The configuration that a new group is founded with. */
export function genesisOf(spec: GroupSpec): Uint8Array {
  return encodeConfiguration({ ...emptyConfiguration, voters: spec.voters });
}

/** @throws InvariantViolation or LogCorruption: the group is to be quarantined */
export async function recover(log: GroupLog, machine: StateMachine, recentBytesMax: number): Promise<Recovered> {
  const appliedIndex = await restoreMachine(log, machine);
  assert(appliedIndex >= log.firstIndex - 1, 'recover-1: nothing between the state and the log is missing');
  assert(appliedIndex <= log.lastIndex, 'recover-2: the state is not ahead of the log', `${appliedIndex}`);
  const { hardState, firstIndex, lastIndex, lastTerm, lastChain, lastAppendTimeMs, endOffset, terms } = log;
  const known = toLogIndex(Math.max(hardState.commit, appliedIndex));
  const boundaryTerm = must(log.termAt(previousIndex(firstIndex)), 'recover-3: the term before the log is known');
  const state: RecoveredState = {
    hardState,
    firstIndex,
    boundaryTerm,
    boundaryChain: log.baseChain,
    lastIndex,
    lastTerm,
    lastChain,
    lastAppendTimeMs,
    endOffset,
    appliedIndex,
    terms,
    configurations: configurationsOf(log),
    recent: await readTail(log, toLogIndex(Math.max(known, firstIndex)), recentBytesMax),
    snapshot: null,
  };
  return { state, appliedOffset: await offsetAt(log, appliedIndex) };
}

/** Brings a machine to the newest state of its log; returns the index that it is as of. */
export async function restoreMachine(log: GroupLog, machine: StateMachine): Promise<LogIndex> {
  if (machine.kind === 'commands') {
    for await (const page of log.readState()) machine.load(page);
    machine.loaded();
    return log.appliedIndex;
  }
  const checkpoint = await log.loadCheckpoint();
  machine.restore(checkpoint?.state ?? null);
  return checkpoint?.index ?? toLogIndex(0);
}

function configurationsOf(log: GroupLog): IndexedConfiguration[] {
  const { genesis } = log.header;
  const founding: Configuration = genesis.length === 0 ? emptyConfiguration : decodeConfiguration(genesis);
  const later = log.configurations.map(({ index, payload }) => ({
    index,
    configuration: decodeConfiguration(payload),
  }));
  return [{ index: toLogIndex(0), configuration: founding }, ...later];
}

/** The end of the log from `from` on, or as much of its end as fits. */
async function readTail(log: GroupLog, from: LogIndex, bytesMax: number): Promise<readonly Entry[]> {
  const entries: Entry[] = [];
  let bytes = 0;
  for (let next = from; next <= log.lastIndex;) {
    const page = await log.readEntries(next, log.lastIndex, pageBytes);
    for (const entry of page) {
      bytes += entry.payload.length;
      entries.push(entry);
    }
    while (bytes > bytesMax) bytes -= entries.shift()?.payload.length ?? 0;
    next = nextIndex(must(page.at(-1), 'recover-4: a page holds at least one entry').index);
  }
  return entries;
}

async function offsetAt(log: GroupLog, applied: LogIndex): Promise<Offset> {
  if (applied === 0) return offsetZero;
  if (applied === log.lastIndex) return log.endOffset;
  const after = nextIndex(applied);
  const [entry] = await log.readEntries(after, after, 0);
  return must(entry, 'recover-4: a page holds at least one entry').baseOffset;
}
