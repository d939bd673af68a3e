/**
 * The stage of a script: replicas on one clock, messages on the wire, and what was said. Beside the script's own output
 * it checks after every step that one term has one leader (inv-I1), that equal indexes hold equal committed entries
 * (inv-I3) and that what is committed is durable on a quorum (inv-I6); a breach is a line of the output.
 */
import type { Entry } from '../../src/model/entry.ts';
import type { Millis } from '../../src/model/ids.ts';
import { toMillis, toReplicaId } from '../../src/model/ids.ts';
import type { Configuration } from '../../src/raft/core/configuration.ts';
import { describeMessage } from '../../src/raft/core/describe.ts';
import type { RaftLimits } from '../../src/raft/core/limits.ts';
import { raftLimitsDefault } from '../../src/raft/core/limits.ts';
import type { Message } from '../../src/raft/core/messages.ts';
import { RaftNode } from '../../src/raft/core/raft-node.ts';
import { crc32c } from '../../src/runtime/crc32c.ts';
import { SeededRandom } from '../fakes/seeded-random.ts';
import type { Image } from '../raft/core/cluster.ts';
import { lastOf, recoveredFrom } from '../raft/core/cluster.ts';
import type { Surroundings } from './actor.ts';
import { Actor } from './actor.ts';
import { configurationAt } from './image.ts';
import type { MessageFilter } from './message-filter.ts';

/** How much of what happens is told: everything, what changed (roles, commits, drops, alarms), or breaches only. */
export type Detail = 'full' | 'brief' | 'mute';

const detailed = /^(persist|send|then|read log|read snapshot|install) /;
const stepsMax = 20_000;

export class Stage implements Surroundings {
  readonly actors = new Map<number, Actor>();
  genesis: Configuration = { revision: 0, voters: [], outgoing: [], learners: [] };
  limits: RaftLimits = raftLimitsDefault;
  now: Millis = toMillis(0);
  /** Messages on their way, oldest first, and those that were set aside. */
  wire: Message[] = [];
  held: Message[] = [];
  /** Bytes of a snapshot chunk; small, so that a snapshot takes several. */
  chunkBytes = 4;
  /** Frames that each replica's host sent (design D3); null: leaders send heartbeats of their own. */
  frames: Map<number, number> | null = null;
  /** Null: as the command wants it. */
  detail: Detail | null = null;
  #cuts: MessageFilter[] = [];
  readonly #said: string[] = [];
  #builds = 0;
  readonly #leaders = new Map<number, number>();
  readonly #committed = new Map<number, Entry>();

  add(id: number, image: Image): Actor {
    const actor = new Actor(this, toReplicaId(id), image);
    this.actors.set(id, actor);
    return actor;
  }

  actor(id: number): Actor {
    const actor = this.actors.get(id);
    if (actor === undefined) throw new Error(`there is no replica ${id}`);
    return actor;
  }

  build(actor: Actor): RaftNode {
    const { frames } = this;
    return new RaftNode({
      ...(frames === null ? {} : { framesSent: () => frames.get(actor.id) ?? 0 }),
      id: actor.id,
      recovered: recoveredFrom(actor.image, this.genesis),
      limits: this.limits,
      random: new SeededRandom(1_000 + actor.id + 7_919 * this.#builds++),
      crc32c,
      now: this.now,
    });
  }

  say(line: string): void {
    this.#said.push(line);
  }

  /** What a replica did, as far as it is to be told. */
  tell(id: number, line: string): void {
    if (this.detail === 'mute' || (this.detail === 'brief' && detailed.test(line))) return;
    this.say(`${id}: ${line}`);
  }

  violation(what: string): void {
    this.say(`VIOLATION ${what}`);
  }

  takeSaid(): string[] {
    return this.#said.splice(0);
  }

  post(message: Message): void {
    if (!this.#cuts.some((cut) => cut.matches(message))) this.wire.push(message);
  }

  lose(filter: MessageFilter): void {
    this.#cuts.push(filter);
  }

  heal(): void {
    this.#cuts = [];
  }

  /** Delivers these now, in this order; what they cause stays on the wire. A replica that is down hears nothing. */
  deliver(messages: readonly Message[]): void {
    this.wire = this.wire.filter((message) => !messages.includes(message));
    for (const message of messages) this.#hand(message);
  }

  /** Delivers everything, and what follows from it, until nothing is on its way. */
  settle(): void {
    for (let left = stepsMax; ; left--) {
      const at = this.wire.findIndex((message) => this.actors.get(message.to)?.state !== 'paused');
      if (at === -1) return;
      if (left === 0) throw new Error('the messages do not come to an end');
      const [message] = this.wire.splice(at, 1);
      this.#hand(message!);
    }
  }

  /** Lets time pass; deadlines act at their time, messages arrive at once. */
  pass(ms: number): void {
    const end = this.now + ms;
    for (;;) {
      const up = [...this.actors.values()].filter((actor) => actor.state === 'up');
      const next = Math.max(this.now, Math.ceil(Math.min(...up.map((actor) => actor.core.nextDeadline))));
      if (next > end) break;
      this.now = toMillis(next);
      for (const actor of up) if (actor.core.nextDeadline <= this.now) this.tick(actor);
      this.settle();
    }
    this.now = toMillis(end);
  }

  tick(actor: Actor): void {
    actor.step({ kind: 'tick' });
    this.#checkLeader(actor);
  }

  /** An entry was applied at a replica: all agree on it, and a quorum of the voters has it durably. */
  checkCommitted(actor: Actor, entry: Entry): void {
    const known = this.#committed.get(entry.index);
    if (known !== undefined && known.chain !== entry.chain) {
      this.violation(`inv-I3: index ${entry.index} of ${actor.id} is not what others committed`);
    }
    if (known !== undefined) return;
    this.#committed.set(entry.index, entry);
    const { voters, outgoing } = configurationAt(actor.image, this.genesis, lastOf(actor.image));
    for (const half of [voters, outgoing]) {
      const holders = half.filter((id) => this.#holdsDurably(id, entry)).length;
      if (half.length > 0 && holders <= half.length / 2) {
        this.violation(`inv-I6: index ${entry.index} is durable on ${holders} of ${half.length}`);
      }
    }
  }

  #holdsDurably(id: number, entry: Entry): boolean {
    const synced = this.actors.get(id)?.synced;
    if (synced === undefined) return false;
    if ((synced.snapshot?.lastIndex ?? 0) >= entry.index) return true;
    return synced.entries.some((held) => held.index === entry.index && held.chain === entry.chain);
  }

  #hand(message: Message): void {
    if (this.detail === null || this.detail === 'full') this.say(`> ${describeMessage(message)}`);
    const actor = this.actors.get(message.to);
    if (actor === undefined) return;
    actor.step({ kind: 'message', message });
    this.#checkLeader(actor);
  }

  #checkLeader(actor: Actor): void {
    const { role, term } = actor.core.role;
    if (actor.state !== 'up' || role !== 'leader') return;
    const known = this.#leaders.get(term);
    this.#leaders.set(term, actor.id);
    if (known !== undefined && known !== actor.id) this.violation(`inv-I1: ${known} and ${actor.id} lead term ${term}`);
  }
}
