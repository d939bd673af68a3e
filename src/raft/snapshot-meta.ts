/** A snapshot as the log has it, and as the peers speak of it. */
import type { SnapshotHead } from '../log/log.ts';
import { decodeConfiguration, emptyConfiguration, encodeConfiguration } from './core/configuration.ts';
import type { SnapshotMeta } from './core/snapshot.ts';

export function metaOf(id: string, head: SnapshotHead): SnapshotMeta {
  const { position, logStart, configuration, terms, byteLength, checksum } = head;
  const { endOffset, chain, appendTimeMs, maxTimestampMs, payloadBytes } = position;
  return {
    id,
    lastIndex: position.index,
    lastTerm: position.term,
    endOffset,
    chain,
    appendTimeMs,
    maxTimestampMs,
    payloadBytes,
    logStart,
    configuration: configuration.length === 0 ? emptyConfiguration : decodeConfiguration(configuration),
    terms,
    byteLength,
    checksum,
  };
}

export function headOf(meta: SnapshotMeta): SnapshotHead {
  const { endOffset, chain, appendTimeMs, maxTimestampMs, payloadBytes } = meta;
  const end = { endOffset, chain, appendTimeMs, maxTimestampMs, payloadBytes };
  return {
    position: { index: meta.lastIndex, term: meta.lastTerm, ...end },
    logStart: meta.logStart,
    configuration: encodeConfiguration(meta.configuration),
    terms: meta.terms,
    byteLength: meta.byteLength,
    checksum: meta.checksum,
  };
}
