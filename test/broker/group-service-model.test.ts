/**
 * Random runs of the whole service over a log that commits late, loses leaders and restarts. inv-B8: what was
 * acknowledged is there, what was refused never is, and what is unknown may be either; later commits win.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { errorTraits } from '../../src/model/errors.ts';
import type { Result } from '../../src/model/errors.ts';
import type { CommitAnswer, Membership } from '../../src/broker/requests.ts';
import { dump } from './group/bench.ts';
import { GroupPartition } from '../../src/broker/group-partition.ts';
import { ServiceBench, settle, valueOf } from './group-bench.ts';

interface Client {
  readonly group: string;
  member: Membership;
  sequence: number;
}

interface Attempt {
  readonly place: string;
  readonly offset: number;
  readonly epoch: number;
  readonly sequence: number;
  outcome: 'open' | 'stored' | 'unknown' | 'refused';
}

const groups = ['g1', 'g2'];

class Run {
  readonly bench = ServiceBench.serving({}, { membersMax: 3 });
  readonly clients: Client[] = [];
  readonly attempts: Attempt[] = [];
  readonly #tokens = new Map<string, Uint8Array>();

  constructor() {
    this.bench.raft.automatic = false;
  }

  client(n: number): Client | undefined {
    return this.clients[n % Math.max(1, this.clients.length)];
  }

  /** A member in each group, so that histories do not begin with nothing to do. */
  async begin(): Promise<void> {
    for (const n of [0, 1]) this.join(n);
    this.bench.raft.commit();
    await settle();
  }

  join(n: number): void {
    const group = groups[n % 2] ?? 'g1';
    const token = n % 3 === 0 ? (this.#tokens.get(group) ?? null) : null;
    void this.bench.join(token, group).then((joined) => {
      if (joined.kind === 'refused') return;
      this.#tokens.set(group, joined.value.resumeToken);
      this.clients.push({ group, member: joined.value, sequence: 0 });
    });
  }

  heartbeat(n: number): void {
    const client = this.client(n);
    if (client === undefined) return;
    const { member, group } = client;
    void this.bench.heartbeat(member, member.assignment, group).then((answer) => {
      if (answer.kind === 'refused' || client.member !== member) return;
      const { memberEpoch, assignment } = answer.value;
      client.member = { ...member, memberEpoch, assignment: assignment ?? member.assignment };
    });
  }

  commit(n: number, partition: number): void {
    const client = this.client(n);
    if (client === undefined) return;
    const sequence = ++client.sequence;
    const { memberEpoch: epoch } = client.member;
    const offset = this.attempts.length + 1;
    const attempt: Attempt = { place: `${client.group} ${partition}`, offset, epoch, sequence, outcome: 'open' };
    this.attempts.push(attempt);
    const context = this.bench.context(n % 5 === 0 ? 2_000 : 60_000);
    void this.bench.commit(client.member, sequence, offset, partition, context, client.group).then((answer) => {
      attempt.outcome = outcomeOf(answer);
    });
  }

  async change(n: number): Promise<void> {
    if (n % 3 === 0) this.bench.restart(n % 2 === 0 ? 'state' : 'log', n % 4 < 2);
    else {
      this.bench.raft.stepDown(n % 2 === 0);
      await settle();
      this.bench.raft.lead();
    }
  }

  async finish(): Promise<void> {
    for (let i = 0; i < 100 && this.bench.raft.pending > 0; i++) {
      this.bench.raft.commit();
      await settle();
    }
    this.bench.clock.advance(60_000);
    this.bench.raft.commit();
    await settle();
  }

  async check(): Promise<void> {
    for (const group of groups) {
      for (const partition of [0, 1]) {
        const offset = await this.bench.committed(partition, group);
        const place = `${group} ${partition}`;
        const visible = this.attempts.find((one) => one.offset === offset);
        if (offset !== null) assert.ok(visible?.place === place && visible.outcome !== 'refused', `${place} ${offset}`);
        for (const one of this.attempts.filter((some) => some.place === place && some.outcome === 'stored')) {
          assert.ok(visible !== undefined, `${place}: an acknowledged commit is lost`);
          const order = visible.epoch - one.epoch || visible.sequence - one.sequence;
          assert.ok(order >= 0, `${place}: commit ${one.offset} was undone by ${visible.offset}`);
        }
      }
    }
  }
}

function outcomeOf(answer: Result<CommitAnswer>): Attempt['outcome'] {
  if (answer.kind === 'ok') return valueOf(answer)[0] === null ? 'stored' : 'refused';
  return errorTraits[answer.error.code].indeterminate ? 'unknown' : 'refused';
}

const anyStep = fc.tuple(
  fc.constantFrom(
    'join',
    'heartbeat',
    'heartbeat',
    'commit',
    'commit',
    'commit',
    'log',
    'log',
    'log',
    'time',
    'change',
  ),
  fc.nat(255),
);

test('inv-B8: acknowledged commits survive, refused ones are never seen, whatever happens to the log', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(anyStep, { minLength: 10, maxLength: 60, size: 'max' }), async (steps) => {
      const run = new Run();
      await run.begin();
      for (const [step, n] of steps) {
        if (step === 'join') run.join(n);
        else if (step === 'heartbeat') run.heartbeat(n);
        else if (step === 'commit') run.commit(n >> 1, n % 2);
        else if (step === 'log') run.bench.raft.commit(1 + (n % 3));
        else if (step === 'time') run.bench.clock.advance(n * 100);
        else await run.change(n);
        await settle();
        await run.check();
      }
      await run.finish();
      await run.check();
      assert.equal(run.attempts.filter(({ outcome }) => outcome === 'open').length, 0, 'every call is answered');
      const before = dump(run.bench.machine.coordinator);
      for (const from of ['state', 'log'] as const) {
        run.bench.restart(from);
        assert.ok(run.bench.machine instanceof GroupPartition);
        assert.deepEqual(dump(run.bench.machine.coordinator), before);
      }
      run.bench.service.close();
      assert.equal(run.bench.clock.timers, 0);
    }),
    { numRuns: Number(process.env['SLUICE_MODEL_RUNS'] ?? 100) },
  );
});
