/** What operators ask of a cluster in one process, and what is looked at afterwards. */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import type { ClusterOperation, OperationReport } from '../../src/broker/cluster-operation.ts';
import type { BrokerInfo } from '../../src/broker/requests.ts';
import type { ErrorCode, Result } from '../../src/model/errors.ts';
import type { BrokerId } from '../../src/model/ids.ts';
import { toBrokerId } from '../../src/model/ids.ts';
import { text } from './batches.ts';
import { value } from './broker-fixture.ts';
import type { Cluster } from './cluster-fixture.ts';

export type Report = OperationReport & { readonly catalogRevision: number };

export const ids = (...brokers: readonly number[]): readonly BrokerId[] => brokers.map(toBrokerId);

/** Asks through one broker, again while the catalog elects. */
export async function ask(
  cluster: Cluster,
  operation: ClusterOperation,
  { at = 0, dryRun = false }: { readonly at?: number; readonly dryRun?: boolean } = {},
): Promise<Result<Report>> {
  for (let attempt = 0; attempt < 200; attempt++) {
    const { broker } = cluster.member(at);
    const done = await cluster.answer(broker.operate(operation, dryRun, cluster.context(20_000)));
    if (done.kind === 'ok' || !['LEADER_NOT_AVAILABLE', 'BROKER_SHUTTING_DOWN'].includes(done.error.code)) return done;
    await cluster.pass(100);
  }
  assert.fail(`${operation.kind}: the catalog has no leader`);
}

export const operate = async (
  cluster: Cluster,
  operation: ClusterOperation,
  how?: Parameters<typeof ask>[2],
): Promise<Report> => value(await ask(cluster, operation, how));

export async function refusedFor(
  cluster: Cluster,
  operation: ClusterOperation,
  how?: Parameters<typeof ask>[2],
): Promise<{ readonly code: ErrorCode; readonly message: string }> {
  const done = await ask(cluster, operation, how);
  assert.ok(done.kind === 'refused', `${operation.kind} is refused`);
  return done.error;
}

export const onBroker = (
  kind: 'drain-broker' | 'undrain-broker' | 'decommission-broker',
  id: number,
): ClusterOperation => ({
  kind,
  brokerId: toBrokerId(id),
});

export const replacing = (id: number, incarnation: string | null = null): ClusterOperation => ({
  kind: 'replace-broker',
  brokerId: toBrokerId(id),
  incarnation,
});

export const moving = (
  topic: string,
  moves: readonly { readonly partition: number; readonly to: readonly number[] }[],
  supersede = false,
): ClusterOperation => ({
  kind: 'move-replicas',
  moves: moves.map(({ partition, to }) => ({ tenant: 0, topic, partition, brokers: ids(...to) })),
  supersede,
});

export const leading = (topic: string, partition: number, broker: number): ClusterOperation => ({
  kind: 'transfer-leadership',
  tenant: 0,
  topic,
  partition,
  brokerId: toBrokerId(broker),
});

export const topicNamed = (name: string): { tenant: number; name: string; topicId: null } => ({
  tenant: 0,
  name,
  topicId: null,
});

/** Groups that a broker leads and serves. */
export const led = (cluster: Cluster, id: number): readonly number[] =>
  [...cluster.member(id).groups].filter(([, { role }]) => role.serving).map(([group]) => group);

/** Brokers that run a replica of the group, ascending. */
export const holders = (cluster: Cluster, group: number): readonly number[] =>
  [...cluster.members]
    .filter(([, { groups }]) => [...groups.keys()].some((one) => one === group))
    .map(([id]) => id)
    .sort((a, b) => a - b);

/** Voters as the group's leader has them; empty while nobody leads. */
export function voterCount(cluster: Cluster, group: number): number {
  const all = [...cluster.members.values()].flatMap(({ groups }) => [...groups.values()]);
  return all.find((one) => one.group === group && one.role.serving)?.membership.configuration.voters.length ?? 0;
}

/** The newest group that some broker runs: that of the last partition that was made. */
export const newestGroup = (cluster: Cluster): number =>
  Math.max(...[...cluster.members.values()].flatMap(({ groups }) => [...groups.keys()]));

export async function brokerInfo(cluster: Cluster, at: number, id: number): Promise<BrokerInfo | undefined> {
  return (await cluster.cluster(at)).brokers.find((broker) => broker.brokerId === id);
}

export const revisionAt = async (cluster: Cluster, at: number): Promise<number> =>
  (await cluster.cluster(at)).catalogRevision;

/** By group, how long nobody served it while `work` went on, milliseconds; looked at every step of the clock. */
export async function pauses(cluster: Cluster, work: Promise<void>): Promise<ReadonlyMap<number, number>> {
  const groups = [...new Set([...cluster.members.values()].flatMap((member) => [...member.groups.keys()]))];
  const longest = new Map<number, number>(groups.map((group) => [group, 0]));
  const since = new Map<number, number>();
  const stepMs = 10;
  let done = false;
  const ended = work.finally(() => {
    done = true;
  });
  const look = (): void => {
    const nowMs = cluster.clock.monotonicMs();
    for (const group of groups) {
      const served = [...cluster.members.keys()].some((id) => led(cluster, id).includes(group));
      if (served) since.delete(group);
      else longest.set(group, Math.max(longest.get(group) ?? 0, nowMs - (since.get(group) ?? nowMs) + stepMs));
      if (!served && !since.has(group)) since.set(group, nowMs);
    }
  };
  for (let passed = 0; !done; passed += stepMs) {
    assert.ok(passed < 20_000, 'the broker stops');
    cluster.clock.advance(stepMs);
    // every hand-on of a message takes a few turns, as it takes a moment on a network
    await cluster.settle(4);
    look();
  }
  await ended;
  return longest;
}

/**
 * A producer beside the operations: one record after the other on each partition, each sent until it is acknowledged.
 * Without an identity, so what an indeterminate answer leaves behind is counted as possible, not as wrong.
 */
export class Load {
  readonly acknowledged: { readonly partition: number; readonly offset: number }[] = [];
  readonly #cluster: Cluster;
  readonly #topic: string;
  #partitions: number;
  #running = true;
  readonly #ended: Promise<void>;

  constructor(t: TestContext, cluster: Cluster, topic: string, partitions: number) {
    t.after(() => {
      this.#running = false;
    });
    this.#cluster = cluster;
    this.#topic = topic;
    this.#partitions = partitions;
    this.#ended = this.#run();
  }

  grow(partitions: number): void {
    this.#partitions = partitions;
  }

  /** Ends it without a look at what was written. */
  end(): void {
    this.#running = false;
  }

  /** Ends it, and checks that everything that was acknowledged is there, once each, in order. */
  async stop(): Promise<void> {
    this.#running = false;
    await this.#cluster.answer(this.#ended);
    assert.ok(this.acknowledged.length > 0, 'something was written meanwhile');
    for (let partition = 0; partition < this.#partitions; partition++) {
      const offsets = this.acknowledged.filter((one) => one.partition === partition).map((one) => one.offset);
      for (const [at, offset] of offsets.entries()) {
        assert.ok(at === 0 || offset > offsets[at - 1]!, `partition ${partition}: offsets rise`);
      }
      const last = offsets.at(-1);
      if (last === undefined) continue;
      const [leader] = await this.#leaders(partition);
      assert.ok(leader !== undefined, `partition ${partition} is led`);
      const visible = await this.#cluster.visible(leader, this.#topic, partition);
      assert.ok(visible > last, `partition ${partition}: ${visible} records, and ${last} was acknowledged`);
    }
  }

  async #leaders(partition: number): Promise<readonly number[]> {
    for (let attempt = 0; attempt < 100; attempt++) {
      for (const id of this.#cluster.members.keys()) {
        const described = (await this.#cluster.describe(id, this.#topic))[partition];
        const leader = described?.leader ?? null;
        if (leader !== null && this.#cluster.members.has(leader)) return [leader];
      }
      await this.#cluster.pass(100);
    }
    return [];
  }

  async #run(): Promise<void> {
    for (let n = 0; this.#running; n++) {
      await Promise.all(Array.from({ length: this.#partitions }, (_, partition) => this.#append(partition, `${n}`)));
      await this.#turns(20);
    }
  }

  async #append(partition: number, line: string): Promise<void> {
    for (let attempt = 0; this.#running || attempt === 0; attempt++) {
      const members = [...this.#cluster.members.values()];
      const member = members[attempt % members.length];
      if (member === undefined) return;
      const request = { topic: this.#topic, topicId: null, partition, batch: text([line]), acks: 'all' } as const;
      const result = await member.broker.append(request, this.#cluster.context(2_000));
      if (result.kind === 'ok') {
        this.acknowledged.push({ partition, offset: result.value.baseOffset ?? -1 });
        return;
      }
      await this.#turns(5);
    }
  }

  async #turns(count: number): Promise<void> {
    for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve));
  }
}
