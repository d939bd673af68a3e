/** Snapshots and compaction (P41 to P51). */
import type { Mutant } from './mutant.ts';

const core = 'src/raft/core';

export const snapshots: readonly Mutant[] = [
  {
    name: 'P42-matching-suffix-dropped',
    rule: 'P42',
    file: `${core}/snapshot-receiving.ts`,
    search: '  if (replica.log.termAt(meta.lastIndex) !== meta.lastTerm) return false;\n',
    replace: '  if (meta.lastIndex > replica.commit) return false;\n',
    breaks: 'A snapshot takes the place of a log that holds its last entry and more.',
  },
  {
    name: 'P42-other-suffix-kept',
    rule: 'P42',
    file: `${core}/snapshot-receiving.ts`,
    search: 'if (replica.log.termAt(meta.lastIndex) !== meta.lastTerm) return false;',
    replace: 'if (replica.log.termAt(meta.lastIndex) === null) return false;',
    breaks: "A log whose entry differs from the snapshot's last one is kept.",
  },
  {
    name: 'P43-old-snapshot-taken',
    rule: 'P43',
    file: `${core}/snapshot-receiving.ts`,
    search: '  if (meta.lastIndex <= replica.commit) return true;\n',
    replace: '',
    breaks: 'A snapshot at or below the commit index is not ignored.',
  },
  {
    name: 'P44-configuration-not-taken',
    rule: 'P44',
    file: `${core}/snapshot-receiving.ts`,
    search: '  replica.membership.reset({ index, configuration: meta.configuration });\n',
    replace: '  replica.membership.reset({ index, configuration: replica.membership.current });\n',
    breaks: "A snapshot's configuration is not put in force.",
  },
  {
    name: 'P46-chunks-of-two-mixed',
    rule: 'P46',
    file: `${core}/snapshot-receiving.ts`,
    search: 'const same = receiving?.id === chunk.meta.id && receiving.term === replica.term;',
    replace: 'const same = receiving !== null && receiving.term === replica.term;',
    breaks: 'Chunks of two snapshots are put together.',
  },
  {
    name: 'P46-over-leader-change',
    rule: 'P46',
    file: `${core}/snapshot-receiving.ts`,
    search: 'const same = receiving?.id === chunk.meta.id && receiving.term === replica.term;',
    replace: 'const same = receiving?.id === chunk.meta.id;',
    breaks: 'A snapshot of an older leader is continued by a newer one.',
  },
  {
    name: 'P46-position-not-checked',
    rule: 'P46',
    file: `${core}/snapshot-receiving.ts`,
    search: '  if (chunk.position !== position) {',
    replace: '  if (chunk.position > position) {',
    breaks: 'A chunk that comes twice is taken twice.',
  },
  {
    name: 'P46-sender-resumes-another',
    rule: 'P46',
    file: `${core}/snapshot-sending.ts`,
    search: 'if (position !== (same ? state.acknowledged : 0)) return;',
    replace: 'if (position !== state.acknowledged) return;',
    breaks: 'A newer snapshot is sent from the place where the older one stopped.',
  },
  {
    name: 'P47-install-forgotten',
    rule: 'P47',
    file: `${core}/snapshot-receiving.ts`,
    search: "  if (receiving?.installing === true) {\n    replica.drop('out-of-place');\n    return;\n  }\n",
    replace: '',
    breaks: 'Another snapshot is begun while the disk is taking one.',
  },
  {
    name: 'P47-campaigns-while-installing',
    rule: 'P47',
    file: `${core}/candidate.ts`,
    search:
      '  if (replica.receiving?.installing === true) {\n    replica.timer.restart(replica.now);\n    return;\n  }\n',
    replace: '',
    breaks: 'A replica campaigns with a log that a snapshot is about to replace.',
  },
  {
    name: 'P47-entries-while-installing',
    rule: 'P47',
    file: `${core}/follower.ts`,
    search: "  if (replica.receiving?.installing === true) {\n    replica.drop('out-of-place');\n    return;\n  }\n",
    replace: '',
    breaks: 'Entries are taken, and acknowledged, into a log that is about to be replaced.',
  },
  {
    name: 'P49-lost-chunk-not-asked-again',
    rule: 'P49',
    file: `${core}/replication.ts`,
    search:
      'if (replica.now - progress.state.askedMs >= replica.limits.electionTimeoutMs) askForSnapshot(replica, progress);',
    replace: 'if (replica.now < progress.state.askedMs) askForSnapshot(replica, progress);',
    breaks: 'A snapshot of which a chunk, or its answer, was lost is never continued.',
  },
  {
    name: 'D6-cut-before-committed',
    rule: 'D6',
    file: `${core}/unstable-log.ts`,
    search: "this.#boundaryTerm = must(this.termAt(boundary), 'raft-log-5');",
    replace: 'this.#boundaryTerm = this.#boundaryTerm;',
    breaks: 'The term before the first entry is not remembered when a log is cut.',
  },
];
