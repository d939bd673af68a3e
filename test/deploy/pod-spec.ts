/**
 * What Kubernetes does with the brokers of an overlay, read out of what Kustomize renders and the Dockerfile: so that a
 * change there changes the tests.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { IStatefulSet } from 'kubernetes-models/apps/v1/StatefulSet';
import type { IConfigMap } from 'kubernetes-models/v1/ConfigMap';
import type { IContainer } from 'kubernetes-models/v1/Container';
import { stagesOf } from './dockerfile.ts';
import type { Manifest } from './manifests.ts';

/** How the kubelet asks a pod something over HTTP. Times in milliseconds. */
export interface HttpProbe {
  readonly path: string;
  readonly port: number;
  readonly periodMs: number;
  readonly timeoutMs: number;
  readonly failureThreshold: number;
}

/** `claim`: kept when the pod goes. `files`: a ConfigMap. `empty`: new for each pod. */
export type VolumeKind = 'claim' | 'files' | 'empty';

export interface Mount {
  readonly kind: VolumeKind;
  readonly at: string;
  /** Name and text of the files; empty unless `kind` is `files`. */
  readonly files: Readonly<Record<string, string>>;
}

export interface PodSpec {
  /** Of the StatefulSet; a pod's is followed by its ordinal. */
  readonly name: string;
  /** The headless service: what follows a pod's name in DNS. */
  readonly serviceName: string;
  readonly replicas: number;
  /** What the container runs: the image's entry point without its init, and the manifest's arguments. */
  readonly command: readonly string[];
  readonly uid: number;
  readonly clientPort: number;
  readonly mounts: readonly Mount[];
  readonly preStop: readonly string[];
  /** From the beginning of the hook to kill -9, milliseconds. */
  readonly graceMs: number;
  readonly readiness: HttpProbe;
  /** How long a pod has to be ready before the next one is restarted, milliseconds. */
  readonly minReadyMs: number;
  /** The variables of the container of one pod. */
  readonly environment: (ordinal: number) => Readonly<Record<string, string>>;
}

/** Where pods are, for their names; any will do. */
export const namespace = 'streams';
const secret = 'a secret of this cluster';

export function podSpecOf(manifests: readonly Manifest[]): PodSpec {
  const set = manifests.find(({ kind }) => kind === 'StatefulSet') as unknown as IStatefulSet | undefined;
  const { spec, metadata } = set ?? {};
  const pod = spec?.template.spec;
  const container = pod?.containers[0];
  assert.ok(spec !== undefined && pod !== undefined && container !== undefined, 'a StatefulSet with a container');
  const { name = '' } = metadata ?? {};
  const portOf = (wanted: unknown): number => {
    const found = container.ports?.find((port) => port.name === wanted)?.containerPort;
    return found ?? assert.fail(`there is no port ${String(wanted)}`);
  };
  const { readinessProbe: ready } = container;
  assert.ok(ready?.httpGet !== undefined, 'readiness is asked over HTTP');
  const claims = (spec.volumeClaimTemplates ?? []).map((claim) => claim.metadata?.name);
  return {
    name,
    serviceName: spec.serviceName ?? '',
    replicas: spec.replicas ?? 1,
    command: [...entryPoint(), ...(container.args ?? [])],
    uid: pod.securityContext?.runAsUser ?? 0,
    clientPort: portOf('grpc'),
    mounts: (container.volumeMounts ?? []).map((mount) => {
      const config = pod.volumes?.find((volume) => volume.name === mount.name)?.configMap?.name;
      if (config !== undefined) return { kind: 'files', at: mount.mountPath, files: filesOf(manifests, config) };
      return { kind: claims.includes(mount.name) ? 'claim' : 'empty', at: mount.mountPath, files: {} };
    }),
    preStop: container.lifecycle?.preStop?.exec?.command ?? [],
    graceMs: (pod.terminationGracePeriodSeconds ?? 30) * 1_000,
    readiness: {
      path: ready.httpGet.path ?? '/',
      port: portOf(ready.httpGet.port),
      periodMs: (ready.periodSeconds ?? 10) * 1_000,
      timeoutMs: (ready.timeoutSeconds ?? 1) * 1_000,
      failureThreshold: ready.failureThreshold ?? 3,
    },
    minReadyMs: (spec.minReadySeconds ?? 0) * 1_000,
    environment: (ordinal) => environmentOf(container, name, ordinal),
  };
}

/** The variables of a container as Kubernetes would set them. */
export function environmentOf(container: IContainer, set: string, ordinal: number): Record<string, string> {
  const fields: Readonly<Record<string, string>> = {
    "metadata.labels['apps.kubernetes.io/pod-index']": String(ordinal),
    'metadata.name': `${set}-${ordinal}`,
    'metadata.namespace': namespace,
  };
  const env: Record<string, string> = {};
  for (const { name, value, valueFrom } of container.env ?? []) {
    const field = valueFrom?.fieldRef?.fieldPath;
    const given = field === undefined ? value : fields[field];
    const text = valueFrom?.secretKeyRef === undefined ? given : secret;
    assert.ok(text !== undefined, `${name} has a value`);
    env[name] = text.replace(
      /\$\((\w+)\)/g,
      (_, other: string) => env[other] ?? assert.fail(`${other} comes before ${name}`),
    );
  }
  return env;
}

function filesOf(manifests: readonly Manifest[], name: string): Readonly<Record<string, string>> {
  const map = manifests.find((one) => one.kind === 'ConfigMap' && one.metadata.name === name);
  return (map as IConfigMap | undefined)?.data ?? assert.fail(`there is no ConfigMap ${name}`);
}

/** Without what passes on signals: here nobody has to. */
function entryPoint(): readonly string[] {
  const dockerfile = readFileSync(path.join(import.meta.dirname, '../../Dockerfile'), 'utf8');
  const steps = stagesOf(dockerfile).at(-1)?.steps ?? [];
  const entry = steps.find(({ instruction }) => instruction === 'ENTRYPOINT')?.text ?? '[]';
  const words = JSON.parse(entry) as readonly string[];
  return words.slice(words.indexOf('--') + 1);
}
