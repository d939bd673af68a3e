import { decodeConfiguration } from '../../../src/raft/core/configuration.ts';
import type { Configuration } from '../../../src/raft/core/configuration.ts';
import type { SnapshotMeta } from '../../../src/raft/core/snapshot.ts';
import type { Entry } from '../../../src/model/entry.ts';
import { entryEndOffset } from '../../../src/model/entry.ts';
import type { GroupNumber } from '../../../src/model/ids.ts';
import { Invariant } from '../invariant.ts';
import type { SimNode } from '../sim-node.ts';

/**
 * inv-I12: a replica that installed a snapshot is in the state that the others were in after its last entry, with the
 * configuration that was in force there (P44), at the place in the log that the others have there, and nothing that is
 * retained was skipped (design D6). Raft thesis 5.2; etcd's `TestRestoreFromSnapMsg`.
 */
export class SnapshotState extends Invariant {
  readonly id = 'inv-I12';
  readonly #hashes = new Map<GroupNumber, number[]>();

  override onApplied(_node: SimNode, group: GroupNumber, entry: Entry, hash: number): void {
    const hashes = this.#hashes.get(group) ?? [];
    this.#hashes.set(group, hashes);
    if (hashes[entry.index] === undefined) hashes[entry.index] = hash;
  }

  override onInstalled(node: SimNode, group: GroupNumber, meta: SnapshotMeta, hash: number): void {
    const at = `n${node.number} g${group} snapshot of ${meta.lastIndex}`;
    const last = this.world.committed.entries(group)[meta.lastIndex - 1];
    this.check(last !== undefined, `${at}: nobody has applied that entry`);
    const isThere = last.term === meta.lastTerm && last.chain === meta.chain && entryEndOffset(last) === meta.endOffset;
    this.check(isThere && last.appendTimeMs === meta.appendTimeMs, `${at}: the committed entry is another one`);
    this.check(hash === this.#hashes.get(group)?.[meta.lastIndex], `${at}: the state is another one`);
    this.check(
      isSame(meta.configuration, this.#configurationAt(group, meta)),
      `${at}: the configuration is another one`,
    );
    const isData = this.world.planOf(group).kind === 'data';
    this.check(!isData || meta.endOffset <= meta.logStart, `${at}: retained records were skipped`);
    const raft = node.groups.get(group);
    const isFollowed =
      raft === undefined || (raft.appliedIndex === meta.lastIndex && raft.highWatermark === meta.endOffset);
    this.check(isFollowed, `${at}: the replica is at ${raft?.appliedIndex}`);
  }

  #configurationAt(group: GroupNumber, meta: SnapshotMeta): Configuration {
    const before = this.world.committed.entries(group).slice(0, meta.lastIndex);
    const newest = before.findLast(({ kind }) => kind === 'configuration');
    const { voters } = this.world.planOf(group);
    if (newest !== undefined) return decodeConfiguration(newest.payload);
    // a replica that joined later does not know the founders, only what its log says since
    if (meta.configuration.voters.length === 0) return meta.configuration;
    return { revision: 0, voters, outgoing: [], learners: [] };
  }
}

function isSame(a: Configuration, b: Configuration): boolean {
  const lists = ({ voters, outgoing, learners }: Configuration): string => JSON.stringify([voters, outgoing, learners]);
  return a.revision === b.revision && lists(a) === lists(b);
}
