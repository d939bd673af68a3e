/** The Kubernetes suite: pods of deploy/k8s as the StatefulSet treats them, each in a network of its own. */
import type { SuiteOptions } from '../report.ts';
import { runInOwnNamespaces } from './own-namespaces.ts';

const names: readonly string[] = ['rolling-restart', 'lost-volume', 'scaling'];

export async function runKubernetes({ short, only, report }: SuiteOptions): Promise<void> {
  for (const name of names) {
    const full = `kubernetes/${name}`;
    if (only === null || full.includes(only)) await report.run(full, () => runInOwnNamespaces(name, short));
  }
}
