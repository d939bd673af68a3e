/** One-line, stable renderings of what the core says and holds, for scripts, traces and tests. */
import type { Entry } from '../../model/entry.ts';
import type { Configuration } from './configuration.ts';
import type { Message } from './messages.ts';
import type { FollowerStatus } from './progress.ts';
import type { NodeStatus } from './raft-node.ts';
import type { Ready, RoleState } from './ready.ts';

/** `3/2 batch@10+5`: index 3, term 2, five records from offset 10; other kinds have no `+`. */
export function describeEntry(entry: Entry): string {
  const records = entry.count > 0 ? `+${entry.count}` : '';
  return `${entry.index}/${entry.term} ${entry.kind}@${entry.baseOffset}${records}`;
}

/** `r4 voters 1 2 3 leaving 1 2 learners 4` */
export function describeConfiguration({ revision, voters, outgoing, learners }: Configuration): string {
  const part = (name: string, ids: readonly number[]): string => (ids.length > 0 ? ` ${name} ${ids.join(' ')}` : '');
  return `r${revision}${part('voters', voters)}${part('leaving', outgoing)}${part('learners', learners)}`;
}

/** `1->2 t3 append-request after 4/2 [5/3 batch@7+1] commit 4` */
export function describeMessage(message: Message): string {
  return `${message.from}->${message.to} t${message.term} ${message.kind}${describeBody(message)}`;
}

function describeBody(message: Message): string {
  switch (message.kind) {
    case 'vote-request':
      return `${flag(message.pre, 'pre')}${flag(message.transfer, 'transfer')} last ${message.lastIndex}/${message.lastTerm}`;
    case 'vote-reply':
      return `${flag(message.pre, 'pre')} ${message.granted ? 'granted' : 'refused'}`;
    case 'append-request': {
      const entries = message.entries.map(describeEntry).join(', ');
      return ` after ${message.prevIndex}/${message.prevTerm} [${entries}] commit ${message.commit}`;
    }
    case 'append-reply':
      return message.result.kind === 'accepted'
        ? ` durable ${message.result.durableIndex}`
        : ` mismatch at ${message.prevIndex}, try ${message.result.hintIndex}/${message.result.hintTerm}`;
    case 'heartbeat-request':
      return ` round ${message.round} commit ${message.commit}`;
    case 'heartbeat-reply':
      return ` round ${message.round} verified ${message.verified}`;
    case 'snapshot-chunk':
      return ` ${message.meta.id} at ${message.position}+${message.bytes.length}${flag(message.last, 'last')}`;
    case 'snapshot-reply':
      return ` ${message.snapshotId} ${message.result} ${message.position}`;
    case 'timeout-now':
      return '';
  }
}

const flag = (on: boolean, name: string): string => (on ? ` ${name}` : '');

/** `leader t3 of 1 serving` */
export function describeRole({ role, term, leader, serving }: RoleState): string {
  const whom = leader === null ? '' : ` of ${leader}`;
  return `${role} t${term}${whom}${flag(serving, 'serving')}`;
}

/** Every effect of a Ready, one line each, what is written first. */
export function describeReady(ready: Ready): string[] {
  const lines: string[] = [];
  if (ready.persist !== null) lines.push(`persist${describePersist(ready.persist)}`);
  for (const message of ready.messages) lines.push(`send ${describeMessage(message)}`);
  for (const message of ready.messagesAfterPersist) lines.push(`then ${describeMessage(message)}`);
  if (ready.lostLeadership !== null) lines.push(`lost leadership of t${ready.lostLeadership.term}`);
  if (ready.committed !== null) lines.push(`commit ${ready.committed.from} to ${ready.committed.through}`);
  if (ready.role !== null) lines.push(`role ${describeRole(ready.role)}`);
  for (const { id, index } of ready.readStates) lines.push(`read ${id} ${index === null ? 'refused' : `at ${index}`}`);
  for (const { from, through } of ready.reads) lines.push(`read log ${from} to ${through}`);
  for (const { to, position } of ready.snapshotsToSend) lines.push(`read snapshot for ${to} at ${position}`);
  if (ready.install !== null) lines.push(`install ${describeMessage(ready.install.chunk)}`);
  for (const { kind, replica, acknowledged, found } of ready.alarms) {
    lines.push(`alarm ${kind} ${replica}: ${acknowledged} acknowledged, ${found} found`);
  }
  return lines;
}

function describePersist({ hardState, truncateAfter, entries }: NonNullable<Ready['persist']>): string {
  const vote = hardState === null ? '' : ` t${hardState.term} vote ${hardState.vote ?? '-'} commit ${hardState.commit}`;
  const cut = truncateAfter === null ? '' : ` truncate after ${truncateAfter}`;
  return `${vote}${cut}${entries.length > 0 ? ` [${entries.map(describeEntry).join(', ')}]` : ''}`;
}

/** `leader t1 of 1 serving, vote 1, log 1 to 3, commit 3, applied 3` */
export function describeStatus(role: RoleState, status: NodeStatus): string {
  const { vote, firstIndex, lastIndex, commit, applied } = status;
  return `${describeRole(role)}, vote ${vote ?? '-'}, log ${firstIndex} to ${lastIndex}, commit ${commit}, applied ${applied}`;
}

/** `2 replicate match 3 next 5, 65 bytes in flight` */
export function describeFollower({ id, state, match, next, inFlightBytes, reading }: FollowerStatus): string {
  const flight = inFlightBytes > 0 ? `, ${inFlightBytes} bytes in flight` : '';
  return `${id} ${state} match ${match} next ${next}${flight}${reading ? ', reading' : ''}`;
}
