/** Makes, deletes, makes again and describes topics, and remembers what it was told (inv-B9). */
import type { BrokerApi, RequestContext } from '../../src/broker/requests.ts';
import type { ErrorCode, Result } from '../../src/model/errors.ts';
import { ok } from '../../src/model/errors.ts';
import { noConfigChange } from '../../src/broker/topic-config.ts';
import type { SimRandom } from '../sim/sim-random.ts';
import type { BrokerWorld } from './broker-world.ts';
import { drawConfig } from './operators.ts';

const callMs = 4_000;

/** What a client was told of a name. */
export interface TopicAnswer {
  readonly kind: 'create' | 'delete' | 'describe';
  readonly topic: string;
  readonly from: number;
  readonly through: number;
  /** Null: it worked. */
  readonly refused: ErrorCode | null;
  /** Of what was created or described. */
  readonly topicId: string | null;
}

export class TopicClient {
  #stopped = false;
  readonly #world: BrokerWorld;
  readonly #random: SimRandom;

  constructor(world: BrokerWorld, random: SimRandom) {
    this.#world = world;
    this.#random = random;
  }

  /** Nothing new is begun any more. */
  stop(): void {
    this.#stopped = true;
  }

  start(): void {
    this.#run().catch((error: unknown) => {
      this.#world.fail(error);
    });
  }

  create(topic: string): Promise<boolean> {
    const { founders, joiners } = this.#world.shape;
    const partitions = this.#random.between(1, 2);
    const factors = founders + joiners >= 3 ? [null, 3, 3, 3, 1] : [null, 1];
    const config = this.#random.chance(0.5) ? drawConfig(this.#random) : noConfigChange;
    const wish = { name: topic, partitions, replicationFactor: this.#random.pick(factors), config };
    return this.#ask('create', topic, async (api, context) => idOf(await api.createTopic(wish, context)));
  }

  /** A method, for it changes while something is awaited. */
  #isStopping(): boolean {
    return this.#stopped;
  }

  async #run(): Promise<void> {
    const { shape } = this.#world;
    for (const name of shape.topicNames)
      while (!this.#isStopping() && !(await this.create(name))) await this.#world.sleep(300);
    while (!this.#isStopping()) {
      await this.#world.sleep(this.#random.exponential(shape.topicMsMean));
      if (this.#isStopping()) return;
      const topic = this.#random.pick(shape.topicNames);
      const what = this.#random.pick(['create', 'recreate', 'recreate', 'delete', 'describe', 'describe'] as const);
      if (what === 'describe') await this.#describe(topic);
      if (what === 'delete' || what === 'recreate') await this.#delete(topic);
      if (what === 'create' || what === 'recreate') await this.create(topic);
    }
  }

  #delete(topic: string): Promise<boolean> {
    return this.#ask('delete', topic, async (api, context) => {
      const deleted = await api.deleteTopic({ name: topic, topicId: null }, context);
      return deleted.kind === 'ok' ? ok(null) : deleted;
    });
  }

  #describe(topic: string): Promise<boolean> {
    return this.#ask('describe', topic, async (api, context) => idOf(await api.describeTopic(topic, context)));
  }

  async #ask(
    kind: TopicAnswer['kind'],
    topic: string,
    call: (api: BrokerApi, context: RequestContext) => Promise<Result<string | null>>,
  ): Promise<boolean> {
    const { scheduler, trace } = this.#world;
    const broker = this.#random.pick(this.#world.brokers);
    trace.say(broker.number, null, kind, topic);
    const from = scheduler.now;
    const reply = await this.#world.ask(broker, callMs, call);
    if (reply.kind !== 'answered') return false;
    const { result } = reply;
    const refused = result.kind === 'ok' ? null : result.error.code;
    const topicId = result.kind === 'ok' ? result.value : null;
    trace.say(0, null, 'told', `${kind} ${topic}: ${refused ?? topicId ?? 'done'}`);
    this.#world.tell('onTopicAnswer', { kind, topic, from, through: scheduler.now, refused, topicId });
    return result.kind === 'ok';
  }
}

const idOf = (result: Result<{ readonly topic: { readonly topicId: string } }>): Result<string> =>
  result.kind === 'ok' ? ok(result.value.topic.topicId) : result;
