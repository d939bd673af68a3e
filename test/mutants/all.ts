/** Every mutant. */
import { elections } from './elections.ts';
import { groups } from './groups.ts';
import { host } from './host.ts';
import { membership } from './membership.ts';
import type { Mutant } from './mutant.ts';
import { readsAndTransfer } from './reads-and-transfer.ts';
import { recordPath } from './record-path.ts';
import { replication } from './replication.ts';
import { snapshots } from './snapshots.ts';

export const mutants: readonly Mutant[] = [
  ...elections,
  ...replication,
  ...snapshots,
  ...membership,
  ...readsAndTransfer,
  ...host,
  ...recordPath,
  ...groups,
];
