/** Renders the overlays of deploy/k8s, and holds what comes out against the API schemas of Kubernetes and the operators. */
import { execFileSync, spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import path from 'node:path';
import ts from 'typescript';
import { parseAllDocuments } from 'yaml';

const root = path.dirname(path.dirname(import.meta.dirname));
const load = createRequire(import.meta.url);

/** As much of an object as all kinds have. */
export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly labels?: Readonly<Record<string, string>> };
  readonly [field: string]: unknown;
}

/** What renders, as command and first arguments. `npm run k8s:check` makes one where there is none. */
function renderer(): readonly string[] {
  if (spawnSync('kubectl', ['kustomize', '--help'], { stdio: 'ignore' }).status === 0) return ['kubectl', 'kustomize'];
  const own = path.join(root, '.cache/bin/kustomize');
  if (spawnSync(own, ['version'], { stdio: 'ignore' }).status === 0) return [own, 'build'];
  throw new Error('neither kubectl nor kustomize is here: npm run k8s:check builds one');
}

const [command = '', ...args] = renderer();

/** The objects of a folder of deploy/k8s, as the API server would get them. */
export function render(folder: string): readonly Manifest[] {
  const text = execFileSync(command, [...args, path.join(root, 'deploy/k8s', folder)], { encoding: 'utf8' });
  return parseAllDocuments(text).map((document) => document.toJS() as Manifest);
}

/** The package and path that have the schema of a kind. */
function modelOf({ apiVersion, kind }: Manifest): string {
  const models = apiVersion.startsWith('monitoring.coreos.com/')
    ? '@kubernetes-models/prometheus-operator'
    : 'kubernetes-models';
  return `${models}/${apiVersion}/${kind}`;
}

interface Model {
  validate(): void;
}

/**
 * What does not fit the schemas; empty: all fits. Twice, because the schemas allow fields that they do not know: once
 * against them, and once as literals of the types that are made from them, of which TypeScript refuses unknown fields.
 */
export function problemsOf(manifests: readonly Manifest[]): readonly string[] {
  const problems = manifests.flatMap((manifest) => {
    const kinds = load(modelOf(manifest)) as Readonly<Record<string, new (data: object) => Model>>;
    const Kind = kinds[manifest.kind];
    if (Kind === undefined) return [`there is no schema of ${manifest.apiVersion} ${manifest.kind}`];
    try {
      new Kind(manifest).validate();
      return [];
    } catch (error) {
      return [`${manifest.kind} ${manifest.metadata.name}: ${String(error)}`];
    }
  });
  return [...problems, ...unknownFields(manifests)];
}

function unknownFields(manifests: readonly Manifest[]): readonly string[] {
  const name = path.join(root, 'test/deploy/rendered.ts');
  const source = manifests
    .map((one, at) => `export const of${at}: import('${modelOf(one)}').I${one.kind} = ${JSON.stringify(one)};\n`)
    .join('');
  const options: ts.CompilerOptions = {
    noEmit: true,
    strict: true,
    skipLibCheck: true,
    types: [],
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
  };
  const host = ts.createCompilerHost(options);
  const fileExists = host.fileExists.bind(host);
  const readFile = host.readFile.bind(host);
  const getSourceFile = host.getSourceFile.bind(host);
  host.fileExists = (file) => file === name || fileExists(file);
  host.readFile = (file) => (file === name ? source : readFile(file));
  host.getSourceFile = (file, ...rest) =>
    file === name ? ts.createSourceFile(name, source, ts.ScriptTarget.ES2022) : getSourceFile(file, ...rest);
  const program = ts.createProgram([name], options, host);
  return ts.getPreEmitDiagnostics(program).map(({ messageText, start = 0 }) => {
    const at = source.slice(0, start).split('\n').length - 1;
    const { kind, metadata } = manifests[at] ?? { kind: 'rendered.ts', metadata: { name: '' } };
    return `${kind} ${metadata.name}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`;
  });
}
