/**
 * The handshake that every stream between brokers begins with (design D4, D21):
 *
 *   initiator            responder
 *   Hello        ──►
 *                ◄──     Hello
 *   Proof        ──►     checks the proof, judges the peer, remembers it durably
 *                ◄──     Welcome
 *   checks the proof, judges the peer, remembers it durably
 *
 * A proof is an HMAC with the cluster secret over both Hellos, each with a challenge that was drawn for this stream, so it
 * is of no use for any other; the two roles have different labels, so neither can be reflected. What follows on the
 * stream is not protected: that takes TLS. A broker without a secret has an empty one, and listens on loopback only.
 *
 * A refusal of who has proven the secret carries such a proof too: being called an old copy ends a broker (standing.ts), so
 * nobody may say so but a member of the cluster, and only to the very process that it means.
 *
 * Proofs carry the durable commit number of the moment: streams overtake each other, so the number of a Hello may be older
 * than one that another stream has brought meanwhile. A proof is made after the other side's Hello was read, so it is at
 * least what that side had heard by then, unless the disk went back.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { toBrokerId } from '../model/ids.ts';
import type { BrokerId } from '../model/ids.ts';
import type { Random } from '../model/random.ts';
import type * as wire from '../gen/sluice/internal/v1/peer.ts';
import { PeerFrame, RefusalCode as WireRefusalCode } from '../gen/sluice/internal/v1/peer.ts';
import { FieldError, numberOf } from './grpc-fields.ts';
import type { PresentedPeer, Refusal, RefusalCode } from './peer-admission.ts';
import { judgePeer } from './peer-admission.ts';
import type { EarlierStart, OwnIdentity, PeerAddresses } from './peer-identity.ts';
import { earlierStartsMax } from './peer-identity.ts';
import type { PeerMemory, RememberedPeer } from './peer-memory.ts';
import type { PeerLane } from './peer-observer.ts';

/** Rises with every change that an older version could not read. */
export const peerProtocolVersion = 1;

/** What both sides of a handshake need. */
export interface HandshakeContext {
  /** Asked anew for every handshake. */
  readonly own: () => OwnIdentity;
  /** Empty: none. */
  readonly secret: string;
  readonly addresses: PeerAddresses;
  readonly memory: PeerMemory;
  /** Draws the challenges: the system's own in production. */
  readonly random: Random;
}

export type HandshakeStep =
  | { readonly kind: 'send'; readonly frame: Buffer }
  /** The proof holds and the peer may speak, once `remembered` resolves; false: too many peers. */
  | { readonly kind: 'proven'; readonly peer: PresentedPeer; readonly remembered: Promise<boolean> }
  | {
      readonly kind: 'refused';
      readonly by: 'us' | 'peer';
      readonly refusal: Refusal;
      /** The broker that has proven the secret with its refusal of this very process; null: anybody may have said it. */
      readonly provenBy: BrokerId | null;
    };

interface Hello extends PresentedPeer {
  readonly protocolVersion: number;
  readonly challenge: Uint8Array;
}

type Role = 'initiator' | 'responder';
type FrameBody = NonNullable<wire.PeerFrame['body']>;

const challengeBytes = 32;
const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

const toFrame = (body: FrameBody, durableCommit = 0): Buffer => {
  const bytes = PeerFrame.encode({ body, durableCommit: BigInt(durableCommit) }).finish();
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
};

/** Null: it is no frame. */
function frameOf(bytes: Uint8Array): { readonly body: FrameBody; readonly durableCommit: bigint } | null {
  try {
    const { body, durableCommit } = PeerFrame.decode(bytes);
    return body === undefined ? null : { body, durableCommit };
  } catch {
    return null; // who knows what dialled this port
  }
}

const malformed = (detail: string): HandshakeStep => refusedBy('us', { code: 'malformed', detail });
const refusedBy = (by: 'us' | 'peer', refusal: Refusal): HandshakeStep => {
  return { kind: 'refused', by, refusal, provenBy: null };
};

/** The other side, once its Hello was read. */
interface Other {
  readonly hello: Hello;
  /** What was remembered of its disk then. */
  readonly remembered: RememberedPeer | null;
}

abstract class Handshake {
  protected readonly context: HandshakeContext;
  protected readonly lane: PeerLane;
  protected readonly own: Hello;
  readonly #role: Role;
  /** The broker that was sought; null: whoever is there. */
  readonly #sought: BrokerId | null;
  #other: Other | null = null;
  /** The other side has proven the secret: it may have proofs of it. */
  #isProven = false;

  constructor(context: HandshakeContext, lane: PeerLane, role: Role, sought: BrokerId | null) {
    const { identity, durableCommit } = context.own();
    this.context = context;
    this.lane = lane;
    const challenge = context.random.bytes(challengeBytes);
    this.own = { protocolVersion: peerProtocolVersion, identity, durableCommit, challenge };
    this.#role = role;
    this.#sought = sought;
  }

  /** Takes the peer's next frame. After `proven` or `refused` nothing more may be given. */
  receive(bytes: Uint8Array): HandshakeStep {
    const frame = frameOf(bytes);
    if (frame === null) return malformed('what was sent is no frame of a handshake');
    const { body } = frame;
    if (body.$case === 'refusal') return this.#refusedByPeer(body.value);
    try {
      return this.take(body, numberOf(frame.durableCommit));
    } catch (error) {
      if (!(error instanceof FieldError)) throw error;
      return malformed(`a frame of a handshake has a field that can not be: ${error.message}`);
    }
  }

  /** Why the stream ends, as the last frame on it. */
  refusal({ code, detail }: Refusal): Buffer {
    const value = { code: refusalCodes[code], detail };
    const mac = this.#isProven && this.#other !== null ? this.#refusalMac(this.#role, this.#other.hello, value) : null;
    return toFrame({ $case: 'refusal', value: { ...value, mac: mac ?? new Uint8Array(0) } });
  }

  protected abstract take(body: FrameBody, durableCommit: number): HandshakeStep;

  /** Null until the other side's Hello was read. */
  protected get other(): Hello | null {
    return this.#other?.hello ?? null;
  }

  protected heard(hello: Hello): void {
    this.#other = { hello, remembered: this.context.memory.remembered(hello.identity.incarnation) };
  }

  protected ownHello(): Buffer {
    return toFrame({ $case: 'hello', value: toWireHello(this.own) });
  }

  /** The proof of this side. */
  protected proof($case: 'proof' | 'welcome', peer: Hello): Buffer {
    const { durableCommit } = this.context.own();
    return toFrame({ $case, value: { mac: this.#mac(this.#role, peer, [`${durableCommit}`]) } }, durableCommit);
  }

  /** The peer has sent its proof: the last step, which looks at the proof before anything else. */
  protected conclude(peer: Hello, mac: Uint8Array, durableNow: number): HandshakeStep {
    if (!isEqual(mac, this.#mac(this.#otherRole, peer, [`${durableNow}`]))) {
      const detail = `broker ${peer.identity.brokerId} and this broker have different cluster secrets: give them the same cluster.secret`;
      return refusedBy('us', { code: 'wrong-secret', detail });
    }
    const { addresses, memory } = this.context;
    const { brokerId, incarnation, bootNumber, processNonce } = peer.identity;
    this.#isProven = true;
    const durableCommit = Math.max(peer.durableCommit, durableNow);
    const presented = { identity: peer.identity, durableCommit };
    const refusal = judgePeer(presented, {
      own: this.own.identity,
      sought: this.#sought,
      membersOnly: this.lane !== 'call',
      knownIncarnation: addresses.incarnationOf(brokerId),
      remembered: memory.remembered(incarnation),
      saidBefore: this.#other?.remembered?.durableCommit ?? 0,
    });
    if (refusal !== null) return refusedBy('us', refusal);
    const remembered = memory.remember({ incarnation, bootNumber, processNonce, durableCommit });
    return { kind: 'proven', peer: presented, remembered };
  }

  get #otherRole(): Role {
    return this.#role === 'initiator' ? 'responder' : 'initiator';
  }

  #refusedByPeer(said: wire.Refusal): HandshakeStep {
    const hello = this.other;
    const isProven = hello !== null && isEqual(said.mac, this.#refusalMac(this.#otherRole, hello, said));
    const provenBy = isProven ? hello.identity.brokerId : null;
    return { kind: 'refused', by: 'peer', refusal: fromWireRefusal(said), provenBy };
  }

  #refusalMac(role: Role, peer: Hello, { code, detail }: Pick<wire.Refusal, 'code' | 'detail'>): Buffer {
    return this.#mac(role, peer, ['refusal', `${code}`, detail]);
  }

  /** @param said what else is proven; the last of it may hold line ends */
  #mac(role: Role, peer: Hello, said: readonly string[]): Buffer {
    const both = this.#role === 'initiator' ? [this.own, peer] : [peer, this.own];
    const text = [`sluice peer ${role}`, this.lane, ...both.flatMap(linesOf), ...said].join('\n');
    return createHmac('sha256', this.context.secret).update(text).digest();
  }
}

/** The side that opened the stream. */
export class InitiatorHandshake extends Handshake {
  constructor(context: HandshakeContext, lane: PeerLane, sought: BrokerId | null) {
    super(context, lane, 'initiator', sought);
  }

  /** The first frame. */
  get opening(): Buffer {
    return this.ownHello();
  }

  protected take(body: FrameBody, durableCommit: number): HandshakeStep {
    if (body.$case === 'hello' && this.other === null) {
      const hello = readHello(body.value);
      if (hello.kind === 'refused') return hello;
      this.heard(hello.hello);
      return { kind: 'send', frame: this.proof('proof', hello.hello) };
    }
    if (body.$case === 'welcome' && this.other !== null)
      return this.conclude(this.other, body.value.mac, durableCommit);
    return malformed(`a frame of a handshake came out of turn: ${body.$case}`);
  }
}

/** The side that was called. */
export class ResponderHandshake extends Handshake {
  constructor(context: HandshakeContext, lane: PeerLane) {
    super(context, lane, 'responder', null);
  }

  protected take(body: FrameBody, durableCommit: number): HandshakeStep {
    if (body.$case === 'hello' && this.other === null) {
      const hello = readHello(body.value);
      if (hello.kind === 'refused') return hello;
      this.heard(hello.hello);
      return { kind: 'send', frame: this.ownHello() };
    }
    if (body.$case === 'proof' && this.other !== null) return this.conclude(this.other, body.value.mac, durableCommit);
    return malformed(`a frame of a handshake came out of turn: ${body.$case}`);
  }

  /** What ends the handshake, once the peer is remembered durably. */
  get welcome(): Buffer {
    if (this.other === null) throw new FieldError('nobody to welcome');
    return this.proof('welcome', this.other);
  }
}

/** What a proof covers of a Hello. No field can hold a line end: `readHello` saw to it. */
function linesOf({ protocolVersion, identity, durableCommit, challenge }: Hello): readonly string[] {
  const { brokerId, clusterId, incarnation, bootNumber, processNonce, recoveredCommit, earlierStarts } = identity;
  const numbers = [protocolVersion, brokerId, bootNumber, recoveredCommit, durableCommit].map(String);
  const challenged = Buffer.from(challenge).toString('base64');
  const texts = [clusterId ?? '', incarnation, processNonce, identity.peerAddress ?? '', challenged];
  const starts = earlierStarts.map((start) => `${start.bootNumber} ${start.processNonce} ${start.recoveredCommit}`);
  return [...numbers, ...texts, `${starts.length}`, ...starts];
}

function toWireHello({ protocolVersion, identity, durableCommit, challenge }: Hello): wire.Hello {
  return {
    protocolVersion,
    brokerId: identity.brokerId,
    clusterId: identity.clusterId ?? undefined,
    incarnation: identity.incarnation,
    bootNumber: BigInt(identity.bootNumber),
    processNonce: identity.processNonce,
    recoveredCommit: BigInt(identity.recoveredCommit),
    durableCommit: BigInt(durableCommit),
    challenge,
    earlierStarts: identity.earlierStarts.map(({ bootNumber, processNonce, recoveredCommit }) => ({
      bootNumber: BigInt(bootNumber),
      processNonce,
      recoveredCommit: BigInt(recoveredCommit),
    })),
    peerAddress: identity.peerAddress ?? undefined,
  };
}

type ReadHello = { readonly kind: 'hello'; readonly hello: Hello } | Extract<HandshakeStep, { kind: 'refused' }>;

/** @throws FieldError */
function readHello(hello: wire.Hello): ReadHello {
  const { protocolVersion, challenge } = hello;
  if (protocolVersion !== peerProtocolVersion) {
    const detail = `broker ${hello.brokerId} speaks version ${protocolVersion} of the brokers' protocol and this broker ${peerProtocolVersion}: upgrade one release at a time`;
    return { kind: 'refused', by: 'us', refusal: { code: 'protocol-version', detail }, provenBy: null };
  }
  if (challenge.length !== challengeBytes) throw new FieldError('challenge');
  const identity = {
    brokerId: toBrokerId(numberOf(BigInt(hello.brokerId), 2 ** 31 - 1)),
    clusterId: hello.clusterId === undefined ? null : uuidOf(hello.clusterId, 'cluster_id'),
    incarnation: uuidOf(hello.incarnation, 'incarnation'),
    bootNumber: numberOf(hello.bootNumber),
    processNonce: uuidOf(hello.processNonce, 'process_nonce'),
    recoveredCommit: numberOf(hello.recoveredCommit),
    earlierStarts: readStarts(hello),
    peerAddress: hello.peerAddress === undefined ? null : addressOf(hello.peerAddress),
  };
  return {
    kind: 'hello',
    hello: { protocolVersion, identity, durableCommit: numberOf(hello.durableCommit), challenge },
  };
}

/** @throws FieldError */
function readStarts({ earlierStarts, bootNumber: present }: wire.Hello): readonly EarlierStart[] {
  if (earlierStarts.length > earlierStartsMax) throw new FieldError('earlier_starts');
  const starts = earlierStarts.map(({ bootNumber, processNonce, recoveredCommit }) => ({
    bootNumber: numberOf(bootNumber),
    processNonce: uuidOf(processNonce, 'earlier_starts.process_nonce'),
    recoveredCommit: numberOf(recoveredCommit),
  }));
  const numbers = [...starts.map(({ bootNumber }) => bootNumber), numberOf(present)];
  if (numbers.some((number, at) => number <= (numbers[at - 1] ?? 0)))
    throw new FieldError('earlier_starts.boot_number');
  return starts;
}

/** Host and port of whatever kind: it is only ever dialled. */
const address = /^[\w.:[\]%-]{1,253}:\d{1,5}$/;

function addressOf(text: string): string {
  if (!address.test(text)) throw new FieldError('peer_address');
  return text;
}

function uuidOf(text: string, what: string): string {
  if (!uuid.test(text)) throw new FieldError(what);
  return text;
}

const refusalCodes = {
  'protocol-version': WireRefusalCode.REFUSAL_CODE_PROTOCOL_VERSION,
  'other-cluster': WireRefusalCode.REFUSAL_CODE_OTHER_CLUSTER,
  'wrong-secret': WireRefusalCode.REFUSAL_CODE_WRONG_SECRET,
  'wrong-broker': WireRefusalCode.REFUSAL_CODE_WRONG_BROKER,
  'other-incarnation': WireRefusalCode.REFUSAL_CODE_OTHER_INCARNATION,
  'old-boot': WireRefusalCode.REFUSAL_CODE_OLD_BOOT,
  'boot-reused': WireRefusalCode.REFUSAL_CODE_BOOT_REUSED,
  'rolled-back': WireRefusalCode.REFUSAL_CODE_ROLLED_BACK,
  malformed: WireRefusalCode.REFUSAL_CODE_MALFORMED,
  'limit-reached': WireRefusalCode.REFUSAL_CODE_LIMIT_REACHED,
  'no-cluster-yet': WireRefusalCode.REFUSAL_CODE_NO_CLUSTER_YET,
} as const satisfies Record<RefusalCode, wire.RefusalCode>;

function isEqual(mac: Uint8Array, expected: Uint8Array): boolean {
  return mac.length === expected.length && timingSafeEqual(mac, expected);
}

function fromWireRefusal({ code, detail }: wire.Refusal): Refusal {
  const names = Object.keys(refusalCodes) as RefusalCode[];
  // a newer version may have reasons that this one has no name for; its sentence says more
  return {
    code: names.find((name) => refusalCodes[name] === code) ?? 'protocol-version',
    detail: detail.slice(0, 1_000),
  };
}
