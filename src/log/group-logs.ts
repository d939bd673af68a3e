/** All group logs of a broker, on one store (log.ts). One object per group, however often it is opened. */
import { assert } from '../model/assert.ts';
import type { Crc32c } from '../model/crc32c.ts';
import type { GroupNumber } from '../model/ids.ts';
import { toGroupNumber } from '../model/ids.ts';
import { DurableGroupLog, type LogResources } from './group-log.ts';
import { headerCodec } from './group-records.ts';
import { GroupKeys, headerKey, headerRange } from './keys.ts';
import type { GroupHeader, GroupLog, GroupLogs } from './log.ts';
import { LogCorruption } from './reader.ts';
import type { StoreReads } from './store.ts';

/** Headers fetched at a time. */
const headerPageMax = 1_024;

/** The header of every group that is stored, by number. */
export async function listHeaders(store: StoreReads, crc32c: Crc32c): Promise<readonly GroupHeader[]> {
  const headers: GroupHeader[] = [];
  let { from } = headerRange();
  const { to } = headerRange();
  for (;;) {
    const page = await store.scan({ from, to, limit: headerPageMax });
    for (const stored of page) headers.push(headerCodec.decode(stored, crc32c));
    const last = headers.at(-1);
    if (page.length < headerPageMax || last === undefined) return headers;
    from = headerKey(toGroupNumber(last.group + 1));
  }
}

export class DurableGroupLogs implements GroupLogs {
  readonly #resources: LogResources;
  /** Logs that are open or being opened. Bounded by the number of groups on this broker. */
  readonly #open = new Map<GroupNumber, Promise<DurableGroupLog>>();

  constructor(resources: LogResources) {
    this.#resources = resources;
  }

  async list(): Promise<readonly GroupHeader[]> {
    return listHeaders(this.#resources.store, this.#resources.crc32c);
  }

  async create(header: GroupHeader): Promise<GroupLog> {
    return this.#opened(
      header.group,
      async () => {
        assert((await this.#header(header.group)) === null, 'logs-1: a group is created once', `group ${header.group}`);
        await this.#refuseOrphans(header.group);
        const { store, crc32c } = this.#resources;
        const key = headerKey(header.group);
        await store.write([{ kind: 'put', key, value: headerCodec.encode(key, header, crc32c) }]);
        return DurableGroupLog.open(header, this.#resources);
      },
      'new',
    );
  }

  async open(group: GroupNumber): Promise<GroupLog> {
    return this.#opened(
      group,
      async () => {
        const header = await this.#header(group);
        if (header === null) throw new LogCorruption(`group ${group} has no header on this broker`);
        return DurableGroupLog.open(header, this.#resources);
      },
      'any',
    );
  }

  async remove(group: GroupNumber): Promise<void> {
    const log = await this.#open.get(group)?.catch(() => null); // one that can not be opened is removed all the same
    this.#open.delete(group);
    const key = headerKey(group);
    if (log !== null && log !== undefined) await log.remove(key);
    else {
      const data = new GroupKeys(group).all();
      await this.#resources.store.write([
        { kind: 'delete-range', ...data },
        { kind: 'delete', key },
      ]);
    }
  }

  /** The log that is open, or what `open` makes; a failure is forgotten, so that it can be tried again. */
  #opened(group: GroupNumber, open: () => Promise<DurableGroupLog>, which: 'new' | 'any'): Promise<DurableGroupLog> {
    const known = this.#open.get(group);
    assert(known === undefined || which === 'any', 'logs-1: a group is created once', `group ${group}`);
    if (known !== undefined) return known;
    const opening = open();
    this.#open.set(group, opening);
    opening.catch(() => {
      if (this.#open.get(group) === opening) this.#open.delete(group);
    });
    return opening;
  }

  async #header(group: GroupNumber): Promise<GroupHeader | null> {
    const key = headerKey(group);
    const value = await this.#resources.store.get(key);
    return value === null ? null : headerCodec.decode({ key, value }, this.#resources.crc32c);
  }

  /** Data without a header is set apart and reported, never built upon or cleaned up (design D5). */
  async #refuseOrphans(group: GroupNumber): Promise<void> {
    const found = await this.#resources.store.scan({ ...new GroupKeys(group).all(), limit: 1 });
    if (found.length > 0) throw new LogCorruption(`group ${group} has data on this broker but no header`);
  }
}
