/** The handshake between brokers, step by step: what a refusal proves, and which commit numbers count. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { toBrokerId } from '../../src/model/ids.ts';
import { PeerFrame } from '../../src/gen/sluice/internal/v1/peer.ts';
import type { HandshakeContext, HandshakeStep } from '../../src/raft/grpc-handshake.ts';
import { InitiatorHandshake, ResponderHandshake } from '../../src/raft/grpc-handshake.ts';
import { peerLimitsDefault } from '../../src/raft/grpc-limits.ts';
import type { PeerIdentity } from '../../src/raft/peer-identity.ts';
import { earlierStartsMax } from '../../src/raft/peer-identity.ts';
import { SeededRandom } from '../fakes/seeded-random.ts';
import { clusterId, incarnationOf, VolatilePeerMemory } from './peer-rig.ts';

const two = toBrokerId(2);

class Side {
  readonly memory = new VolatilePeerMemory();
  readonly context: HandshakeContext;
  durableCommit = 0;
  identity: PeerIdentity;

  constructor(broker: number, secret = 'secret') {
    this.identity = {
      brokerId: toBrokerId(broker),
      clusterId,
      incarnation: incarnationOf(broker),
      bootNumber: 3,
      processNonce: `00000000-0000-4000-9000-00000000000${broker}`,
      recoveredCommit: 0,
      earlierStarts: [],
      peerAddress: null,
    };
    this.context = {
      own: () => ({ identity: this.identity, durableCommit: this.durableCommit }),
      secret,
      addresses: { addressesOf: () => [], incarnationOf: () => null, heard: () => false },
      memory: this.memory,
      random: new SeededRandom(broker),
    };
  }

  /** It remembers the other side, as start `bootNumber` of the very process that speaks. */
  remembers({ identity }: Side, bootNumber: number, durableCommit: number): void {
    const { incarnation, processNonce } = identity;
    void this.memory.remember({ incarnation, bootNumber, processNonce, durableCommit });
  }
}

interface Steps {
  readonly initiator: InitiatorHandshake;
  readonly responder: ResponderHandshake;
  /** What the responder makes of the proof. */
  readonly end: HandshakeStep;
}

function sent(step: HandshakeStep): Buffer {
  assert.equal(step.kind, 'send');
  return step.frame;
}

/** @param between happens when the initiator has said Hello and the responder has not heard it */
function shake(a: Side, b: Side, between: () => void = () => undefined, after: () => void = () => undefined): Steps {
  const initiator = new InitiatorHandshake(a.context, 'bulk', two);
  const { opening } = initiator;
  between();
  const responder = new ResponderHandshake(b.context, 'bulk');
  const proof = sent(initiator.receive(sent(responder.receive(opening))));
  after();
  return { initiator, responder, end: responder.receive(proof) };
}

function refused(step: HandshakeStep): Extract<HandshakeStep, { kind: 'refused' }> {
  assert.equal(step.kind, 'refused');
  return step;
}

/** The same refusal with something changed. */
function altered(frame: Buffer, change: (refusal: { detail: string; mac: Uint8Array }) => void): Buffer {
  const decoded = PeerFrame.decode(frame);
  assert.equal(decoded.body?.$case, 'refusal');
  change(decoded.body.value);
  return Buffer.from(PeerFrame.encode(decoded).finish());
}

describe('a refusal', () => {
  it('pit-P87 is known to come from a member of the cluster that means this very process', () => {
    const [a, b] = [new Side(1), new Side(2)];
    b.remembers(a, 4, 0);
    const { initiator, responder, end } = shake(a, b);
    const { refusal } = refused(end);
    assert.equal(refusal.code, 'old-boot');
    assert.deepEqual(initiator.receive(responder.refusal(refusal)), {
      kind: 'refused',
      by: 'peer',
      refusal,
      provenBy: two,
    });
  });

  it('pit-P87 is not believed to speak of the disk if anybody could have sent it', () => {
    const [a, b] = [new Side(1), new Side(2)];
    b.remembers(a, 4, 0);
    const { initiator, responder, end } = shake(a, b);
    const { refusal } = refused(end);
    const frame = responder.refusal(refusal);
    const forged = [
      altered(frame, (said) => (said.mac = new Uint8Array(0))),
      altered(frame, (said) => (said.mac = new Uint8Array(32))),
      altered(frame, (said) => (said.detail += ' ')),
    ];
    for (const bytes of forged) assert.equal(refused(initiator.receive(bytes)).provenBy, null);
    // of another handshake
    assert.equal(refused(shake(a, b).initiator.receive(frame)).provenBy, null);
    // before the other side has said who it is
    const early = new InitiatorHandshake(a.context, 'bulk', two);
    assert.equal(refused(early.receive(frame)).provenBy, null);
    assert.equal(refused(initiator.receive(frame)).provenBy, two, 'as it was sent');
  });

  it('proves nothing to who has not proven the secret', () => {
    const [a, b] = [new Side(1, 'guess'), new Side(2)];
    const { responder, end } = shake(a, b);
    const { refusal } = refused(end);
    assert.equal(refusal.code, 'wrong-secret');
    const { body } = PeerFrame.decode(responder.refusal(refusal));
    assert.equal(body?.$case === 'refusal' ? body.value.mac.length : null, 0);
  });
});

describe('the durable commit number of a process that runs', () => {
  it('is that of the proof: another stream may have overtaken the Hello', () => {
    const [a, b] = [new Side(1), new Side(2)];
    a.durableCommit = 10;
    b.remembers(a, 3, 10);
    const overtake = (): void => {
      a.durableCommit = 11;
      b.memory.noteCommit(a.identity.incarnation, 11);
    };
    assert.equal(shake(a, b, overtake).end.kind, 'proven');
    // or the proof
    assert.equal(shake(a, b, undefined, overtake).end.kind, 'proven');
    assert.equal(b.memory.remembered(a.identity.incarnation)?.durableCommit, 11);
  });

  it('pit-P87 is not below what the other side had heard before it asked for the proof', () => {
    const [a, b] = [new Side(1), new Side(2)];
    a.durableCommit = 10;
    b.remembers(a, 3, 11);
    assert.equal(refused(shake(a, b).end).refusal.code, 'rolled-back');
  });

  it('the caller judges by the same rules', () => {
    const [a, b] = [new Side(1), new Side(2)];
    a.remembers(b, 3, 5);
    b.durableCommit = 5;
    const overtaken = shake(a, b);
    a.memory.noteCommit(b.identity.incarnation, 6);
    assert.equal(overtaken.initiator.receive(overtaken.responder.welcome).kind, 'proven');
    const back = shake(a, b);
    assert.equal(refused(back.initiator.receive(back.responder.welcome)).refusal.code, 'rolled-back');
  });

  it('D4: tells where it listens to who may speak, for a broker that joins knows nobody', () => {
    const [a, b] = [new Side(1), new Side(2)];
    a.identity = { ...a.identity, peerAddress: 'host-1:9401' };
    b.identity = { ...b.identity, peerAddress: 'host-2:9401' };
    const { initiator, responder, end } = shake(a, b);
    const heard = (step: HandshakeStep): string | null =>
      step.kind === 'proven' ? step.peer.identity.peerAddress : step.kind;
    assert.equal(heard(end), 'host-1:9401');
    assert.equal(heard(initiator.receive(responder.welcome)), 'host-2:9401');
  });
});

describe('the earlier starts of a data directory', () => {
  const start = (bootNumber: number): PeerIdentity['earlierStarts'][number] => ({
    ...{
      bootNumber,
      processNonce: `00000000-0000-4000-a000-00000000000${bootNumber % 10}`,
      recoveredCommit: bootNumber,
    },
  });

  function tells(...earlierStarts: PeerIdentity['earlierStarts'][number][]): [Side, Side] {
    const [a, b] = [new Side(1), new Side(2)];
    a.identity = { ...a.identity, bootNumber: 50, recoveredCommit: 100, earlierStarts };
    const { incarnation } = a.identity;
    void b.memory.remember({ incarnation, bootNumber: 48, processNonce: start(48).processNonce, durableCommit: 49 });
    return [a, b];
  }

  it('pit-P87 give away a copy that wrote more of its own than it lost', () => {
    assert.equal(shake(...tells(start(48), start(49))).end.kind, 'proven');
    const other = { ...start(48), processNonce: start(47).processNonce };
    assert.equal(refused(shake(...tells(other, start(49))).end).refusal.code, 'rolled-back');
    const less = { ...start(49), recoveredCommit: 48 };
    assert.equal(refused(shake(...tells(start(48), less)).end).refusal.code, 'rolled-back');
  });

  it('are proven with the rest', () => {
    const [a, b] = tells(start(48), start(49));
    const initiator = new InitiatorHandshake(a.context, 'bulk', two);
    const frame = PeerFrame.decode(initiator.opening);
    assert.equal(frame.body?.$case, 'hello');
    frame.body.value.earlierStarts.pop();
    const responder = new ResponderHandshake(b.context, 'bulk');
    const hello = sent(responder.receive(PeerFrame.encode(frame).finish()));
    assert.equal(refused(responder.receive(sent(initiator.receive(hello)))).refusal.code, 'wrong-secret');
  });

  it('are as many as one Hello holds, and rise', () => {
    const first = (...starts: PeerIdentity['earlierStarts'][number][]): HandshakeStep => {
      const [a, b] = tells(...starts);
      a.identity = { ...a.identity, peerAddress: `${'h'.repeat(253)}:65535` };
      const { opening } = new InitiatorHandshake(a.context, 'bulk', two);
      assert.ok(opening.length <= peerLimitsDefault.handshakeBytesMax, `${opening.length}`);
      return new ResponderHandshake(b.context, 'bulk').receive(opening);
    };
    const many = Array.from({ length: earlierStartsMax + 1 }, (_, at) => start(at + 1));
    assert.equal(first(...many.slice(1)).kind, 'send');
    for (const wrong of [many, [start(2), start(2)], [start(3), start(2)], [start(50)], [start(0)]])
      assert.equal(refused(first(...wrong)).refusal.code, 'malformed');
  });
});

it('where a broker is has the form of an address', () => {
  const answer = (peerAddress: string): string => {
    const a = new Side(1);
    a.identity = { ...a.identity, peerAddress };
    const step = new ResponderHandshake(new Side(2).context, 'call').receive(
      new InitiatorHandshake(a.context, 'call', two).opening,
    );
    return step.kind === 'refused' ? step.refusal.code : step.kind;
  };
  for (const fine of ['10.0.0.7:9401', 'sluice-0.sluice.default.svc:9401', '[fe80::1%eth0]:9401']) assert.equal(answer(fine), 'send'); // prettier-ignore
  for (const wrong of ['', 'host', 'host:', 'host:9401\n', 'a b:1', `${'h'.repeat(300)}:1`]) assert.equal(answer(wrong), 'malformed', wrong); // prettier-ignore
});
