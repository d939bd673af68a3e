/** Transfer, reads, leases (P66 to P72). */
import type { Mutant } from './mutant.ts';

const core = 'src/raft/core';

export const readsAndTransfer: readonly Mutant[] = [
  {
    name: 'P66-transfer-to-learner',
    rule: 'P66',
    file: `${core}/transfer.ts`,
    search: '  if (!replica.membership.current.voters.includes(to)) return;\n',
    replace: '',
    breaks: 'Leadership is handed to a learner.',
  },
  {
    name: 'P66-transfer-to-lagging',
    rule: 'P66',
    file: `${core}/transfer.ts`,
    search: ' || transfer.told || progress.match !== replica.log.lastIndex) return;',
    replace: ' || transfer.told) return;',
    breaks: 'A replica that is behind is told to campaign.',
  },
  {
    name: 'P66-transfer-never-ends',
    rule: 'P66',
    file: `${core}/transfer.ts`,
    search: 'if (lead.transfer !== null && replica.now >= lead.transfer.deadlineMs) lead.transfer = null;',
    replace: 'if (lead.transfer !== null && replica.now >= lead.transfer.deadlineMs + 1e12) lead.transfer = null;',
    breaks: 'A transfer that does not succeed is never given up.',
  },
  {
    name: 'P66-proposals-while-transferring',
    rule: 'P66',
    file: `${core}/leader.ts`,
    search: "  if (role.lead.transfer !== null) return 'transferring';\n",
    replace: '',
    breaks: 'Proposals are taken during a transfer.',
  },
  {
    name: 'P67-anybody-may-say-now',
    rule: 'P67',
    file: `${core}/inbox.ts`,
    search: 'if (!replica.promotable || replica.leader !== message.from || replica.receiving',
    replace: 'if (!replica.promotable || replica.receiving',
    breaks: 'Who does not lead can make a replica campaign.',
  },
  {
    name: 'P68-read-before-own-commit',
    rule: 'P68',
    file: `${core}/heartbeats.ts`,
    search: "role.kind !== 'leader' || commit < role.lead.noOpIndex || role",
    replace: "role.kind !== 'leader' || role",
    breaks: 'A read is answered before an entry of the own term is committed.',
  },
  {
    name: 'P68-older-round-confirms',
    rule: 'P68',
    file: `${core}/heartbeats.ts`,
    search: '  if (!role.lead.roundOpen) startRound(replica, role.lead);\n',
    replace: '',
    breaks: 'A read is confirmed by answers to heartbeats that left before it was asked.',
  },
  {
    name: 'P68-sent-round-stays-open',
    rule: 'P68',
    file: `${core}/raft-node.ts`,
    search: "    if (replica.role.kind === 'leader') replica.role.lead.roundOpen = false;\n",
    replace: '',
    breaks: 'A round that has left counts as one that begins now.',
  },
  {
    name: 'P68-older-frame-confirms',
    rule: 'P68',
    file: `${core}/heartbeats.ts`,
    search: 'role.lead.reads.add(id, commit, replica.framesSent() + 1);',
    replace: 'role.lead.reads.add(id, commit, replica.framesSent());',
    breaks: 'A read is confirmed by the answer to a frame that left before it was asked.',
  },
  {
    name: 'P68-confirmed-by-one',
    rule: 'P68',
    file: `${core}/heartbeats.ts`,
    search:
      'const round = reachedByQuorum(replica.membership.current, (id) => Math.min(newest, heardOf(replica, lead, id)));',
    replace: 'const round = Math.max(0, ...[...lead.progress.values()].map((one) => Math.min(newest, one.round)));',
    breaks: 'One answer confirms a read.',
  },
  {
    name: 'P69-rounds-mixed-up',
    rule: 'P69',
    file: `${core}/read-rounds.ts`,
    search: '(one) => one.round > round',
    replace: '(one) => one.round > round + 1',
    breaks: 'A round confirms reads that wait for the next one.',
  },
  {
    name: 'P69-reads-kept-over-terms',
    rule: 'P69',
    file: `${core}/replica.ts`,
    search: '    for (const id of this.role.lead.reads.abandonAll()) this.outbox.answerRead(id, null);\n',
    replace: '',
    breaks: 'Reads are never answered when leadership ends.',
  },
];
