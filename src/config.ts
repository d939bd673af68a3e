/**
 * The settings of one broker: defaults < YAML file < environment < --set, into one readonly value in which every setting
 * knows where it came from. An unknown key, a value out of range or a unit that does not exist is an error that says
 * what was meant: a broker never starts on settings that it half understood.
 *
 * Environment: `SLUICE_` and the path with `__` between levels and words in capitals with `_`, for example
 * `SLUICE_STORAGE__DATA_DIR` for `storage.dataDir`. The file's path is `--config` or `SLUICE_CONFIG`.
 * Sizes take B, kB, MB, GB, TB, KiB, MiB, GiB, TiB; spans take ms, s, m, h, d; bare numbers are bytes or milliseconds.
 */
import { readFileSync } from 'node:fs';
import { parse as parseYaml } from 'yaml';
import { z } from 'zod';
import { closestName } from './runtime/closest-name.ts';
import { byteUnitNames, parseBytes, parseSpanMs, spanUnitNames } from './runtime/quantity.ts';

function integer(from: number, through: number, initial: number, what: string): z.ZodType<number> {
  const rule = `must be a whole number from ${from} to ${through}`;
  return z
    .union([z.number(), z.string()])
    .default(initial)
    .transform((value) => (typeof value === 'number' ? value : /^\d+$/.test(value) ? Number(value) : NaN))
    .refine((value) => Number.isInteger(value) && value >= from && value <= through, rule)
    .describe(`${what} Range ${from} to ${through}, default ${initial}.`);
}

function flag(initial: boolean, what: string): z.ZodType<boolean> {
  return z
    .union([z.boolean(), z.enum(['true', 'false'])], 'must be true or false')
    .default(initial)
    .transform((value) => value === true || value === 'true')
    .describe(`${what} true or false, default ${String(initial)}.`);
}

interface Unit {
  readonly read: (text: string) => number | null;
  readonly names: readonly string[];
}

const sizes: Unit = { read: parseBytes, names: byteUnitNames };
const spans: Unit = { read: parseSpanMs, names: spanUnitNames };

function quantity({ read, names }: Unit, from: string, through: string): z.ZodType<number> {
  const [low, high] = [read(from) ?? 0, read(through) ?? 0];
  return z
    .union([z.number(), z.string()])
    .transform((value) => read(String(value)) ?? NaN)
    .refine(
      (value) => value >= low && value <= high,
      `must be from ${from} to ${through} (units: ${names.join(', ')})`,
    );
}

const bytes = (from: string, through: string, initial: string, what: string): z.ZodType<number> =>
  quantity(sizes, from, through).prefault(initial).describe(`${what} Range ${from} to ${through}, default ${initial}.`);
const span = (from: string, through: string, initial: string, what: string): z.ZodType<number> =>
  quantity(spans, from, through).prefault(initial).describe(`${what} Range ${from} to ${through}, default ${initial}.`);
/** For sizes that depend on the disk; null: as it is good for this one. */
const bytesOfDisk = (from: string, through: string, what: string): z.ZodType<number | null> =>
  quantity(sizes, from, through)
    .nullable()
    .default(null)
    .describe(`${what} less on disks under 4 GiB. Range ${from} to ${through}.`);

/** A list: in a file as such, elsewhere with commas between the items. */
const list = (item: z.ZodType<string, string>, what: string): z.ZodType<readonly string[]> =>
  z
    .union([z.string(), z.array(z.string())])
    .default([])
    .transform((value) => (typeof value === 'string' ? value.split(',').map((part) => part.trim()) : value))
    .transform((items) => items.filter((part) => part !== ''))
    .pipe(z.array(item))
    .describe(what);

const hostAndPort = /^\S+:\d{1,5}$/;
const founder = /^\d{1,10}@\S+:\d{1,5}$/;

const schema = z.strictObject({
  broker: z.strictObject({
    id: integer(0, 2 ** 31 - 1, 0, 'Number of this broker in its cluster; the data directory is bound to it.'),
    advertisedAddress: z
      .string()
      .regex(/^\S+:\d+$/, 'must be "host:port"')
      .nullable()
      .default(null)
      .describe('Where clients reach this broker, "host:port". Default: where it listens.'),
    advertisedPeerAddress: z
      .string()
      .regex(/^\S+:\d+$/, 'must be "host:port"')
      .nullable()
      .default(null)
      .describe('Where other brokers reach this broker, "host:port". Default: where it listens for them.'),
    rack: z
      .string()
      .min(1)
      .max(249)
      .nullable()
      .default(null)
      .describe('What fails as one with this broker, a zone or a rack: replicas are spread over racks. Default: none.'),
  }),
  cluster: z.strictObject({
    id: z
      .uuid('must be a UUID')
      .nullable()
      .default(null)
      .describe('UUID of the cluster. Default: the one in the data directory, or a new one for an empty directory.'),
    secret: z
      .string()
      .min(16, 'must have at least 16 characters')
      .max(1_024, 'must have at most 1,024 characters')
      .nullable()
      .default(null)
      .describe('What all brokers of the cluster know and nobody else, 16 to 1,024 characters. Default: none.'),
    founders: list(
      z.string().regex(founder, 'must be "id@host:port"'),
      'The brokers that found the cluster together, this one among them, each "id@host:port" of its peer address; the same list on all, 1 to 7. Default: this broker alone, if there are no seeds.',
    ),
    seeds: list(
      z.string().regex(hostAndPort, 'must be "host:port"'),
      'Peer addresses of brokers of the cluster that this broker joins, "host:port" each. Default: none.',
    ),
  }),
  listen: z.strictObject({
    client: z.strictObject({
      host: z.string().min(1).default('127.0.0.1').describe('Address to listen on for clients. Default 127.0.0.1.'),
      port: integer(0, 65_535, 9400, 'Port to listen on for clients; 0 takes a free one.'),
    }),
    broker: z.strictObject({
      host: z
        .string()
        .min(1)
        .default('127.0.0.1')
        .describe('Address to listen on for other brokers; any but loopback needs cluster.secret. Default 127.0.0.1.'),
      port: integer(0, 65_535, 9401, 'Port to listen on for other brokers; 0 takes a free one.'),
    }),
    http: z.strictObject({
      enabled: flag(true, 'Whether metrics and health are served over HTTP; with false nothing is counted either.'),
      host: z
        .string()
        .min(1)
        .default('127.0.0.1')
        .describe('Address to listen on for Prometheus and probes. Default 127.0.0.1.'),
      port: integer(0, 65_535, 9464, 'Port to listen on for Prometheus and probes; 0 takes a free one.'),
    }),
  }),
  storage: z.strictObject({
    dataDir: z.string().min(1).default('./data').describe('Where everything is kept. Default ./data.'),
    mayFound: flag(
      true,
      'Whether an empty or missing data directory may be taken into use. With false it is refused, so that a disk that is not mounted founds no second, empty broker: allow it for the first start only.',
    ),
    softReserveBytes: bytesOfDisk('0B', '1TiB', 'Free disk space below which produce is refused. Default 512 MiB,'),
    hardReserveBytes: bytesOfDisk('0B', '1TiB', 'Free disk space that only what is admitted may use. Default 256 MiB,'),
    ballastBytes: bytesOfDisk(
      '0B',
      '16GiB',
      'Size of a file that is freed when a full disk must recover. Default 256 MiB,',
    ),
  }),
  limits: z.strictObject({
    connectionsMax: integer(1, 100_000, 2_000, 'Client connections; more are closed at once.'),
    connectionsPerAddressMax: integer(1, 100_000, 1_000, 'Client connections from one IP address.'),
    receiveWindowBytesMax: bytes('1MiB', '16GiB', '256MiB', 'HTTP/2 receive windows of all connections together.'),
    requestBytesInFlightMax: bytes('8MiB', '64GiB', '256MiB', 'Bytes of requests that are being worked on.'),
    replyBytesUnsentMax: bytes('8MiB', '64GiB', '256MiB', 'Bytes of large replies that have not left yet.'),
    tailCacheBytesMax: bytes('0B', '64GiB', '256MiB', 'Newest entries of all partitions that are kept in memory.'),
  }),
  groups: z.strictObject({
    sessionTimeoutMs: span('1s', '1h', '45s', 'Without a heartbeat for this long a member is out.'),
    heartbeatIntervalMs: span('100ms', '10m', '5s', 'How often members send a heartbeat.'),
    membersMax: integer(1, 5_000, 1_000, 'Members of one group; another one is refused.'),
    revocationTimeoutMs: span('1s', '1h', '5m', 'A member that does not give up what it must for this long is out.'),
    offsetsRetentionMs: span(
      '1s',
      '365d',
      '7d',
      'Committed offsets outlive the last member of their group, or its subscription, by this much.',
    ),
    sweepIntervalMs: span('100ms', '1h', '60s', 'How often it is looked for offsets that have outlived their use.'),
  }),
  retention: z.strictObject({
    checkInterval: span('100ms', '1h', '30s', 'How often it is looked whether topics keep more than they need to.'),
  }),
  clock: z.strictObject({
    strayMaxMs: span(
      '100ms',
      '1h',
      '10s',
      'How far the clock may be from those of other brokers; beyond it this broker lets go of nothing by age.',
    ),
  }),
  log: z.strictObject({
    level: z
      .enum(['trace', 'debug', 'info', 'warn', 'error', 'silent'])
      .default('info')
      .describe('Least severe level that is written. Default info.'),
  }),
});

type DeepReadonly<T> = T extends object ? { readonly [Key in keyof T]: DeepReadonly<T[Key]> } : T;
export type Config = DeepReadonly<z.output<typeof schema>>;

/** One setting in force and where it came from: `default`, `file <path>`, `environment <NAME>` or `--set`. */
export interface Setting {
  readonly path: string;
  /** A secret is shown as `(secret)`. */
  readonly value: unknown;
  readonly source: string;
}

export type LoadedConfig =
  | { readonly kind: 'ok'; readonly config: Config; readonly settings: readonly Setting[] }
  /** Each problem is one sentence that names the setting, its source and what it must be. */
  | { readonly kind: 'invalid'; readonly problems: readonly string[] };

export interface ConfigSources {
  /** Arguments after the script's name. */
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
}

interface Given {
  readonly path: string;
  readonly value: unknown;
  readonly source: string;
}

/** What the sources say, before it is understood. */
interface Gathered {
  readonly given: Given[];
  readonly problems: string[];
}

type Shape = Readonly<Record<string, unknown>>;

function leafPaths(shape: Shape, prefix = ''): string[] {
  return Object.entries(shape).flatMap(([name, type]) =>
    type instanceof z.ZodObject ? leafPaths(type.shape as Shape, `${prefix}${name}.`) : [`${prefix}${name}`],
  );
}

/** Every setting there is, as dotted paths. */
export const settingPaths: readonly string[] = leafPaths(schema.shape);

const isTree = (value: unknown): value is Shape => typeof value === 'object' && value !== null && !Array.isArray(value);

function flatten(tree: Shape, source: string, prefix = ''): Given[] {
  return Object.entries(tree).flatMap(([name, value]) => {
    const path = `${prefix}${name}`;
    const isSection = settingPaths.some((known) => known.startsWith(`${path}.`));
    if (isTree(value) && isSection) return flatten(value, source, `${path}.`);
    // a section without content ("storage:") is as good as absent
    return value === null && isSection ? [] : [{ path, value, source }];
  });
}

const camel = (word: string): string =>
  word.toLowerCase().replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());

/**
 * Names with `__` only: Kubernetes puts SLUICE_PORT, SLUICE_SERVICE_HOST and the like into every container beside a
 * Service that is called sluice, and those are no settings of ours.
 */
function fromEnvironment(env: ConfigSources['env']): Given[] {
  return Object.entries(env)
    .filter(([name, value]) => name.startsWith('SLUICE_') && name.includes('__') && value !== undefined)
    .map(([name, value]) => ({
      path: name.slice('SLUICE_'.length).split('__').map(camel).join('.'),
      value,
      source: `environment ${name}`,
    }));
}

function fromFile(path: string, gathered: Gathered): void {
  let tree: unknown;
  try {
    tree = parseYaml(readFileSync(path, 'utf8'), { prettyErrors: true });
  } catch (error) {
    const why = error instanceof Error ? error.message.split('\n', 1)[0] : String(error);
    gathered.problems.push(`the configuration file ${path} can not be read: ${why ?? ''}`);
    return;
  }
  if (tree === null || tree === undefined) return;
  if (isTree(tree)) gathered.given.push(...flatten(tree, `file ${path}`));
  else gathered.problems.push(`the configuration file ${path} must hold sections with settings, like "listen:"`);
}

interface Arguments {
  readonly file: string | null;
  readonly sets: readonly Given[];
}

function readArguments(argv: readonly string[], problems: string[]): Arguments {
  let file: string | null = null;
  const sets: Given[] = [];
  for (let i = 0; i < argv.length; i++) {
    const [flag, inline] = splitOnce(argv[i] ?? '', '=');
    if (flag !== '--config' && flag !== '--set') {
      problems.push(`unknown argument ${argv[i] ?? ''}; there are --config <file> and --set <path>=<value>`);
      continue;
    }
    const value = inline ?? argv[++i];
    const [path, setting] = splitOnce(value ?? '', '=');
    if (value === undefined) problems.push(`${flag} needs a value`);
    else if (flag === '--config') file = value;
    else if (setting === undefined) problems.push(`--set ${value} must be <path>=<value>, like log.level=debug`);
    else sets.push({ path, value: setting, source: '--set' });
  }
  return { file, sets };
}

function splitOnce(text: string, at: string): [string, string | undefined] {
  const index = text.indexOf(at);
  return index < 0 ? [text, undefined] : [text.slice(0, index), text.slice(index + at.length)];
}

function gather({ argv, env }: ConfigSources): Gathered {
  const gathered: Gathered = { given: [], problems: [] };
  const { file, sets } = readArguments(argv, gathered.problems);
  const path = file ?? env['SLUICE_CONFIG'];
  if (path !== undefined) fromFile(path, gathered);
  gathered.given.push(...fromEnvironment(env), ...sets);
  return gathered;
}

function unknownSetting({ path, source }: Given): string {
  const meant = closestName(path, settingPaths);
  const hint = meant === null ? `the settings are ${settingPaths.join(', ')}` : `did you mean ${meant}?`;
  return `unknown setting ${path} (${source}); ${hint}`;
}

/** Puts flat settings into sections. */
function assemble(given: ReadonlyMap<string, Given>): Shape {
  const tree: Record<string, unknown> = {};
  for (const path of settingPaths) {
    const names = path.split('.');
    const leaf = names.pop() ?? '';
    let section = tree;
    for (const name of names) section = (section[name] ??= {}) as Record<string, unknown>;
    const entry = given.get(path);
    if (entry !== undefined) section[leaf] = entry.value;
  }
  return tree;
}

function valueAt(config: Config, path: string): unknown {
  return path.split('.').reduce<unknown>((at, name) => (isTree(at) ? at[name] : undefined), config);
}

function freeze<T>(value: T): T {
  if (isTree(value)) Object.values(value).forEach((part) => freeze(part));
  return Object.freeze(value);
}

/** Whether an address is of this machine alone. A name that resolves to anything else does not count. */
const isLoopback = (host: string): boolean =>
  host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host);

/** Rules between settings. */
function contradictions(config: Config): string[] {
  const problems: string[] = [];
  const { softReserveBytes, hardReserveBytes } = config.storage;
  if (softReserveBytes !== null && hardReserveBytes !== null && hardReserveBytes > softReserveBytes)
    problems.push('storage.hardReserveBytes must not be above storage.softReserveBytes');
  if (config.groups.heartbeatIntervalMs * 3 > config.groups.sessionTimeoutMs)
    problems.push('groups.heartbeatIntervalMs must be at most a third of groups.sessionTimeoutMs');
  if (config.limits.connectionsPerAddressMax > config.limits.connectionsMax)
    problems.push('limits.connectionsPerAddressMax must not be above limits.connectionsMax');
  problems.push(...foundingProblems(config));
  const { host } = config.listen.broker;
  if (!isLoopback(host) && config.cluster.secret === null)
    problems.push(`listen.broker.host ${host} is open to other machines: set cluster.secret, the same on all brokers`);
  return problems;
}

const foundersMax = 7;

/** The founders by the settings: id and peer address of each. */
export const foundersOf = ({ cluster }: Config): readonly { readonly id: number; readonly peerAddress: string }[] =>
  cluster.founders.map((text) => {
    const [id, peerAddress = ''] = splitOnce(text, '@');
    return { id: Number(id), peerAddress };
  });

function foundingProblems(config: Config): string[] {
  const ids = foundersOf(config).map(({ id }) => id);
  if (ids.length === 0) return [];
  const problems: string[] = [];
  if (ids.length > foundersMax)
    problems.push(`cluster.founders must name at most ${foundersMax} brokers; more can join`);
  if (ids.length % 2 === 0)
    problems.push(
      `cluster.founders must name an odd number of brokers, not ${ids.length}: an even one survives no more`,
    );
  if (new Set(ids).size < ids.length) problems.push('cluster.founders must name each broker id once');
  if (!ids.includes(config.broker.id) && config.cluster.seeds.length === 0)
    problems.push(`cluster.founders does not name broker.id ${config.broker.id}: set cluster.seeds to join instead`);
  return problems;
}

/** Settings whose value is shown to nobody, neither in a log nor in a complaint. */
const secretPaths: readonly string[] = ['cluster.secret'];
const shown = (path: string, value: unknown): unknown =>
  secretPaths.includes(path) && value !== null && value !== undefined ? '(secret)' : value;

/** Reads all sources and answers with settings in force, or with every problem there is. */
export function loadConfig(sources: ConfigSources): LoadedConfig {
  const { given, problems } = gather(sources);
  const known = given.filter(({ path }) => settingPaths.includes(path));
  problems.push(...given.filter(({ path }) => !settingPaths.includes(path)).map(unknownSetting));
  const inForce = new Map(known.map((entry) => [entry.path, entry]));

  const parsed = schema.safeParse(assemble(inForce));
  if (!parsed.success) {
    for (const issue of parsed.error.issues) {
      const path = issue.path.join('.');
      const entry = inForce.get(path);
      problems.push(
        `${path} ${issue.message}; it is ${JSON.stringify(shown(path, entry?.value))} (${entry?.source ?? 'default'})`,
      );
    }
    return { kind: 'invalid', problems };
  }
  const config: Config = freeze(parsed.data);
  problems.push(...contradictions(config));
  if (problems.length > 0) return { kind: 'invalid', problems };
  const settings = settingPaths.map((path) => ({
    path,
    value: shown(path, valueAt(config, path)),
    source: inForce.get(path)?.source ?? 'default',
  }));
  return { kind: 'ok', config, settings };
}

/** The JSON Schema of the file, for editors and checks. */
export function configJsonSchema(): object {
  return z.toJSONSchema(schema, { io: 'input' });
}
