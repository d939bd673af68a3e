/** What a simulated broker remembers of others' disks: PeerMemoryFile's contract over the files of a simulated disk. */
import { assert } from '../../src/model/assert.ts';
import type { PeerMemory, RememberedPeer } from '../../src/raft/peer-memory.ts';
import type { SimFiles } from './sim-files.ts';
import type { SimProcess } from './sim-process.ts';

/** A commit number that has risen is durable after this time (src/log/peer-memory-file.ts). */
const noteMs = 1_000;

export class SimPeerMemory implements PeerMemory {
  readonly #files: SimFiles;
  readonly #process: SimProcess;
  readonly #peers: Map<string, RememberedPeer>;
  #isDue = false;

  constructor(files: SimFiles, process: SimProcess) {
    this.#files = files;
    this.#process = process;
    this.#peers = new Map(files.content.peers);
  }

  remembered(incarnation: string): RememberedPeer | null {
    return this.#peers.get(incarnation) ?? null;
  }

  async remember(peer: RememberedPeer): Promise<boolean> {
    const { incarnation, bootNumber, processNonce } = peer;
    const known = this.#peers.get(incarnation);
    const isSame = known?.bootNumber === bootNumber && known.processNonce === processNonce;
    assert(known === undefined || isSame || known.bootNumber < bootNumber, 'peers-1: boot numbers rise', incarnation);
    const durableCommit = Math.max(peer.durableCommit, known?.durableCommit ?? 0);
    this.#peers.set(incarnation, { incarnation, bootNumber, processNonce, durableCommit });
    await this.#write();
    return true;
  }

  noteCommit(incarnation: string, durableCommit: number): void {
    const known = this.#peers.get(incarnation);
    if (known === undefined || durableCommit <= known.durableCommit) return;
    this.#peers.set(incarnation, { ...known, durableCommit });
    if (this.#isDue) return;
    this.#isDue = true;
    this.#process.clock.setTimer(noteMs, () => {
      this.#isDue = false;
      void this.#write();
    });
  }

  #write(): Promise<void> {
    return this.#files.write(this.#process, { peers: new Map(this.#peers) });
  }
}
