/** Disk images for scripts: a log from a list of terms, and a snapshot in the place of a log's prefix. */
import { entryEndOffset } from '../../src/model/entry.ts';
import type { LogIndex } from '../../src/model/ids.ts';
import { toLogIndex } from '../../src/model/ids.ts';
import type { TermStart } from '../../src/model/raft-state.ts';
import { decodeConfiguration } from '../../src/raft/core/configuration.ts';
import type { Configuration } from '../../src/raft/core/configuration.ts';
import { crc32c } from '../../src/runtime/crc32c.ts';
import type { Image } from '../raft/core/cluster.ts';
import { lastOf, textOf } from '../raft/core/cluster.ts';

/** The configuration as of `index` (P44: not the newest one). */
export function configurationAt(image: Image, genesis: Configuration, index: LogIndex): Configuration {
  const entry = image.entries.findLast((one) => one.kind === 'configuration' && one.index <= index);
  return entry === undefined ? (image.snapshot?.configuration ?? genesis) : decodeConfiguration(entry.payload);
}

/** The image after everything through `index` became the snapshot `id`. */
export function snapshotOf(image: Image, genesis: Configuration, index: LogIndex, id: string): Image {
  const at = image.entries.find((entry) => entry.index === index);
  if (at === undefined) throw new Error(`the log does not hold ${index}`);
  const state = [...image.state];
  const terms: TermStart[] = [...(image.snapshot?.terms ?? [])];
  for (const entry of image.entries.filter((one) => one.index <= index)) {
    if (entry.kind === 'batch') state.push(textOf(entry));
    if (terms.at(-1)?.term === entry.term) continue;
    terms.push({ term: entry.term, startIndex: entry.index, startOffset: entry.baseOffset });
  }
  const snapshot = {
    id,
    lastIndex: index,
    lastTerm: at.term,
    endOffset: entryEndOffset(at),
    chain: at.chain,
    appendTimeMs: at.appendTimeMs,
    maxTimestampMs: null,
    payloadBytes: 0,
    logStart: entryEndOffset(at),
    configuration: configurationAt(image, genesis, index),
    terms,
    byteLength: Buffer.byteLength(state.join(',')),
    checksum: crc32c(Buffer.from(state.join(','))),
  };
  return { ...image, snapshot, state, entries: image.entries.filter((entry) => entry.index > index) };
}

/** The image without everything above `index`: a disk that lost what it had acknowledged. */
export function cutImage(image: Image, index: number): Image {
  const entries = image.entries.filter((entry) => entry.index <= index);
  const commit = toLogIndex(Math.min(image.hardState.commit, lastOf({ ...image, entries })));
  return { ...image, entries, hardState: { ...image.hardState, commit } };
}
