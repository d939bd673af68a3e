/** Following: taking entries from the leader, never losing what was acknowledged, never believing an unproven tail. */
import { assert, must } from '../../model/assert.ts';
import type { Entry } from '../../model/entry.ts';
import { chainAfter, entryEndOffset } from '../../model/entry.ts';
import type { LogIndex, Offset, Term } from '../../model/ids.ts';
import { toLogIndex } from '../../model/ids.ts';
import { decodeConfiguration } from './configuration.ts';
import type { AppendReply, AppendRequest, HeartbeatRequest } from './messages.ts';
import type { Replica } from './replica.ts';

export function onAppendRequest(replica: Replica, request: AppendRequest): void {
  if (replica.receiving?.installing === true) {
    replica.drop('out-of-place');
    return;
  }
  if (!isWellFormed(request)) {
    replica.drop('damaged');
    return;
  }
  const open = withoutCommitted(replica, request);
  if (open === null) reply(replica, request, { kind: 'accepted', durableIndex: replica.commit });
  else if (replica.log.termAt(open.prevIndex) === open.prevTerm) takeRequest(replica, open);
  else reply(replica, request, mismatch(replica, request));
}

/** What a request says about entries that are not committed here yet; null: nothing. */
function withoutCommitted(replica: Replica, request: AppendRequest): AppendRequest | null {
  const known = replica.commit - request.prevIndex;
  if (known <= 0) return request;
  const last = request.entries[known - 1];
  if (last === undefined) return null;
  const term = replica.log.termAt(last.index);
  assert(term === last.term, 'raft-4: nothing committed is replaced', `term ${last.term} at ${last.index}`);
  return {
    ...request,
    prevIndex: last.index,
    prevTerm: last.term,
    prevEndOffset: entryEndOffset(last),
    prevChain: last.chain,
    entries: request.entries.slice(known),
  };
}

/** The logs match at prevIndex. */
function takeRequest(replica: Replica, request: AppendRequest): void {
  checkAgreement(replica, request);
  if (!takeEntries(replica, request)) {
    replica.drop('damaged');
    return;
  }
  const verified = toLogIndex(request.prevIndex + request.entries.length);
  learn(replica, verified, request.commit);
  reply(replica, request, { kind: 'accepted', durableIndex: verified });
}

/** Where the leader may look for the matching place: not at an entry that is newer than the one it asked about (P25). */
function mismatch(replica: Replica, request: AppendRequest): AppendReply['result'] {
  const hintIndex = replica.log.lastIndexOfTerm(request.prevIndex, request.prevTerm);
  return { kind: 'mismatch', hintIndex, hintTerm: must(replica.log.termAt(hintIndex), 'the term of a hint is known') };
}

/** A heartbeat tells how far the leader knows this replica's log to be its own; what is verified bounds it (P19). */
export function onHeartbeatRequest(replica: Replica, request: HeartbeatRequest): void {
  learn(replica, replica.verified, request.commit);
  const { id: from, term, verified } = replica;
  const { round } = request;
  replica.sendAfterPersist({ kind: 'heartbeat-reply', from, to: request.from, term, round, verified });
}

/** The acknowledgement leaves once what it promises is durable (P23): so it may speak of all that was just taken. */
function reply(replica: Replica, request: AppendRequest, result: AppendReply['result']): void {
  const { id: from, term } = replica;
  const { prevIndex, sequence } = request;
  replica.sendAfterPersist({ kind: 'append-reply', from, to: request.from, term, prevIndex, sequence, result });
}

/** Commits what this leader has verified and committed. */
function learn(replica: Replica, verified: LogIndex, commit: LogIndex): void {
  replica.verified = toLogIndex(Math.max(replica.verified, verified));
  const through = Math.min(commit, replica.verified);
  if (through > replica.commit) replica.advanceCommit(toLogIndex(through));
}

/** Entries follow prevIndex without a gap, terms do not fall, and none is newer than its sender. */
function isWellFormed(request: AppendRequest): boolean {
  let { prevIndex: index, prevTerm: term }: { prevIndex: LogIndex; prevTerm: Term } = request;
  for (const entry of request.entries) {
    if (entry.index !== index + 1 || entry.term < term || entry.term > request.term) return false;
    index = entry.index;
    term = entry.term;
  }
  return request.prevTerm <= request.term;
}

/** Logs that match in index and term hold the same entries; if not, this replica's state can not be trusted (D7). */
function checkAgreement(replica: Replica, request: AppendRequest): void {
  const own = replica.log.positionAt(request.prevIndex);
  if (own === null) return;
  const at = `at index ${request.prevIndex}`;
  assert(own.endOffset === request.prevEndOffset, 'raft-8: logs that match agree in their end offset', at);
  if (own.chain === null || request.prevChain === null) return;
  assert(own.chain === request.prevChain, 'raft-8: logs that match agree in their chain', at);
}

/** Appends what is new, truncating only at a real conflict (P20). False: the message was damaged on its way. */
function takeEntries(replica: Replica, request: AppendRequest): boolean {
  const { entries } = request;
  const first = entries.findIndex((entry) => replica.log.termAt(entry.index) !== entry.term);
  if (first === -1) return true;
  const before = entries[first - 1];
  const endOffset = before === undefined ? request.prevEndOffset : entryEndOffset(before);
  const chain = before?.chain ?? request.prevChain ?? replica.log.positionAt(request.prevIndex)?.chain ?? null;
  if (!areIntact(replica, entries, first, endOffset, chain)) return false;
  const last = toLogIndex(request.prevIndex + first);
  if (last < replica.log.lastIndex) truncate(replica, last, endOffset, chain);
  for (const entry of entries.slice(first)) accept(replica, entry);
  return true;
}

/** Every entry from `first` on is sealed to its predecessor, and its payload is whole (entry-1, entry-3). */
function areIntact(
  replica: Replica,
  entries: readonly Entry[],
  first: number,
  endOffset: Offset,
  chain: number | null,
): boolean {
  let offset = endOffset;
  let previous = chain;
  for (const entry of entries.slice(first)) {
    if (entry.baseOffset !== offset || replica.crc32c(entry.payload) !== entry.payloadCrc) return false;
    if (previous !== null && chainAfter(previous, entry, replica.crc32c) !== entry.chain) return false;
    offset = entryEndOffset(entry);
    previous = entry.chain;
  }
  return true;
}

function truncate(replica: Replica, last: LogIndex, endOffset: Offset, chain: number | null): void {
  assert(last >= replica.commit, 'raft-4: nothing committed is truncated', `${last} < ${replica.commit}`);
  const own = replica.log.positionAt(last);
  assert(own === null || own.endOffset === endOffset, 'raft-8: logs that match agree in their end offset', `${last}`);
  const term = must(replica.log.termAt(last), 'the term before a conflict is known');
  replica.log.truncateAfter({ index: last, endOffset, chain: own?.chain ?? chain }, term);
  replica.ledger.truncated(last);
  replica.membership.truncate(last);
  replica.followMembership();
}

function accept(replica: Replica, entry: Entry): void {
  replica.log.accept(entry);
  if (entry.kind !== 'configuration') return;
  replica.membership.append(entry.index, decodeConfiguration(entry.payload));
  replica.followMembership();
}
