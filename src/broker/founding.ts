/**
 * Brings a broker that starts to where it can work: it knows the catalog, the catalog knows it as it is now, and the
 * internal topic is there. What the catalog's leader does for it is in catalog-keeper.ts.
 */
import type { Clock } from '../model/clock.ts';
import { errorTraits, refuse } from '../model/errors.ts';
import type { Result } from '../model/errors.ts';
import type { ReplicaId } from '../model/ids.ts';
import { millisPlus } from '../model/ids.ts';
import type { BrokerIdentity } from './broker-identity.ts';
import { BrokerStartError } from './broker-identity.ts';
import type { Catalog } from './catalog.ts';
import type { CatalogLink } from './catalog-link.ts';
import type { CatalogRequest, Executed } from './catalog-requests.ts';
import { groupsTopic } from './catalog-decisions.ts';
import type { CatalogState } from './catalog-state.ts';
import { answerBy } from './deadline.ts';
import { formatVersionMax } from './format-version.ts';
import type { BrokerLimits } from './limits.ts';
import { retry } from './retry.ts';

/** How long one attempt to reach the catalog's leader may take, milliseconds. */
const attemptMsMax = 5_000;

interface FoundingDeps {
  readonly catalog: Catalog;
  readonly link: CatalogLink;
  readonly identity: BrokerIdentity;
  /** This broker's replica of the catalog. */
  readonly catalogReplica: ReplicaId;
  /** Peer addresses of brokers that may be in the cluster, for a start without news of its leader. */
  readonly seeds: readonly string[];
  readonly clock: Clock;
  readonly limits: BrokerLimits;
  readonly onFault: (error: unknown) => void;
  /** Told what keeps it from the catalog once that takes long, and when that changes. */
  readonly waiting: (why: string) => void;
}

/** How long a broker is without the catalog before it says so, milliseconds: elections take about as long. */
const silentMs = 2_000;

export interface Entered {
  /** Resolves when everything is applied here that the catalog had committed when the broker reached it, or it is closed. */
  readonly caughtUp: Promise<void>;
}

/**
 * Waits until the catalog is known as it is now. Where this disk knows the cluster already that has an end: a restarted
 * broker serves what it holds even while the catalog has no leader, and goes on trying.
 * @throws BrokerStartError if this disk is not the one that the catalog knows.
 */
export async function enterCluster(deps: FoundingDeps): Promise<Entered> {
  const { catalog } = deps;
  refuseForeign(catalog.state, deps.identity);
  const news = catchUp(deps);
  const { state } = catalog;
  const known = state.head !== null && state.topicNamed(0, groupsTopic) !== null && !isOtherDisk(state, deps.identity);
  await catalog.duringStart(known ? soon(deps, news) : news);
  refuseForeign(catalog.state, deps.identity);
  return { caughtUp: news };
}

/** The news go on to be awaited behind the start. */
function soon({ clock, limits, onFault }: FoundingDeps, news: Promise<void>): Promise<void> {
  let late = false;
  news.catch((error: unknown) => {
    if (late) onFault(error);
  });
  return answerBy(clock, millisPlus(clock.monotonicMs(), limits.catalogNewsMsMax), news, () => {
    late = true;
  });
}

/** Introduces this broker if the catalog does not know it as it is, then waits for what the leader makes for all. */
async function catchUp(deps: FoundingDeps): Promise<void> {
  const { catalog, link, clock, identity } = deps;
  const told = tellingWhy(deps);
  knock(deps);
  await retry(() => introduced(deps).then(told), deps).then(startErrorIfRefused(catalog));
  while (catalog.state.head === null || catalog.state.topicNamed(0, groupsTopic) === null) {
    if (catalog.closed) return;
    await catalog.whenChanged();
  }
  const barrier = (): Promise<Result<null>> =>
    link
      .barrier(millisPlus(clock.monotonicMs(), attemptMsMax))
      .then((refused) => told(refused ?? { kind: 'ok', value: null }));
  await retry(barrier, deps).then(startErrorIfRefused(catalog));
  refuseForeign(catalog.state, identity);
  refuseOtherDisk(catalog.state, identity);
  // what this disk knew was old: its place was given up meanwhile, for example, and is taken again
  if (!isKnown(catalog.state, identity)) await retry(() => introduced(deps), deps).then(startErrorIfRefused(catalog));
}

/** Passes attempts on, and tells why they fail. */
function tellingWhy({ clock, waiting }: FoundingDeps): <T>(attempt: Result<T>) => Result<T> {
  const beganMs = clock.monotonicMs();
  let told = '';
  return (attempt) => {
    const why = attempt.kind === 'ok' ? told : attempt.error.message;
    if (why !== told && clock.monotonicMs() - beganMs >= silentMs) waiting((told = why));
    return attempt;
  };
}

const startErrorIfRefused =
  (catalog: Catalog) =>
  (done: Result<unknown>): void => {
    if (done.kind === 'ok' || catalog.closed) return;
    throw new BrokerStartError(`this broker can not take part in the cluster: ${done.error.message}`);
  };

function introduction({ identity, catalogReplica }: FoundingDeps): CatalogRequest {
  const { brokerId, incarnation, address, peerAddress, rack, version, formatVersion = formatVersionMax } = identity;
  const broker = { brokerId, incarnation, address, peerAddress, rack, version, formatVersion, catalogReplica };
  return { kind: 'join', broker };
}

/**
 * Brokers that all have moved find each other by whoever the settings name: in a handshake each says where it is now, and
 * the catalog that is on the disks says where they were.
 */
function knock(deps: FoundingDeps): void {
  if (deps.link.leader === null && isKnown(deps.catalog.state, deps.identity))
    void throughSeeds(deps, introduction(deps));
}

/** Through the leader if it is known; else through whoever answers. */
async function introduced(deps: FoundingDeps): Promise<Result<unknown>> {
  const { catalog, link, identity, clock, seeds } = deps;
  if (isKnown(catalog.state, identity)) return { kind: 'ok', value: null };
  const request = introduction(deps);
  const deadlineMs = millisPlus(clock.monotonicMs(), attemptMsMax);
  if (catalog.state.head !== null && (link.leader !== null || seeds.length === 0)) {
    return link.submit(request, deadlineMs);
  }
  return throughSeeds(deps, request);
}

/** Asks all at once, since some may be gone; the first word that counts does. */
function throughSeeds({ link, clock, seeds }: FoundingDeps, request: CatalogRequest): Promise<Result<Executed>> {
  const deadlineMs = millisPlus(clock.monotonicMs(), attemptMsMax);
  return new Promise((resolve) => {
    let left = seeds.length;
    if (left === 0) resolve(refuse('LEADER_NOT_AVAILABLE', 'the catalog has no leader yet'));
    for (const address of seeds) {
      void link.submitThrough(address, request, deadlineMs).then((done) => {
        left -= 1;
        if (done.kind === 'ok' || !errorTraits[done.error.code].retriable || left === 0) resolve(done);
      });
    }
  });
}

function isKnown(state: CatalogState, identity: BrokerIdentity): boolean {
  const known = state.brokers.get(identity.brokerId);
  return (
    known?.incarnation === identity.incarnation &&
    known.joined &&
    known.address === identity.address &&
    known.peerAddress === identity.peerAddress &&
    known.rack === identity.rack &&
    known.version === identity.version &&
    (known.formatVersion ?? 1) === (identity.formatVersion ?? formatVersionMax) &&
    known.replaceable !== true
  );
}

function refuseForeign(state: CatalogState, identity: BrokerIdentity): void {
  const head = state.head;
  if (head !== null && head.clusterId !== identity.clusterId) {
    const what = `the data directory holds cluster ${head.clusterId}, but its identity says ${identity.clusterId}`;
    throw new BrokerStartError(`${what}; restore the directory that belongs to this broker`);
  }
  const { formatVersion = formatVersionMax } = identity;
  if (head !== null && head.activeVersion > formatVersion) {
    const what = `the cluster uses format ${head.activeVersion}, and this version knows up to ${formatVersion}`;
    throw new BrokerStartError(`${what}; install a newer version of Sluice`);
  }
}

/** Whether this broker is known with another disk. In an old state that may be one that this disk took the place of. */
const isOtherDisk = ({ brokers }: CatalogState, { brokerId, incarnation }: BrokerIdentity): boolean =>
  (brokers.get(brokerId)?.incarnation ?? incarnation) !== incarnation;

/** @param state as the catalog is now */
function refuseOtherDisk(state: CatalogState, identity: BrokerIdentity): void {
  if (isOtherDisk(state, identity)) {
    const known = state.brokers.get(identity.brokerId)?.incarnation ?? '';
    const what = `broker ${identity.brokerId} is known with disk ${known}, not ${identity.incarnation}`;
    throw new BrokerStartError(`${what}; start it on its own data directory, or take another broker.id`);
  }
}
