/**
 * A network of pods: each has a namespace with its own loopback and one address, which no pod before it had, on a bridge
 * that this process is on too. Names are a file of hosts: there are those of pods that run, as with a headless service.
 * For a process in namespaces of its own (own-namespaces.ts). Its commands leave the event loop to the load of the case.
 */
import { execFile } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

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

  private constructor(folder: string) {
    this.hostsFile = join(folder, 'hosts');
  }

  static async begin(folder: string): Promise<PodNetwork> {
    const network = new PodNetwork(folder);
    mkdirSync(namespacesDir, { recursive: true });
    await run('mount', '-t', 'tmpfs', 'tmpfs', namespacesDir);
    await run('ip', 'link', 'set', 'lo', 'up');
    await run('ip', 'link', 'add', bridge, 'type', 'bridge');
    await run('ip', 'address', 'add', `${prefix}.0.1/16`, 'dev', bridge);
    await run('ip', 'link', 'set', bridge, 'up');
    network.#write();
    await run('mount', '--bind', network.hostsFile, '/etc/hosts');
    return network;
  }

  /** A pod that others find under these names from now on. */
  async add(names: readonly string[]): Promise<PodPlace> {
    const n = ++this.#made;
    const [netns, outside] = [`pod${n}`, `out${n}`];
    const address = `${prefix}.${1 + Math.floor(n / 200)}.${1 + (n % 200)}`;
    await run('ip', 'netns', 'add', netns);
    await run('ip', 'link', 'add', outside, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', netns);
    await run('ip', 'link', 'set', outside, 'master', bridge, 'up');
    await run('ip', '-n', netns, 'link', 'set', 'lo', 'up');
    await run('ip', '-n', netns, 'address', 'add', `${address}/16`, 'dev', 'eth0');
    await run('ip', '-n', netns, 'link', 'set', 'eth0', 'up');
    this.#names.set(address, names);
    this.#write();
    return { netns, address };
  }

  async remove({ netns, address }: PodPlace): Promise<void> {
    this.#names.delete(address);
    this.#write();
    await run('ip', 'netns', 'delete', netns);
  }

  /** In its place, because what is mounted is the file and not its name. */
  #write(): void {
    const lines = [...this.#names].map(([address, names]) => [address, ...names].join(' '));
    writeFileSync(this.hostsFile, ['127.0.0.1 localhost', ...lines, ''].join('\n'));
  }
}

const execute = promisify(execFile);

export async function run(command: string, ...args: readonly string[]): Promise<void> {
  await execute(command, args);
}
