/** The file system of a pod: the image's parts and the volumes, and nothing that can be written to but those. */
import {
  chownSync,
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import type { PodSpec } from '../../deploy/pod-spec.ts';
import { run } from './pod-network.ts';

const checkout = join(import.meta.dirname, '../../..');
/** Of this machine: what node and a shell need. */
const systemDirs = ['bin', 'lib', 'lib64', 'sbin', 'usr'];
/** What the Dockerfile copies into /app. */
const imageDir = '/app';

/** @param claim folder of the volume that is kept */
export async function mountPodRoot(root: string, spec: PodSpec, claim: string, hostsFile: string): Promise<void> {
  mkdirSync(root, { recursive: true });
  await run('mount', '-t', 'tmpfs', '-o', 'mode=0755', 'tmpfs', root);
  for (const name of systemDirs) {
    const [here, there] = [`/${name}`, join(root, name)];
    if (!existsSync(here)) continue;
    if (lstatSync(here).isSymbolicLink()) symlinkSync(readlinkSync(here), there);
    else await bind(here, there);
  }
  const nodeDir = dirname(process.execPath);
  if (!nodeDir.startsWith('/usr/')) await bind(nodeDir, join(root, nodeDir));
  await bind('/dev', join(root, 'dev'));
  await bind('/proc', join(root, 'proc'));
  await bind(checkout, join(root, imageDir));
  mkdirSync(join(root, 'etc'));
  copyFileSync('/etc/ld.so.cache', join(root, 'etc/ld.so.cache'));
  writeFileSync(join(root, 'etc/nsswitch.conf'), 'hosts: files\n');
  writeFileSync(join(root, 'etc/hosts'), '');
  await run('mount', '--bind', hostsFile, join(root, 'etc/hosts'));
  for (const { kind, at, files } of spec.mounts) {
    const there = join(root, at);
    if (kind === 'claim') await bind(claim, there);
    else mkdirSync(there, { recursive: true });
    if (kind === 'empty') await run('mount', '-t', 'tmpfs', '-o', 'mode=1777', 'tmpfs', there);
    if (kind !== 'files') chownSync(there, spec.uid, spec.uid);
    for (const [name, text] of Object.entries(files)) writeFileSync(join(there, name), text);
  }
  await run('mount', '-o', 'remount,ro', root);
}

export const unmountPodRoot = (root: string): Promise<void> => run('umount', '--recursive', '--lazy', root);

async function bind(from: string, to: string): Promise<void> {
  mkdirSync(to, { recursive: true });
  await run('mount', '--bind', from, to);
}
