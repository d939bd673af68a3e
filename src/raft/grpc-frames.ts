/** Frames on the streams between brokers, as bytes: what is written after the handshake, and what is read. */
import type { BeatFrame } from './beat-frame.ts';
import type { GroupNumber } from '../model/ids.ts';
import type * as wire from '../gen/sluice/internal/v1/peer.ts';
import { PeerFrame } from '../gen/sluice/internal/v1/peer.ts';
import type { Message } from './core/messages.ts';
import { AppendFrame } from './grpc-append.ts';
import { fromWireBeat, toWireBeat } from './grpc-beat.ts';
import { fromWireMessage, NewerEntryError, toWireMessage } from './grpc-convert.ts';
import { FieldError, numberOf } from './grpc-fields.ts';
import type { NewerEntry } from './transport.ts';

export interface GroupMessage {
  readonly group: GroupNumber;
  readonly message: Message;
}

/**
 * What a frame says. `unreadable`: how many of its messages nobody could read, or not this version (P74); `newer`: those of
 * leaders whose entries only a newer version can read.
 */
export type FrameContent =
  | { readonly kind: 'message'; readonly group: GroupNumber; readonly message: Message }
  | {
      readonly kind: 'messages';
      readonly messages: readonly GroupMessage[];
      readonly unreadable: number;
      readonly newer: readonly NewerEntry[];
    }
  | { readonly kind: 'beat'; readonly frame: BeatFrame }
  /** Only the durable commit number that every frame carries. */
  | { readonly kind: 'commit-note' }
  | {
      readonly kind: 'request';
      readonly id: number;
      readonly method: string;
      readonly timeoutMs: number;
      readonly payload: Uint8Array;
    }
  | { readonly kind: 'reply'; readonly id: number; readonly outcome: ReplyOutcome };

export type ReplyOutcome =
  | { readonly kind: 'payload'; readonly payload: Uint8Array }
  | { readonly kind: 'not-done'; readonly why: string }
  | { readonly kind: 'failed'; readonly why: string };

export interface ReadFrame {
  readonly content: FrameContent;
  /** Number of the sender's newest durable engine write. */
  readonly durableCommit: number;
}

/** What grpc-js takes as a message. */
export type OutgoingFrame = Buffer | AppendFrame;

/** @param durableCommit number of this broker's newest durable engine write */
export function outgoingFrame(content: FrameContent, durableCommit: number): OutgoingFrame {
  if (content.kind === 'message' && content.message.kind === 'append-request')
    return new AppendFrame(content.group, content.message, durableCommit);
  const bytes = PeerFrame.encode({ body: toBody(content), durableCommit: BigInt(durableCommit) }).finish();
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** The same as bytes. */
export function encodeFrame(content: FrameContent, durableCommit: number): Buffer {
  const frame = outgoingFrame(content, durableCommit);
  if (!(frame instanceof AppendFrame)) return frame;
  const bytes = Buffer.allocUnsafe(frame.length);
  frame.copy(bytes, 0);
  return bytes;
}

function toBody(content: FrameContent): NonNullable<wire.PeerFrame['body']> {
  switch (content.kind) {
    case 'message':
      return { $case: 'message', value: toWireMessage(content.group, content.message) };
    case 'messages': {
      const messages = content.messages.map(({ group, message }) => toWireMessage(group, message));
      return { $case: 'messages', value: { messages } };
    }
    case 'beat':
      return toWireBeat(content.frame);
    case 'commit-note':
      return { $case: 'commitNote', value: {} };
    case 'request': {
      const { id, method, timeoutMs, payload } = content;
      return { $case: 'request', value: { id: BigInt(id), method, timeoutMs, payload } };
    }
    case 'reply':
      return { $case: 'reply', value: { id: BigInt(content.id), outcome: toWireOutcome(content.outcome) } };
  }
}

function toWireOutcome(outcome: ReplyOutcome): NonNullable<wire.CallReply['outcome']> {
  switch (outcome.kind) {
    case 'payload':
      return { $case: 'payload', value: outcome.payload };
    case 'not-done':
      return { $case: 'notDone', value: outcome.why };
    case 'failed':
      return { $case: 'failed', value: outcome.why };
  }
}

/** Null: it can not be read, or is of a kind that this version does not know. The bytes are the frame's from now on. */
export function decodeFrame(bytes: Uint8Array): ReadFrame | null {
  try {
    const frame = PeerFrame.decode(bytes);
    const content = frame.body === undefined ? null : fromBody(frame.body);
    return content === null ? null : { content, durableCommit: numberOf(frame.durableCommit) };
  } catch {
    // the parser's words, or a value that nothing of ours can have: the bytes are wrong, whatever it is called
    return null;
  }
}

function fromBody(body: NonNullable<wire.PeerFrame['body']>): FrameContent | null {
  switch (body.$case) {
    case 'message':
      return fromWireSingle(body.value);
    case 'messages':
      return fromWireMessages(body.value.messages);
    case 'beatRequest':
    case 'beatReply':
      return { kind: 'beat', frame: fromWireBeat(body) };
    case 'commitNote':
      return { kind: 'commit-note' };
    case 'request': {
      const { id, method, timeoutMs, payload } = body.value;
      return { kind: 'request', id: numberOf(id), method, timeoutMs, payload };
    }
    case 'reply':
      return { kind: 'reply', id: numberOf(body.value.id), outcome: fromWireOutcome(body.value.outcome) };
    case 'hello':
    case 'proof':
    case 'welcome':
    case 'refusal':
      return null;
  }
}

function fromWireSingle(message: wire.GroupMessage): FrameContent {
  try {
    return { kind: 'message', ...fromWireMessage(message) };
  } catch (error) {
    if (error instanceof NewerEntryError)
      return { kind: 'messages', messages: [], unreadable: 0, newer: [error.newer] };
    throw error;
  }
}

function fromWireMessages(wires: readonly wire.GroupMessage[]): FrameContent {
  const messages: GroupMessage[] = [];
  const newer: NewerEntry[] = [];
  for (const one of wires) {
    try {
      messages.push(fromWireMessage(one));
    } catch (error) {
      // else as in decodeFrame; the others are for other groups
      if (error instanceof NewerEntryError) newer.push(error.newer);
    }
  }
  return { kind: 'messages', messages, unreadable: wires.length - messages.length - newer.length, newer };
}

function fromWireOutcome(outcome: wire.CallReply['outcome']): ReplyOutcome {
  switch (outcome?.$case) {
    case 'payload':
      return { kind: 'payload', payload: outcome.value };
    case 'notDone':
      return { kind: 'not-done', why: outcome.value };
    case 'failed':
      return { kind: 'failed', why: outcome.value };
    case undefined:
      throw new FieldError('outcome is missing');
  }
}

/** About what a frame takes on the wire and in a queue; exact within some hundred bytes. */
export function contentBytes(content: FrameContent): number {
  switch (content.kind) {
    case 'message':
      return messageBytes(content.message);
    case 'messages':
      return content.messages.reduce((sum, { message }) => sum + messageBytes(message), 64);
    case 'beat': {
      const { frame } = content;
      const items = frame.kind === 'request' ? frame.announced.length + frame.ended.length : frame.exceptions.length;
      return 64 + 40 * items;
    }
    case 'commit-note':
      return 16;
    case 'request':
      return 128 + content.payload.length;
    case 'reply':
      return 128 + (content.outcome.kind === 'payload' ? content.outcome.payload.length : content.outcome.why.length);
  }
}

function messageBytes(message: Message): number {
  if (message.kind === 'append-request')
    return message.entries.reduce((sum, { payload }) => sum + payload.length + 80, 128);
  if (message.kind === 'vote-request') {
    const { voters, outgoing, learners } = message.configuration;
    return 128 + 8 * (voters.length + outgoing.length + learners.length);
  }
  return message.kind === 'snapshot-chunk' ? 512 + message.bytes.length + 32 * message.meta.terms.length : 128;
}
