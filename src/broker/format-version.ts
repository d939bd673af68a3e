/**
 * Formats of what brokers write for each other (design D7): a command of the catalog that an older version could not read
 * would halt it there, so none is proposed before an operator has finalized the upgrade.
 */
import type { Refused } from '../model/errors.ts';
import { refuse } from '../model/errors.ts';
import type { CatalogCommand } from './catalog-commands.ts';

/** Newest format that this version writes and reads. */
export const formatVersionMax = 1;

export type CommandFormats = Readonly<Record<CatalogCommand['kind'], number>>;

/**
 * The format that brought each kind of command. 1 is that of the first release; a kind that comes later gets the next
 * one, and `formatVersionMax` rises to it. So does an old kind whose new fields an older version may not leave unread.
 */
export const commandFormats: CommandFormats = {
  found: 1,
  'put-broker': 1,
  'remove-broker': 1,
  'create-topic': 1,
  'alter-topic': 1,
  'replicas-opened': 1,
  'set-replicas': 1,
  'place-replicas': 1,
  'add-partitions': 1,
  'set-duty': 1,
  'replace-broker': 1,
  'raise-active-version': 1,
  'placement-reached': 1,
  'delete-topic': 1,
  'removal-done': 1,
  'reserve-producer-ids': 1,
  'raise-producer-epoch': 1,
};

/** @param active format that the cluster uses; null: it is about to be founded. Null: every broker can read the command. */
export function refuseNewer({ kind }: CatalogCommand, active: number | null, formats: CommandFormats): Refused | null {
  const needed = formats[kind];
  if (active === null || needed <= active) return null;
  const what = `this takes format ${needed} and the cluster uses format ${active}`;
  return refuse('UNSUPPORTED_VERSION', `${what}: upgrade every broker, then run: sluice cluster finalize-upgrade`, {
    fields: { command: kind, needed: `${needed}`, active: `${active}` },
  });
}
