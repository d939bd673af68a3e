/** A consumer: reads one partition of a topic after the other from its beginning on, from any broker, and compares. */
import type { FetchedPartition } from '../../src/broker/requests.ts';
import { errorTraits } from '../../src/model/errors.ts';
import { toOffset } from '../../src/model/ids.ts';
import { SimViolation } from '../sim/invariant.ts';
import type { SimRandom } from '../sim/sim-random.ts';
import type { BrokerWorld } from './broker-world.ts';
import { recordsOf } from './committed-logs.ts';
import type { SimBroker } from './sim-broker.ts';

const callMs = 2_000;

/** What is read, and how far. */
interface Position {
  readonly topic: string;
  readonly topicId: string;
  readonly partition: number;
  next: number;
}

export class ConsumerClient {
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

  /** A method, for it changes while something is awaited. */
  #isStopping(): boolean {
    return this.#stopped;
  }

  async #run(): Promise<void> {
    let position: Position | null = null;
    while (!this.#isStopping()) {
      await this.#world.sleep(this.#random.exponential(150));
      if (position === null || this.#random.chance(0.03)) position = await this.#choose();
      else if (!(await this.#read(position))) position = null;
    }
  }

  async #choose(): Promise<Position | null> {
    const name = this.#random.pick(this.#world.shape.topicNames);
    const broker = this.#random.pick(this.#world.brokers);
    const reply = await this.#world.ask(broker, callMs, (api, context) => api.describeTopic(name, context));
    if (reply.kind !== 'answered' || reply.result.kind === 'refused') return null;
    const { topicId, partitionCount } = reply.result.value.topic;
    return { topic: name, topicId, partition: this.#random.below(partitionCount), next: 0 };
  }

  /** False: the topic is gone. */
  async #read(position: Position): Promise<boolean> {
    const answer = await readOn(
      this.#world,
      this.#random.pick(this.#world.brokers),
      position,
      this.#random.pick([0, 300]),
    );
    if (answer === 'gone') this.#world.count('staleTopicIds');
    return answer !== 'gone';
  }
}

/** One fetch from a broker; what comes continues what was read (Jepsen's poll-skip, nonmonotonic-poll). */
export async function readOn(
  world: BrokerWorld,
  broker: SimBroker,
  position: Position,
  waitMsMax: number,
): Promise<'read' | 'nothing' | 'gone' | 'dropped'> {
  const { topic, topicId, partition, next } = position;
  const wanted = { topic, topicId, partition, fetchOffset: toOffset(next), leaderEpoch: null, bytesMax: 2_000 };
  const request = { partitions: [wanted], waitMsMax, bytesMin: 1, bytesMax: 2_000 };
  const reply = await world.ask(broker, callMs, (api, context) => api.fetch(request, context));
  if (reply.kind !== 'answered' || reply.result.kind === 'refused') return 'nothing';
  const [fetched] = reply.result.value.partitions;
  if (fetched === undefined) return 'nothing';
  if (fetched.error !== null) {
    const { code, message } = fetched.error;
    if (code === 'OFFSET_OUT_OF_RANGE') return goOnAtLogStart(world, position, fetched);
    if (errorTraits[code].retriable) return 'nothing';
    if (code === 'UNKNOWN_TOPIC_OR_PARTITION' || code === 'UNKNOWN_TOPIC_ID' || code === 'INCONSISTENT_TOPIC_ID')
      return 'gone';
    throw new SimViolation(
      'inv-B6',
      `a reader at ${next} of ${topic} ${topicId}/${partition} is told ${code}: ${message}`,
    );
  }
  if (fetched.topicId !== topicId)
    throw new SimViolation('inv-B9', `a reader of ${topic} ${topicId} got records of ${fetched.topicId} (pit-P118)`);
  if (next < (fetched.logStart ?? 0))
    throw new SimViolation(
      'inv-B6',
      `a reader of ${topicId}/${partition} at ${next}, below ${fetched.logStart}, is served`,
    );
  let at = next;
  for (const batch of fetched.batches) {
    for (const record of recordsOf(batch)) {
      if (record.offset < at) continue;
      if (record.offset !== at)
        throw new SimViolation('inv-B6', `a reader of ${topicId}/${partition} at ${at} got ${record.offset}`);
      at++;
      world.count('fetchedRecords');
    }
  }
  if (fetched.nextOffset !== null && fetched.nextOffset !== at)
    throw new SimViolation(
      'inv-B6',
      `a reader of ${topicId}/${partition} at ${at} is to go on at ${fetched.nextOffset}`,
    );
  position.next = at;
  return at === next ? 'nothing' : 'read';
}

/** Retention has dropped what was to be read: the answer names where the log starts, which is where retention put it. */
function goOnAtLogStart(
  world: BrokerWorld,
  position: Position,
  { topic, logStart, error }: FetchedPartition,
): 'dropped' {
  const { topicId, partition, next } = position;
  const group = world.catalog.topics.get(topicId)?.groups[partition];
  const start = group === undefined ? 0 : world.committed.of(group).logStart;
  const isTrue = logStart !== null && next < logStart && logStart <= start;
  if (!isTrue || error?.fields?.['logStart'] !== `${logStart}`)
    throw new SimViolation(
      'inv-B6',
      `a reader at ${next} of ${topic} ${topicId}/${partition}, which starts at ${start}, is told ${error?.message}`,
    );
  world.count('readersBelowLogStart');
  position.next = logStart;
  return 'dropped';
}
