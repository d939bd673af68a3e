/**
 * A reply in parts. Of what a serializer returns, grpc-js (1.14) uses the length and `copy`, with which it puts the bytes
 * behind the five of its frame; so parts can go there directly, and a large reply is allocated and copied once instead of
 * twice. If grpc-js ever asks for more, there is no such method: the call fails at once, and so do the tests of fetch.
 */
export class ChunkedMessage {
  readonly byteLength: number;
  readonly #chunks: readonly Uint8Array[];

  /** Takes the chunks as they are; they must not change until the message was copied. */
  constructor(chunks: readonly Uint8Array[]) {
    this.#chunks = chunks;
    this.byteLength = chunks.reduce((sum, { length }) => sum + length, 0);
  }

  /** Copies the whole message into `target`, from `start` on. */
  copy(target: Uint8Array, start: number): void {
    let at = start;
    for (const chunk of this.#chunks) {
      target.set(chunk, at);
      at += chunk.length;
    }
  }

  /** As the type that grpc-js declares for serializers. */
  asBuffer(): Buffer {
    return this as unknown as Buffer;
  }
}
