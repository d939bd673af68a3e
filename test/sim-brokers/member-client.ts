/**
 * A member of a consumer group as a client library behaves: joins, sends heartbeats, gives up what it is told to before it
 * says so, commits what it holds, leaves; and dies or stands still without a word.
 */
import type { Membership, TopicPartitions } from '../../src/broker/requests.ts';
import { toOffset } from '../../src/model/ids.ts';
import { randomUuid } from '../../src/model/random.ts';
import { SimViolation } from '../sim/invariant.ts';
import type { SimRandom } from '../sim/sim-random.ts';
import type { BrokerWorld } from './broker-world.ts';
import { registerKey } from './invariants/committed-register.ts';

const callMs = 2_000;
const retryMsMean = 200;
/** How long one that died stays away at most, and takes to begin: the time in which all must be members again holds both. */
const deadMsMax = 4_000;
const startMsMax = 3_000;

export class MemberClient {
  readonly name: string;
  readonly group: string;
  /** What it subscribed to; empty: it is no member. */
  topics: readonly string[] = [];
  readonly #world: BrokerWorld;
  readonly #random: SimRandom;
  #membership: Membership | null = null;
  #owned: readonly TopicPartitions[] = [];
  #sequence = 0;
  /** Rises when it dies: what an earlier life began is not gone on with. */
  #life = 0;
  #token: Uint8Array | null = null;
  #stopped = false;
  #isCalm = false;
  #pausedUntil = 0;

  constructor(name: string, group: string, world: BrokerWorld, random: SimRandom) {
    this.name = name;
    this.group = group;
    this.#world = world;
    this.#random = random;
  }

  /** What it reads now. */
  get owned(): readonly TopicPartitions[] {
    return this.#owned;
  }

  get isMember(): boolean {
    return this.#membership !== null;
  }

  /** Null: it is no member. */
  get memberId(): string | null {
    return this.#membership?.memberId ?? null;
  }

  start(): void {
    this.#live(this.#life).catch((error: unknown) => {
      this.#world.fail(error);
    });
  }

  /** From now on it neither leaves nor dies nor stands still, and subscribes to all that there is. */
  calm(): void {
    this.#isCalm = true;
    this.#pausedUntil = 0;
  }

  /** It does nothing any more; nobody is told. */
  stop(): void {
    this.#stopped = true;
  }

  #isOver(life: number): boolean {
    return this.#stopped || life !== this.#life;
  }

  async #live(life: number): Promise<void> {
    const random = this.#random;
    await this.#world.sleep(Math.min(startMsMax, random.exponential(1_000)));
    while (!this.#isOver(life)) {
      const membership = this.#membership;
      if (membership === null) {
        await this.#join();
        await this.#world.sleep(random.exponential(this.isMember ? 50 : retryMsMean));
        continue;
      }
      const waitMs = await this.#heartbeat(membership);
      if (this.#isOver(life)) return;
      if (this.#membership !== null && random.chance(0.5)) await this.#commit(this.#membership);
      if (random.chance(0.1)) await this.#compare();
      await this.#world.sleep(waitMs * (0.6 + random.below(400) / 1_000));
      if (!this.#isCalm) await this.#misbehave(life);
      // a process that stands still goes on as if nothing had been
      while (this.#pausedUntil > this.#world.scheduler.now) await this.#world.sleep(100);
    }
  }

  async #misbehave(life: number): Promise<void> {
    const random = this.#random;
    if (random.chance(0.02)) {
      this.#world.count('membersPaused');
      this.#pausedUntil = this.#world.scheduler.now + random.between(500, 15_000);
    }
    if (random.chance(0.02)) await this.#leave();
    if (!random.chance(0.02) || this.#isOver(life)) return;
    this.#world.count('membersCrashed');
    this.#life++;
    this.#lost();
    // who kept its token takes its own place, or that of a process which is still there
    if (random.chance(0.5)) this.#token = null;
    await this.#world.sleep(Math.min(deadMsMax, random.exponential(2_000)));
    this.start();
  }

  async #join(): Promise<void> {
    const random = this.#random;
    const live = this.#world.catalog.live.map(({ name }) => name).sort();
    const topics = live.filter(() => this.#isCalm || random.chance(0.7));
    if (topics.length === 0) return;
    const request = {
      group: this.group,
      topics,
      resumeToken: this.#token,
      clientId: this.name,
      joinId: random.chance(0.8) ? randomUuid(random) : null,
    };
    for (let attempt = 0; attempt < 2; attempt++) {
      const reply = await this.#world.ask(random.pick(this.#world.brokers), callMs, (api, context) =>
        api.joinGroup(request, context),
      );
      if (reply.kind !== 'answered') continue;
      const { result } = reply;
      if (result.kind === 'ok') {
        this.#joined(result.value, topics);
        return;
      }
      this.#say(`join: ${result.error.code}`);
      if (result.error.code === 'INVALID_RESUME_TOKEN')
        throw new SimViolation('inv-B7', `${this.name} joins ${this.group} with the token that it was given, in vain`);
    }
  }

  #joined(membership: Membership, topics: readonly string[]): void {
    this.#world.count('membersJoined');
    this.#say(`joined as ${membership.memberId} epoch ${membership.memberEpoch}`);
    this.#membership = membership;
    this.#token = membership.resumeToken;
    this.#owned = membership.assignment;
    this.topics = topics;
  }

  /** How long until the next one, ms. */
  async #heartbeat(membership: Membership): Promise<number> {
    const { memberId, memberEpoch } = membership;
    const request = { group: this.group, memberId, memberEpoch, owned: this.#owned };
    const reply = await this.#world.ask(this.#random.pick(this.#world.brokers), callMs, (api, context) =>
      api.heartbeat(request, context),
    );
    if (this.#membership !== membership || reply.kind !== 'answered') return retryMsMean;
    const { result } = reply;
    if (result.kind === 'refused') {
      this.#fencedBy(result.error.code);
      return retryMsMean;
    }
    const { memberEpoch: epoch, assignment } = result.value;
    this.#membership = { ...membership, memberEpoch: epoch };
    if (assignment === null) return result.value.heartbeatIntervalMs;
    const isLess = this.#owned.some(({ topicId, partitions }) =>
      partitions.some(
        (one) => !assignment.some((given) => given.topicId === topicId && given.partitions.includes(one)),
      ),
    );
    // it ends what it does with what it gives up, and only then says that it has
    if (isLess) {
      this.#world.count('revocations');
      await this.#world.sleep(this.#random.exponential(100));
    }
    if (this.#isStill(memberId)) this.#owned = assignment;
    return result.value.heartbeatIntervalMs;
  }

  /** A method, for it changes while something is awaited. */
  #isStill(memberId: string): boolean {
    return this.#membership?.memberId === memberId;
  }

  async #commit({ memberId, memberEpoch }: Membership): Promise<void> {
    const random = this.#random;
    if (this.#owned.length === 0) return;
    const { topic, topicId, partitions } = random.pick(this.#owned);
    const partition = random.pick(partitions);
    const sequence = ++this.#sequence;
    const offset = toOffset(random.below(1_000_000));
    const offsets = [{ topic, topicId, partition, offset, leaderEpoch: null, metadata: '' }];
    const request = { group: this.group, member: { memberId, memberEpoch, sequence }, offsets };
    const reply = await this.#world.ask(random.pick(this.#world.brokers), callMs, (api, context) =>
      api.commitOffsets(request, context),
    );
    if (reply.kind !== 'answered') return;
    const { result } = reply;
    if (result.kind === 'refused') {
      this.#say(`commit: ${result.error.code}`);
      if (result.error.code === 'FENCED_MEMBER_EPOCH') this.#world.count('commitsFenced');
      return;
    }
    if (result.value[0] !== null) return;
    this.#world.count('commitsAcked');
    const key = registerKey(this.group, topicId, partition);
    this.#world.tell('onCommitAcked', { key, memberId, memberEpoch, sequence, offset });
  }

  /** What it is told is committed was committed at some moment of the call. */
  async #compare(): Promise<void> {
    const random = this.#random;
    if (this.#owned.length === 0) return;
    const { topic, topicId, partitions } = random.pick(this.#owned);
    const partition = random.pick(partitions);
    const from = this.#world.scheduler.now;
    const request = { group: this.group, partitions: [{ topic, partitions: [partition] }] };
    const reply = await this.#world.ask(random.pick(this.#world.brokers), callMs, (api, context) =>
      api.fetchCommitted(request, context),
    );
    if (reply.kind !== 'answered' || reply.result.kind === 'refused') return;
    const [found] = reply.result.value;
    if (found?.topicId !== topicId) return;
    this.#world.count('committedFetched');
    const through = this.#world.scheduler.now;
    this.#world.tell('onCommittedFetched', { key: registerKey(this.group, topicId, partition), from, through, offset: found.offset }); // prettier-ignore
  }

  async #leave(): Promise<void> {
    const membership = this.#membership;
    if (membership === null) return;
    this.#world.count('membersLeft');
    const { memberId, memberEpoch } = membership;
    this.#lost();
    this.#token = null;
    const request = { group: this.group, memberId, memberEpoch };
    await this.#world.ask(this.#random.pick(this.#world.brokers), callMs, (api, context) => api.leaveGroup(request, context)); // prettier-ignore
  }

  #fencedBy(code: string): void {
    this.#say(`heartbeat: ${code}`);
    if (code !== 'UNKNOWN_MEMBER_ID' && code !== 'FENCED_MEMBER_EPOCH' && code !== 'GROUP_ID_NOT_FOUND') return;
    this.#world.count('membersFenced');
    this.#lost();
  }

  #lost(): void {
    this.#membership = null;
    this.#owned = [];
    this.topics = [];
    this.#sequence = 0;
  }

  #say(what: string): void {
    this.#world.trace.say(0, null, 'member', `${this.name} of ${this.group}: ${what}`);
  }
}
