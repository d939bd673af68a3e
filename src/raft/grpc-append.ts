/**
 * Writes append requests: the hot message between brokers. The generated writer copies a payload once for every message
 * that it is nested in; here it is copied once, straight behind the five bytes that gRPC puts before a message. All
 * integers of the messages concerned have a fixed width, so that sizes are known before the first byte is written.
 */
import { entryFormatVersion, entryKindNumbers } from '../model/entry.ts';
import type { Entry } from '../model/entry.ts';
import type { GroupNumber } from '../model/ids.ts';
import type { AppendRequest } from './core/messages.ts';

/** Wire types of protobuf. */
const [varint, fixed64, delimited, fixed32] = [0, 1, 2, 5];
const tag = (field: number, wireType: number | undefined): number => (field << 3) | (wireType ?? 0);
/** Bytes of a tag and its number; all fields here are below 16, so a tag is one byte. */
const [smallBytes, fixed32Bytes, fixed64Bytes] = [2, 5, 9];

const entryFixedBytes = 2 * smallBytes + 4 * fixed64Bytes + 3 * fixed32Bytes;
const requestFixedBytes = 5 * fixed64Bytes;
const groupFixedBytes = 4 * fixed64Bytes;

/** Bytes of a length prefix. */
const lengthBytes = (length: number): number =>
  length < 0x80 ? 1 : length < 0x4000 ? 2 : length < 0x200000 ? 3 : length < 0x10000000 ? 4 : 5;
const delimitedBytes = (length: number): number => 1 + lengthBytes(length) + length;

const entryBytes = ({ maxTimestampMs, payload }: Entry): number =>
  entryFixedBytes + (maxTimestampMs === null ? 0 : fixed64Bytes) + delimitedBytes(payload.length);

class FrameWriter {
  readonly bytes: Buffer;
  #at: number;

  constructor(bytes: Buffer, at: number) {
    this.bytes = bytes;
    this.#at = at;
  }

  /** A number below 128. */
  small(field: number, value: number): void {
    this.bytes[this.#at++] = tag(field, varint);
    this.bytes[this.#at++] = value;
  }

  fixed32(field: number, value: number): void {
    this.bytes[this.#at++] = tag(field, fixed32);
    this.#at = this.bytes.writeUInt32LE(value, this.#at);
  }

  fixed64(field: number, value: number): void {
    this.bytes[this.#at++] = tag(field, fixed64);
    this.#at = this.bytes.writeUInt32LE(value % 2 ** 32, this.#at);
    this.#at = this.bytes.writeUInt32LE(Math.floor(value / 2 ** 32), this.#at);
  }

  /** The head of a nested message or of bytes. */
  begin(field: number, length: number): void {
    this.bytes[this.#at++] = tag(field, delimited);
    let rest = length;
    while (rest >= 0x80) {
      this.bytes[this.#at++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    this.bytes[this.#at++] = rest;
  }

  raw(bytes: Uint8Array): void {
    this.bytes.set(bytes, this.#at);
    this.#at += bytes.length;
  }
}

/**
 * A PeerFrame with an append request, byte for byte as sluice/internal/v1/peer.proto has it, that is written when grpc-js
 * wants it. Of a message grpc-js (1.14, `IdentityHandler.writeMessage`) asks `length`, makes room for that and five bytes,
 * and has it `copy` itself there, which is all of a Buffer that this has: what it would copy never exists.
 */
export class AppendFrame {
  readonly length: number;
  readonly #group: GroupNumber;
  readonly #request: AppendRequest;
  readonly #durableCommit: number;
  readonly #entryBytes: readonly number[];
  readonly #requestBytes: number;

  constructor(group: GroupNumber, request: AppendRequest, durableCommit: number) {
    this.#group = group;
    this.#request = request;
    this.#durableCommit = durableCommit;
    this.#entryBytes = request.entries.map(entryBytes);
    const chainBytes = request.prevChain === null ? 0 : fixed32Bytes;
    const head = requestFixedBytes + chainBytes;
    this.#requestBytes = this.#entryBytes.reduce((sum, size) => sum + delimitedBytes(size), head);
    this.length = delimitedBytes(this.#messageBytes) + fixed64Bytes;
  }

  /** Writes it into `target` from `at` on, where there must be room; returns its length. */
  copy(target: Buffer, at: number): number {
    const request = this.#request;
    const writer = new FrameWriter(target, at);
    writer.begin(5, this.#messageBytes);
    writer.fixed64(1, this.#group);
    writer.fixed64(2, request.from);
    writer.fixed64(3, request.to);
    writer.fixed64(4, request.term);
    writer.begin(7, this.#requestBytes);
    writer.fixed64(1, request.prevIndex);
    writer.fixed64(2, request.prevTerm);
    writer.fixed64(3, request.prevEndOffset);
    if (request.prevChain !== null) writer.fixed32(4, request.prevChain);
    writer.fixed64(5, request.sequence);
    writer.fixed64(6, request.commit);
    request.entries.forEach((entry, i) => writeEntry(writer, entry, this.#entryBytes[i] ?? 0));
    writer.fixed64(15, this.#durableCommit);
    return this.length;
  }

  get #messageBytes(): number {
    return groupFixedBytes + delimitedBytes(this.#requestBytes);
  }
}

function writeEntry(writer: FrameWriter, entry: Entry, size: number): void {
  writer.begin(7, size);
  writer.small(1, entryFormatVersion);
  writer.small(2, entryKindNumbers[entry.kind]);
  writer.fixed64(3, entry.term);
  writer.fixed64(4, entry.index);
  writer.fixed64(5, entry.baseOffset);
  writer.fixed32(6, entry.count);
  writer.fixed64(7, entry.appendTimeMs);
  if (entry.maxTimestampMs !== null) writer.fixed64(8, entry.maxTimestampMs);
  writer.fixed32(9, entry.payloadCrc);
  writer.fixed32(10, entry.chain);
  writer.begin(11, entry.payload.length);
  writer.raw(entry.payload);
}
