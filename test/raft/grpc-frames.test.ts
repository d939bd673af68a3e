import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { PeerFrame } from '../../src/gen/sluice/internal/v1/peer.ts';
import type { Entry } from '../../src/model/entry.ts';
import { entryKindNumbers } from '../../src/model/entry.ts';
import type { EntryKind } from '../../src/model/entry.ts';
import { toGroupNumber, toLogIndex, toMillis, toOffset, toReplicaId, toTerm } from '../../src/model/ids.ts';
import type { BeatFrame } from '../../src/raft/beat-frame.ts';
import { emptyConfiguration } from '../../src/raft/core/configuration.ts';
import type { AppendRequest, Message } from '../../src/raft/core/messages.ts';
import type { FrameContent } from '../../src/raft/grpc-frames.ts';
import { contentBytes, decodeFrame, encodeFrame } from '../../src/raft/grpc-frames.ts';
import { toWireMessage } from '../../src/raft/grpc-convert.ts';

/** With the prototype that objects of ours have. */
const record = <T extends object>(model: { readonly [Key in keyof T]: fc.Arbitrary<T[Key]> }): fc.Arbitrary<T> =>
  fc.record<T>(model, { noNullPrototype: true });

const big = fc.oneof(fc.nat(300), fc.constantFrom(2 ** 31, 2 ** 32 - 1, 2 ** 32, Number.MAX_SAFE_INTEGER));
const crc = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const group = fc.constantFrom(0, 7, 2 ** 48 - 1).map(toGroupNumber);
const term = big.map(toTerm);
const index = big.map(toLogIndex);
const offset = big.map(toOffset);
const replica = big.map(toReplicaId);
const millis = big.map(toMillis);
const bytes = fc
  .oneof(
    fc.uint8Array({ maxLength: 20 }),
    fc.constantFrom(127, 128, 16_384, 70_000).map((n) => new Uint8Array(n).fill(9)),
  )
  .map((array): Uint8Array => Buffer.from(array));
const text = fc.string({ maxLength: 20 });
const addressed = { from: replica, to: replica, term };

const entry: fc.Arbitrary<Entry> = record({
  kind: fc.constantFrom(...(Object.keys(entryKindNumbers) as EntryKind[])),
  term,
  index,
  baseOffset: offset,
  count: fc.nat(70_000),
  appendTimeMs: millis,
  maxTimestampMs: fc.option(millis),
  payloadCrc: crc,
  chain: crc,
  payload: bytes,
});
const append: fc.Arbitrary<AppendRequest> = record({
  kind: fc.constant('append-request' as const),
  ...addressed,
  prevIndex: index,
  prevTerm: term,
  prevEndOffset: offset,
  prevChain: fc.option(crc),
  sequence: big,
  entries: fc.array(entry, { maxLength: 3 }),
  commit: index,
});
const ids = fc.array(replica, { maxLength: 3 });
const configuration = record({ revision: big, voters: ids, outgoing: ids, learners: ids });
const meta = record({
  id: text,
  lastIndex: index,
  lastTerm: term,
  endOffset: offset,
  chain: crc,
  appendTimeMs: millis,
  maxTimestampMs: fc.option(millis),
  payloadBytes: big,
  logStart: offset,
  configuration,
  terms: fc.array(record({ term, startIndex: index, startOffset: offset }), { maxLength: 3 }),
  byteLength: big,
  checksum: crc,
});
const message: fc.Arbitrary<Message> = fc.oneof(
  append,
  record({
    kind: fc.constant('vote-request' as const),
    ...addressed,
    pre: fc.boolean(),
    lastIndex: index,
    lastTerm: term,
    transfer: fc.boolean(),
    configuration,
  }),
  record({ kind: fc.constant('vote-reply' as const), ...addressed, pre: fc.boolean(), granted: fc.boolean() }),
  record({
    kind: fc.constant('append-reply' as const),
    ...addressed,
    prevIndex: index,
    sequence: big,
    result: fc.oneof(
      record({ kind: fc.constant('accepted' as const), durableIndex: index }),
      record({ kind: fc.constant('mismatch' as const), hintIndex: index, hintTerm: term }),
    ),
  }),
  record({ kind: fc.constant('heartbeat-request' as const), ...addressed, commit: index, round: big }),
  record({ kind: fc.constant('heartbeat-reply' as const), ...addressed, round: big, verified: big }),
  record({
    kind: fc.constant('snapshot-chunk' as const),
    ...addressed,
    meta,
    position: big,
    bytes,
    last: fc.boolean(),
  }),
  record({
    kind: fc.constant('snapshot-reply' as const),
    ...addressed,
    snapshotId: text,
    result: fc.constantFrom('next' as const, 'installed' as const, 'refused' as const),
    position: big,
  }),
  record({ kind: fc.constant('timeout-now' as const), ...addressed }),
) as fc.Arbitrary<Message>;

const target = { group, target: replica };
const uint32 = crc;
const silentBeat: fc.Arbitrary<BeatFrame> = fc.oneof(
  record({
    kind: fc.constant('request' as const),
    process: uint32,
    sequence: big,
    base: big,
    revision: big,
    announced: fc.array(record({ ...target, leader: replica, term }), { maxLength: 3 }),
    ended: fc.array(record(target), { maxLength: 3 }),
  }),
  record({
    kind: fc.constant('reply' as const),
    process: uint32,
    asker: uint32,
    sequence: big,
    holds: big,
    exceptions: fc.array(
      fc.oneof(
        record({
          ...target,
          why: fc.constantFrom(
            'unknown-group' as const,
            'other-replica' as const,
            'quarantined' as const,
            'behind' as const,
          ),
        }),
        record({ ...target, why: fc.constant('higher-term' as const), term }),
      ),
      { maxLength: 3 },
    ),
  }),
);
/** A frame of a broker that says what its clock shows, or of an older one that does not. */
const beat = fc
  .tuple(silentBeat, fc.option(fc.nat({ max: 2 ** 42 }), { nil: null }))
  .map(([frame, wallMs]): BeatFrame => (wallMs === null ? frame : { ...frame, wallMs: toMillis(wallMs) }));

const content: fc.Arbitrary<FrameContent> = fc.oneof(
  record({ kind: fc.constant('message' as const), group, message }),
  record({
    kind: fc.constant('messages' as const),
    messages: fc.array(record({ group, message }), { minLength: 1, maxLength: 4 }),
    unreadable: fc.constant(0),
    newer: fc.constant([]),
  }),
  record({ kind: fc.constant('beat' as const), frame: beat }),
  record({ kind: fc.constant('request' as const), id: big, method: text, timeoutMs: crc, payload: bytes }),
  record({
    kind: fc.constant('reply' as const),
    id: big,
    outcome: fc.oneof(
      record({ kind: fc.constant('payload' as const), payload: bytes }),
      record({ kind: fc.constantFrom('not-done' as const, 'failed' as const), why: text }),
    ),
  }),
);

describe('frames between brokers', () => {
  it('come out as they went in, with the commit number', () => {
    fc.assert(
      fc.property(content, big, (given, durableCommit) => {
        const read = decodeFrame(encodeFrame(given, durableCommit));
        assert.deepEqual(structuredClone(read), structuredClone({ content: given, durableCommit }));
      }),
      { numRuns: 1_000 },
    );
  });

  it('an append request that is written by hand is byte for byte what the contract says', () => {
    fc.assert(
      fc.property(append, group, big, (request, number, durableCommit) => {
        const byHand = encodeFrame({ kind: 'message', group: number, message: request }, durableCommit);
        const body = { $case: 'message', value: toWireMessage(number, request) } as const;
        const byContract = PeerFrame.decode(
          Buffer.from(PeerFrame.encode({ body, durableCommit: BigInt(durableCommit) }).finish()),
        );
        assert.deepEqual(structuredClone(PeerFrame.decode(byHand)), structuredClone(byContract));
      }),
      { numRuns: 300 },
    );
  });

  it('the bytes of an entry are not copied when they are read', () => {
    const payload = Buffer.alloc(1_000, 7);
    const request = fc.sample(append, 1)[0]!;
    const one = { ...fc.sample(entry, 1)[0]!, payload };
    const message: AppendRequest = { ...request, entries: [one] };
    const frame = encodeFrame({ kind: 'message', group: toGroupNumber(1), message }, 0);
    const read = decodeFrame(frame);
    assert.ok(read?.content.kind === 'message' && read.content.message.kind === 'append-request');
    assert.equal(read.content.message.entries[0]?.payload.buffer, frame.buffer);
  });

  it('sizes are known before the bytes are', () => {
    fc.assert(
      fc.property(content, (given) => {
        const actual = encodeFrame(given, 0).length;
        assert.ok(actual <= contentBytes(given) + 512, `${actual} of ${contentBytes(given)}`);
      }),
    );
  });

  it('pit-P74 a message that can not be read spoils no other one of its frame', () => {
    fc.assert(
      fc.property(fc.array(record({ group, message }), { minLength: 1, maxLength: 4 }), fc.nat(4), (good, at) => {
        const messages = good.map((one) => toWireMessage(one.group, one.message));
        // of a newer version: a body that this one does not know
        messages.splice(at, 0, { group: 1n, from: 1n, to: 2n, term: 3n, body: undefined });
        const frame = PeerFrame.encode({
          body: { $case: 'messages', value: { messages } },
          durableCommit: 0n,
        }).finish();
        const read = decodeFrame(Buffer.from(frame));
        assert.deepEqual(structuredClone(read?.content), {
          kind: 'messages',
          messages: structuredClone(good),
          unreadable: 1,
          newer: [],
        });
      }),
      { numRuns: 200 },
    );
  });

  it('pit-P74 what is no frame is read as none, and never throws', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (noise) => void decodeFrame(noise)),
      { numRuns: 2_000 },
    );
    fc.assert(
      fc.property(content, fc.nat(), fc.nat(255), (given, at, value) => {
        const frame = encodeFrame(given, 5);
        frame[at % frame.length] = value;
        decodeFrame(frame);
        decodeFrame(frame.subarray(0, at % frame.length));
      }),
      { numRuns: 2_000 },
    );
  });

  it('promise-D7: an entry that only a newer version can read is told apart from noise, and what it is', () => {
    const request = { ...fc.sample(append, 1)[0]!, entries: [fc.sample(entry, 1)[0]!, fc.sample(entry, 1)[0]!] };
    const wire = toWireMessage(toGroupNumber(1), request);
    const other = toWireMessage(toGroupNumber(2), fc.sample(append, 1)[0]!);
    assert.ok(wire.body?.$case === 'appendRequest');
    const last = wire.body.value.entries[1]!;
    const newer = (what: string): unknown => {
      const { from, to, term } = request;
      return { group: 1, from, to, term, what: `entry ${request.entries[1]!.index} of the leader ${what}` };
    };
    const contentOf = (body: NonNullable<PeerFrame['body']>): FrameContent | undefined =>
      decodeFrame(PeerFrame.encode({ body, durableCommit: 0n }).finish())?.content;
    assert.equal(contentOf({ $case: 'message', value: wire })?.kind, 'message');
    last.kind = 99;
    const alone = contentOf({ $case: 'message', value: wire });
    const kind = newer('is of kind 99, unknown here: upgrade this broker');
    assert.deepEqual(alone, { kind: 'messages', messages: [], unreadable: 0, newer: [kind] });
    last.kind = 1;
    last.formatVersion = 2;
    const shared = contentOf({ $case: 'messages', value: { messages: [other, wire] } });
    assert.ok(shared?.kind === 'messages');
    assert.deepEqual([shared.messages.length, shared.unreadable], [1, 0], 'the other group goes on');
    assert.deepEqual(shared.newer, [newer('has format 2, unknown here: upgrade this broker')]);
  });

  it('a question for a vote of an older version tells no voters', () => {
    const { to, from, term } = fc.sample(append, 1)[0]!;
    const position = { term, lastIndex: toLogIndex(3), lastTerm: toTerm(0) };
    const request = { kind: 'vote-request', pre: true, transfer: false, configuration: emptyConfiguration } as const;
    const wire = toWireMessage(toGroupNumber(1), { ...request, ...position, to, from });
    assert.ok(wire.body?.$case === 'voteRequest');
    wire.body.value.configuration = undefined;
    const bytes = PeerFrame.encode({ body: { $case: 'message', value: wire }, durableCommit: 0n }).finish();
    const content = decodeFrame(bytes)?.content;
    assert.ok(content?.kind === 'message' && content.message.kind === 'vote-request');
    assert.deepEqual(content.message.configuration, emptyConfiguration);
  });
});
