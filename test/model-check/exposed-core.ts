/**
 * The real core with its private fields in the open. A model check must copy a replica and compare it with others, which
 * `#fields` forbid; rather than give production code a method that copies, src/raft/core and src/model are loaded a
 * second time, with `#name` spelled `private_name` and nothing else changed. Whatever field is added to the core later
 * is copied and compared without anybody thinking of it.
 */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import type { RaftNode, RaftNodeOptions } from '../../src/raft/core/raft-node.ts';

const sources = path.join(import.meta.dirname, '../../src');

/** A defect to plant: `search` must occur exactly once in the file. */
export interface Patch {
  /** Relative to the repository, for example `src/raft/core/quorum.ts`. */
  readonly file: string;
  readonly search: string;
  readonly replace: string;
}

export type MakeNode = (options: RaftNodeOptions) => RaftNode;

export async function exposeCore(patches: readonly Patch[] = []): Promise<MakeNode> {
  const copy = mkdtempSync(path.join(os.tmpdir(), 'sluice-core-'));
  try {
    writeFileSync(path.join(copy, 'package.json'), '{"type":"module"}');
    for (const folder of ['model', 'raft/core']) {
      mkdirSync(path.join(copy, folder), { recursive: true });
      for (const name of readdirSync(path.join(sources, folder)).filter((one) => one.endsWith('.ts'))) {
        const planted = patched(`${folder}/${name}`, patches);
        writeFileSync(path.join(copy, folder, name), planted.replace(/#(?=[a-z])/g, 'private_'));
      }
    }
    const loaded = (await import(pathToFileURL(path.join(copy, 'raft/core/raft-node.ts')).href)) as {
      RaftNode: new (options: RaftNodeOptions) => RaftNode;
    };
    return (options) => new loaded.RaftNode(options);
  } finally {
    rmSync(copy, { recursive: true });
  }
}

function patched(file: string, patches: readonly Patch[]): string {
  let text = readFileSync(path.join(sources, file), 'utf8');
  for (const patch of patches.filter((one) => one.file === `src/${file}`)) {
    assert.equal(text.split(patch.search).length, 2, `${patch.search} occurs once in ${file}`);
    text = text.replace(patch.search, () => patch.replace);
  }
  return text;
}
