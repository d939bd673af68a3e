/** A leader feeding the others: what to send next to whom, and what their answers mean. */
import { must } from '../../model/assert.ts';
import type { Entry } from '../../model/entry.ts';
import { entryEndOffset } from '../../model/entry.ts';
import type { LogIndex, ReplicaId } from '../../model/ids.ts';
import { nextIndex, toLogIndex } from '../../model/ids.ts';
import { advanceCommit } from './commit.ts';
import type { Leadership } from './leadership.ts';
import type { AppendReply } from './messages.ts';
import type { Progress } from './progress.ts';
import type { Replica } from './replica.ts';
import { askForSnapshot } from './snapshot-sending.ts';
import { continueTransfer } from './transfer.ts';
import type { Position } from './unstable-log.ts';
import { entryBytes } from './unstable-log.ts';

/** Sends everyone what they may be sent now; called once per Ready, so that the entries of a turn travel together. */
export function replicate(replica: Replica): void {
  if (replica.role.kind !== 'leader') return;
  const { lead } = replica.role;
  for (const progress of lead.progress.values()) feed(replica, lead, progress);
}

/** Entries that every healthy follower has need not stay in memory. */
export function neededAbove(replica: Replica): number {
  if (replica.role.kind !== 'leader') return replica.commit;
  let needed: number = replica.commit;
  for (const { match, state } of replica.role.lead.progress.values()) {
    if (state.kind !== 'lost') needed = Math.min(needed, match);
  }
  return needed;
}

/** What every follower has that was heard since `sinceMs`; one that gets a snapshot goes on after it (P49). */
export function neededByLive(lead: Leadership, sinceMs: number): number {
  let needed = Infinity;
  for (const { match, state, heardMs } of lead.progress.values()) {
    if (state.kind === 'lost' || heardMs < sinceMs) continue;
    const has = state.kind === 'snapshot' ? (state.meta?.lastIndex ?? match) : match;
    needed = Math.min(needed, has);
  }
  return needed;
}

function feed(replica: Replica, lead: Leadership, progress: Progress): void {
  const { log } = replica;
  while (progress.mayAppend) {
    if (progress.next < log.firstIndex) {
      progress.becomeSnapshot(replica.now);
      askForSnapshot(replica, progress);
      return;
    }
    if (progress.next > log.lastIndex) {
      const tellsCommit = progress.sentCommit < Math.min(replica.commit, progress.next - 1);
      if (progress.state.kind === 'probe' || tellsCommit) sendEmpty(replica, progress);
      return;
    }
    const before = positionBefore(replica, progress);
    const entries = log.slice(progress.next, replica.limits.messageBytesMax);
    if (before === null || entries === null) {
      askForEntries(replica, lead, progress, before === null);
      return;
    }
    sendEntries(replica, progress, before, entries);
  }
}

/** The end of the entry before the next one; null: it must be read. */
function positionBefore(replica: Replica, progress: Progress): Position | null {
  if (progress.position?.index === progress.previous) return progress.position;
  const known = replica.log.positionAt(progress.previous);
  return known === null || known.chain === null ? null : known;
}

function sendEntries(replica: Replica, progress: Progress, before: Position, entries: readonly Entry[]): void {
  sendAppend(replica, progress, before, entries);
  const last = must(entries.at(-1), 'a request with entries has one');
  const bytes = entries.reduce((sum, entry) => sum + entryBytes(entry), 0);
  const position = { index: last.index, endOffset: entryEndOffset(last), chain: last.chain };
  progress.sent(position, bytes, replica.commit, replica.now);
}

/** Asks "do you have everything through `next - 1`?", and tells the commit index. */
export function sendEmpty(replica: Replica, progress: Progress): void {
  if (progress.next < replica.log.firstIndex) {
    // the log was cut past it meanwhile: what it lacks is found out from the beginning
    progress.becomeProbe(nextIndex(progress.match));
    return;
  }
  const before = positionBefore(replica, progress);
  if (before === null) return;
  sendAppend(replica, progress, before, []);
  progress.sentEmpty(replica.commit, replica.now);
}

function sendAppend(replica: Replica, progress: Progress, before: Position, entries: readonly Entry[]): void {
  progress.tells(replica.commit);
  replica.send({
    kind: 'append-request',
    from: replica.id,
    to: progress.id,
    term: replica.term,
    prevIndex: before.index,
    prevTerm: must(replica.log.termAt(before.index), 'the term before what is sent is known'),
    prevEndOffset: before.endOffset,
    prevChain: before.chain,
    sequence: progress.sequence,
    entries,
    commit: replica.commit,
  });
}

/** Has the entries read from disk; if need be from the one before the next, which says where they begin. */
function askForEntries(replica: Replica, lead: Leadership, progress: Progress, withPrevious: boolean): void {
  const token = ++lead.readToken;
  progress.reading = token;
  const from = withPrevious ? toLogIndex(Math.max(progress.previous, replica.log.firstIndex)) : progress.next;
  const bytesMax = replica.limits.messageBytesMax;
  replica.outbox.readLog({ token, from, through: replica.log.lastIndex, bytesMax });
}

/** Sends what was read, if it still is what is wanted. */
export function onEntriesRead(replica: Replica, token: number, entries: readonly Entry[]): void {
  if (replica.role.kind !== 'leader') return;
  const progress = [...replica.role.lead.progress.values()].find((one) => one.reading === token);
  if (progress === undefined) return;
  progress.reading = null;
  const [first] = entries;
  if (first === undefined || replica.log.termAt(first.index) !== first.term || !progress.mayAppend) return;
  if (first.index === progress.previous) {
    progress.position = { index: first.index, endOffset: entryEndOffset(first), chain: first.chain };
    const rest = entries.slice(1);
    if (rest.length > 0) sendEntries(replica, progress, progress.position, rest);
    return;
  }
  if (first.index !== progress.next) return;
  const chain = progress.next === replica.log.firstIndex ? replica.log.boundaryChain : null;
  const before = positionBefore(replica, progress);
  const boundary = { index: progress.previous, endOffset: first.baseOffset, chain };
  sendEntries(replica, progress, before ?? boundary, entries);
}

export function onAppendReply(replica: Replica, lead: Leadership, reply: AppendReply): void {
  const progress = lead.progress.get(reply.from);
  if (progress === undefined) {
    replica.drop('unknown-source');
    return;
  }
  progress.bulkHeardMs = replica.now;
  progress.heardMs = replica.now;
  const { result } = reply;
  switch (result.kind) {
    case 'accepted':
      if (result.durableIndex > replica.log.lastIndex) replica.drop('out-of-place');
      else onAccepted(replica, progress, reply.sequence, result.durableIndex);
      return;
    case 'mismatch':
      if (result.hintIndex > reply.prevIndex) replica.drop('out-of-place');
      else onMismatch(replica, progress, reply, result);
      return;
  }
}

function onAccepted(replica: Replica, progress: Progress, sequence: number, index: LogIndex): void {
  progress.knows(sequence, index);
  if (progress.acknowledged(index)) onMatch(replica, progress);
}

type Mismatch = Extract<AppendReply['result'], { kind: 'mismatch' }>;

/** The follower's hint is the last place where the logs may agree; the leader's own terms narrow it further (P25). */
function onMismatch(replica: Replica, progress: Progress, reply: AppendReply, result: Mismatch): void {
  const hint = replica.log.lastIndexOfTerm(result.hintIndex, result.hintTerm);
  if (progress.rejected(reply.prevIndex, hint, reply.sequence) !== 'lost') return;
  const { id, match } = progress;
  replica.outbox.alarm({ kind: 'follower-lost-log', replica: id, acknowledged: match, found: hint });
}

function onMatch(replica: Replica, progress: Progress): void {
  advanceCommit(replica);
  if (replica.role.kind === 'leader') continueTransfer(replica, replica.role.lead, progress);
}

/** Nothing can be sent to the replica: looks for the matching place again once it is back. */
export function onUnreachable(replica: Replica, to: ReplicaId): void {
  if (replica.role.kind !== 'leader') return;
  const progress = replica.role.lead.progress.get(to);
  if (progress === undefined) return;
  progress.forgetTold();
  if (progress.state.kind === 'replicate') progress.becomeProbe(nextIndex(progress.match));
}

/** A sign of life that says how far the replica's log is known to agree: what was lost on the way is sent again (P34). */
export function onAlive(replica: Replica, progress: Progress, verified: number): void {
  // heartbeats of its own tell a follower what is committed; frames do not
  const tellAgain = replica.framesSent !== null && progress.knownCommit < replica.commit;
  const quietMs = Math.min(replica.limits.heartbeatMs, replica.limits.electionTimeoutMs / 4);
  const quiet = replica.now - Math.max(progress.bulkSentMs, progress.bulkHeardMs) >= quietMs;
  switch (progress.state.kind) {
    case 'probe':
      if (replica.now - progress.bulkSentMs >= quietMs) progress.wake();
      return;
    case 'replicate':
      if (!quiet) return;
      if (verified < progress.previous) progress.becomeProbe(nextIndex(progress.match));
      else if (progress.match < progress.previous || verified < replica.commit || tellAgain)
        sendEmpty(replica, progress);
      return;
    case 'snapshot':
      if (replica.now - progress.state.askedMs >= replica.limits.electionTimeoutMs) askForSnapshot(replica, progress);
      return;
    case 'lost':
      return;
  }
}
