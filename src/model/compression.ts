/** The compression types of RecordBatch v2, in the order of their attribute bits (0 to 4). */
export const compressionTypes = ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const;
export type CompressionType = (typeof compressionTypes)[number];

/** What went wrong when bytes were decompressed. */
export type DecompressFailure = 'corrupt' | 'too-large' | 'unsupported';
export type Decompressed =
  { readonly kind: 'ok'; readonly bytes: Uint8Array } | { readonly kind: 'failed'; readonly why: DecompressFailure };

/**
 * Compresses and decompresses the records section of a batch. Injected: native in the broker, JavaScript and WASM in
 * the client. Snappy is written in xerial framing and read in xerial framing or raw; lz4 is the frame format.
 */
export interface Compression {
  compress(type: CompressionType, bytes: Uint8Array): Uint8Array;
  /** Never allocates more than about `bytesMax` for the output; beyond it the answer is `too-large`. */
  decompress(type: CompressionType, bytes: Uint8Array, bytesMax: number): Decompressed;
}
