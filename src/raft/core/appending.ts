/** A leader's appends: sealing entries of its own term, and putting configurations in force as they enter the log. */
import { assert } from '../../model/assert.ts';
import type { Entry, EntryDraft } from '../../model/entry.ts';
import type { LogIndex, Millis } from '../../model/ids.ts';
import { toMillis } from '../../model/ids.ts';
import type { Configuration } from './configuration.ts';
import { encodeConfiguration } from './configuration.ts';
import type { Leadership } from './leadership.ts';
import { Progress } from './progress.ts';
import type { Replica } from './replica.ts';

const noOp: EntryDraft = { kind: 'no-op', count: 0, payload: new Uint8Array(0), maxTimestampMs: null };
/** Entries that Raft itself makes take their predecessor's stamp: no wall clock reaches them. */
const noWallTime = toMillis(0);

/** Seals and appends; the caller checked that it may. */
export function append(replica: Replica, draft: EntryDraft, wallMs: Millis): Entry {
  assert(replica.role.kind === 'leader', 'raft-6: only a leader appends');
  const { lead } = replica.role;
  const entry = replica.log.seal(draft, replica.term, wallMs);
  lead.waitingSinceMs ??= replica.now;
  return entry;
}

export function appendNoOp(replica: Replica): Entry {
  return append(replica, noOp, noWallTime);
}

/** Puts a configuration in force: at the append, not at the commit (P54). */
export function appendConfiguration(replica: Replica, configuration: Configuration, wallMs = noWallTime): Entry {
  const { current } = replica.membership;
  assert(configuration.revision >= current.revision, 'raft-10: revisions never fall', `${configuration.revision}`);
  const payload = encodeConfiguration(configuration);
  const entry = append(replica, { kind: 'configuration', count: 0, payload, maxTimestampMs: null }, wallMs);
  replica.membership.append(entry.index, configuration);
  if (replica.role.kind === 'leader') followMembership(replica, replica.role.lead, entry.index);
  return entry;
}

/** Keeps progress for exactly those who take part. */
export function followMembership(replica: Replica, lead: Leadership, next: LogIndex): void {
  const { everyone } = replica.membership;
  for (const id of lead.progress.keys()) if (!everyone.includes(id)) lead.progress.delete(id);
  for (const id of everyone) {
    if (id === replica.id || lead.progress.has(id)) continue;
    lead.progress.set(id, new Progress(id, next, replica.limits));
  }
}
