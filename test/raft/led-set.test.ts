/** What is told of a set of leaderships, and what the other side then holds (design D3): led-1 to led-3, peer-leads-1. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toGroupNumber, toReplicaId, toTerm } from '../../src/model/ids.ts';
import type { BeatLead, BeatRequest } from '../../src/raft/beat-frame.ts';
import { beatChangesMax, beatLeadsMax } from '../../src/raft/beat-frame.ts';
import type { Led } from '../../src/raft/led-set.ts';
import { LedSet } from '../../src/raft/led-set.ts';
import type { Heard } from '../../src/raft/peer-leads.ts';
import { PeerLeads } from '../../src/raft/peer-leads.ts';
import { SeededRandom } from '../fakes/seeded-random.ts';

const lead = (group: number, term = 1): BeatLead => ({
  group: toGroupNumber(group),
  target: toReplicaId(group * 10 + 2),
  leader: toReplicaId(group * 10 + 1),
  term: toTerm(term),
});
const led = (group: number, term = 1): Led => ({ lead: lead(group, term), revision: 0 });
const shown = (leads: Iterable<Heard>): string[] => [...leads].map(({ lead: { group, term } }) => `${group}/${term}`);
const receiver = (dropped: (entry: Heard) => void = () => undefined): PeerLeads<Heard> =>
  new PeerLeads((one) => ({ lead: one }), dropped);

test('a request carries what changed since the base that was acknowledged, and nothing when nothing did', () => {
  const set = new LedSet();
  const [a, b] = [led(1), led(2)];
  set.announce(a);
  set.announce(b);
  assert.deepEqual(set.request(9, 1), {
    ...{ kind: 'request', process: 9, sequence: 1, base: 0, revision: 2 },
    ...{ announced: [a.lead, b.lead], ended: [] },
  });
  assert.equal(set.acknowledged(2), true);
  assert.deepEqual(set.request(9, 2), {
    ...{ kind: 'request', process: 9, sequence: 2, base: 2, revision: 2, announced: [], ended: [] },
  });
  set.end(a);
  const c = led(2, 5);
  set.announce(c);
  const { base, revision, announced, ended } = set.request(9, 3);
  assert.deepEqual([base, revision, announced], [2, 4, [c.lead]]);
  assert.deepEqual(ended, [{ group: a.lead.group, target: a.lead.target }]);
});

test('what is ended after another leadership took its place changes nothing', () => {
  const set = new LedSet();
  const [old, next] = [led(1, 1), led(1, 2)];
  set.announce(old);
  set.announce(next);
  set.end(old);
  assert.deepEqual(set.request(9, 1).announced, [next.lead]);
});

test('a receiver that lost what it held is told everything again', () => {
  const set = new LedSet();
  for (const group of [1, 2, 3]) set.announce(led(group));
  set.acknowledged(3);
  assert.equal(set.acknowledged(0), false);
  const { base, announced } = set.request(9, 1);
  assert.deepEqual([base, announced.length], [0, 3]);
});

test('more than a frame takes goes with the next ones, each acknowledged by itself', () => {
  const set = new LedSet();
  const count = beatChangesMax + 3;
  for (let group = 0; group < count; group++) set.announce(led(group));
  const peer = receiver();
  const sizes: number[] = [];
  for (let sequence = 1; sequence <= 3; sequence++) {
    const request = set.request(9, sequence);
    sizes.push(request.announced.length);
    assert.equal(peer.take(request, 0).kind, 'taken');
    assert.equal(set.acknowledged(peer.holds(9)), true);
  }
  assert.deepEqual([sizes, peer.size], [[beatChangesMax, 3, 0], count]);
});

test('what is remembered of ended leaderships is bounded: then all is told from the beginning', () => {
  const set = new LedSet();
  const kept = led(0);
  set.announce(kept);
  set.acknowledged(1);
  for (let group = 1; group <= beatChangesMax + 5; group++) {
    const one = led(group);
    set.announce(one);
    set.end(one);
  }
  const { base, announced, ended } = set.request(9, 1);
  assert.equal(base, 0);
  assert.deepEqual(announced, [kept.lead]);
  assert.ok(ended.length < 10, String(ended.length));
});

test('peer-leads-1: a request that is late or doubled is not taken, one on an unknown base neither', () => {
  const dropped: string[] = [];
  const peer = receiver((entry) => dropped.push(...shown([entry])));
  const base: BeatRequest = {
    ...{ kind: 'request', process: 9, sequence: 5, base: 0, revision: 2, announced: [lead(1), lead(2)], ended: [] },
  };
  assert.equal(peer.take(base, 100).kind, 'taken');
  assert.equal(peer.take(base, 200).kind, 'stale');
  assert.equal(peer.take({ ...base, sequence: 4, announced: [] }, 200).kind, 'stale');
  assert.equal(peer.take({ ...base, sequence: 6, base: 3, revision: 4 }, 200).kind, 'unknown-base');
  assert.equal(peer.take({ ...base, sequence: 6, process: 10, base: 2 }, 200).kind, 'unknown-base');
  assert.deepEqual([peer.heardMs, peer.holds(9), peer.holds(10), dropped], [100, 2, 0, []]);
  const next = { ...base, sequence: 6, base: 2, revision: 4, announced: [lead(1, 7)], ended: [lead(2)] };
  assert.equal(peer.take(next, 300).kind, 'taken');
  assert.deepEqual([peer.heardMs, peer.holds(9), peer.size, dropped], [300, 4, 1, ['2/1', '1/1']]);
  // another process begins from nothing
  assert.equal(peer.take({ ...base, process: 10, sequence: 1, announced: [lead(3)] }, 400).kind, 'taken');
  assert.deepEqual([peer.size, dropped.at(-1)], [1, '1/7']);
});

test('a peer that claims more leaderships than are remembered is not believed', () => {
  const peer = receiver();
  const announced = Array.from({ length: beatLeadsMax + 1 }, () => lead(1));
  const request: BeatRequest = {
    ...{ kind: 'request', process: 9, sequence: 1, base: 0, revision: 1, announced, ended: [] },
  };
  assert.equal(peer.take(request, 0).kind, 'too-many');
  assert.equal(peer.holds(9), 0);
});

test('led-2: whatever is lost, doubled or late, what an answer covers is what the receiver holds', () => {
  for (let seed = 1; seed <= 200; seed++) {
    const random = new SeededRandom(seed);
    const chance = (percent: number): boolean => random.below(100) < percent;
    const set = new LedSet();
    const entries = new Map<number, Led>();
    let held = new Map<string, Heard>();
    const makeReceiver = (): PeerLeads<Heard> => {
      const now = new Map<string, Heard>();
      held = now;
      return new PeerLeads(
        (one) => {
          const entry = { lead: one };
          now.set(`${one.group}`, entry);
          return entry;
        },
        (entry) => {
          if (now.get(`${entry.lead.group}`) === entry) now.delete(`${entry.lead.group}`);
        },
      );
    };
    let peer = makeReceiver();
    let answered = 0;
    const flying: BeatRequest[] = [];
    for (let sequence = 1; sequence <= 200; sequence++) {
      for (let changes = random.below(4); changes > 0; changes--) {
        const group = random.below(6);
        const old = entries.get(group);
        if (old !== undefined) set.end(old);
        entries.delete(group);
        if (chance(30)) continue;
        const entry = led(group, sequence);
        entries.set(group, entry);
        set.announce(entry);
      }
      if (chance(3)) peer = makeReceiver();
      flying.push(set.request(9, sequence));
      while (flying.length > 0 && chance(70)) {
        const [request] = flying.splice(random.below(flying.length), 1);
        if (request === undefined || chance(20)) continue;
        if (chance(20)) flying.push(request);
        const { kind } = peer.take(request, 0);
        // an answer that is lost, or that comes after a newer one, says nothing
        if (kind === 'stale' || chance(20) || request.sequence <= answered) continue;
        answered = request.sequence;
        const holds = peer.holds(9);
        set.acknowledged(holds);
        for (const entry of entries.values()) {
          if (entry.revision > holds) continue;
          const theirs = held.get(`${entry.lead.group}`);
          assert.deepEqual(theirs?.lead, entry.lead, `seed ${seed} sequence ${sequence}`);
        }
      }
    }
  }
});
