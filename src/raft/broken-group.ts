/** Stands for a group whose log can not be opened: it refuses everything, and the others go on (design D7). */
import type { GroupNumber, LogIndex, Millis, Offset, ReplicaId, Term } from '../model/ids.ts';
import { offsetZero, termZero, toLogIndex } from '../model/ids.ts';
import type { LogReader } from '../log/reader.ts';
import { LogCorruption } from '../log/reader.ts';
import { emptyConfiguration } from './core/configuration.ts';
import type { IndexedConfiguration } from './core/membership.ts';
import type { FollowerStatus } from './core/progress.ts';
import type { RoleState } from './core/ready.ts';
import type { ConfigurationProposed, Proposed, RaftGroup } from './group.ts';

export class BrokenGroup implements RaftGroup {
  readonly group: GroupNumber;
  readonly log: LogReader;
  readonly quarantine: string;
  readonly quarantinedMs: Millis;
  readonly commitIndex: LogIndex = toLogIndex(0);
  readonly appliedIndex: LogIndex = toLogIndex(0);
  readonly highWatermark: Offset = offsetZero;
  readonly membership: IndexedConfiguration = { index: toLogIndex(0), configuration: emptyConfiguration };
  readonly followers: readonly FollowerStatus[] = [];
  readonly role: RoleState = { role: 'follower', term: termZero, leader: null, serving: false };

  constructor(group: GroupNumber, reason: string, sinceMs: Millis) {
    this.group = group;
    this.quarantine = reason;
    this.quarantinedMs = sinceMs;
    this.log = unreadable(reason);
  }

  holders(): readonly ReplicaId[] {
    return [];
  }

  nextAppend(): { readonly term: Term; readonly baseOffset: Offset } | null {
    return null;
  }

  propose(): Proposed {
    return { kind: 'refused', why: 'quarantined' };
  }

  changeConfiguration(): ConfigurationProposed {
    return { kind: 'refused', why: 'quarantined' };
  }

  transferLeadership(): void {
    // it leads nothing
  }

  readIndex(done: (index: LogIndex | null) => void): void {
    done(null);
  }
}

function unreadable(reason: string): LogReader {
  const refuse = (): Promise<never> => Promise.reject(new LogCorruption(reason));
  return {
    firstIndex: toLogIndex(1),
    lastIndex: toLogIndex(0),
    endOffset: offsetZero,
    logStart: offsetZero,
    payloadBytes: 0,
    terms: [],
    readFrom: refuse,
    readFromCache: () => null,
    readEntries: refuse,
    readEntriesFromCache: () => null,
    findByTimestamp: refuse,
    firstEntry: refuse,
    payloadBytesThrough: () => null,
  };
}
