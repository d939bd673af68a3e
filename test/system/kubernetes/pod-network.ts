/**
 * A network of pods: each has a namespace with its own loopback and one address, which no pod before it had, on a bridge
 * that this process is on too. Names are a file of hosts: there are those of pods that run, as with a headless service.
 * For a process in namespaces of its own (own-namespaces.ts).
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const bridge = 'pods';
const prefix = '10.77';
const namespacesDir = '/run/netns';

export interface PodPlace {
  readonly netns: string;
  readonly address: string;
}

export class PodNetwork {
  readonly hostsFile: string;
  readonly #names = new Map<string, readonly string[]>();
  #made = 0;

  constructor(folder: string) {
    this.hostsFile = join(folder, 'hosts');
    mkdirSync(namespacesDir, { recursive: true });
    run('mount', '-t', 'tmpfs', 'tmpfs', namespacesDir);
    run('ip', 'link', 'set', 'lo', 'up');
    run('ip', 'link', 'add', bridge, 'type', 'bridge');
    run('ip', 'address', 'add', `${prefix}.0.1/16`, 'dev', bridge);
    run('ip', 'link', 'set', bridge, 'up');
    this.#write();
    run('mount', '--bind', this.hostsFile, '/etc/hosts');
  }

  /** A pod that others find under these names from now on. */
  add(names: readonly string[]): PodPlace {
    const n = ++this.#made;
    const [netns, outside] = [`pod${n}`, `out${n}`];
    const address = `${prefix}.${1 + Math.floor(n / 200)}.${1 + (n % 200)}`;
    run('ip', 'netns', 'add', netns);
    run('ip', 'link', 'add', outside, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', netns);
    run('ip', 'link', 'set', outside, 'master', bridge, 'up');
    run('ip', '-n', netns, 'link', 'set', 'lo', 'up');
    run('ip', '-n', netns, 'address', 'add', `${address}/16`, 'dev', 'eth0');
    run('ip', '-n', netns, 'link', 'set', 'eth0', 'up');
    this.#names.set(address, names);
    this.#write();
    return { netns, address };
  }

  remove({ netns, address }: PodPlace): void {
    this.#names.delete(address);
    this.#write();
    run('ip', 'netns', 'delete', netns);
  }

  /** In its place, because what is mounted is the file and not its name. */
  #write(): void {
    const lines = [...this.#names].map(([address, names]) => [address, ...names].join(' '));
    writeFileSync(this.hostsFile, ['127.0.0.1 localhost', ...lines, ''].join('\n'));
  }
}

export const run = (command: string, ...args: readonly string[]): void => {
  execFileSync(command, args, { stdio: ['ignore', 'ignore', 'pipe'] });
};
