/**
 * One broker. Read from top to bottom this is the architecture: settings, the front door, the disk with its identity, the
 * store, the logs on it, Raft over them, the broker on top, and the way down again in reverse.
 *
 * Exit codes: 0 after an orderly shutdown, 1 if it can not start or something broke, 2 for settings that make no sense.
 */
import { hostname } from 'node:os';
import { join } from 'node:path';
import { logVerbosity, setLogVerbosity } from '@grpc/grpc-js';
import type { ApiLimits } from './api/limits.ts';
import { defaultApiLimits } from './api/limits.ts';
import { silentApiObserver } from './api/observer.ts';
import { lostBroker } from './api/refusing-broker.ts';
import type { Load } from './api/server.ts';
import { ApiServer, BindError } from './api/server.ts';
import { tuneHttp2 } from './api/http2-windows.ts';
import { Broker } from './broker/broker.ts';
import type { DiskFacts } from './broker/broker-facts.ts';
import type { BrokerIdentity } from './broker/broker-identity.ts';
import { BrokerStartError } from './broker/broker-identity.ts';
import type { LimitUse } from './broker/broker-sample.ts';
import { findCluster, takeReplica } from './broker/cluster-entrance.ts';
import type { GenesisStore } from './broker/founding-talk.ts';
import { decodeHeldGenesis, encodeHeldGenesis } from './broker/founding-talk.ts';
import { formatVersionMax } from './broker/format-version.ts';
import type { GroupSettings } from './broker/group-settings.ts';
import { defaultGroupSettings } from './broker/group-settings.ts';
import { PeerBook } from './broker/peer-book.ts';
import { ReplicaDirectory } from './broker/replica-directory.ts';
import type { Config } from './config.ts';
import { foundersOf, loadConfig } from './config.ts';
import { DiskReserve } from './log/disk-reserve.ts';
import { GarbageMeter } from './log/garbage-meter.ts';
import { GenesisFile } from './log/genesis-file.ts';
import { DurableGroupLogs } from './log/group-logs.ts';
import { PeerMemoryFile } from './log/peer-memory-file.ts';
import { RocksdbStore } from './log/rocksdb-store.ts';
import { StoreOpenError } from './log/store.ts';
import { Sweep, sweepLimitsDefault } from './log/sweep.ts';
import { TailCacheBudget } from './log/tail-cache-budget.ts';
import type { Page } from './metrics/http-server.ts';
import { HttpBindError, HttpServer } from './metrics/http-server.ts';
import { Metrics } from './metrics/metrics.ts';
import { catalogGroup, toBrokerId } from './model/ids.ts';
import type { BatchCodecs } from './model/record-batch.ts';
import { randomUuid } from './model/random.ts';
import { raftLimitsDefault } from './raft/core/limits.ts';
import { driverLimitsDefault } from './raft/driver-limits.ts';
import { MultiRaftHost } from './raft/host.ts';
import { PeerClocks } from './raft/peer-clocks.ts';
import { GrpcPeers } from './raft/grpc-transport.ts';
import { PeerBindError } from './raft/grpc-service.ts';
import { peerLimitsDefault } from './raft/grpc-limits.ts';
import { endOfTurn } from './raft/turns.ts';
import { createCompression } from './runtime/compression.ts';
import { crc32c } from './runtime/crc32c.ts';
import { diskSizes } from './runtime/disk-sizes.ts';
import type { Logger } from './runtime/logger.ts';
import { createLogger, logSettings } from './runtime/logger.ts';
import { logBroker, logPeers, logRaft } from './runtime/log-observers.ts';
import { tellAll } from './runtime/observers.ts';
import { packageVersion, readDescriptors } from './runtime/package-root.ts';
import { HeapGrowth } from './runtime/heap-growth.ts';
import { ProcessGauges } from './runtime/process-gauges.ts';
import { realClock as clock } from './runtime/real-clock.ts';
import { Shutdown } from './runtime/shutdown.ts';
import { systemRandom as random } from './runtime/system-random.ts';
import { dieWithParent, poolIsLarge, restartWithLargePool } from './runtime/thread-pool.ts';

/** Bytes that wait for the disk above which bulk from other brokers is not read for a moment. */
const congestedBytes = 64 * 1024 * 1024;

/** How long connections may take to close once every call is answered, milliseconds. */
const connectionsGraceMs = 5_000;

async function run(config: Config, logger: Logger, shutdown: Shutdown): Promise<void> {
  const version = packageVersion();
  const codecs: BatchCodecs = { compression: await createCompression(), crc32c };
  const fault = (cause: unknown): void => shutdown.fail(cause);

  const gauges = new ProcessGauges(clock);
  gauges.start();
  const heapGrowth = new HeapGrowth(clock);
  heapGrowth.start();
  const apiLimits = { ...defaultApiLimits, ...config.limits };
  const { enabled: servesHttp, ...httpAt } = config.listen.http;
  /** Set as soon as it runs, for whoever scrapes. */
  const known: Known = { broker: null, disk: null };
  const metrics: Metrics | null = servesHttp
    ? new Metrics({
        version,
        brokerId: config.broker.id,
        loopDelay: () => gauges.facts.loopDelay,
        sources: {
          sample: async (pause) => (await known.broker?.sample(pause)) ?? null,
          disk: () => (known.disk === null ? null : known.disk()),
          limits: () => limitUse(api.load, apiLimits),
          isReady: () => api.readiness.ready,
        },
      })
    : null;

  // The front door first: a port in use is known before the disk is touched, and probes see that recovery goes on.
  const api: ApiServer = new ApiServer({
    codecs,
    clock,
    limits: apiLimits,
    descriptors: readDescriptors(),
    onDefect: fault,
    observer: metrics?.api ?? silentApiObserver,
  });
  const port = await api.listen(config.listen.client.host, config.listen.client.port);
  const pages: ReadonlyMap<string, Page> = metrics?.pages ?? new Map<string, Page>();
  const http = new HttpServer({ readiness: () => api.readiness, pages, onDefect: fault });
  const httpPort = servesHttp ? await http.listen(httpAt.host, httpAt.port) : null;
  const closeHttp = {
    name: 'close the port of metrics and probes',
    run: () => {
      metrics?.close();
      return http.close();
    },
  };
  shutdown.setSteps([{ name: 'close connections', run: () => api.close(0) }, closeHttp]);

  const { reserves, writeBufferBytes } = await diskSizes(config.storage);
  const store = await RocksdbStore.open({
    path: config.storage.dataDir,
    brokerId: toBrokerId(config.broker.id),
    clusterId: config.cluster.id,
    mayFound: config.storage.mayFound,
    newIncarnation: () => randomUuid(random),
    processNonce: randomUuid(random),
    crc32c,
    clock,
    onFault: fault,
    observer: metrics?.store ?? {},
    engine: { writeBufferBytes },
  });
  const { brokerId, incarnation } = store.identity;
  const clientAddress = config.broker.advertisedAddress ?? `${reachableHost(config.listen.client.host)}:${port}`;
  const { rack } = config.broker;
  const self = { brokerId, incarnation, address: clientAddress, peerAddress: null, rack, version };
  const { recovery } = store;
  if (recovery.state === 'lost') {
    const identity = { ...self, clusterId: store.identity.clusterId ?? '' };
    const reason = `its disk lost acknowledged writes (${recovery.recoveredCommit} of ${recovery.floorCommit} are there); replace it.`;
    api.serve(lostBroker(describeLost(identity, reason), reason), { ready: false });
    api.unready(`set apart: ${reason}`);
    logger.error({ ...identity, ...recovery }, 'set apart: the disk lost acknowledged writes');
    shutdown.setSteps([
      { name: 'refuse new calls', run: () => api.drain() },
      { name: 'close connections', run: () => api.close(connectionsGraceMs) },
      { name: 'close store', run: () => store.close() },
      closeHttp,
    ]);
    return;
  }

  // The way to other brokers, and with their help into a cluster.
  const memory = await PeerMemoryFile.open({ directory: config.storage.dataDir, crc32c, clock, onFault: fault });
  const founders = foundersOf(config).map(({ id, peerAddress: at }) => ({ brokerId: toBrokerId(id), peerAddress: at }));
  const book = new PeerBook(founders);
  const directory = new ReplicaDirectory();
  const { bootNumber, processNonce, earlierStarts } = store;
  let peerAddress: string | null = null;
  const peers = new GrpcPeers({
    handshake: {
      own: () => {
        const { clusterId } = store.identity;
        const { recoveredCommit } = recovery;
        const start = { bootNumber, processNonce, recoveredCommit, earlierStarts };
        const identity = { brokerId, clusterId, incarnation, peerAddress, ...start };
        return { identity, durableCommit: store.commitNumbers.durable };
      },
      secret: config.cluster.secret ?? '',
      addresses: book,
      memory,
      random,
    },
    directory,
    clock,
    limits: peerLimitsDefault,
    observer: tellAll(logPeers(logger), metrics?.peers ?? {}),
    tune: tuneHttp2,
    isCongested: () => store.queuedBytes > congestedBytes,
    onDefect: fault,
  });
  directory.learnFrom((replica) => peers.learnedBroker(replica));
  const peerPort = await peers.listen(config.listen.broker.host, config.listen.broker.port);
  peerAddress = config.broker.advertisedPeerAddress ?? `${reachableHost(config.listen.broker.host)}:${peerPort}`;
  const stopped = new AbortController();
  shutdown.setSteps([
    { name: 'stop looking for a cluster', run: () => stopped.abort() },
    { name: 'close connections', run: () => api.close(0) },
    { name: 'close the way to other brokers', run: () => peers.close() },
    { name: 'close store', run: () => store.close() },
    closeHttp,
  ]);
  const garbage = new GarbageMeter();
  const cache = new TailCacheBudget(config.limits.tailCacheBytesMax);
  const logs = new DurableGroupLogs({ store, crc32c, cache, garbage });
  const sweep = new Sweep({
    store,
    logs,
    garbage,
    clock,
    limits: sweepLimitsDefault,
    roomBytes: () => disk.freeBytes - reserves.hardBytes,
    failed: (error) => logger.warn({ err: error }, 'sweep failed'),
  });
  const disk = await DiskReserve.start({
    path: config.storage.dataDir,
    ballastPath: join(config.storage.dataDir, 'ballast'),
    reserves,
    clock,
    engine: () => store.engineSpace(),
    onLevel: (level, freeBytes) => {
      logger.warn({ level, freeBytes, ...reserves }, 'disk level changed');
      sweep.press(level !== 'ample');
    },
    onFault: fault,
  });
  const diskFacts = (): DiskSizes => ({
    ...{ level: disk.level, freeBytes: disk.freeBytes, ballastWhole: disk.isBallastWhole },
    ...{ softReserveBytes: reserves.softBytes, hardReserveBytes: reserves.hardBytes, totalBytes: disk.totalBytes },
  });
  known.disk = diskFacts;

  const place = { ...self, peerAddress };
  const founding = genesisStore(new GenesisFile(config.storage.dataDir, crc32c));
  const entrance = await findCluster({
    self: place,
    founders,
    seeds: config.cluster.seeds,
    wishedClusterId: config.cluster.id,
    clusterId: () => store.identity.clusterId,
    hasReplica: async () => (await logs.list()).some(({ group }) => group === catalogGroup),
    genesis: founding,
    rpc: peers,
    clock,
    random,
    waiting: (why) => logger.warn({ why }, 'waits to come into a cluster'),
    signal: stopped.signal,
  });
  const { clusterId } = entrance;
  await store.bindCluster(clusterId);
  peers.identityChanged();
  if (entrance.kind === 'founds') book.foundedBy(entrance.genesis.founders);
  const identity: BrokerIdentity = { ...place, clusterId };

  const clocks = new PeerClocks(clock, config.clock.strayMaxMs);
  const host = new MultiRaftHost({
    clocks,
    logs,
    clusterId,
    mayVote: true,
    clock,
    random,
    crc32c,
    raftLimits: raftLimitsDefault,
    driverLimits: driverLimitsDefault,
    transport: peers,
    directory: peers,
    schedule: endOfTurn,
    observer: tellAll(logRaft(logger), metrics?.raft ?? {}),
    condemned: (verdict) => {
      logger.error({ ...verdict }, 'set apart: another broker knows this disk as an old copy; replace it');
      const reason = `broker ${verdict.by} knows its disk as an old copy (${verdict.detail}); replace it.`;
      api.serve(lostBroker(describeLost({ ...place, clusterId }, reason), reason), { ready: false });
      api.unready(`set apart: ${reason}`);
      store.markLost().catch(fault); // the next start says so at once
    },
    fatal: fault,
  });
  const admitted = await takeReplica(host, entrance, { self: place, genesis: founding });
  for (const founder of admitted.founders) directory.teach(founder.catalogReplica, founder.brokerId);
  const broker = new Broker({
    clocks,
    identity,
    host,
    clock,
    random,
    compression: codecs.compression,
    disk,
    facts: {
      disk: diskFacts,
      runtime: () => gauges.facts,
      peer: (other) => ({ ...peers.wayTo(other), heardAgoMs: host.heardAgoMs(other) }),
    },
    onFault: fault,
    observer: tellAll(logBroker(logger), metrics?.broker ?? {}),
    groupSettings: groupSettingsOf(config),
    limits: { retentionCheckMs: config.retention.checkInterval },
    cluster: {
      ...admitted,
      seeds: seedsOf(config, peerAddress),
      rpc: peers,
      processOf: (id) => book.processOf(id),
      directory,
    },
  });
  book.follow((id) => broker.peerOf(id));
  known.broker = broker;
  const ending = [
    { name: 'close connections', run: () => api.close(connectionsGraceMs) },
    { name: 'close the way to other brokers', run: () => closePeers(peers, memory) },
    { name: 'end disk upkeep', run: () => Promise.all([sweep.stop(), disk.close()]).then(() => undefined) },
    {
      name: 'stop measuring',
      run: () => {
        gauges.stop();
        heapGrowth.stop();
      },
    },
    { name: 'close store', run: () => store.close() },
    closeHttp,
  ];
  await broker.start().catch((error: unknown) => {
    if (host.apart === null) throw error;
  });
  if (host.apart !== null) {
    // it stays, to say what is wrong with it
    shutdown.setSteps([{ name: 'refuse new calls', run: () => api.drain() }, ...ending]);
    return;
  }
  sweep.start();
  api.serveInCluster(broker, broker.routes, {
    call: (to, method, payload, timeoutMs) => peers.call({ kind: 'broker', broker: to }, method, payload, timeoutMs),
    serve: (method, handler) => {
      peers.serve(method, (_from, payload, timeoutMs) => handler(payload, timeoutMs));
    },
  });
  shutdown.setSteps([
    { name: 'say that it stops', run: () => api.unready() },
    { name: 'hand over leaderships', run: () => broker.handOver() },
    { name: 'refuse new calls', run: () => api.drain() },
    { name: 'answer appends in flight', run: () => broker.close() },
    ...ending,
  ]);
  // a broker that does not know the newest catalog may hold what is not its any more: nobody is sent to it before
  if (!(await broker.whenCurrent()) || peers.standing.condemnation !== null) return;
  api.ready();
  const readyAfterMs = Math.round(process.uptime() * 1_000);
  logger.info({ ...identity, port, peerPort, httpPort, pid: process.pid, readyAfterMs }, 'ready');
}

type DiskSizes = DiskFacts & { readonly totalBytes: number };

/** What metrics ask once it is there. */
interface Known {
  broker: Broker | null;
  disk: (() => DiskSizes) | null;
}

/** Limits of the front door and what is taken of them. */
const limitUse = (load: Load, limits: ApiLimits): readonly LimitUse[] => [
  { limit: 'callsInFlightMax', used: load.calls, max: limits.callsInFlightMax },
  { limit: 'requestBytesInFlightMax', used: load.requestBytes, max: limits.requestBytesInFlightMax },
  { limit: 'replyBytesUnsentMax', used: load.unsentBytes, max: limits.replyBytesUnsentMax },
  { limit: 'connectionsMax', used: load.connections, max: limits.connectionsMax },
];

async function closePeers(peers: GrpcPeers, memory: PeerMemoryFile): Promise<void> {
  peers.close();
  await memory.close();
}

const groupSettingsOf = ({ groups: { membersMax, offsetsRetentionMs, ...times } }: Config): GroupSettings => ({
  ...defaultGroupSettings,
  ...times,
  limits: { ...defaultGroupSettings.limits, membersMax, offsetsRetentionMs },
});

/** Whom a broker asks that does not know the leader of the catalog; not itself, where all have the same list of seeds. */
function seedsOf(config: Config, ownPeerAddress: string): readonly string[] {
  const others = foundersOf(config).filter(({ id }) => id !== config.broker.id);
  const addresses = new Set([...config.cluster.seeds, ...others.map(({ peerAddress }) => peerAddress)]);
  addresses.delete(ownPeerAddress);
  return [...addresses];
}

const genesisStore = (file: GenesisFile): GenesisStore => ({
  read: async () => {
    const content = await file.read();
    return content === null ? null : decodeHeldGenesis(content);
  },
  write: (held) => file.write(encodeHeldGenesis(held)),
});

/** Others can not reach "all addresses of this machine" by that name. */
const reachableHost = (host: string): string => (host === '0.0.0.0' || host === '::' ? hostname() : host);

function describeLost(identity: BrokerIdentity, reason: string): Parameters<typeof lostBroker>[0] {
  return {
    clusterId: identity.clusterId,
    brokers: [{ ...identity, healthy: false, unhealthyReason: reason, healthUnknown: false, ...unknownOrders }],
    catalogLeader: null,
    catalogRevision: 0,
    activeVersion: 0,
    topicCount: 0,
    partitionCount: 0,
  };
}

/** What only the catalog knows. */
const unknownOrders = { duty: null, replicaCount: 0, replaceable: false, formatVersion: formatVersionMax };

/** What someone who starts a broker can do something about: told in one line, without a stack. */
function isForOperators(error: unknown): error is Error {
  return (
    error instanceof StoreOpenError ||
    error instanceof BindError ||
    error instanceof PeerBindError ||
    error instanceof HttpBindError ||
    error instanceof BrokerStartError
  );
}

function say(line: string): void {
  process.stderr.write(`sluice: ${line}\n`);
}

function main(): void {
  const loaded = loadConfig({ argv: process.argv.slice(2), env: process.env });
  if (loaded.kind === 'invalid') {
    for (const problem of loaded.problems) say(problem);
    process.exit(2);
  }
  // grpc-js writes to stderr on its own; what matters of it arrives as errors
  setLogVerbosity(logVerbosity.NONE);
  const logger = createLogger(loaded.config.log.level);
  const shutdown = new Shutdown(process, logger);
  shutdown.install();
  logSettings(logger, loaded.settings);
  run(loaded.config, logger, shutdown).catch((error: unknown) => {
    if (!isForOperators(error)) {
      shutdown.fail(error);
      return;
    }
    say(error.message);
    process.exit(1);
  });
}

dieWithParent();
if (poolIsLarge(process.env)) main();
else restartWithLargePool();
