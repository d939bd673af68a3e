/** What each group as a whole has committed: the first replica that applies an entry fixes it for all time. */
import type { Entry } from '../../src/model/entry.ts';
import { entryEndOffset } from '../../src/model/entry.ts';
import type { GroupNumber } from '../../src/model/ids.ts';
import { decodeBatch } from '../../src/model/batch-decoder.ts';
import { decodeLogStart } from '../../src/raft/log-start.ts';
import { SimViolation } from '../sim/invariant.ts';
import { recordOf } from './history.ts';
import { codecs } from './sim-broker.ts';

/** A record at its offset. */
export interface CommittedRecord {
  readonly batch: number;
  readonly at: number;
}

export interface GroupHistory {
  /** By index - 1. */
  readonly entries: Entry[];
  /** By offset. */
  readonly records: CommittedRecord[];
  /** From which offset on it is readable. */
  logStart: number;
}

export type FirstApplied = (group: GroupNumber, entry: Entry) => void;

export class CommittedLogs {
  /** False: batches are not looked into, for what is produced are no records that clients here make. */
  readsRecords = true;
  readonly groups = new Map<GroupNumber, GroupHistory>();
  /** Called once for each entry, when it is first known to be committed. */
  readonly onCommitted: FirstApplied[] = [];

  of(group: GroupNumber): GroupHistory {
    const known = this.groups.get(group) ?? { entries: [], records: [], logStart: 0 };
    this.groups.set(group, known);
    return known;
  }

  /** Where the readable part ends. */
  endOffset(group: GroupNumber): number {
    return this.of(group).records.length;
  }

  applied(broker: number, group: GroupNumber, entry: Entry): void {
    const history = this.of(group);
    const known = history.entries[entry.index - 1];
    if (known !== undefined) {
      // state machine safety: Raft paper, figure 3
      if (known.term === entry.term && known.chain === entry.chain) return;
      throw new SimViolation('inv-I5', `b${broker} applied another entry than ${entry.index} of group ${group}`);
    }
    if (history.entries.length !== entry.index - 1)
      throw new SimViolation(
        'inv-I5',
        `b${broker} applied ${entry.index} of group ${group} after ${history.entries.length}`,
      );
    history.entries.push(entry);
    if (entry.kind === 'batch' && this.readsRecords) this.#read(group, history, entry);
    if (entry.kind === 'log-start') history.logStart = Math.max(history.logStart, decodeLogStart(entry.payload));
    for (const told of this.onCommitted) told(group, entry);
  }

  #read(group: GroupNumber, { records }: GroupHistory, entry: Entry): void {
    // inv-B2: offsets are dense
    if (entry.baseOffset !== records.length)
      throw new SimViolation(
        'inv-B2',
        `group ${group}: base offset ${entry.baseOffset} after ${records.length} records`,
      );
    for (const { batch, at } of recordsOf(entry.payload)) records.push({ batch, at });
    if (entryEndOffset(entry) !== records.length)
      throw new SimViolation('inv-B2', `group ${group}: ${entry.count} records end at ${records.length}`);
  }
}

/** The records of an encoded batch, with their offsets. */
export function recordsOf(batch: Uint8Array): readonly (CommittedRecord & { readonly offset: number })[] {
  const decoded = decodeBatch(batch, codecs);
  if (decoded.kind === 'refused') throw new SimViolation('inv-B4', `a batch can not be read: ${decoded.error.message}`);
  return decoded.value.records.map(({ value, offset }) => {
    const record = recordOf(value);
    if (record === null) throw new SimViolation('inv-B4', `a record at ${offset} that nobody made`);
    return { ...record, offset };
  });
}
