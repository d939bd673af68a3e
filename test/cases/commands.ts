/** The commands of a script; docs/TESTING.md lists them. */
import type { EntryKind } from '../../src/model/entry.ts';
import type { ReplicaId } from '../../src/model/ids.ts';
import { toLogIndex, toMillis, toReplicaId, toTerm } from '../../src/model/ids.ts';
import type { Configuration } from '../../src/raft/core/configuration.ts';
import {
  describeConfiguration,
  describeEntry,
  describeFollower,
  describeMessage,
  describeStatus,
} from '../../src/raft/core/describe.ts';
import type { RaftLimits } from '../../src/raft/core/limits.ts';
import { raftLimitsDefault } from '../../src/raft/core/limits.ts';
import { reachedByQuorum, tally } from '../../src/raft/core/quorum.ts';
import { ids, imageOf } from '../raft/core/cluster.ts';
import type { Actor, Part } from './actor.ts';
import { describeLog, parts } from './actor.ts';
import { messageOf } from './hand-written.ts';
import { cutImage, snapshotOf } from './image.ts';
import { MessageFilter } from './message-filter.ts';
import type { Detail, Stage } from './stage.ts';
import type { Words } from './words.ts';

type Command = (stage: Stage, words: Words) => void;

const actorOf = (stage: Stage, words: Words): Actor => stage.actor(words.integer('a replica'));

/** The replicas that are named, or all. */
const actorsOf = (stage: Stage, words: Words): Actor[] => {
  const named = words.integers();
  return named.length > 0 ? named.map((id) => stage.actor(id)) : [...stage.actors.values()];
};

const count = (words: Words): number => words.integers()[0] ?? Infinity;

const filter = (words: Words): MessageFilter => new MessageFilter(words.all());

function configurationOf(words: Words, revision: number): Configuration {
  const lists: Record<string, ReplicaId[]> = { voters: [], leaving: [], learners: [] };
  for (const name of ['voters', 'leaving', 'learners']) if (words.flag(name)) lists[name] = ids(...words.integers());
  const { voters = [], leaving: outgoing = [], learners = [] } = lists;
  return { revision, voters, outgoing, learners };
}

const elect: Command = (stage, words) => {
  const actor = actorOf(stage, words);
  const { detail } = stage;
  stage.detail ??= 'mute';
  campaign(stage, actor);
  stage.settle();
  stage.detail = detail;
  stage.say(`${actor.id}: ${describeStatus(actor.core.role, actor.core.status)}`);
};

/** Time passes until the replica's own deadline, which alone acts. */
function campaign(stage: Stage, actor: Actor): void {
  const { nextDeadline } = actor.core;
  if (nextDeadline === Infinity) stage.say(`${actor.id}: never campaigns`);
  else stage.now = toMillis(Math.max(stage.now, Math.ceil(nextDeadline)));
  stage.tick(actor);
}

const propose: Command = (stage, words) => {
  const actor = actorOf(stage, words);
  const { size, kind = 'batch', count: records } = words.options();
  const texts = size === undefined ? words.all() : words.all().map((text) => text.padEnd(Number(size), '.'));
  for (const text of texts) {
    const draft = {
      kind: kind as EntryKind,
      count: Number(records ?? (kind === 'batch' ? 1 : 0)),
      payload: Buffer.from(text),
      maxTimestampMs: null,
    };
    const answer = actor.attempt(() => actor.core.propose(draft, stage.now));
    if (answer === null) return;
    stage.say(`${actor.id}: ${answer.kind} ${answer.kind === 'accepted' ? describeEntry(answer.entry) : answer.why}`);
  }
  if (!actor.slow.has('work')) actor.work();
};

const configure: Command = (stage, words) => {
  const actor = actorOf(stage, words);
  const revision = Number(words.next('revision').replace('r', ''));
  const target = configurationOf(words, revision);
  const answer = actor.attempt(() => actor.core.proposeConfiguration(target, stage.now));
  if (answer === null) return;
  if (answer.kind === 'refused') stage.say(`${actor.id}: refused ${answer.why}`);
  else stage.say(`${actor.id}: in force ${describeConfiguration(actor.core.status.membership.configuration)}`);
  if (!actor.slow.has('work')) actor.work();
};

const node: Command = (stage, words) => {
  const id = words.integer('a replica');
  const { log = '', term, vote, commit, compacted } = words.options();
  const terms = log.split(',').filter((one) => one !== '');
  const image = imageOf(terms.map(Number), {
    ...(term === undefined ? {} : { term: Number(term) }),
    ...(vote === undefined ? {} : { vote: Number(vote) }),
    commit: Number(commit ?? 0),
  });
  const cut = Number(compacted ?? 0);
  stage.add(id, cut === 0 ? image : snapshotOf(image, stage.genesis, toLogIndex(cut), `s${id}-${cut}`));
};

const nodes: Command = (stage, words) => {
  const options = words.options();
  for (const name of Object.keys(options)) {
    if (name !== 'chunk' && name !== 'frames' && !(name in raftLimitsDefault)) throw new Error(`no limit: ${name}`);
  }
  const { chunk, frames, ...limits } = options;
  stage.frames = frames === undefined ? null : new Map();
  const numbers = Object.fromEntries(Object.entries(limits).map(([name, value]) => [name, Number(value)]));
  stage.limits = { ...raftLimitsDefault, ...(numbers as Partial<RaftLimits>) };
  stage.chunkBytes = Number(chunk ?? stage.chunkBytes);
  const voters = ids(...words.integers());
  const learners = words.flag('learners') ? ids(...words.integers()) : [];
  stage.genesis = { revision: 0, voters, outgoing: [], learners };
  for (const id of [...voters, ...learners]) stage.add(id, imageOf([], {}));
};

const setSlow = (slow: boolean): Command => {
  return (stage, words) => {
    const actors = actorsOf(stage, words);
    const part = words.next(parts.join(', ')) as Part;
    if (!parts.includes(part)) throw new Error(`no part: ${part}`);
    for (const actor of actors) {
      if (slow) actor.slow.add(part);
      else actor.slow.delete(part);
    }
  };
};

const setState = (from: Actor['state'], to: Actor['state']): Command => {
  return (stage, words) => {
    const actor = actorOf(stage, words);
    if (actor.state === from) actor.state = to;
    else throw new Error(`${actor.id} is ${actor.state}`);
  };
};

/** Both directions, unless an arrow says which. */
const cut: Command = (stage, words) => {
  for (const link of words.all()) {
    if (link.includes('->')) {
      stage.lose(new MessageFilter([link]));
      continue;
    }
    const [a, b] = link.split('-');
    stage.lose(new MessageFilter([`${a}->${b}`]));
    stage.lose(new MessageFilter([`${b}->${a}`]));
  }
};

const isolate: Command = (stage, words) => {
  for (const id of words.integers()) {
    stage.lose(new MessageFilter([`${id}->`]));
    stage.lose(new MessageFilter([`->${id}`]));
  }
};

/** On the disk, while the process is down or not. */
const changeDisk = (change: (actor: Actor, words: Words) => Actor['image']): Command => {
  return (stage, words) => {
    const actor = actorOf(stage, words);
    actor.synced = change(actor, words);
    actor.image = actor.synced;
  };
};

const status: Command = (stage, words) => {
  for (const { id, core, state } of actorsOf(stage, words)) {
    const text = describeStatus(core.role, core.status);
    stage.say(state === 'up' ? `${id}: ${text}` : `${id}: ${state}`);
  }
};

const dropped: Command = (stage, words) => {
  for (const { id, core } of actorsOf(stage, words)) {
    const counts = [...core.dropped].map(([reason, times]) => `${reason} ${times}`);
    if (counts.length > 0) stage.say(`${id}: ${counts.join(', ')}`);
  }
};

const voteTable: Command = (stage, words) => {
  const votes = new Map<ReplicaId, boolean>();
  const configuration = configurationOf(words, 0);
  if (words.flag('yes')) for (const id of ids(...words.integers())) votes.set(id, true);
  if (words.flag('no')) for (const id of ids(...words.integers())) votes.set(id, false);
  stage.say(tally(configuration, votes));
};

const commitTable: Command = (stage, words) => {
  const reached = new Map(Object.entries(words.options()).map(([id, index]) => [Number(id), Number(index)]));
  const configuration = configurationOf(words, 0);
  stage.say(String(reachedByQuorum(configuration, (id) => reached.get(id) ?? 0)));
};

const pick = (act: (stage: Stage, filter: MessageFilter) => void): Command => {
  return (stage, words) => act(stage, filter(words));
};

const onActors = (act: (actor: Actor, words: Words) => void): Command => {
  return (stage, words) => act(actorOf(stage, words), words);
};

const say = (text: (actor: Actor) => string): Command => {
  return (stage, words) => {
    for (const actor of actorsOf(stage, words)) stage.say(`${actor.id}: ${text(actor)}`);
  };
};

const detailed = (detail: Detail): Command => {
  return (stage, words) => {
    const before = stage.detail;
    stage.detail = detail;
    runCommand(stage, words);
    stage.detail = before;
  };
};

/** Unless the script wants otherwise, only what changed is told. */
const briefly = (command: Command): Command => {
  return (stage, words) => {
    const before = stage.detail;
    stage.detail ??= 'brief';
    command(stage, words);
    stage.detail = before;
  };
};

export const commands: Readonly<Record<string, Command>> = {
  // the cast and its disks
  nodes,
  node,
  crash: onActors((actor) => actor.crash()),
  restart: onActors((actor) => actor.restart()),
  pause: setState('up', 'paused'),
  resume: setState('paused', 'up'),
  'cut-log': changeDisk((actor, words) => cutImage(actor.synced, words.number('after'))),
  wipe: changeDisk(() => imageOf([], {})),
  compact: onActors((actor, words) => actor.compact(toLogIndex(words.integers()[0] ?? actor.appliedIndex))),

  // time
  tick: (stage, words) => stage.tick(actorOf(stage, words)),
  clock: (stage) => stage.say(`${stage.now} ms`),
  wait: (stage, words) => (stage.now = toMillis(stage.now + words.integer('milliseconds'))),
  pass: briefly((stage, words) => stage.pass(words.integer('milliseconds'))),
  campaign: (stage, words) => campaign(stage, actorOf(stage, words)),
  elect,

  // what is asked of a replica
  propose,
  configure,
  transfer: onActors((actor, words) => actor.step({ kind: 'transfer', to: toReplicaId(words.number('to')) })),
  read: onActors((actor, words) => actor.step({ kind: 'read-index', id: words.integer('a request') })),
  unreachable: onActors((actor, words) =>
    actor.step({ kind: 'peer-unreachable', to: toReplicaId(words.integer('peer')) }),
  ),
  'cut-off': (stage, words) => {
    const actors = actorsOf(stage, words);
    const from = toReplicaId(words.number('from'));
    for (const actor of actors) actor.step({ kind: 'leader-cut-off', from });
  },
  heard: onActors((actor, words) => {
    const [from, term, round] = [words.number('from'), words.number('term'), words.number('round')];
    const { at } = words.options();
    const heardMs = at === undefined ? {} : { heardMs: Number(at) };
    actor.step({ kind: 'peer-heard', from: toReplicaId(from), term: toTerm(term), round, ...heardMs });
  }),

  frame: (stage, words) => {
    const id = words.integer('a replica');
    const number = (stage.frames?.get(id) ?? 0) + 1;
    stage.frames?.set(id, number);
    stage.say(`${id}: frame ${number}`);
  },

  // what its driver does, where it is slow
  slow: setSlow(true),
  fast: setSlow(false),
  work: onActors((actor) => actor.work()),
  persist: onActors((actor, words) => actor.persist(count(words))),
  complete: onActors((actor, words) => actor.complete(count(words))),
  sync: onActors((actor, words) => actor.sync(count(words))),
  apply: onActors((actor) => actor.apply()),
  answer: onActors((actor, words) => actor.answer(count(words))),
  install: onActors((actor) => actor.install()),
  refuse: onActors((actor) => actor.refuse()),

  // the wire
  settle: briefly((stage) => stage.settle()),
  deliver: pick((stage, wanted) => stage.deliver(wanted.of(stage.wire))),
  drop: pick((stage, wanted) => {
    const gone = wanted.of(stage.wire);
    stage.wire = stage.wire.filter((message) => !gone.includes(message));
  }),
  copy: pick((stage, wanted) => stage.held.push(...wanted.of(stage.wire))),
  hold: pick((stage, wanted) => {
    const held = wanted.of(stage.wire);
    stage.held.push(...held);
    stage.wire = stage.wire.filter((message) => !held.includes(message));
  }),
  release: pick((stage, wanted) => {
    const released = wanted.of(stage.held);
    stage.held = stage.held.filter((message) => !released.includes(message));
    stage.wire.push(...released.map((message) => ({ ...message })));
  }),
  duplicate: pick((stage, wanted) => stage.wire.push(...wanted.of(stage.wire).map((message) => ({ ...message })))),
  reverse: (stage) => stage.wire.reverse(),
  send: (stage, words) => stage.deliver([messageOf(stage, words.rest())]),
  misdeliver: (stage, words) => {
    const actor = actorOf(stage, words);
    actor.step({ kind: 'message', message: messageOf(stage, words.rest()) });
  },
  wire: (stage) => stage.wire.forEach((message) => stage.say(describeMessage(message))),
  cut,
  isolate,
  lose: pick((stage, wanted) => stage.lose(wanted)),
  heal: (stage) => stage.heal(),

  // what is to be seen
  status,
  dropped,
  log: say(
    ({ image }) => `${image.snapshot === null ? '' : `${image.snapshot.id}, then `}${describeLog(image.entries)}`,
  ),
  disk: say(({ synced, waitingWrites }) => {
    const { term, vote, commit } = synced.hardState;
    return `t${term} vote ${vote ?? '-'} commit ${commit}, ${describeLog(synced.entries)}, ${waitingWrites} writes wait`;
  }),
  applied: say(({ applied }) => applied.join(' ')),
  configuration: say(({ core }) => describeConfiguration(core.status.membership.configuration)),
  timer: (stage, words) => {
    for (const { id, core } of actorsOf(stage, words)) stage.say(`${id}: due in ${core.nextDeadline - stage.now} ms`);
  },
  progress: (stage, words) => {
    for (const follower of actorOf(stage, words).core.status.followers) stage.say(describeFollower(follower));
  },
  memory: say(({ core: { status: one } }) => `${one.memoryBytes} bytes, ${one.uncommittedBytes} not committed`),

  // tables of majorities
  committed: commitTable,
  vote: voteTable,

  // how much of the next command is told
  full: detailed('full'),
  brief: detailed('brief'),
  mute: detailed('mute'),
};

export function runCommand(stage: Stage, words: Words): void {
  const name = words.next('a command');
  const command = commands[name];
  if (command === undefined) throw new Error(`no command: ${name}`);
  command(stage, words);
  words.end();
}
