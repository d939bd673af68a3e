/**
 * Messages that a script writes by hand, in the form in which describe.ts prints them:
 * `1->2 t3 append-request after 1/1 [2/3, 3/3 text] commit 1 chain=bad`. What the form leaves out is filled in from the
 * logs on the stage: an entry that some replica holds at that index and term is that entry; another one is sealed anew.
 */
import type { Entry, EntryKind } from '../../src/model/entry.ts';
import { chainAfter, entryEndOffset } from '../../src/model/entry.ts';
import type { LogIndex, ReplicaId, Term } from '../../src/model/ids.ts';
import { offsetZero, toLogIndex, toMillis, toOffset, toReplicaId, toTerm } from '../../src/model/ids.ts';
import { emptyConfiguration } from '../../src/raft/core/configuration.ts';
import type { AppendReply, Message } from '../../src/raft/core/messages.ts';
import { crc32c } from '../../src/runtime/crc32c.ts';
import type { LogEnd } from '../raft/core/cluster.ts';
import { genesisChain, sealAfter } from '../raft/core/cluster.ts';
import type { Stage } from './stage.ts';
import { Words } from './words.ts';

interface Address {
  readonly from: ReplicaId;
  readonly to: ReplicaId;
  readonly term: Term;
}

export function messageOf(stage: Stage, text: string): Message {
  const list = /\[(.*)\]/.exec(text)?.[1] ?? null;
  const words = new Words(text.replace(/\[.*\]/, '').replaceAll(', ', ' '));
  const [from = '', to = ''] = words.next('from->to').split('->');
  const term = toTerm(Number(words.next('term').replace('t', '')));
  const address = { from: toReplicaId(Number(from)), to: toReplicaId(Number(to)), term };
  const kind = words.next('kind');
  const message = bodyOf(stage, address, kind, words, list);
  words.end();
  return message;
}

function bodyOf(stage: Stage, address: Address, kind: string, words: Words, list: string | null): Message {
  switch (kind) {
    case 'vote-request': {
      const [pre, transfer] = [words.flag('pre'), words.flag('transfer')];
      const [lastIndex, lastTerm] = place(words.after('last'));
      // only the vote gate looks at the configuration, and there is none here
      return { ...address, kind, pre, transfer, lastIndex, lastTerm, configuration: emptyConfiguration };
    }
    case 'vote-reply':
      return { ...address, kind, pre: words.flag('pre'), granted: words.next('granted or refused') === 'granted' };
    case 'append-request':
      return appendRequest(stage, address, words, list ?? '');
    case 'append-reply':
      return appendReply(address, words);
    case 'heartbeat-request':
      return { ...address, kind, round: words.number('round'), commit: toLogIndex(words.number('commit')) };
    case 'heartbeat-reply':
      return { ...address, kind, round: words.number('round'), verified: toLogIndex(words.number('verified')) };
    case 'snapshot-chunk':
      return snapshotChunk(stage, address, words);
    case 'snapshot-reply': {
      const snapshotId = words.next('snapshot id');
      const result = words.next('result') as 'next' | 'installed' | 'refused';
      return { ...address, kind, snapshotId, result, position: Number(words.next('position')) };
    }
    case 'timeout-now':
      return { ...address, kind };
    default:
      throw new Error(`no message: ${kind}`);
  }
}

function place(text: string): [LogIndex, Term] {
  const [index, term] = text.split('/');
  return [toLogIndex(Number(index)), toTerm(Number(term))];
}

function appendRequest(stage: Stage, address: Address, words: Words, list: string): Message {
  const [prevIndex, prevTerm] = place(words.after('after'));
  const commit = toLogIndex(words.number('commit'));
  const end = endOf(stage, prevIndex, prevTerm);
  const { offset = end.offset, chain, sequence = 1, base, payload, seal, kind } = words.options();
  const entries = entriesOf(stage, list, end, { base, payload, seal, kind });
  return {
    ...address,
    kind: 'append-request',
    prevIndex,
    prevTerm,
    prevEndOffset: toOffset(Number(offset)),
    prevChain: chain === undefined ? end.chain : chain === 'unknown' ? null : Number(chain),
    sequence: Number(sequence),
    entries,
    commit,
  };
}

/** Where the entry at (index, term) ends: as some log on the stage says, or as if each entry before had one record. */
function endOf(stage: Stage, index: LogIndex, term: Term): LogEnd {
  if (index === 0) return { index, term: 0, offset: 0, chain: genesisChain };
  const entry = find(stage, index, term);
  if (entry !== null) return { index, term, offset: entryEndOffset(entry), chain: entry.chain };
  const snapshot = [...stage.actors.values()]
    .map(({ image }) => image.snapshot)
    .find((one) => one?.lastIndex === index);
  return { index, term, offset: snapshot?.endOffset ?? index, chain: snapshot?.chain ?? 0 };
}

function find(stage: Stage, index: number, term: number): Entry | null {
  for (const { image } of stage.actors.values()) {
    const entry = image.entries.find((one) => one.index === index && one.term === term);
    if (entry !== undefined) return entry;
  }
  return null;
}

/** What is wrong with the first entry on purpose. */
interface Damage {
  readonly base: string | undefined;
  readonly payload: string | undefined;
  readonly seal: string | undefined;
  readonly kind: string | undefined;
}

function entriesOf(stage: Stage, list: string, start: LogEnd, damage: Damage): Entry[] {
  let end = start;
  const texts = list.split(',').filter((text) => text.trim() !== '');
  return texts.map((text, i) => {
    const words = new Words(text);
    const [index, term] = place(words.next('index/term'));
    const payload = words.rest();
    const known = payload === '' ? find(stage, index, term) : null;
    const entry = known ?? sealAfter({ ...end, index: index - 1 }, term, payload === '' ? `${index}@${term}` : payload);
    const { chain } = end;
    end = { index, term, offset: entryEndOffset(entry), chain: entry.chain };
    return i === 0 ? damaged(entry, chain, damage) : entry;
  });
}

function damaged(entry: Entry, previousChain: number, { base, payload, seal, kind }: Damage): Entry {
  if (base !== undefined) return { ...entry, baseOffset: toOffset(Number(base)) };
  if (payload !== undefined) return { ...entry, payload: Buffer.from(payload) };
  if (seal !== undefined) return { ...entry, chain: Number(seal) };
  if (kind === undefined) return entry;
  // sealed as that kind, so that only its payload is wrong
  const other = { ...entry, kind: kind as EntryKind, count: 0 };
  return { ...other, chain: chainAfter(previousChain, other, crc32c) };
}

function appendReply(address: Address, words: Words): AppendReply {
  const what = words.next('durable or mismatch');
  if (what === 'durable') {
    const result = { kind: 'accepted', durableIndex: toLogIndex(Number(words.next('index'))) } as const;
    const { sequence = 1 } = words.options();
    return { ...address, kind: 'append-reply', prevIndex: toLogIndex(0), sequence: Number(sequence), result };
  }
  const prevIndex = toLogIndex(words.number('at'));
  const [hintIndex, hintTerm] = place(words.after('try'));
  const { sequence = 1 } = words.options();
  const result = { kind: 'mismatch', hintIndex, hintTerm } as const;
  return { ...address, kind: 'append-reply', prevIndex, sequence: Number(sequence), result };
}

/** `s1-4 at 0 text last [id=] [lastIndex=] [lastTerm=]`: a chunk of a snapshot on the stage, perhaps altered. */
function snapshotChunk(stage: Stage, address: Address, words: Words): Message {
  const id = words.next('snapshot id');
  const metas = [...stage.actors.values()].map(({ image }) => image.snapshot);
  const known = metas.find((meta) => meta?.id === id) ?? {
    id,
    lastIndex: toLogIndex(1),
    lastTerm: toTerm(1),
    endOffset: offsetZero,
    chain: 0,
    appendTimeMs: toMillis(0),
    maxTimestampMs: null,
    payloadBytes: 0,
    logStart: offsetZero,
    configuration: stage.genesis,
    terms: [{ term: toTerm(1), startIndex: toLogIndex(1), startOffset: offsetZero }],
    byteLength: 4,
    checksum: 0,
  };
  const position = words.number('at');
  const bytes = Buffer.from(words.next('text'));
  const { lastIndex = known.lastIndex, lastTerm = known.lastTerm, byteLength = known.byteLength } = words.options();
  const last = words.flag('last');
  const meta = {
    ...known,
    lastIndex: toLogIndex(Number(lastIndex)),
    lastTerm: toTerm(Number(lastTerm)),
    byteLength: Number(byteLength),
  };
  return { ...address, kind: 'snapshot-chunk', meta, position, bytes, last };
}
