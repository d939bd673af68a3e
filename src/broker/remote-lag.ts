/** How far consumer groups are behind on partitions without a replica here: asked of brokers that have one. */
import { InvariantViolation } from '../model/assert.ts';
import type { Clock } from '../model/clock.ts';
import type { BrokerId } from '../model/ids.ts';
import { toGroupNumber, toOffset } from '../model/ids.ts';
import type { PeerRpc } from '../raft/peer-rpc.ts';
import type { Lag, LagQuestion } from './group-lag.ts';
import { lagAt, LagReads, lagReadsMax } from './group-lag.ts';
import { decodeJson, encodeJson } from './json-fields.ts';
import type { LocalGroups } from './local-groups.ts';

const lagMethod = 'broker.lag';

/** Partitions that one sample asks other brokers about; the lag of the rest is left out. */
const questionsMax = 2_000;
/** How long one broker may take to answer; a scrape waits for it, and has 10 s by default. Milliseconds. */
const answerMsMax = 500;
/** Replicas of a partition that are asked, one after the other, as long as none answers. */
const replicasAskedMax = 2;

interface RemoteLagDeps {
  readonly clusterId: string;
  readonly localGroups: LocalGroups;
  readonly clock: Clock;
  /** Null: there are no other brokers. */
  readonly rpc: PeerRpc | null;
}

const notHere = { records: null, seconds: null };

export class RemoteLag {
  readonly #deps: RemoteLagDeps;

  constructor(deps: RemoteLagDeps) {
    this.#deps = deps;
    deps.rpc?.serve(lagMethod, async (from, payload) => {
      const asked = decodeJson(payload, 'lag questions').list('asked', (one) => ({
        group: toGroupNumber(one.number('group')),
        committed: toOffset(one.number('committed')),
      }));
      return encodeJson({ lags: from.clusterId === deps.clusterId ? await this.#here(asked) : [] });
    });
  }

  /** An answer for each question, in their order; null: nobody with a replica answered in time. */
  async ask(questions: readonly LagQuestion[]): Promise<readonly (Lag | null)[]> {
    const answers = questions.map((): Lag | null => null);
    for (let rank = 0; rank < replicasAskedMax; rank++) {
      const byBroker = new Map<BrokerId, number[]>();
      for (const [at, { brokers }] of questions.slice(0, questionsMax).entries()) {
        const broker = brokers[rank];
        if (answers[at] !== null || broker === undefined) continue;
        byBroker.set(broker, [...(byBroker.get(broker) ?? []), at]);
      }
      await Promise.all(
        [...byBroker].map(async ([broker, places]) => {
          const lags = await this.#askOne(
            broker,
            places.map((at) => questions[at]).filter((one) => one !== undefined),
          );
          for (const [n, at] of places.entries()) answers[at] = lags[n] ?? null;
        }),
      );
    }
    return answers;
  }

  async #askOne(broker: BrokerId, questions: readonly LagQuestion[]): Promise<readonly (Lag | null)[]> {
    const asked = questions.map(({ group, committed }) => ({ group, committed }));
    const reply = await this.#deps.rpc?.call({ kind: 'broker', broker }, lagMethod, encodeJson({ asked }), answerMsMax);
    return reply?.kind === 'answered' ? readLags(reply.payload) : [];
  }

  /** As many as were asked: of what is not here, nulls. */
  async #here(asked: readonly Omit<LagQuestion, 'brokers'>[]): Promise<readonly (Lag | typeof notHere)[]> {
    const { localGroups, clock } = this.#deps;
    const looking = { wallMs: clock.wallMs(), reads: new LagReads(lagReadsMax) };
    const lags: (Lag | typeof notHere)[] = [];
    for (const { group, committed } of asked.slice(0, questionsMax)) {
      const raft = localGroups.running(group);
      lags.push(raft === null || raft.quarantine !== null ? notHere : await lagAt(raft, committed, looking));
    }
    return lags;
  }
}

/** What another version says is passed over: it is for people only. */
function readLags(payload: Uint8Array): readonly (Lag | null)[] {
  try {
    return decodeJson(payload, 'lags').list('lags', (one) =>
      one.isNull('records') ? null : { records: one.number('records'), seconds: one.numberOrNull('seconds') },
    );
  } catch (error) {
    if (!(error instanceof InvariantViolation)) throw error;
    return [];
  }
}
