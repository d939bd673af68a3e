/** The manifests of deploy/k8s: they render, fit the schemas, and hold together with each other and with the broker. */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, test } from 'node:test';
import type { IPodDisruptionBudget } from 'kubernetes-models/policy/v1/PodDisruptionBudget';
import type { IStatefulSet } from 'kubernetes-models/apps/v1/StatefulSet';
import type { INetworkPolicy } from 'kubernetes-models/networking.k8s.io/v1/NetworkPolicy';
import type { IService } from 'kubernetes-models/v1/Service';
import type { IConfigMap } from 'kubernetes-models/v1/ConfigMap';
import type { IPodMonitor } from '@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/PodMonitor';
import { prometheusRule } from '../../deploy/k8s/prometheus-rule.ts';
import { buildProgram } from '../../src/cli/program.ts';
import type { Config } from '../../src/config.ts';
import { loadConfig } from '../../src/config.ts';
import { shutdownMsMax } from '../../src/runtime/shutdown.ts';
import { problemsOf, render } from './manifests.ts';
import type { Manifest } from './manifests.ts';
import { environmentOf } from './pod-spec.ts';

const overlays = readdirSync(new URL('../../deploy/k8s/overlays', import.meta.url)).sort();

const ofKind = (all: readonly Manifest[], kind: string, name?: string): unknown => {
  const found = all.filter((one) => one.kind === kind && (name === undefined || one.metadata.name === name));
  assert.equal(found.length, 1, `one ${kind} ${name ?? ''}`);
  return found[0];
};

/** The parts that tests look at, of the one StatefulSet. */
function brokersOf(all: readonly Manifest[]) {
  const set = ofKind(all, 'StatefulSet') as IStatefulSet;
  const spec = set.spec;
  assert.ok(spec?.template.spec !== undefined);
  const pod = spec.template.spec;
  const [container, ...others] = pod.containers;
  assert.ok(container !== undefined && others.length === 0);
  return { spec, pod, container, labels: spec.template.metadata?.labels ?? {} };
}

/** The file that the ConfigMap mounts, whatever hash its name has. */
function configFileOf(all: readonly Manifest[]): string {
  const { pod } = brokersOf(all);
  const name = pod.volumes?.find((volume) => volume.name === 'config')?.configMap?.name;
  return (ofKind(all, 'ConfigMap', name) as IConfigMap).data?.['sluice.yaml'] ?? '';
}

/** The settings of one pod, as the broker reads them from what Kubernetes gives it. */
function settingsOf(
  all: readonly Manifest[],
  ordinal: number,
  file = configFileOf(all),
): ReturnType<typeof loadConfig> {
  const env = environmentOf(brokersOf(all).container, 'sluice', ordinal);
  const folder = mkdtempSync(path.join(tmpdir(), 'sluice-k8s-'));
  const at = path.join(folder, 'sluice.yaml');
  writeFileSync(at, file);
  try {
    return loadConfig({ argv: ['--config', at], env });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const validSettings = (all: readonly Manifest[], ordinal: number): Config => {
  const loaded = settingsOf(all, ordinal);
  assert.ok(loaded.kind === 'ok', loaded.kind === 'invalid' ? loaded.problems.join('; ') : '');
  return loaded.config;
};

test('there are the overlays dev and ha', () => assert.deepEqual(overlays, ['dev', 'ha']));

for (const overlay of overlays) {
  describe(`deploy/k8s/overlays/${overlay}`, () => {
    const all = render(`overlays/${overlay}`);

    test('fits the schemas of Kubernetes and of the operators', () => {
      assert.deepEqual(problemsOf(all), []);
    });

    test('every selector finds the brokers, and every port by name is one of theirs', () => {
      const { spec, pod, container, labels } = brokersOf(all);
      const ports = new Map(container.ports?.map(({ name, containerPort }) => [name, containerPort]));
      const finds = (selector: Readonly<Record<string, string>> | undefined, what: string): void => {
        assert.ok(selector !== undefined && Object.keys(selector).length > 0, what);
        for (const [label, value] of Object.entries(selector)) assert.equal(labels[label], value, what);
      };
      finds(spec.selector.matchLabels, 'StatefulSet');
      const services = all.filter(({ kind }) => kind === 'Service') as unknown as readonly IService[];
      for (const { metadata, spec: service } of services) {
        finds(service?.selector, `Service ${metadata?.name ?? ''}`);
        for (const { targetPort, port } of service?.ports ?? [])
          assert.equal(ports.get(String(targetPort)), port, `${metadata?.name ?? ''} ${port}`);
      }
      const headless = ofKind(all, 'Service', spec.serviceName) as IService;
      assert.equal(headless.spec?.clusterIP, 'None');
      assert.equal(headless.spec.publishNotReadyAddresses, true, 'brokers find each other before they are ready');
      const policy = (ofKind(all, 'NetworkPolicy') as INetworkPolicy).spec;
      finds(policy?.podSelector.matchLabels, 'NetworkPolicy');
      for (const port of policy?.ingress?.flatMap((rule) => rule.ports ?? []) ?? [])
        assert.ok(ports.has(String(port.port)));
      for (const one of all.filter(({ kind }) => kind === 'PodMonitor') as unknown as readonly IPodMonitor[]) {
        finds(one.spec.selector.matchLabels, 'PodMonitor');
        for (const { port } of one.spec.podMetricsEndpoints) assert.ok(ports.has(port ?? ''));
      }
      const volumes = new Set([...(pod.volumes ?? []), ...(spec.volumeClaimTemplates ?? []).map(({ metadata }) => metadata)].map((volume) => volume?.name)); // prettier-ignore
      for (const { name } of container.volumeMounts ?? []) assert.ok(volumes.has(name), `volume ${name}`);
    });

    test('the broker understands its settings: ports, advertised names, the pod’s number', () => {
      const { spec, container } = brokersOf(all);
      const ports = new Map(container.ports?.map(({ name, containerPort }) => [name, containerPort]));
      for (const ordinal of [0, (spec.replicas ?? 1) - 1, 4]) {
        const { broker, listen, storage, cluster } = validSettings(all, ordinal);
        assert.equal(broker.id, ordinal);
        assert.equal(broker.advertisedAddress, `sluice-${ordinal}.sluice-headless.streams.svc:${listen.client.port}`);
        assert.equal(broker.advertisedPeerAddress, `sluice-${ordinal}.sluice-headless:${listen.broker.port}`);
        assert.deepEqual([ports.get('grpc'), ports.get('raft'), ports.get('http')], [listen.client.port, listen.broker.port, listen.http.port]); // prettier-ignore
        for (const { host } of [listen.client, listen.broker, listen.http]) assert.equal(host, '0.0.0.0');
        const mounts = container.volumeMounts?.filter(({ mountPath }) => storage.dataDir.startsWith(`${mountPath}/`));
        assert.equal(mounts?.[0]?.name, 'data', 'what is kept is on the volume');
        // founders are the pods of the overlay, at the addresses that they advertise; one broker alone has none
        const founders = Array.from({ length: spec.replicas ?? 1 }, (_, n) => `${n}@sluice-${n}.sluice-headless:${listen.broker.port}`); // prettier-ignore
        assert.deepEqual(cluster.founders, founders.length === 1 ? [] : founders);
        // and those that come later ask them
        assert.deepEqual(
          cluster.seeds,
          cluster.founders.map((founder) => founder.replace(/^\d+@/, '')),
        );
      }
    });

    test('an unknown key in the ConfigMap is refused by name, before a disk is touched', () => {
      const loaded = settingsOf(all, 0, `${configFileOf(all)}\nretention:\n  checkIntervall: 30s\n`);
      assert.equal(loaded.kind, 'invalid');
      assert.match(
        loaded.problems.join('\n'),
        /unknown setting retention\.checkIntervall .*did you mean retention\.checkInterval\?/,
      );
    });

    test('probes ask what the broker serves; none but readiness depends on other brokers', () => {
      const { container } = brokersOf(all);
      const paths = [container.startupProbe, container.livenessProbe, container.readinessProbe].map((probe) => {
        assert.equal(probe?.httpGet?.port, 'http');
        return probe.httpGet.path;
      });
      assert.deepEqual(paths, ['/livez', '/livez', '/readyz']);
      const startupSeconds =
        (container.startupProbe?.periodSeconds ?? 0) * (container.startupProbe?.failureThreshold ?? 0);
      assert.ok(startupSeconds >= 900, 'recovery has a quarter of an hour');
    });

    test('the hook is a command that exists, and it and the shutdown fit into the grace period', () => {
      const { pod, container } = brokersOf(all);
      const line = container.lifecycle?.preStop?.exec?.command?.at(-1) ?? '';
      const [, within] = /broker await-quorum "\$SLUICE_BROKER__ID" --within (\d+)s$/.exec(line) ?? [];
      assert.ok(within !== undefined, line);
      const broker = buildProgram().commands.find((command) => command.name() === 'broker');
      const command = broker?.commands.find((one) => one.name() === 'await-quorum');
      assert.ok(command?.options.some(({ long }) => long === '--within'));
      assert.ok(Number(within) + shutdownMsMax / 1_000 < (pod.terminationGracePeriodSeconds ?? 30));
    });

    test('the budget leaves a quorum of the founders', () => {
      const { spec, labels } = brokersOf(all);
      const replicas = spec.replicas ?? 1;
      if (replicas === 1) {
        assert.ok(
          !all.some(({ kind }) => kind === 'PodDisruptionBudget'),
          'a budget over one pod blocks the node’s drain',
        );
        return;
      }
      const budget = (ofKind(all, 'PodDisruptionBudget') as IPodDisruptionBudget).spec;
      for (const [label, value] of Object.entries(budget?.selector?.matchLabels ?? { none: '' }))
        assert.equal(labels[label], value);
      assert.ok(replicas - Number(budget?.maxUnavailable) >= Math.floor(replicas / 2) + 1);
      assert.equal(spec.updateStrategy?.type, 'RollingUpdate');
      assert.equal(spec.podManagementPolicy, 'Parallel', 'a majority must come up before one is ready');
      assert.deepEqual(spec.persistentVolumeClaimRetentionPolicy, { whenDeleted: 'Retain', whenScaled: 'Retain' });
    });

    test('it runs under the pod security standard "restricted", with bounded memory', () => {
      const { pod, container } = brokersOf(all);
      assert.equal(pod.securityContext?.runAsNonRoot, true);
      assert.notEqual(pod.securityContext.runAsUser, 0);
      assert.equal(pod.securityContext.seccompProfile?.type, 'RuntimeDefault');
      assert.equal(container.securityContext?.allowPrivilegeEscalation, false);
      assert.deepEqual(container.securityContext.capabilities?.drop, ['ALL']);
      assert.equal(container.securityContext.readOnlyRootFilesystem, true);
      assert.equal(pod.automountServiceAccountToken, false);
      assert.equal(pod.hostNetwork ?? pod.hostPID ?? pod.hostIPC ?? false, false);
      const allowed = ['configMap', 'emptyDir', 'persistentVolumeClaim', 'secret', 'projected', 'downwardAPI', 'csi'];
      for (const volume of pod.volumes ?? [])
        for (const type of Object.keys(volume).filter((key) => key !== 'name')) assert.ok(allowed.includes(type), type);
      assert.doesNotMatch(container.image ?? '', /:latest$|^[^:]*$/);
      const limit = /^(\d+)Gi$/.exec(String(container.resources?.limits?.['memory']))?.[1];
      const heap = /--max-old-space-size=(\d+)/.exec(
        container.env?.find(({ name }) => name === 'NODE_OPTIONS')?.value ?? '',
      );
      assert.ok(Number(heap?.[1]) <= Number(limit) * 512, 'half is left to RocksDB, buffers and the page cache');
    });
  });
}

test('a misspelt field, or a value of another type, is found', () => {
  const [set] = render('overlays/ha').filter(({ kind }) => kind === 'StatefulSet');
  assert.ok(set !== undefined);
  const misspelt = JSON.parse(JSON.stringify(set).replace('"livenessProbe"', '"livenessProb"')) as Manifest;
  assert.match(problemsOf([misspelt]).join('\n'), /livenessProb/);
  const typed = JSON.parse(JSON.stringify(set).replace('"replicas":3', '"replicas":"3"')) as Manifest;
  assert.match(problemsOf([typed]).join('\n'), /replicas/);
});

test('the alerts and dashboards of the monitoring component are those of deploy/prometheus and deploy/grafana', () => {
  const file = new URL('../../deploy/k8s/components/monitoring/prometheus-rule.yaml', import.meta.url);
  assert.equal(readFileSync(file, 'utf8'), prometheusRule(), 'run npm run k8s:rules and commit the result');
  const all = render('overlays/ha');
  const dashboards = ofKind(all, 'ConfigMap', 'sluice-dashboards') as IConfigMap;
  assert.equal(dashboards.metadata?.labels?.['grafana_dashboard'], '1');
  const folder = new URL('../../deploy/grafana/', import.meta.url);
  const there = readdirSync(folder).filter((name) => name.endsWith('.json'));
  assert.deepEqual(Object.keys(dashboards.data ?? {}).sort(), there.sort());
  for (const [name, text] of Object.entries(dashboards.data ?? {}))
    assert.equal(text, readFileSync(new URL(name, folder), 'utf8'));
  // what the rules select by
  const { spec } = ofKind(all, 'PodMonitor') as IPodMonitor;
  assert.equal(spec.jobLabel, 'app.kubernetes.io/name');
  assert.equal(brokersOf(all).labels['app.kubernetes.io/name'], 'sluice');
});
