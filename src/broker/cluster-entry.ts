/**
 * The way of a broker with an empty disk into a cluster that exists (design D4): it asks whoever it can reach for the id
 * of its replica of the catalog. It takes part once that replica is on its disk and it has come back to say so
 * (founding.ts). May be repeated after a crash at any point: the same disk is given the same id.
 */
import { assert, InvariantViolation } from '../model/assert.ts';
import type { Clock } from '../model/clock.ts';
import type { Refused, Result } from '../model/errors.ts';
import { errorTraits, ok, refuse } from '../model/errors.ts';
import type { ReplicaId } from '../model/ids.ts';
import { formatVersionMax } from './format-version.ts';
import type { PeerRpc } from '../raft/peer-rpc.ts';
import type { BrokerIdentity } from './broker-identity.ts';
import { BrokerStartError } from './broker-identity.ts';
import { executeMethod } from './catalog-link.ts';
import { decodeOutcome, encodeForwarded } from './catalog-requests.ts';
import type { CatalogRequest } from './catalog-requests.ts';

/** How long one broker may take to answer, milliseconds: it may have to ask the catalog's leader. */
const attemptMsMax = 5_000;
/** Between two rounds of asking everybody, milliseconds. */
const pauseMs = 500;

export interface Admission {
  readonly clusterId: string;
  readonly catalogReplica: ReplicaId;
}

interface EntryDeps {
  readonly identity: Omit<BrokerIdentity, 'clusterId'>;
  readonly rpc: PeerRpc;
  /** Peer addresses of brokers that may be in the cluster; at least one. */
  readonly seeds: readonly string[];
  readonly clock: Clock;
  /** Told what keeps it waiting, when that changes. */
  readonly waiting: (why: string) => void;
  /** Aborts when the broker is stopped. */
  readonly signal: AbortSignal;
}

/**
 * Asks until somebody lets this broker in.
 * @throws BrokerStartError if it is refused for good, or stopped
 */
export async function askToJoin(deps: EntryDeps): Promise<Admission> {
  const { seeds, clock, waiting, signal } = deps;
  assert(seeds.length > 0, 'who joins knows whom to ask');
  for (let told = ''; ;) {
    for (const address of seeds) {
      if (signal.aborted) throw new BrokerStartError('the broker was stopped while it was joining the cluster');
      const answer = await askOne(deps, address);
      if (answer.kind === 'ok') return answer.value;
      const { error } = answer;
      if (!errorTraits[error.code].retriable) throw new BrokerStartError(`the cluster refuses it: ${error.message}`);
      const why = `${address}: ${error.message}`;
      if (why !== told) waiting(why);
      told = why;
    }
    await new Promise<void>((resolve) => clock.setTimer(pauseMs, resolve));
  }
}

async function askOne({ identity, rpc }: EntryDeps, address: string): Promise<Result<Admission>> {
  const { brokerId, incarnation, address: own, peerAddress, rack, version } = identity;
  const { formatVersion = formatVersionMax } = identity;
  const told = { brokerId, incarnation, address: own, peerAddress, rack, version, formatVersion };
  const broker = { ...told, catalogReplica: null };
  const request: CatalogRequest = { kind: 'join', broker };
  const payload = encodeForwarded({ hops: 1, request });
  const reply = await rpc.call({ kind: 'address', address }, executeMethod, payload, attemptMsMax);
  if (reply.kind !== 'answered') return tryAgain(reply.why);
  const { clusterId } = reply.from;
  if (clusterId === null) return tryAgain('that broker is in no cluster yet');
  return admissionOf(clusterId, reply.payload);
}

function admissionOf(clusterId: string, payload: Uint8Array): Result<Admission> {
  try {
    const done = decodeOutcome(payload);
    if (done.kind === 'refused') return done;
    const { command } = done.value;
    if (command?.kind !== 'put-broker') return tryAgain('the answer names no replica');
    return ok({ clusterId, catalogReplica: command.broker.catalogReplica });
  } catch (error) {
    if (!(error instanceof InvariantViolation)) throw error;
    return tryAgain(`the answer is not understood: ${error.message}`);
  }
}

const tryAgain = (why: string): Refused => refuse('LEADER_NOT_AVAILABLE', why);
