/**
 * The alerts of deploy/prometheus/rules as the object that the Prometheus operator takes.
 * `npm run k8s:rules` writes it; a test compares, so that there is one source.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { parse, stringify } from 'yaml';

const source = new URL('../prometheus/rules/sluice.rules.yaml', import.meta.url);
const target = new URL('components/monitoring/prometheus-rule.yaml', import.meta.url);

/** The file's text as it must be. */
export function prometheusRule(): string {
  const { groups } = parse(readFileSync(source, 'utf8')) as { readonly groups: unknown };
  const rule = {
    apiVersion: 'monitoring.coreos.com/v1',
    kind: 'PrometheusRule',
    metadata: { name: 'sluice' },
    spec: { groups },
  };
  const head = '# Made from deploy/prometheus/rules by npm run k8s:rules; edit it there.\n';
  return head + stringify(rule, { lineWidth: 0, singleQuote: true });
}

if (process.argv[1] === import.meta.filename) writeFileSync(target, prometheusRule());
