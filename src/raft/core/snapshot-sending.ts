/** A leader bringing a replica to a snapshot, chunk by chunk: the entries it needs are gone from the log. */
import type { LogIndex } from '../../model/ids.ts';
import { nextIndex } from '../../model/ids.ts';
import { advanceCommit } from './commit.ts';
import type { RaftEvent } from './events.ts';
import type { Leadership } from './leadership.ts';
import type { SnapshotReply } from './messages.ts';
import type { Progress } from './progress.ts';
import type { Replica } from './replica.ts';

/** Has the next chunk read. */
export function askForSnapshot(replica: Replica, progress: Progress): void {
  const { state } = progress;
  if (state.kind !== 'snapshot') return;
  progress.state = { ...state, askedMs: replica.now };
  replica.outbox.readSnapshot(progress.id, state.acknowledged, state.meta?.id ?? null);
}

type SnapshotRead = Extract<RaftEvent, { kind: 'snapshot-read' }>;

/**
 * Sends a chunk that was read, if it is the next one of the snapshot that is being sent. A newer snapshot, from its
 * beginning, takes the place of one that is not kept any more.
 */
export function onSnapshotRead(replica: Replica, { to, meta, position, bytes, last }: SnapshotRead): void {
  if (replica.role.kind !== 'leader') return;
  const progress = replica.role.lead.progress.get(to);
  if (progress?.state.kind !== 'snapshot') return;
  const { state } = progress;
  const same = state.meta?.id === meta.id;
  if (position !== (same ? state.acknowledged : 0)) return;
  progress.state = { ...state, meta, acknowledged: position };
  progress.bulkSentMs = replica.now;
  replica.send({ kind: 'snapshot-chunk', from: replica.id, to, term: replica.term, meta, position, bytes, last });
}

export function onSnapshotReply(replica: Replica, lead: Leadership, reply: SnapshotReply): void {
  const progress = lead.progress.get(reply.from);
  if (progress === undefined) {
    replica.drop('unknown-source');
    return;
  }
  progress.bulkHeardMs = replica.now;
  progress.heardMs = replica.now;
  const { state } = progress;
  if (state.kind !== 'snapshot' || state.meta?.id !== reply.snapshotId) return;
  switch (reply.result) {
    case 'installed':
      finished(replica, progress, state.meta.lastIndex);
      return;
    case 'refused':
      progress.state = { kind: 'snapshot', meta: null, acknowledged: 0, askedMs: replica.now };
      return;
    case 'next':
      // what was received before counts from zero again after a restart of the receiver; anything else lower is stale
      if (reply.position > state.meta.byteLength) replica.drop('out-of-place');
      if (reply.position > state.meta.byteLength) return;
      if (reply.position <= state.acknowledged && reply.position !== 0) return;
      progress.state = { ...state, acknowledged: reply.position };
      askForSnapshot(replica, progress);
      return;
  }
}

function finished(replica: Replica, progress: Progress, through: LogIndex): void {
  progress.acknowledged(through);
  if (progress.state.kind === 'snapshot') progress.becomeProbe(nextIndex(through));
  advanceCommit(replica);
}
