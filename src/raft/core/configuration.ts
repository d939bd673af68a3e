/** Who votes in a group (design D2, D5). Joint while `outgoing` is not empty: then both majorities must agree. */
import { assert } from '../../model/assert.ts';
import type { ReplicaId } from '../../model/ids.ts';
import { toReplicaId } from '../../model/ids.ts';

export interface Configuration {
  /** The catalog's revision that asked for it; older ones are refused. */
  readonly revision: number;
  readonly voters: readonly ReplicaId[];
  /** Voters of the configuration that is being left; empty outside of a joint phase. */
  readonly outgoing: readonly ReplicaId[];
  readonly learners: readonly ReplicaId[];
}

/** Most replicas that one list may name. */
export const replicasMax = 64;

export const emptyConfiguration: Configuration = { revision: 0, voters: [], outgoing: [], learners: [] };

const formatVersion = 1;

/** Payload of a `configuration` entry: version, revision, then the three lists; integers big-endian. */
export function encodeConfiguration(configuration: Configuration): Uint8Array {
  const lists = [configuration.voters, configuration.outgoing, configuration.learners];
  const bytes = new Uint8Array(9 + lists.reduce((size, list) => size + 1 + 8 * list.length, 0));
  const view = new DataView(bytes.buffer);
  view.setUint8(0, formatVersion);
  writeInteger(view, 1, configuration.revision);
  let at = 9;
  for (const list of lists) {
    assert(list.length <= replicasMax, 'configuration-1: a list names at most replicasMax replicas');
    view.setUint8(at++, list.length);
    for (const id of list) {
      writeInteger(view, at, id);
      at += 8;
    }
  }
  return bytes;
}

/** @throws InvariantViolation for bytes that `encodeConfiguration` did not make (the group is quarantined, design D7) */
export function decodeConfiguration(bytes: Uint8Array): Configuration {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  assert(bytes.length >= 12 && view.getUint8(0) === formatVersion, 'configuration-2: known format');
  const revision = readInteger(view, 1);
  let at = 9;
  const list = (): ReplicaId[] => {
    assert(at < bytes.length, 'configuration-2: known format', 'list is cut');
    const count = view.getUint8(at++);
    assert(at + 8 * count <= bytes.length, 'configuration-2: known format', 'list is cut');
    const ids = Array.from({ length: count }, (_, i) => toReplicaId(readInteger(view, at + 8 * i)));
    at += 8 * count;
    return ids;
  };
  const configuration = { revision, voters: list(), outgoing: list(), learners: list() };
  assert(at === bytes.length, 'configuration-2: known format', 'bytes are left over');
  return configuration;
}

function writeInteger(view: DataView, at: number, value: number): void {
  view.setUint32(at, Math.floor(value / 2 ** 32));
  view.setUint32(at + 4, value % 2 ** 32);
}

function readInteger(view: DataView, at: number): number {
  return view.getUint32(at) * 2 ** 32 + view.getUint32(at + 4);
}
