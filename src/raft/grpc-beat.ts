/** Beat frames (beat-frame.ts) between the model and sluice/internal/v1/peer.proto. */
import type * as wire from '../gen/sluice/internal/v1/peer.ts';
import { BeatExceptionReason } from '../gen/sluice/internal/v1/peer.ts';
import type { Millis } from '../model/ids.ts';
import { toMillis } from '../model/ids.ts';
import type { BeatException, BeatFrame, BeatReply, BeatRequest, BeatTarget } from './beat-frame.ts';
import { beatChangesMax, beatLeadsMax } from './beat-frame.ts';
import { groupOf, replicaOf, termOf } from './grpc-convert.ts';
import { FieldError, numberOf, present } from './grpc-fields.ts';

type Body = NonNullable<wire.PeerFrame['body']>;
type WireBeat = Extract<Body, { readonly $case: 'beatRequest' | 'beatReply' }>;

export const toWireBeat = (frame: BeatFrame): WireBeat =>
  frame.kind === 'request'
    ? { $case: 'beatRequest', value: toWireRequest(frame) }
    : { $case: 'beatReply', value: toWireReply(frame) };

/** @throws FieldError */
export const fromWireBeat = (beat: WireBeat): BeatFrame =>
  beat.$case === 'beatRequest' ? fromWireRequest(beat.value) : fromWireReply(beat.value);

const toWireTarget = ({ group, target }: BeatTarget): wire.BeatTarget => ({
  group: BigInt(group),
  target: BigInt(target),
});

const fromWireTarget = ({ group, target }: { readonly group: bigint; readonly target: bigint }): BeatTarget => ({
  group: groupOf(group),
  target: replicaOf(target),
});

function toWireRequest(frame: BeatRequest): wire.BeatRequest {
  return {
    process: frame.process,
    sequence: BigInt(frame.sequence),
    base: BigInt(frame.base),
    revision: BigInt(frame.revision),
    announced: frame.announced.map((lead) => ({
      ...toWireTarget(lead),
      leader: BigInt(lead.leader),
      term: BigInt(lead.term),
    })),
    ended: frame.ended.map(toWireTarget),
    wallMs: toWireWall(frame),
  };
}

function fromWireRequest(frame: wire.BeatRequest): BeatRequest {
  if (frame.announced.length + frame.ended.length > beatChangesMax) throw new FieldError('too many changes');
  return {
    kind: 'request',
    process: frame.process,
    sequence: numberOf(frame.sequence),
    base: numberOf(frame.base),
    revision: numberOf(frame.revision),
    announced: frame.announced.map((lead) => ({
      ...fromWireTarget(lead),
      leader: replicaOf(lead.leader),
      term: termOf(lead.term),
    })),
    ended: frame.ended.map(fromWireTarget),
    ...fromWireWall(frame),
  };
}

function toWireReply(frame: BeatReply): wire.BeatReply {
  const { process, asker } = frame;
  const [sequence, holds] = [BigInt(frame.sequence), BigInt(frame.holds)];
  return {
    process,
    asker,
    sequence,
    holds,
    exceptions: frame.exceptions.map(toWireException),
    wallMs: toWireWall(frame),
  };
}

function fromWireReply(frame: wire.BeatReply): BeatReply {
  if (frame.exceptions.length > beatLeadsMax) throw new FieldError('too many exceptions');
  const { process, asker } = frame;
  const [sequence, holds] = [numberOf(frame.sequence), numberOf(frame.holds)];
  const exceptions = frame.exceptions.map(fromWireException);
  return { kind: 'reply', process, asker, sequence, holds, exceptions, ...fromWireWall(frame) };
}

const toWireWall = ({ wallMs }: BeatFrame): bigint | undefined => (wallMs === undefined ? undefined : BigInt(wallMs));

const fromWireWall = ({ wallMs }: { readonly wallMs?: bigint | undefined }): { readonly wallMs?: Millis } =>
  wallMs === undefined ? {} : { wallMs: toMillis(numberOf(wallMs)) };

const reasons = {
  'unknown-group': BeatExceptionReason.BEAT_EXCEPTION_REASON_UNKNOWN_GROUP,
  'other-replica': BeatExceptionReason.BEAT_EXCEPTION_REASON_OTHER_REPLICA,
  quarantined: BeatExceptionReason.BEAT_EXCEPTION_REASON_QUARANTINED,
  behind: BeatExceptionReason.BEAT_EXCEPTION_REASON_BEHIND,
  'higher-term': BeatExceptionReason.BEAT_EXCEPTION_REASON_HIGHER_TERM,
} as const satisfies Record<BeatException['why'], wire.BeatExceptionReason>;

const toWireException = (exception: BeatException): wire.BeatException => ({
  ...toWireTarget(exception),
  why: reasons[exception.why],
  term: exception.why === 'higher-term' ? BigInt(exception.term) : undefined,
});

function fromWireException(exception: wire.BeatException): BeatException {
  const names = Object.keys(reasons) as BeatException['why'][];
  const why = present(
    names.find((name) => reasons[name] === exception.why),
    'why',
  );
  const target = fromWireTarget(exception);
  return why === 'higher-term' ? { ...target, why, term: termOf(present(exception.term, 'term')) } : { ...target, why };
}
