/** What brokers tell each other of the replicas that run on them: sizes and who leads, for what operators want to know. */
import { InvariantViolation } from '../model/assert.ts';
import type { BrokerId, GroupNumber } from '../model/ids.ts';
import { toGroupNumber } from '../model/ids.ts';
import type { PeerRpc } from '../raft/peer-rpc.ts';
import type { CatalogState } from './catalog-state.ts';
import { decodeJson, encodeJson } from './json-fields.ts';
import type { LocalGroups } from './local-groups.ts';

const factsMethod = 'broker.replicas';

/** Groups that one call asks about. */
const groupsPerCallMax = 10_000;

export interface ReplicaFact {
  readonly group: GroupNumber;
  readonly brokerId: BrokerId;
  /** Payload bytes of its log. */
  readonly bytes: number;
  /** It leads and serves. */
  readonly leads: boolean;
}

interface ReplicaFactsDeps {
  readonly clusterId: string;
  readonly brokerId: BrokerId;
  readonly state: () => CatalogState;
  readonly localGroups: LocalGroups;
  /** Null: there are no other brokers. */
  readonly rpc: PeerRpc | null;
}

export class ReplicaFacts {
  readonly #deps: ReplicaFactsDeps;

  constructor(deps: ReplicaFactsDeps) {
    this.#deps = deps;
    deps.rpc?.serve(factsMethod, (from, payload) => {
      const asked = decodeJson(payload, 'asked groups').numbers('groups').map(toGroupNumber);
      return Promise.resolve(encodeJson({ facts: from.clusterId === deps.clusterId ? this.#here(asked) : [] }));
    });
  }

  /** Of every replica of these groups whose broker answers in time; nothing of the others. */
  async ask(groups: readonly GroupNumber[], timeoutMs: number): Promise<readonly ReplicaFact[]> {
    const { state } = this.#deps;
    const byBroker = new Map<BrokerId, GroupNumber[]>();
    for (const group of groups) {
      for (const { brokerId } of state().placeOf(group)?.replicas ?? []) {
        const known = byBroker.get(brokerId);
        if (known === undefined) byBroker.set(brokerId, [group]);
        else known.push(group);
      }
    }
    const answers = [...byBroker].map(([brokerId, asked]) => this.askOne(brokerId, asked, timeoutMs));
    return (await Promise.all(answers)).flat();
  }

  /** Of the replicas on one broker; nothing if it does not answer in time. */
  async askOne(broker: BrokerId, groups: readonly GroupNumber[], timeoutMs: number): Promise<readonly ReplicaFact[]> {
    const { rpc, brokerId } = this.#deps;
    if (broker === brokerId) return this.#here(groups);
    if (rpc === null) return [];
    const facts: ReplicaFact[] = [];
    for (let from = 0; from < groups.length; from += groupsPerCallMax) {
      const payload = encodeJson({ groups: groups.slice(from, from + groupsPerCallMax) });
      const reply = await rpc.call({ kind: 'broker', broker }, factsMethod, payload, timeoutMs);
      if (reply.kind === 'answered') facts.push(...readFacts(reply.payload, broker));
    }
    return facts;
  }

  #here(groups: readonly GroupNumber[]): readonly ReplicaFact[] {
    const { localGroups, brokerId } = this.#deps;
    return groups.flatMap((group) => {
      const raft = localGroups.running(group);
      if (raft === null || raft.quarantine !== null) return [];
      return [{ group, brokerId, bytes: raft.log.payloadBytes, leads: raft.role.serving }];
    });
  }
}

/** What another version says is passed over: it is for people only. */
function readFacts(payload: Uint8Array, broker: BrokerId): readonly ReplicaFact[] {
  try {
    return decodeJson(payload, 'facts').list('facts', (fact) => ({
      group: toGroupNumber(fact.number('group')),
      brokerId: broker,
      bytes: fact.number('bytes'),
      leads: fact.flag('leads'),
    }));
  } catch (error) {
    if (!(error instanceof InvariantViolation)) throw error;
    return [];
  }
}
