/**
 * Brings the catalog to where the broker can work: founds the cluster once, knows this broker, has the internal topics.
 * Each step is a decision of its own, so that a crash between two of them is finished at the next start.
 */
import type { Clock } from '../model/clock.ts';
import type { Result } from '../model/errors.ts';
import { ok } from '../model/errors.ts';
import { millisPlus, toReplicaId } from '../model/ids.ts';
import type { Random } from '../model/random.ts';
import { randomUuid } from '../model/random.ts';
import type { BrokerIdentity } from './broker-identity.ts';
import { BrokerStartError } from './broker-identity.ts';
import type { Catalog, Decision } from './catalog.ts';
import { founderReplica } from './catalog.ts';
import type { BrokerEntry, CatalogCommand } from './catalog-commands.ts';
import { decideCreateTopic, groupsTopic } from './catalog-decisions.ts';
import type { CatalogState } from './catalog-state.ts';
import type { BrokerLimits } from './limits.ts';
import { newProducerKey } from './producer-secret.ts';

/** Newest format that this version writes and reads (design D7). */
export const formatVersionMax = 1;

const stepMsMax = 60_000;

interface FoundingDeps {
  readonly catalog: Catalog;
  readonly identity: BrokerIdentity;
  readonly clock: Clock;
  readonly random: Random;
  readonly limits: BrokerLimits;
}

/** @throws BrokerStartError if this disk is not the one that the catalog knows. */
export async function found(deps: FoundingDeps): Promise<void> {
  await take(deps, (state) => ok(foundCluster(state, deps)));
  refuseStranger(deps.catalog.state, deps.identity);
  await take(deps, (state) => ok(putBroker(state, deps.identity)));
  await take(deps, (state) => createGroupsTopic(state, deps));
}

async function take(deps: FoundingDeps, decide: Decision<CatalogCommand>): Promise<void> {
  const done = await deps.catalog.execute(decide, millisPlus(deps.clock.monotonicMs(), stepMsMax));
  if (done.kind === 'refused') throw new BrokerStartError(`the catalog can not be prepared: ${done.error.message}`);
}

function foundCluster(state: CatalogState, { identity, clock, random }: FoundingDeps): CatalogCommand | null {
  if (state.head !== null) return null;
  return {
    kind: 'found',
    clusterId: identity.clusterId,
    createdAtMs: clock.wallMs(),
    activeVersion: formatVersionMax,
    producerKey: newProducerKey(random),
    nextReplicaId: toReplicaId(founderReplica + 1),
  };
}

function refuseStranger(state: CatalogState, identity: BrokerIdentity): void {
  const head = state.head;
  if (head !== null && head.clusterId !== identity.clusterId) {
    const what = `the data directory holds cluster ${head.clusterId}, but its identity says ${identity.clusterId}`;
    throw new BrokerStartError(`${what}; restore the directory that belongs to this broker`);
  }
  if (head !== null && head.activeVersion > formatVersionMax) {
    const what = `the cluster uses format ${head.activeVersion}, and this version knows up to ${formatVersionMax}`;
    throw new BrokerStartError(`${what}; install a newer version of Sluice`);
  }
  const known = state.brokers.get(identity.brokerId);
  if (known !== undefined && known.incarnation !== identity.incarnation) {
    const what = `broker ${identity.brokerId} is known with disk ${known.incarnation}, not ${identity.incarnation}`;
    throw new BrokerStartError(`${what}; start it on its own data directory, or take another broker.id`);
  }
}

function putBroker(state: CatalogState, identity: BrokerIdentity): CatalogCommand | null {
  const { brokerId, address, incarnation, version } = identity;
  const broker: BrokerEntry = { brokerId, address, incarnation, version };
  const known = state.brokers.get(brokerId);
  return known?.address === address && known.version === version ? null : { kind: 'put-broker', broker };
}

function createGroupsTopic(
  state: CatalogState,
  { random, clock, limits }: FoundingDeps,
): Result<CatalogCommand | null> {
  if (state.topicNamed(0, groupsTopic) !== null) return ok(null);
  const partitions = limits.groupsPartitions;
  const fixed = { tenant: 0, name: groupsTopic, internal: true, replicationFactor: null } as const;
  return decideCreateTopic(state, { ...fixed, partitions, topicId: randomUuid(random), nowMs: clock.wallMs() }, limits);
}
